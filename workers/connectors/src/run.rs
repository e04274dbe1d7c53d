//! One attempt: finds who does it, and has it done.

use crate::client::Client;
use crate::config::Config;
use crate::directory::{Directory, Found};
use crate::failure;
use crate::leases::{Stop, Stopping};
use crate::notes::Notes;
use crate::report::{self, Taken};
use crate::request::{AskError, Asked};
use skein_idl::flyteidl::core::{LiteralMap, TaskTemplate};
use skein_log::{BlobError, BlobStore, Inbox};
use skein_model::command::Outcome;
use skein_model::{Command, Failure, Job, JobPhase, Timestamp, Work};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What all attempts share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    pub(crate) notes: Notes,
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) blobs: Arc<BlobStore>,
}

/// How an attempt ended here.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended so.
    Reported(Outcome),
    /// Nobody wants to know.
    Withdrawn,
    /// This process ends, and its job goes on.
    Left,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Reported(Outcome::Failed(failure))
    }
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) work: Arc<Work>,
    pub(crate) stop: Stop,
    /// Its job, as it is recorded.
    pub(crate) job: Option<Job>,
    /// When it was recorded last.
    pub(crate) recorded: Instant,
}

/// Calls that failed one after another.
pub(crate) struct Trouble {
    since: Instant,
    failed: u32,
}

impl Attempt {
    pub(crate) fn new(shared: Arc<Shared>, work: Arc<Work>, stop: Stop) -> Self {
        let job = work.connector.as_ref().and_then(|connector| connector.job.clone());
        Self { shared, work, stop, job, recorded: Instant::now() }
    }

    pub(crate) async fn run(mut self) -> End {
        match self.have_done().await {
            Ok(outcome) => End::Reported(outcome),
            Err(end) => end,
        }
    }

    async fn have_done(&mut self) -> Result<Outcome, End> {
        let asked = self.asked().await?;
        if let Some((client, job)) = self.under_way().await? {
            return self.poll(&client, &asked, job).await;
        }
        let Found { client, is_sync } = self.find(&asked.template).await?;
        if is_sync {
            return self.execute(&client, &asked).await;
        }
        let job = self.create(&client, &asked).await?;
        self.poll(&client, &asked, job).await
    }

    async fn asked(&mut self) -> Result<Asked, End> {
        let (work, shared) = (Arc::clone(&self.work), Arc::clone(&self.shared));
        self.read(|| {
            let (work, shared) = (Arc::clone(&work), Arc::clone(&shared));
            async move { Asked::of(&work, &shared.blobs).await }
        })
        .await
    }

    pub(crate) async fn inputs(&mut self, asked: &Asked) -> Result<LiteralMap, End> {
        let (work, shared) = (Arc::clone(&self.work), Arc::clone(&self.shared));
        let asked = Arc::new(asked.clone());
        self.read(|| {
            let (work, shared, asked) = (Arc::clone(&work), Arc::clone(&shared), Arc::clone(&asked));
            async move { asked.inputs(&work, &shared.blobs).await }
        })
        .await
    }

    /// Reads something, as soon as it can be read.
    async fn read<T, F>(&mut self, read: impl Fn() -> F + Send) -> Result<T, End>
    where
        F: Future<Output = Result<T, AskError>> + Send,
    {
        let mut failed = 0;
        loop {
            match read().await {
                Ok(read) => return Ok(read),
                Err(AskError::Blob(error @ (BlobError::Unavailable { .. } | BlobError::Full { .. }))) => {
                    tracing::warn!(%error, work = %self.work.id, "what a job is about cannot be read at present");
                }
                Err(error) => return Err(failure::not_started(&error).into()),
            }
            failed += 1;
            self.wait(self.again_after(failed)).await?;
        }
    }

    /// Answers the job that was made before, by the journal or by a note; none when there is none.
    async fn under_way(&mut self) -> Result<Option<(Client, Job)>, End> {
        let recorded = self.job.clone().filter(|job| job.resource_meta.is_some());
        let job = match recorded {
            Some(job) => job,
            None => match self.shared.notes.get(&self.work.id).await {
                Ok(Some(note)) => Job {
                    connector: note.connector,
                    resource_meta: Some(note.resource_meta),
                    since: note.since,
                    phase: JobPhase::Queued,
                    message: String::new(),
                    logs: Vec::new(),
                    custom_info: bytes::Bytes::new(),
                },
                Ok(None) => return Ok(None),
                Err(error) => return Err(failure::unresolved("of before", &error.to_string()).into()),
            },
        };
        let client = self.shared.directory.at(&job.connector);
        match client.or_else(|| of_before(&job.connector)) {
            Some(client) => {
                self.report(job.clone()).await?;
                Ok(Some((client, job)))
            }
            None => Err(failure::unresolved(&job.connector, "its address cannot be read").into()),
        }
    }

