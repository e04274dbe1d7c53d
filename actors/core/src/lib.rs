//! Every decision Skein takes, as functions of state, command and time.
//!
//! ```text
//!  command ──► decide(&state, now) ──► events ──► apply ──► state
//!                     ▲                              └──► effects_of ──► effects ─┬─► answered at once (advance)
//!                     └───────────────────────────────────────────────────────────┘
//!              all events made durable together, then the other effects performed, by the shell
//!                                     after a restart: outstanding() ──► performed again
//! ```
//!
//! One question, one file: *what next* ([`decide`]), *what all follows from a command* ([`advance`]), *what is now true* ([`apply`]), *what is asked of the world*
//! ([`effects`]), *which nodes are ready* ([`graph`]), *what is inside what* ([`inside`]), *which case of a branch holds* ([`condition`]), *which items run* ([`map_task`], [`chunk`]), *try again, when*
//! ([`retry`]), *what takes too long* ([`clocks`]), *what is a node given* ([`resolve`]), *what is handed to user code* ([`render`]), *whose work goes first*
//! ([`schedule`]), *who is told of an end, and when again* ([`notify`]).
//!
//! Three laws hold, each a property test in `tests/behaviour/laws.rs`:
//!
//! - *Replay*: folding the journal gives the live state.
//! - *Once*: a command decided again after its events yields none.
//! - *Nothing lost*: effects asked for minus effects answered equal [`Execution::outstanding`].
//!
//! # Never
//!
//! - It never reads a clock, draws a number, waits, or iterates in hash order: its manifest and `clippy.toml` leave it
//!   no way to.
//! - `apply` never decides: what a journal says has happened, whatever today's policy would do.

pub mod advance;
pub mod apply;
pub mod chunk;
pub mod clocks;
pub mod condition;
pub mod decide;
pub mod effects;
pub mod execution;
pub mod graph;
pub mod inside;
pub mod items;
pub mod map_task;
pub mod notify;
pub mod plan;
pub mod render;
pub mod resolve;
pub mod retry;
pub mod schedule;

pub use advance::Transition;
pub use clocks::{Clocks, Limits, NodeLimits};
pub use decide::Rejection;
pub use effects::Effect;
pub use execution::{Execution, NodeState, TaskRun};
pub use map_task::MapRun;
pub use notify::{Notices, NotifyRule, NotifyRules, Patience};
pub use plan::{FailurePolicy, MinSuccesses, NodeIndex, Plan, PlanError, PlanNode, Target};
