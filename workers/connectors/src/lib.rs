//! Has connectors do tasks: makes jobs of them, asks after the jobs, and deletes those that nobody wants any more.
//!
//! ```text
//!  queue ──lease──► job ──CreateTask──► connector          discovery ──ListAgents──► connectors
//!                    │ ◄──GetTask, again and again──┘           └──► which types they do: gateway, engine
//!  inbox ◄──report───┴── what was told of it, outcome
//! ```
//!
//! A job takes a task of this process's runtime and nothing of a worker: thousands may be out at once.
//!
//! What is recorded of a job is its connector's resource meta, so that whoever performs the work again asks after the job
//! instead of making another. Between the connector's answer and the record, a note on disk has it. What is in neither and
//! may have been made is not made again: the attempt fails and says so, unless the connector is said to make one job for one
//! try however often it is asked.
//!
//! # Never
//!
//! - It never asks for a second job while the first may exist, but of a connector that is said to be idempotent.
//! - It never waits for a connector without a limit.
//! - It never decides whether something is tried again: it says what it observed, and whose fault that is.
//! - It never deletes a job because this process ends.

mod answer;
pub mod backoff;
mod cancel;
mod client;
mod config;
mod connectors;
mod create;
mod directory;
mod failure;
mod leases;
mod notes;
mod outputs;
mod poll;
mod report;
mod request;
mod run;
mod sync;

pub use backoff::Pace;
pub use config::{Clock, Config, Connector};
pub use connectors::Connectors;
