//! What becomes of a connector's jobs, with a connector that does as the tests say.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails may do so anywhere")]

mod answers;
mod fake;
mod house;
mod restarts;
mod syncs;
mod troubles;
