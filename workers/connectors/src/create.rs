//! Has a job made, once.

use crate::cancel;
use crate::client::{CallError, Client};
use crate::failure;
use crate::notes::Note;
use crate::request::{self, Asked};
use crate::run::{Attempt, End, Trouble};
use bytes::Bytes;
use skein_model::job::RESOURCE_META_BYTES_MAX;
use skein_model::{Job, JobPhase};

impl Attempt {
    /// Has a job made, and has it recorded.
    pub(crate) async fn create(&mut self, client: &Client, asked: &Asked) -> Result<Job, End> {
        let url = client.connector.url.clone();
        if self.may_exist() && !client.connector.is_idempotent {
            let why = "this server ended while it was asked for, and nothing says whether it was made";
            return Err(failure::unresolved(&url, why).into());
        }
        let request = asked.create(self.inputs(asked).await?);
        let mut trouble = Trouble::new();
        let mut has_begun = false;
        loop {
            self.reach(client, &mut trouble).await?;
            let asked_for = self.asked_for(&url, JobPhase::Queued);
            self.report(asked_for).await?;
            if !has_begun {
                self.begin(client).await?;
                has_begun = true;
            }
            // Not ended by a withdrawal: what it makes has to be known to be deleted.
            match client.create(&request).await {
                Ok(created) => return self.made(client, asked, created.resource_meta).await,
                Err(error @ CallError::NotSent(_)) => {
                    self.again(client, &mut trouble, &error.to_string()).await?;
                }
                Err(error @ (CallError::Unanswered(_) | CallError::Garbage(_))) => {
                    if !client.connector.is_idempotent {
                        return Err(failure::unresolved(&url, &error.to_string()).into());
                    }
                    self.again(client, &mut trouble, &error.to_string()).await?;
                }
                Err(error @ CallError::Refused { .. }) => return Err(failure::refused(&url, &error).into()),
            }
        }
    }

    /// Says whether the connector may have been asked for the job before a restart. What is recorded last says so: that it is about
    /// to be asked, or that it could not be reached since, and then it has heard nothing.
    fn may_exist(&self) -> bool {
        match &self.job {
            Some(job) => job.phase != JobPhase::Unreachable,
            None => self.work.connector.as_ref().is_some_and(|connector| connector.was_started),
        }
    }

    /// Waits until the connector can be asked: who was not reached has made nothing, and nothing was begun.
    pub(crate) async fn reach(&mut self, client: &Client, trouble: &mut Trouble) -> Result<(), End> {
        loop {
            self.check()?;
            match client.reach().await {
                Ok(()) => return Ok(()),
                Err(error) => self.again(client, trouble, &error.to_string()).await?,
            }
        }
    }

    /// Waits before the connector is asked again; gives up when that has gone on for too long.
    pub(crate) async fn again(
        &mut self,
        client: &Client,
        trouble: &mut Trouble,
        why: &str,
    ) -> Result<(), End> {
        let (url, limit) = (&client.connector.url, client.connector.give_up_after);
        if trouble.lasts() >= limit {
            let message = format!("connector {url}: {why}; that has gone on for {} s", limit.as_secs_f64());
            return Err(failure::fault("ConnectorUnreachable", message).into());
        }
        self.cannot_be_reached(url, why).await?;
        self.wait(self.again_after(trouble.again())).await
    }

    /// Notes and records a job that was made.
    async fn made(&mut self, client: &Client, asked: &Asked, resource_meta: Bytes) -> Result<Job, End> {
        let url = &client.connector.url;
        let category = request::category(&asked.template);
        if resource_meta.len() > RESOURCE_META_BYTES_MAX {
            let why = format!(
                "its resource meta has {} bytes, the limit is {RESOURCE_META_BYTES_MAX}",
                resource_meta.len()
            );
            return Err(self.give_up(client, &category, resource_meta, &why).await);
        }
        let now = self.now();
        let note = Note {
            work: self.work.id.clone(),
            connector: url.clone(),
            task_type: category.name.clone(),
            task_type_version: category.version,
            resource_meta: resource_meta.clone(),
            since: now,
        };
        if let Err(error) = self.shared.notes.put(note.clone()).await {
            tracing::warn!(%error, work = %self.work.id, "a job cannot be noted; it is recorded at once");
        }
        let asked_for = self.asked_for(url, JobPhase::Queued);
        let job = Job { resource_meta: Some(resource_meta), since: now, ..asked_for };
        match self.report(job.clone()).await {
            Ok(()) => Ok(job),
            Err(end) => {
                // Nobody will ask after it, so nobody would delete it.
                cancel::in_background(&self.shared, client.clone(), note);
                Err(end)
            }
        }
    }
}
