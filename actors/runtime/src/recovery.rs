//! Reads what an execution left that is recovered by another.

use crate::journal::{Journal, JournalError};
use crate::ports::Ports;
use skein_core::{Execution, Recovery};
use skein_log::BlobError;
use skein_model::{Event, ExecutionId, JournalId};
use std::sync::Arc;
use tracing::warn;

/// What an execution left that cannot be had at present.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Brings an execution what the one left that it recovers, if it recovers one. Of one that is gone nothing is left: all runs again.
///
/// # Errors
/// When log or blob store cannot be read.
pub(crate) async fn bring(ports: &Ports, execution: &mut Execution) -> Result<(), RecoveryError> {
    let recovers = execution.created().and_then(|created| created.recovers.clone());
    let Some(other) = recovers else { return Ok(()) };
    let recovery = match of(ports, &other).await {
        Ok(recovery) => recovery,
        Err(
            RecoveryError::Journal(JournalError::Empty) | RecoveryError::Blob(BlobError::NotFound { .. }),
        ) => {
            warn!(execution = %other, "an execution that is to be recovered is gone: all of it runs again");
            return Ok(());
        }
        Err(fault) => return Err(fault),
    };
    for (node, attempt, plan) in recovery.made() {
        // What was made already has its place in this one's plan.
        if !execution.has_made(node) {
            let made = ports.plans.load_made(&ports.blobs, plan, (node, attempt)).await?;
            execution.provide(plan.clone(), made);
        }
    }
    execution.recover(Arc::new(recovery));
    Ok(())
}

async fn of(ports: &Ports, other: &ExecutionId) -> Result<Recovery, RecoveryError> {
    let (_, events) = Journal::load(ports, JournalId::execution(other)).await?;
    let Some((_, Event::Created(created))) = events.first() else { return Err(JournalError::Empty.into()) };
    let mut before = Execution::new(ports.plans.load(&ports.blobs, &created.plan).await?);
    let mut recovery = Recovery::default();
    for (_, event) in &events {
        recovery.note(&before, event);
        if let Event::NodesMade { node, attempt, plan, .. } = event {
            let made = ports.plans.load_made(&ports.blobs, plan, (node, *attempt)).await?;
            before.provide(plan.clone(), made);
        }
        before.apply(event);
    }
    Ok(recovery)
}
