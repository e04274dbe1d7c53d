//! Everything that runs: takes work, hears what is withdrawn, asks connectors what they do, and looks after jobs that nobody
//! took up after a restart.

use crate::cancel;
use crate::config::Config;
use crate::directory::Directory;
use crate::leases::{Leases, Stopping};
use crate::notes::Notes;
use crate::report::{self, Taken};
use crate::run::{Attempt, End, Shared, of_before};
use skein_log::{BlobStore, Inbox, Lease, QueueError, TaskQueue};
use skein_model::command::Outcome;
use skein_model::job::POOL;
use skein_model::{Command, FailureCause, Job, JobPhase, PoolId, ServedTypes};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long is waited before a queue is asked again that could not be reached.
const QUEUE_DELAY: Duration = Duration::from_millis(500);
/// How often the end of a lease is told; when nobody hears it the lease ends by itself, and its work is refused.
const COMPLETE_TRIES: u32 = 5;

/// Connectors that are called. Dropping it ends all calls, and leaves the jobs as they are.
pub struct Connectors {
    shared: Arc<Shared>,
    leases: Arc<Leases>,
    /// What goes on beside the attempts.
    helpers: JoinSet<()>,
    /// Takes work, and has it under way.
    taker: JoinSet<()>,
    closing: watch::Sender<bool>,
}

impl Connectors {
    /// Begins to take work, and to ask connectors what they do.
    ///
    /// # Errors
    /// When the folder cannot be used, or an address is wrong.
    pub fn start(
        config: Config,
        queue: Arc<dyn TaskQueue>,
        inbox: Arc<dyn Inbox>,
        blobs: Arc<BlobStore>,
    ) -> io::Result<Self> {
        let notes = Notes::open(&config.folder)?;
        let directory = Directory::open(&config)?;
        let shared = Arc::new(Shared { config, directory, notes, inbox, blobs });
        let leases = Arc::new(Leases::default());
        let (closing, closed) = watch::channel(false);
        let (mut helpers, mut taker) = (JoinSet::new(), JoinSet::new());
        let (queue_of_taker, leases_of_taker) = (Arc::clone(&queue), Arc::clone(&leases));
        let taking =
            Taker { shared: Arc::clone(&shared), queue: queue_of_taker, leases: leases_of_taker, closed };
        taker.spawn(taking.take());
        helpers.spawn(heed_withdrawals(Arc::clone(&shared), queue, Arc::clone(&leases)));
        helpers.spawn(discover(Arc::clone(&shared)));
        helpers.spawn(look_after_orphans(Arc::clone(&shared), Arc::clone(&leases)));
        Ok(Self { shared, leases, helpers, taker, closing })
    }

    /// Answers which types connectors do, as it becomes known.
    pub fn served(&self) -> ServedTypes {
        self.shared.directory.served()
    }

    /// Answers a function that asks all connectors what they do, and says what could not be had, in words.
    pub fn asks(
        &self,
    ) -> impl Fn() -> futures::future::BoxFuture<'static, Vec<String>> + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || {
            let shared = Arc::clone(&shared);
            Box::pin(async move { shared.directory.ask().await })
        }
    }

    /// Takes no more work, and lets calls that are under way end, at most `grace`. The jobs go on; whoever starts next asks after
    /// them.
    pub async fn drain(mut self, grace: Duration) {
        self.helpers.abort_all();
        self.closing.send_replace(true);
        self.leases.stop(None, Stopping::Drained);
        if tokio::time::timeout(grace, self.taker.join_next()).await.is_err() {
            tracing::warn!(
                "some calls to connectors did not end; what they gave is found out at the next start"
            );
        }
    }
}

/// Takes work.
struct Taker {
    shared: Arc<Shared>,
    queue: Arc<dyn TaskQueue>,
    leases: Arc<Leases>,
    closed: watch::Receiver<bool>,
}

