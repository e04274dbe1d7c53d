//! The gateway on a loopback port, called as the SDK calls it: over gRPC and HTTP, with a log and an inbox in memory
//! and a scripted engine.

mod data;
mod definitions;
mod engine;
mod executions;
mod harness;
mod hostile;
mod lists;
mod raw;
mod registration;
mod single_calls;
mod views;
