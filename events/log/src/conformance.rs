//! What every implementation of a contract must do, as checks that run on any of them.
//!
//! [`event_log()`], [`inbox()`], [`task_queue()`], [`lease_store()`] and [`blob_store()`] run everything there is for a contract; each
//! check is public too, so that a failing one can be run alone. A check panics with the promise that was broken. Checks
//! name journals, executions, pools and keys of their own, so they may share one log, queue or store.
//!
//! Durability across the death of a process or a server cannot be checked from inside; [`event_log::reopening`] checks
//! what can be seen of it, the rest is for the tests of each implementation.

pub mod blob_store;
pub mod event_log;
pub mod inbox;
pub mod lease_store;
pub mod task_queue;

pub use blob_store::blob_store;
pub use event_log::event_log;
pub use inbox::inbox;
pub use lease_store::lease_store;
pub use task_queue::task_queue;

use std::time::Duration;

/// How long a check waits for what must come, before it says that it did not.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must come.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(PATIENCE, future).await;
    assert!(in_time.is_ok(), "{what} did not come within {PATIENCE:?}");
    in_time.expect("checked by the line above")
}

/// Says whether a future cannot go on yet, after it was given a chance to.
async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = tokio::task::yield_now() => true,
    }
}
