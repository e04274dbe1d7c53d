//! Read models in SQLite: folds of the log, for lists, filters and single gets.
//!
//! Disposable: deleted, or written by another version of this program, they are made again from the log. So nothing
//! is in them that is not in the log or in the blobs it names, and no time or number that the log does not have.
//!
//! ```text
//!  log ──follow──► follower (reads plans) ──► one writing thread, one transaction a batch ──► SQLite ──► readers
//!                                                     └── how far it is: watched by whoever must read its own write
//! ```

mod apply;
mod blobs;
mod decode;
mod fold;
mod follow;
mod pace;
mod read;
mod rows;
mod schema;
mod tree;

pub(crate) use apply::{Plan, PlanNode, PlanNodeKind};
pub(crate) use decode::plan_of;
pub(crate) use follow::{FOLLOWED, Views};
pub(crate) use pace::{Pace, rate};
pub(crate) use read::{Reader, Row};
pub(crate) use rows::{
    AttemptRow, CacheRow, ChunkRow, EntityRow, ErrorRow, ExecutionRow, NodeProgressRow, NodeRow, ProgressRow,
    ProjectRow, SignalRow, TryRow,
};
pub(crate) use tree::Tree;
