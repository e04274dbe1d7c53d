//! The front door: the gRPC services that the unmodified SDK speaks, and HTTP for data and logs, on one port.
//!
//! A request that changes something is checked, appended to the log, and answered once the views show it. A request
//! that reads is answered from the views and the blobs they name.
//!
//! # Never
//!
//! - It never decides what an execution does next: it writes the first record of an execution's journal, and sends
//!   commands to whoever writes the rest.
//! - It never answers from memory what is not in the log: the views can be deleted at any time.
//! - It never answers UNKNOWN, which the SDK takes for a missing login.
//! - It never acknowledges a change before the log has.
//! - It never answers the value of a secret, nor keeps one anywhere but encrypted in the log.

mod admin;
mod attributes;
pub mod cache;
mod config;
mod connectors;
mod data_proxy;
mod descriptions;
pub mod diff;
mod entities;
mod error;
mod executions;
pub mod filter;
mod guard;
mod http;
mod launch_plans;
mod listing;
mod log_links;
mod metrics;
mod misc;
mod named_entities;
mod nodes;
pub mod notifications;
pub mod printed;
pub mod progress;
mod projects;
mod registry;
pub mod schedules;
pub mod secrets;
mod server;
mod services;
mod shared;
pub mod show;
pub mod signals;
mod task_executions;
mod tasks;
pub mod usage;
mod values;
mod variables;
mod views;
pub mod why;
mod workflows;

pub use config::{Config, Limits};
pub use connectors::Connectors;
pub use error::ApiError;
pub use log_links::LogLink;
pub use metrics::Metrics;
pub use server::{Gateway, GatewayError};
pub use shared::Clock;
