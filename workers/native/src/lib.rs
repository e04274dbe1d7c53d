//! Tasks in Rust, for Skein: a program offers typed functions as Flyte tasks. It registers them, Skein's workers start it
//! to run them, and Python workflows use them by `reference_task`, with the SDK as it is.
//!
//! ```no_run
//! use skein_task::{Program, Result, Task};
//! use std::process::ExitCode;
//!
//! fn detect(value: f64, threshold: f64) -> bool {
//!     value.abs() > threshold
//! }
//!
//! fn mean(values: Vec<f64>) -> Result<f64> {
//!     if values.is_empty() {
//!         return Err(skein_task::Error::new("there is no mean of nothing"));
//!     }
//!     Ok(values.iter().sum::<f64>() / values.len() as f64)
//! }
//!
//! fn main() -> ExitCode {
//!     Program::new()
//!         .with(Task::new("anomalies.detect", ["value", "threshold"], detect).retries(2))
//!         .with(Task::new("anomalies.mean", ["values"], mean).cache("1"))
//!         .run()
//! }
//! ```
//!
//! ```sh
//! ./program register --endpoint 127.0.0.1:8090 --project flytesnacks --domain development --version v1
//! ```
//!
//! ```python
//! @reference_task(project="flytesnacks", domain="development", name="anomalies.mean", version="v1")
//! def mean(values: list[float]) -> float: ...
//! ```
//!
//! What a function takes and gives is said by [`Value`], and its failures by [`Error`]; a panic fails the attempt and is
//! told with its message and place. A process that ends otherwise is charged as a Python process is. By default one
//! process runs attempt after attempt ([`Isolation`]). What is printed is the attempt's log.
//!
//! The registration holds the program's path and digest: on each machine that has workers the program must be there, as it
//! was registered. One that is built anew is registered as a new version. It runs on Linux (5.3 and later).
//!
//! # Never
//!
//! - It never runs a task that the worker did not ask for, nor anything of the engine.
//! - It never outlives the worker, nor do processes that a task starts.
//! - It never decides whether something is tried again.

mod child;
pub mod context;
mod describe;
mod error;
mod function;
mod panics;
mod processes;
mod program;
mod register;
mod serve;
mod task;
mod value;

pub use error::{Error, Result};
#[doc(hidden)]
pub use function::{Arguments, Form, Given};
pub use function::{Function, Outputs};
pub use program::Program;
pub use task::{Isolation, Task};
pub use value::{Timedelta, Value};
