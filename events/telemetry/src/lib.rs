//! How every Skein process starts its logs, traces and metrics, and how a trace goes on from one process to the next.
//!
//! # Never
//!
//! - It never puts an id into a metric's label: labels come from closed lists.
//! - It never writes a value of a user (inputs, outputs, secrets) into a log line.
//! - It never makes a request fail: what cannot be exported is dropped.

pub mod logs;
pub mod trace;

pub use logs::{LogFormat, Settings, StartError, Telemetry, start};