impl Taker {
    /// Takes work until it is told to end, and then waits for what is under way. Dropped, it drops that too.
    async fn take(self) {
        let pool = PoolId(POOL.to_owned());
        let mut closed = self.closed.clone();
        let mut attempts = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = is_true(&mut closed) => break,
                Some(_) = attempts.join_next() => {}
                leased = self.queue.lease(&pool, &self.shared.config.worker) => match leased {
                    Ok(lease) => self.begin(lease, &mut attempts),
                    Err(error) => {
                        tracing::debug!(%error, "no work for connectors to be had");
                        tokio::time::sleep(QUEUE_DELAY).await;
                    }
                },
            }
        }
        while attempts.join_next().await.is_some() {}
    }

    fn begin(&self, lease: Lease, attempts: &mut JoinSet<()>) {
        let Some(stop) = self.leases.add(&lease) else { return };
        if *self.closed.borrow() {
            self.leases.stop(Some(&lease.work.id), Stopping::Drained);
        }
        let (shared, queue) = (Arc::clone(&self.shared), Arc::clone(&self.queue));
        let leases = Arc::clone(&self.leases);
        attempts.spawn(async move {
            let attempt = Attempt::new(Arc::clone(&shared), Arc::clone(&lease.work), stop);
            tokio::select! {
                biased;
                end = Box::pin(attempt.run()) => settle(&shared, &*queue, &leases, &lease, end).await,
                () = Arc::clone(&leases).keep(Arc::clone(&queue), lease.clone()) => {}
            }
        });
    }
}

/// Waits until something is so, or whoever could say so has gone.
async fn is_true(of: &mut watch::Receiver<bool>) {
    drop(of.wait_for(|is_so| *is_so).await);
}

/// Tells how an attempt ended, and ends its lease.
async fn settle(shared: &Shared, queue: &dyn TaskQueue, leases: &Leases, lease: &Lease, end: End) {
    let id = &lease.work.id;
    match end {
        // Whoever starts next finds the job by journal and note.
        End::Left => return,
        End::Withdrawn => {}
        End::Reported(outcome) => {
            let is_to_be_deleted = match &outcome {
                Outcome::Failed(failure) => {
                    matches!(failure.cause, FailureCause::JobUnresolved | FailureCause::TimedOut)
                }
                Outcome::Succeeded { .. } | Outcome::MadeNodes { .. } => false,
            };
            let command = Command::AttemptFinished {
                node: id.node.clone(),
                attempt: id.attempt,
                outcome,
                began: None,
                used: None,
            };
            report::send(&*shared.inbox, &shared.config, &id.execution, command).await;
            // The note of one that is to be deleted goes when it is.
            if !is_to_be_deleted {
                shared.notes.remove(id).await;
            }
        }
    }
    let Some(lease) = leases.remove(id) else { return };
    for _ in 0..COMPLETE_TRIES {
        match queue.complete(lease).await {
            Ok(()) | Err(QueueError::LeaseEnded) => return,
            Err(error) => tracing::debug!(%error, work = %id, "the end of a lease is told again"),
        }
        tokio::time::sleep(QUEUE_DELAY).await;
    }
}

async fn heed_withdrawals(shared: Arc<Shared>, queue: Arc<dyn TaskQueue>, leases: Arc<Leases>) {
    loop {
        match queue.withdrawn(&shared.config.worker).await {
            Ok(work) => leases.stop(Some(&work), Stopping::Withdrawn),
            Err(error) => {
                tracing::debug!(%error, "withdrawals cannot be heard at present");
                tokio::time::sleep(QUEUE_DELAY).await;
            }
        }
    }
}

async fn discover(shared: Arc<Shared>) {
    if shared.config.connectors.is_empty() {
        return;
    }
    loop {
        shared.directory.ask().await;
        tokio::time::sleep(shared.config.discover_every).await;
    }
}

/// Deletes jobs of before a restart whose executions do not want them any more.
async fn look_after_orphans(shared: Arc<Shared>, leases: Arc<Leases>) {
    let notes = match shared.notes.all().await {
        Ok(notes) if notes.is_empty() => return,
        Ok(notes) => notes,
        Err(error) => return tracing::warn!(%error, "the notes of jobs cannot be read"),
    };
    tokio::time::sleep(shared.config.orphans_after).await;
    for note in notes {
        if leases.has(&note.work) || !matches!(shared.notes.get(&note.work).await, Ok(Some(_))) {
            continue;
        }
        let job = Job {
            connector: note.connector.clone(),
            resource_meta: Some(note.resource_meta.clone()),
            since: note.since,
            phase: JobPhase::Queued,
            message: String::new(),
            logs: Vec::new(),
            custom_info: bytes::Bytes::new(),
        };
        let command = Command::JobReported {
            node: note.work.node.clone(),
            attempt: note.work.attempt,
            job: Box::new(job),
        };
        if report::send(&*shared.inbox, &shared.config, &note.work.execution, command).await == Taken::Yes {
            continue;
        }
        match shared.directory.at(&note.connector).or_else(|| of_before(&note.connector)) {
            Some(client) => cancel::in_background(&shared, client, note),
            None => shared.notes.remove(&note.work).await,
        }
    }
}
