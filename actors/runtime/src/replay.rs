//! Holds the first law on real journals: folding what was recorded gives the live state.
//!
//! The law's property test knows only the events that it thinks of; this sees every execution of every test.

use crate::journal::{Journal, JournalError};
use crate::ports::Ports;
use skein_core::Execution;
use skein_model::ExecutionId;
use std::sync::Arc;

/// A state that its journal does not give. The actor ends, and the journal is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("the live state of {execution} differs from the fold of its journal in: {}", parts.join(", "))]
    Differs { execution: ExecutionId, parts: Vec<String> },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Reads the journal of an execution again and compares.
///
/// # Errors
/// [`ReplayError::Differs`] when `apply` made something of what is not recorded, or an event is not read as it was
/// written.
pub(crate) async fn check(
    ports: &Ports,
    id: &ExecutionId,
    journal: &Journal,
    live: &Execution,
) -> Result<(), ReplayError> {
    let mut replayed = Execution::new(Arc::clone(live.plan()));
    for event in &journal.read_again(ports).await? {
        replayed.apply(event);
    }
    let parts = live.differences(&replayed);
    if parts.is_empty() {
        return Ok(());
    }
    ports.metrics.replays_that_differ.inc();
    Err(ReplayError::Differs { execution: id.clone(), parts })
}