    /// Finds who does the task. While somebody who may do it cannot be asked, it is waited for.
    async fn find(&mut self, template: &TaskTemplate) -> Result<Found, End> {
        let give_up =
            self.shared.config.connectors.iter().map(|one| one.give_up_after).max().unwrap_or_default();
        let mut trouble = Trouble::new();
        loop {
            let nobody = match self.shared.directory.find(template).await {
                Ok(found) => return Ok(found),
                Err(nobody) => nobody,
            };
            if nobody.unasked.is_empty() || trouble.lasts() >= give_up {
                let there = [vec![nobody.there], nobody.unasked].concat().join("; ");
                return Err(failure::nobody(&self.work.task.name, &template.r#type, &there).into());
            }
            let why = nobody.unasked.join("; ");
            self.cannot_be_reached("", &why).await?;
            self.wait(self.again_after(trouble.again())).await?;
        }
    }

    /// Records that the connector cannot be asked.
    pub(crate) async fn cannot_be_reached(&mut self, url: &str, why: &str) -> Result<(), End> {
        let now = self.now();
        let mut job = self.job.clone().unwrap_or_else(|| nothing_yet(url, now));
        job.phase = JobPhase::Unreachable;
        job.message = why.chars().take(1_024).collect();
        if self.job.as_ref().is_some_and(|known| known.phase == JobPhase::Unreachable) {
            // The first reason is told; each further one would be a record.
            return Ok(());
        }
        self.report(job).await
    }

    /// What a connector is about to be asked for, of which nothing more is known yet.
    pub(crate) fn asked_for(&self, url: &str, phase: JobPhase) -> Job {
        let since = self.job.as_ref().map_or_else(|| self.now(), |job| job.since);
        Job { phase, ..nothing_yet(url, since) }
    }

    /// Records what is known of the job, unless that is recorded already.
    pub(crate) async fn report(&mut self, job: Job) -> Result<(), End> {
        if self.job.as_ref() == Some(&job) {
            return Ok(());
        }
        let Work { id, .. } = &*self.work;
        let command =
            Command::JobReported { node: id.node.clone(), attempt: id.attempt, job: Box::new(job.clone()) };
        let Shared { inbox, config, .. } = &*self.shared;
        match report::send(&**inbox, config, &id.execution, command).await {
            Taken::Yes => {
                self.job = Some(job);
                self.recorded = Instant::now();
                Ok(())
            }
            Taken::No => Err(End::Withdrawn),
        }
    }

    /// Records that the attempt begins: from here on the connector may have been asked.
    pub(crate) async fn begin(&self, client: &Client) -> Result<(), End> {
        let Work { id, .. } = &*self.work;
        let command = Command::AttemptStarted {
            node: id.node.clone(),
            attempt: id.attempt,
            worker: format!("connector {}", client.connector.url),
            place: None,
        };
        let Shared { inbox, config, .. } = &*self.shared;
        match report::send(&**inbox, config, &id.execution, command).await {
            Taken::Yes => Ok(()),
            Taken::No => Err(End::Withdrawn),
        }
    }

    /// Waits, unless the attempt is to stop.
    pub(crate) async fn wait(&mut self, span: Duration) -> Result<(), End> {
        tokio::select! {
            biased;
            end = stopped(&mut self.stop) => Err(end),
            () = tokio::time::sleep(span) => Ok(()),
        }
    }

    /// Says whether the attempt is to stop.
    pub(crate) fn check(&self) -> Result<(), End> {
        end_of(*self.stop.borrow()).map_or(Ok(()), Err)
    }

    pub(crate) fn again_after(&self, failed: u32) -> Duration {
        self.shared.config.pace.again_after(failed, self.draw(u64::from(failed)))
    }

    /// Answers what chance says of a wait of this attempt.
    pub(crate) fn draw(&self, wait: u64) -> u64 {
        let id = &self.work.id;
        id.execution.draw(&id.node, id.attempt).wrapping_add(wait.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 7
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.shared.config.clock)()
    }
}

/// Waits until the attempt is to stop.
pub(crate) async fn stopped(stop: &mut Stop) -> End {
    match stop.wait_for(|stopping| *stopping != Stopping::No).await {
        Ok(stopping) => end_of(*stopping).unwrap_or(End::Left),
        // Whoever could say so has gone.
        Err(_) => End::Left,
    }
}

const fn end_of(stopping: Stopping) -> Option<End> {
    match stopping {
        Stopping::No => None,
        Stopping::Withdrawn => Some(End::Withdrawn),
        Stopping::Drained => Some(End::Left),
    }
}

fn nothing_yet(url: &str, now: Timestamp) -> Job {
    Job {
        connector: url.to_owned(),
        resource_meta: None,
        since: now,
        phase: JobPhase::Unreachable,
        message: String::new(),
        logs: Vec::new(),
        custom_info: bytes::Bytes::new(),
    }
}

/// A connector that is not configured any more, and still has a job.
pub(crate) fn of_before(url: &str) -> Option<Client> {
    Client::new(crate::config::Connector::new(url).ok()?).ok()
}

impl Trouble {
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), failed: 0 }
    }

    /// Counts one more; answers how many.
    pub(crate) fn again(&mut self) -> u32 {
        self.failed = self.failed.saturating_add(1);
        self.failed
    }

    pub(crate) fn lasts(&self) -> Duration {
        self.since.elapsed()
    }
}
