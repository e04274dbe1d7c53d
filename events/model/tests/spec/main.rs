//! What the model promises, as examples.

#![expect(clippy::panic, reason = "a test fails by panicking")]

mod accelerators;
mod actor;
mod bindings;
mod compile;
mod compile_errors;
mod fixtures;
mod golden;
mod launch;
mod literals;
mod notifications;
mod resources;
mod schedule;
mod sdk;
mod stored;
mod task_rules;
mod task_settings;
mod types;
