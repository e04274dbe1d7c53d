//! Deletes jobs that nobody wants any more.

use crate::client::{CallError, Client};
use crate::failure;
use crate::notes::Note;
use crate::request;
use crate::run::{Attempt, End, Shared, Trouble};
use bytes::Bytes;
use skein_idl::flyteidl::admin::TaskCategory;
use std::sync::Arc;
use tonic::Code;

/// How often a connector that errs is asked to delete the job of an attempt that waits for that.
const TRIES: u32 = 3;

/// Deletes a job beside everything else, and again until it is gone or that has gone on for too long; its note stays until then, so
/// that it is deleted after a restart too.
pub(crate) fn in_background(shared: &Arc<Shared>, client: Client, note: Note) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move { job(&shared, &client, &note).await });
}

/// Deletes a job, and again until it is gone or that has gone on for too long.
pub(crate) async fn job(shared: &Shared, client: &Client, note: &Note) {
    let category = TaskCategory { name: note.task_type.clone(), version: note.task_type_version };
    let mut trouble = Trouble::new();
    loop {
        match once(client, &category, note.resource_meta.clone()).await {
            Ok(()) => {
                tracing::info!(work = %note.work, connector = note.connector, "a job that nobody wants any more is deleted");
                return shared.notes.remove(&note.work).await;
            }
            Err(error) if trouble.lasts() >= client.connector.give_up_after => {
                return tracing::warn!(
                    %error, work = %note.work, connector = note.connector,
                    "a job that nobody wants any more cannot be deleted; that is tried again at the next start"
                );
            }
            Err(error) => {
                tracing::debug!(%error, work = %note.work, "a job is to be deleted, and is not yet");
                let failed = trouble.again();
                tokio::time::sleep(shared.config.pace.again_after(failed, u64::from(failed) * 397)).await;
            }
        }
    }
}

/// Asks once that a job be deleted. One that is not there is gone.
async fn once(client: &Client, category: &TaskCategory, resource_meta: Bytes) -> Result<(), CallError> {
    match client.delete(&request::delete(category, resource_meta)).await {
        Ok(()) | Err(CallError::Refused { code: Code::NotFound, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Attempt {
    /// Answers what becomes of the attempt when nothing more can be had of its job. A job that is gone for certain may be made
    /// anew by another attempt; of any other, one may still be too many.
    pub(crate) async fn give_up(
        &mut self,
        client: &Client,
        category: &TaskCategory,
        resource_meta: Bytes,
        why: &str,
    ) -> End {
        let url = &client.connector.url;
        for failed in 1..=TRIES {
            match once(client, category, resource_meta.clone()).await {
                Ok(()) => {
                    let message = format!("connector {url}: {why}; its job was deleted");
                    return failure::fault("ConnectorFailed", message).into();
                }
                Err(error) => tracing::debug!(%error, work = %self.work.id, "the job cannot be deleted"),
            }
            if failed < TRIES
                && let Err(end) = self.wait(self.again_after(failed)).await
            {
                return end;
            }
        }
        failure::unresolved(url, why).into()
    }
}
