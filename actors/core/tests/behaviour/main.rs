//! What the core promises: how an execution behaves, and the laws its state keeps.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper that finds something else than it looks for has failed its test"
)]

mod advance;
mod budgets;
mod cache;
mod gates;
mod jobs;
mod laws;
mod nested;
mod notify;
mod plans;
mod schedule;
mod specification;
mod time;
