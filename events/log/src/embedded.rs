//! The log inside one process: SQLite as a bare log, the most tested durable commit there is.
//!
//! ```text
//! append ──► writer thread ──► SQLite (write-ahead log, a sync a commit) ──► index and last records in memory
//!                                  ▲                                              │
//! read, follow ── connections of their own, on blocking threads ◄─────────────────┘
//! ```
//!
//! At its opening everything is read once and every chain is checked; a log that is not as it was written is refused.
//! A commit that fails ends the process. What SQLite cannot tell apart, this cannot either: when the *end* of the
//! write-ahead log is damaged while no process has it open, the last commits look as if they had never been made.

mod checkpoint;
mod error;
mod folder;
mod index;
mod inspect;
mod readers;
mod recent;
mod scan;
mod table;
mod wal;
mod writer;

pub use error::{Damage, Fatal, OpenError};
pub use inspect::{CategoryStats, EmbeddedReader, JournalStats, Records, Stats, Verified};

use crate::event_log::{AppendError, Appended, Cursor, EventLog, Followed, ReadError};
use async_trait::async_trait;
use checkpoint::Checkpointer;
use folder::FolderLock;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use index::Index;
use readers::{BATCH, Follower, Readers};
use recent::Recent;
use scan::{Broken, Scan};
use skein_model::envelope::BODY_BYTES_MAX;
use skein_model::{Category, Envelope, Head, JournalId, Record};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Request, Writer};

/// What is done when the log can take no more, on the thread that found out.
pub type OnFatal = Arc<dyn Fn(&Fatal) + Send + Sync>;

/// The process's exit status when a commit failed: what `sysexits.h` calls an internal error. A supervisor may start
/// the process again; what it then finds on the disk is checked as at every start.
pub const FATAL_EXIT_CODE: i32 = 70;

/// How many appends may wait for the writer before more are kept waiting themselves.
const QUEUE: usize = 1024;

/// What can be set about an embedded log.
#[derive(Clone)]
pub struct Options {
    /// After how many bytes of the write-ahead log a checkpoint is done, about.
    pub checkpoint_after_bytes: usize,
    /// How large the write-ahead log is made at the opening, in bytes, if the disk has room: to sync a file that does
    /// not grow costs half. Twice what a checkpoint is done after, so that it is begun anew before it must grow.
    pub reserve_bytes: u64,
    /// What is done when a commit fails; by default the process says why and ends with [`FATAL_EXIT_CODE`].
    pub on_fatal: OnFatal,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checkpoint_after_bytes: 4 * 1024 * 1024,
            reserve_bytes: 8 * 1024 * 1024,
            on_fatal: Arc::new(end_process),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("checkpoint_after_bytes", &self.checkpoint_after_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .finish_non_exhaustive()
    }
}

fn end_process(fatal: &Fatal) {
    tracing::error!(file = %fatal.file.display(), during = fatal.during, reason = fatal.reason, "the log failed");
    // Also where no log is kept: nobody should have to guess why the process is gone.
    eprintln!("{fatal}");
    std::process::exit(FATAL_EXIT_CODE);
}

/// A log in a folder that this process alone writes.
///
/// Dropping it waits for what is being written, and lets the folder go.
pub struct EmbeddedLog {
    requests: Option<mpsc::Sender<Request>>,
    shared: Arc<Shared>,
    last: watch::Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
    _lock: FolderLock,
}

/// What the writer tells the readers.
#[derive(Debug)]
struct Shared {
    index: RwLock<Index>,
    recent: Mutex<Recent>,
    readers: Readers,
}

impl Shared {
    // No code that holds these locks can panic half-way: it only moves values that exist.
    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLog").field("last", &*self.last.borrow()).finish_non_exhaustive()
    }
}

impl EmbeddedLog {
    /// Opens the log in `folder`, which is made where there is none; reads and checks all of it.
    ///
    /// # Errors
    /// See [`OpenError`]. A damaged log is never repaired.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_with(folder, Options::default())
    }

    /// Opens the log as [`EmbeddedLog::open`] does, with other settings.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let lock = FolderLock::take(folder)?;
        let file = folder::database(folder);
        table::create(&file)?;
        // Before SQLite opens it: that would forget what stands behind a bad frame.
        match wal::damage(&file) {
            Ok(None) => {}
            Ok(Some(damage)) => return Err(OpenError::Damaged { file, damage }),
            Err(source) => return Err(OpenError::Io { file, source }),
        }
        let connection = table::open_writer(&file)?;
        folder::sync(folder).map_err(|source| OpenError::Io { file: folder.to_owned(), source })?;
        let mut scan = Scan::default();
        scan.run(&connection, |_, _| {}, Err).map_err(|broken| match broken {
            Broken::Damaged(damage) => OpenError::Damaged { file: file.clone(), damage },
            Broken::Failed(error) => table::open_error(&file, &error),
        })?;
        // There is a write-ahead log now that somebody has read.
        if let Err(error) = wal::reserve(&file, options.reserve_bytes) {
            // Appends work without, only slower.
            tracing::warn!(file = %file.display(), %error, "no room is kept for the write-ahead log");
        }
        let Scan { index, last } = scan;
        let readers = Readers::new(file.clone());
        let shared = Arc::new(Shared { index: RwLock::new(index), recent: Mutex::default(), readers });
        let (requests, received) = mpsc::channel(QUEUE);
        let (last, seen) = watch::channel(last);
        let (checkpointer, checkpoints) = Checkpointer::new(
            table::open_writer(&file)?,
            file.clone(),
            Arc::clone(&options.on_fatal),
            options.checkpoint_after_bytes,
        );
        let writer = Writer {
            connection,
            file: file.clone(),
            requests: received,
            shared: Arc::clone(&shared),
            last,
            checkpoints,
            on_fatal: options.on_fatal,
        };
        let threads = vec![
            spawn(&file, "log-writer", move || writer.run())?,
            spawn(&file, "log-checkpoint", move || checkpointer.run())?,
        ];
        Ok(Self { requests: Some(requests), shared, last: seen, threads, _lock: lock })
    }
}

