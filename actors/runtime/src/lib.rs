//! Actors that carry out what the core decides: append first, then apply, then perform.
//!
//! ```text
//!  log ──followed──► Engine ──takes up──► ExecutionActor ──append──► log
//!  inbox ──mail────►   │                     │ effects
//!                      └ supervises          ├──► perform: inputs, attempts, outputs (tasks that end in a command)
//!                                            └──► MapActor: cuts chunks, keeps a few on offer
//! ```
//!
//! Beside them [`notify`] tells people and services of ends that are recorded.
//!
//! # Never
//!
//! - It never decides: what is recorded comes from `skein-core` alone.
//! - It never performs an effect before the event that asks for it is durable.
//! - An actor never waits for the outside world in `handle`, but for its log: whatever else takes time is handed off
//!   and comes back as a command.
//! - Nothing durable depends on an actor ending well: its journal rebuilds it.

mod alarm;
pub mod config;
mod dispatch;
mod engine;
mod execution;
mod intake;
mod journal;
mod launch;
mod map;
pub mod metrics;
pub mod notify;
mod perform;
mod plans;
mod ports;
mod registry;
mod replay;
mod settings;
mod stored;
pub mod system;

pub use config::{Config, InterruptiblePool, ToConnectors};
pub use metrics::Metrics;
pub use notify::Notify;
pub use ports::Clock;
pub use system::{Engine, StartError};
