//! The parts that everything else works with: in the data folder, or in NATS.

use crate::args::Up;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use skein_log::embedded::EmbeddedLog;
use skein_log::jetstream::{self, JetStream, JetStreamLeases};
use skein_log::memory::{MemoryInbox, MemoryQueue};
use skein_log::{EventLog, LeaseError, LeaseStore as _, Revision};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::warn;

/// How many commands wait in the inbox of one process before senders have to.
const INBOX: usize = 4_096;
/// How long a sender waits for the owner of an execution before it asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long work is leased; workers extend it while they run.
const LEASE: Duration = Duration::from_secs(30);
/// The key by which one process says that the executions of a region are its own.
const OWNER: &str = "owner";
/// How long it says so without saying it again. A process that died keeps the next one waiting that long at most.
const OWNER_TTL: Duration = Duration::from_secs(5);

/// Log, inbox and queue of one process.
///
/// Inbox and queue are in memory with either log: gateway, engine and workers are all here, and whatever a restart
/// forgets is asked for again by the journals.
pub struct Parts {
    pub log: Arc<dyn EventLog>,
    pub inbox: Arc<MemoryInbox>,
    pub queue: Arc<MemoryQueue>,
    pub owner: Option<Ownership>,
}

/// Opens the log that was asked for.
///
/// # Errors
/// When it is in use, damaged, or out of reach; the text says which and what to do.
pub async fn open(up: &Up, data: &Path) -> anyhow::Result<Parts> {
    let inbox = Arc::new(MemoryInbox::new(INBOX, ANSWER_WITHIN));
    let queue = Arc::new(MemoryQueue::new(LEASE));
    let Some(url) = &up.log else {
        let folder = data.join("log");
        let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&folder)).await??;
        return Ok(Parts { log: Arc::new(log), inbox, queue, owner: None });
    };
    let stream = connect(url, up.replicas).await?;
    let owner = Ownership::take(stream.leases()).await?;
    Ok(Parts { log: Arc::new(stream.log()), inbox, queue, owner: Some(owner) })
}

/// Connects to NATS and makes what is missing there.
///
/// # Errors
/// When it is out of reach, or laid out otherwise.
async fn connect(url: &str, replicas: usize) -> anyhow::Result<JetStream> {
    let settings = jetstream::Settings { replicas, ..settings() };
    jetstream::connect(url, settings).await.with_context(|| format!("the log at {url} cannot be used"))
}

/// Answers how Skein is laid out in NATS when nobody says otherwise.
pub fn settings() -> jetstream::Settings {
    jetstream::Settings::new("local")
}

/// Says, again and again, that the executions of a region are this process's. A hint that keeps two engines from
/// working against each other; what keeps them from writing over each other is the log.
pub struct Ownership {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

impl Ownership {
    async fn take(leases: JetStreamLeases) -> anyhow::Result<Self> {
        let name = Bytes::from(format!("process {}", std::process::id()));
        let mut waited = Duration::ZERO;
        let revision = loop {
            match leases.create(OWNER, name.clone(), OWNER_TTL).await {
                Ok(revision) => break revision,
                Err(LeaseError::Held { .. }) if waited <= OWNER_TTL => {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    waited += Duration::from_millis(250);
                }
                Err(LeaseError::Held { .. }) => {
                    let holder = leases.get(OWNER).await.ok().flatten();
                    let holder = holder.map_or_else(String::new, |(_, value)| {
                        format!(" ({})", String::from_utf8_lossy(&value))
                    });
                    bail!("the log in NATS is in use by another `skein up`{holder}; stop that one first");
                }
                Err(error) => return Err(error.into()),
            }
        };
        let (end, ended) = oneshot::channel();
        Ok(Self { task: tokio::spawn(keep(leases, name, revision, ended)), end })
    }

    /// Gives the ownership up, so that the next process need not wait.
    pub async fn release(self) {
        // The task may have ended by itself; there is nothing to give up then.
        let _ended = self.end.send(());
        drop(self.task.await);
    }
}

async fn keep(
    leases: JetStreamLeases,
    name: Bytes,
    mut revision: Revision,
    mut ended: oneshot::Receiver<()>,
) {
    loop {
        tokio::select! {
            _ = &mut ended => {
                drop(leases.release(OWNER, revision).await);
                return;
            }
            () = tokio::time::sleep(OWNER_TTL / 3) => {}
        }
        match leases.renew(OWNER, revision, name.clone(), OWNER_TTL).await {
            Ok(next) => revision = next,
            Err(LeaseError::Changed { .. }) => match leases.create(OWNER, name.clone(), OWNER_TTL).await {
                Ok(next) => revision = next,
                Err(error) => warn!(%error, "another process says that it owns the executions of this log"),
            },
            Err(error) => warn!(%error, "the ownership of this log cannot be renewed"),
        }
    }
}
