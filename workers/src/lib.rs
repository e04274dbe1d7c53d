//! Runs user code for the pools of one machine: leases, interpreters, capture and reports.
//!
//! ```text
//!  queue ──lease──► slot ──order──► zygote ──fork──► child ──► user code
//!                    │                                 │
//!  inbox ◄──report───┴── outcome ◄── files, results ◄──┘──► log parts, outputs: blob store
//! ```
//!
//! A task's attempt gets a child of its own, forked from an interpreter that has the SDK imported; a map's items
//! share warm children, which whichever slot runs the next chunk takes up. A task of a program of its own has its
//! children from that program, and all else is the same. What travels between the processes is written down in
//! `PROTOCOL.md`.
//!
//! # Never
//!
//! - It never decides whether something is tried again: it says what it observed, and whose fault that is.
//! - It never ends a lease before the result of its work is stored or refused.
//! - It never starts a Python process before work needs one or is announced, and leaves none behind, however it ends itself.
//! - It never gives an attempt a secret that its task does not ask for, nor leaves one behind it.
//! - It never hands this process's environment, which may hold secrets, to user code; what is passed on is a list.

mod ahead;
mod archive;
mod attempt;
mod capture;
pub mod cgroups;
mod child;
mod chunk;
mod command_line;
pub mod config;
pub mod container;
mod environment;
mod environments;
mod failure;
mod fast_task;
mod frames;
pub mod gpus;
mod interpreter;
mod kept;
mod leases;
mod machine;
mod nest;
mod places;
mod plain;
mod programs;
mod python;
mod report;
mod resident;
mod scratch;
mod secrets;
mod slot;
mod stop;
mod usage;
mod warm;
mod workers;
mod zygote;

pub use archive::{UnpackError, unpack};
pub use cgroups::{CgroupError, Cgroups};
pub use config::{ArchiveLimits, Config, FastPath, ImageRule, LogLimits};
pub use container::{Containers, Mode};
pub use fast_task::Service as FastTask;
pub use workers::Workers;
