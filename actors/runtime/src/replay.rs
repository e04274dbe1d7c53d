//! Holds the first law on real journals: folding what was recorded gives the live state.
//!
//! The law's property test knows only the events that it thinks of; this sees every execution of every test.

use crate::journal::{Journal, JournalError};
use crate::ports::Ports;
use skein_core::Execution;
use skein_log::BlobError;
use skein_model::{Event, ExecutionId};

/// A state that its journal does not give. The actor ends, and the journal is right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("the live state of {execution} differs from the fold of its journal in: {}", parts.join(", "))]
    Differs { execution: ExecutionId, parts: Vec<String> },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Blob(#[from] BlobError),
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
    let created = live.created().ok_or(JournalError::Empty)?;
    // The plan that it began with: nodes that tasks made come with their events.
    let mut replayed = Execution::new(ports.plans.load(&ports.blobs, &created.plan).await?);
    for event in &journal.read_again(ports).await? {
        if let Event::NodesMade { node, attempt, plan, .. } = event {
            let made = ports.plans.load_made(&ports.blobs, plan, (node, *attempt)).await?;
            replayed.provide(plan.clone(), made);
        }
        replayed.apply(event);
    }
    let parts = live.differences(&replayed);
    if parts.is_empty() {
        return Ok(());
    }
    ports.metrics.replays_that_differ.inc();
    Err(ReplayError::Differs { execution: id.clone(), parts })
}
