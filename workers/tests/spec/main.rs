//! What workers do, with real interpreters and the real SDK.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod actors;
mod ahead;
mod attempts;
mod bridges;
mod chunks;
mod conformance;
mod culprits;
mod dispatched;
mod figures;
mod forks;
mod lives;
mod native;
mod orphans;
mod peers;
mod programs;
mod reuse;
mod support;
