//! The parts that everything else works with: in the data folder, or in NATS.

use crate::args::Up;
use crate::owner::{Ownership, Server, WorkersAre};
use crate::secrets;
use anyhow::{Context as _, bail};
use skein_log::embedded::EmbeddedLog;
use skein_log::jetstream::{self, JetStream};
use skein_log::memory::{MemoryInbox, MemoryQueue};
use skein_log::{BlobStore, EventLog, Inbox, TaskQueue};
use skein_secrets::Vault;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How many commands wait in the inbox of one process before senders have to.
const INBOX: usize = 4_096;
/// How long a sender waits for the owner of an execution before it asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long work is leased inside one process; workers extend it while they run.
const LEASE: Duration = Duration::from_secs(30);
/// How long work is leased by processes of their own. A restart of all NATS servers takes up to 19 s, and is no reason
/// to run anything twice; the work of a worker that died comes back as much later.
const LEASE_APART: Duration = Duration::from_secs(20);

/// Log, inbox and queue of a server, and the secrets of the log.
///
/// With workers in the same process inbox and queue are in memory, with either log: whatever a restart forgets is asked
/// for again by the journals, and the workers are gone too. In NATS, what such workers had leased would wait for the end of
/// its lease after a crash. With workers apart inbox and queue are in NATS: workers go on while the server is away.
pub struct Parts {
    pub log: Arc<dyn EventLog>,
    pub inbox: Arc<dyn Inbox>,
    pub queue: Arc<dyn TaskQueue>,
    pub blobs: Arc<BlobStore>,
    pub vault: Arc<Vault>,
    pub owner: Option<Ownership>,
}

/// Opens the log that was asked for, and what goes with it.
///
/// # Errors
/// When it is in use, damaged, or out of reach; the text says which and what to do.
pub async fn open(up: &Up, data: &Path, address: SocketAddr) -> anyhow::Result<Parts> {
    let blobs = Arc::new(match &up.blobs {
        Some(folder) => blobs(folder)?,
        None => BlobStore::local(&data.join("blobs"))?,
    });
    let memory_inbox = || Arc::new(MemoryInbox::new(INBOX, ANSWER_WITHIN));
    let memory_queue = || Arc::new(MemoryQueue::new(LEASE));
    let Some(url) = &up.kept.log else {
        let folder = data.join("log");
        let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&folder)).await??;
        let (log, inbox, queue): (Arc<dyn EventLog>, _, _) = (Arc::new(log), memory_inbox(), memory_queue());
        let vault = secrets::vault(&up.secrets, data, &log).await?;
        return Ok(Parts { log, inbox, queue, blobs, vault, owner: None });
    };
    let stream = connect(url, up.kept.replicas).await?;
    let workers = if up.no_workers { WorkersAre::Apart } else { WorkersAre::Inside };
    let owner = Some(Ownership::take(stream.leases(), &Server::this(workers, blobs.root(), address)).await?);
    let (inbox, queue): (Arc<dyn Inbox>, Arc<dyn TaskQueue>) = match workers {
        WorkersAre::Apart => (Arc::new(stream.inbox()), Arc::new(stream.queue())),
        WorkersAre::Inside => (memory_inbox(), memory_queue()),
    };
    let log: Arc<dyn EventLog> = Arc::new(stream.log());
    let vault = secrets::vault(&up.secrets, data, &log).await?;
    Ok(Parts { log, inbox, queue, blobs, vault, owner })
}

/// Opens the folder of values that was named.
///
/// # Errors
/// When it is no folder, or cannot be made.
pub fn blobs(folder: &Path) -> anyhow::Result<BlobStore> {
    if folder.to_string_lossy().contains("://") {
        bail!("values can be kept in a folder only, not at {}; say --blobs DIR", folder.display());
    }
    let folder = std::path::absolute(folder)?;
    Ok(BlobStore::local(&folder)?)
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
    jetstream::Settings { lease_ttl: LEASE_APART, ..jetstream::Settings::new("local") }
}