fn spawn(file: &Path, name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map_err(|source| OpenError::Io { file: PathBuf::from(file), source })
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // The writer ends when nobody can ask it any more, then the checkpoints when the writer cannot.
        self.requests = None;
        for thread in self.threads.drain(..) {
            // One that panicked has said so already.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn append(
        &self,
        journal: &JournalId,
        after: Head,
        record: Record,
    ) -> Result<Appended, AppendError> {
        let bytes = record.body.len();
        if bytes > BODY_BYTES_MAX {
            return Err(AppendError::TooLarge { journal: journal.clone(), bytes, limit: BODY_BYTES_MAX });
        }
        let closed =
            || AppendError::Unavailable { journal: journal.clone(), reason: "it is closed".to_owned() };
        let (answer, answered) = oneshot::channel();
        let start = Instant::now();
        let request = Request { journal: journal.clone(), after, record, answer };
        let requests = self.requests.as_ref().ok_or_else(closed)?;
        requests.send(request).await.map_err(|_| closed())?;
        let unknown = || AppendError::Unknown { journal: journal.clone(), waited: start.elapsed() };
        answered.await.unwrap_or_else(|_| Err(unknown()))
    }

    async fn read(&self, journal: &JournalId, after: Head) -> Result<Vec<Envelope>, ReadError> {
        let sequences = self.shared.index().sequences(journal, after.version);
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let work = move |_: &Shared, connection: &_| readers::journal(connection, &sequences, after);
        readers::read(Arc::clone(&self.shared), work).await
    }

    async fn head(&self, journal: &JournalId) -> Result<Head, ReadError> {
        Ok(self.shared.index().head(journal))
    }

    fn follow(&self, category: Category, from: Cursor) -> BoxStream<'static, Result<Followed, ReadError>> {
        let seen = from.0.first().copied().unwrap_or(0);
        let follower = Follower { category, seen, heads: HashMap::new() };
        let start = (Arc::clone(&self.shared), self.last.clone(), follower);
        let batches = stream::try_unfold(start, |(shared, last, follower)| async move {
            let next = next_batch(Arc::clone(&shared), last, follower).await?;
            let next =
                next.map(|(batch, last, follower)| (stream::iter(batch).map(Ok), (shared, last, follower)));
            Ok::<_, ReadError>(next)
        });
        batches.try_flatten().boxed()
    }

    async fn end(&self, category: Category) -> Result<Cursor, ReadError> {
        Ok(Cursor(vec![self.shared.index().last(category)]))
    }

    async fn open_journals(&self, category: Category) -> Result<Vec<JournalId>, ReadError> {
        let index = self.shared.index();
        let open = index.journals(category).filter(|(_, journal)| !journal.closed);
        Ok(open.map(|(id, _)| id.clone()).collect())
    }
}

/// Waits until there are records for a follower; none when the log was closed.
async fn next_batch(
    shared: Arc<Shared>,
    mut last: watch::Receiver<u64>,
    mut follower: Follower,
) -> Result<Option<(Vec<Followed>, watch::Receiver<u64>, Follower)>, ReadError> {
    loop {
        let seen = follower.seen;
        let Ok(durable) = last.wait_for(|last| *last > seen).await.map(|last| *last) else { return Ok(None) };
        let recent = shared.recent().after(follower.category, seen, BATCH);
        let batch = match recent {
            Some((batch, end)) => {
                follower.seen = end;
                follower.heads.clear();
                batch
            }
            None => {
                let shared = Arc::clone(&shared);
                let read = readers::read(shared, move |shared, connection| {
                    follower.read(shared, connection, durable).map(|batch| (batch, follower))
                });
                let batch;
                (batch, follower) = read.await?;
                batch
            }
        };
        if !batch.is_empty() {
            return Ok(Some((batch, last, follower)));
        }
    }
}
