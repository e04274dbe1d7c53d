//! The contracts kept in memory: the whole way in, way out and leases of one process, and a log for tests.
//!
//! [`MemoryInbox`], [`MemoryQueue`] and [`MemoryLeases`] are what a single process runs on: nothing in them has to
//! survive it, because the engine offers again whatever a journal says is outstanding. [`MemoryLog`] keeps every
//! promise of [`crate::EventLog`] except the first: it is a double.

mod inbox;
mod leases;
mod log;
mod queue;
mod shelf;

pub use inbox::MemoryInbox;
pub use leases::MemoryLeases;
pub use log::MemoryLog;
pub use queue::MemoryQueue;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks state that no panic can leave half changed: the code under these locks only moves values that exist.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
