//! The gateway on a loopback port, called as the SDK calls it: over gRPC and HTTP, with a log and an inbox in memory
//! and a scripted engine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test that cannot go on says where"
)]

mod addresses;
mod connectors;
mod data;
mod definitions;
mod engine;
mod executions;
mod harness;
mod hostile;
mod lists;
mod logs;
mod progress;
mod registration;
mod resources;
mod schedules;
mod secrets;
mod single_calls;
mod usage;
mod views;
mod why;
