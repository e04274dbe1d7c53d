//! Says how work ended, until it is stored.

use crate::config::Config;
use skein_log::{BlobError, Inbox, Lease, QueueError, SendError, TaskQueue};
use skein_model::{Command, ExecutionId};
use std::future::Future;
use std::time::Duration;

/// How often something is tried against a store that does not answer, before the attempt is given up as failed.
const STORE_TRIES: u32 = 8;
/// How often the end of a lease is told; when nobody hears it the lease ends by itself.
const COMPLETE_TRIES: u32 = 5;

/// Sends a command until it is stored or refused.
pub(crate) async fn send(inbox: &dyn Inbox, config: &Config, execution: &ExecutionId, command: Command) {
    let mut delay = config.report_delay_first;
    loop {
        match inbox.send(execution, command.clone()).await {
            Ok(()) => return,
            Err(SendError::Refused(refusal)) => {
                tracing::debug!(%execution, ?refusal, "report refused");
                return;
            }
            Err(error @ (SendError::Unanswered { .. } | SendError::Full)) => {
                tracing::debug!(%execution, %error, "report repeated");
            }
            Err(error) => tracing::warn!(%execution, %error, "report repeated"),
        }
        pause(config, &mut delay).await;
    }
}

/// Ends the lease of work whose result is stored.
pub(crate) async fn complete(queue: &dyn TaskQueue, config: &Config, lease: &Lease) {
    let mut delay = config.report_delay_first;
    for _ in 0..COMPLETE_TRIES {
        match queue.complete(lease.id).await {
            Ok(()) | Err(QueueError::LeaseEnded) => return,
            Err(error) => tracing::debug!(%error, work = %lease.work.id, "the end of a lease is told again"),
        }
        pause(config, &mut delay).await;
    }
}

/// Calls the blob store until it answers, a limited number of times. One that is full is no answer: what has run is kept
/// until there is room, for nobody would want it to run again.
///
/// # Errors
/// Its last answer.
pub(crate) async fn insist<T, F>(config: &Config, mut call: impl FnMut() -> F) -> Result<T, BlobError>
where
    F: Future<Output = Result<T, BlobError>>,
{
    let mut delay = config.report_delay_first;
    let mut tries = 1;
    loop {
        match call().await {
            Err(error @ BlobError::Full { .. }) => tracing::warn!(%error, "a result waits for room"),
            Err(BlobError::Unavailable { .. }) if tries < STORE_TRIES => tries += 1,
            answer => return answer,
        }
        pause(config, &mut delay).await;
    }
}

async fn pause(config: &Config, delay: &mut Duration) {
    tokio::time::sleep(*delay).await;
    *delay = (*delay * 2).min(config.report_delay_max);
}
