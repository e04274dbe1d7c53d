//! Keeps the tables up with the log, and lets readers at them.

use super::apply::{Decoded, apply, load_cursor, store_cursor};
use super::decode::{Plans, decode};
use super::read::{Reader as _, Row};
use super::schema;
use crate::error::ApiError;
use futures::StreamExt as _;
use rusqlite::Connection;
use rusqlite::types::Value;
use skein_log::{BlobStore, Cursor, EventLog, Followed, Position};
use skein_model::Category;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

/// How many records are folded in one transaction at most.
const BATCH_RECORDS_MAX: usize = 512;
/// How many decoded records wait for the writer at most: what bounds memory while the views catch up.
const QUEUED_RECORDS_MAX: usize = 2 * BATCH_RECORDS_MAX;
/// How many readers are in the tables at once. More would only wait for the same cores.
const READERS_MAX: usize = 8;
/// How long a follower waits after the log failed it.
const RETRY: Duration = Duration::from_secs(1);

struct Item {
    category: Category,
    position: Position,
    /// None for a record that cannot be read: it is passed over, and said so.
    decoded: Option<Decoded>,
}

/// The views, and how far they are.
pub(crate) struct Views {
    file: PathBuf,
    progress: [watch::Receiver<Cursor>; FOLLOWED.len()],
    targets: [Cursor; FOLLOWED.len()],
    idle: Mutex<Vec<Connection>>,
    readers: Arc<Semaphore>,
    wait_max: Duration,
    followers: Vec<JoinHandle<()>>,
}

impl Drop for Views {
    fn drop(&mut self) {
        for follower in &self.followers {
            follower.abort();
        }
    }
}

/// The categories that are folded into the tables. The catalog and the ticks of schedules are asked
/// when somebody wants to know, and not followed.
pub(crate) const FOLLOWED: [Category; 3] = [Category::Registry, Category::Execution, Category::Notification];

/// Answers the place of what tells how far a category is; of one that is not followed, that of the executions that fill it.
const fn index(category: Category) -> usize {
    match category {
        Category::Registry => 0,
        Category::Execution | Category::Catalog | Category::Schedule => 1,
        Category::Notification => 2,
    }
}

impl Views {
    /// Opens the views in `folder` (made when missing) and begins to follow the log.
    ///
    /// # Errors
    /// When the folder cannot be written or the log cannot say where it ends.
    pub(crate) async fn open(
        folder: &Path,
        log: Arc<dyn EventLog>,
        blobs: Arc<BlobStore>,
        wait_max: Duration,
    ) -> Result<Self, ApiError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| ApiError::internal("the folder of the views", &error))?;
        let file = folder.join("views.sqlite");
        let connection = schema::open_writer(&file)?;
        let mut targets: [Cursor; FOLLOWED.len()] = Default::default();
        let mut cursors: [Cursor; FOLLOWED.len()] = Default::default();
        for category in FOLLOWED {
            targets[index(category)] = log.end(category).await?;
            cursors[index(category)] = load_cursor(&connection, category)?;
        }
        let (items, queue) = mpsc::channel(QUEUED_RECORDS_MAX);
        let publish = cursors.each_ref().map(|cursor| watch::Sender::new(cursor.clone()));
        let progress = publish.each_ref().map(watch::Sender::subscribe);
        let mut followers = Vec::new();
        for category in FOLLOWED {
            let cursor = cursors[index(category)].clone();
            followers.push(tokio::spawn(follow(category, cursor, log.clone(), blobs.clone(), items.clone())));
        }
        std::thread::Builder::new()
            .name("views".to_owned())
            .spawn(move || write(connection, queue, cursors, publish))
            .map_err(|error| ApiError::internal("the thread of the views", &error))?;
        Ok(Self {
            file,
            progress,
            targets,
            idle: Mutex::new(Vec::new()),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            wait_max,
            followers,
        })
    }

    /// Waits until a record is in the views.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] when it does not come in time; what was written stands nevertheless.
    pub(crate) async fn wait_for(&self, category: Category, position: Position) -> Result<(), ApiError> {
        self.wait(category, |cursor| cursor.covers(position)).await
    }

    /// Waits until the views have everything that `cursor` covers.
    ///
    /// # Errors
    /// As [`Views::wait_for`].
    pub(crate) async fn wait_for_all(&self, category: Category, cursor: &Cursor) -> Result<(), ApiError> {
        self.wait(category, |seen| covers_all(seen, cursor)).await
    }

    async fn wait(&self, category: Category, enough: impl Fn(&Cursor) -> bool) -> Result<(), ApiError> {
        let mut progress = self.progress[index(category)].clone();
        match tokio::time::timeout(self.wait_max, progress.wait_for(|cursor| enough(cursor))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ApiError::Unavailable("the views have stopped".to_owned())),
            Err(_) => Err(ApiError::Unavailable("the views are behind the log; ask again".to_owned())),
        }
    }

    /// Says whether everything that was in the log at start is in the views.
    pub(crate) fn is_caught_up(&self) -> bool {
        (0..FOLLOWED.len()).all(|at| covers_all(&self.progress[at].borrow(), &self.targets[at]))
    }

    /// Answers how many places of the log lie between the views and `end`, over all shards.
    pub(crate) fn lag(&self, category: Category, end: &Cursor) -> u64 {
        let seen = self.progress[index(category)].borrow();
        let at = |shard: usize| seen.0.get(shard).copied().unwrap_or(0);
        end.0.iter().enumerate().map(|(shard, end)| end.saturating_sub(at(shard))).sum()
    }

    /// Answers how far the views are in a category, and whenever that changes.
    pub(crate) fn moves(&self, category: Category) -> watch::Receiver<Cursor> {
        self.progress[index(category)].clone()
    }

    /// Reads with `query`; waits first until the views have what was in the log at start.
    ///
    /// # Errors
    /// What `query` answers, or why it could not be asked.
    pub(crate) async fn read<T, Q>(&self, query: Q) -> Result<T, ApiError>
    where
        T: Send + 'static,
        Q: FnOnce(&Connection) -> Result<T, ApiError> + Send + 'static,
    {
        self.wait_for_start().await?;
        let permit = self.readers.acquire().await;
        let _permit = permit.map_err(|_| ApiError::Unavailable("the views are closed".to_owned()))?;
        let connection = self.connection()?;
        let task = tokio::task::spawn_blocking(move || {
            let answer = query(&connection);
            (connection, answer)
        });
        let (connection, answer) =
            task.await.map_err(|error| ApiError::internal("a query of the views", &error))?;
        self.keep(connection);
        answer
    }

    /// Reads one row by its key; none when there is none. Done on the calling thread: such a read takes some tens of
    /// microseconds, and handing it to another thread takes as long again.
    ///
    /// # Errors
    /// As [`Views::read`].
    pub(crate) async fn find<R: Row>(&self, tail: &str, values: &[Value]) -> Result<Option<R>, ApiError> {
        self.wait_for_start().await?;
        let connection = self.connection()?;
        let answer = connection.find(tail, values);
        self.keep(connection);
        answer
    }

    async fn wait_for_start(&self) -> Result<(), ApiError> {
        for category in FOLLOWED {
            let target = &self.targets[index(category)];
            if !covers_all(&self.progress[index(category)].borrow(), target) {
                self.wait_for_all(category, target).await?;
            }
        }
        Ok(())
    }

    fn connection(&self) -> Result<Connection, ApiError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Ok(schema::open_reader(&self.file)?),
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS_MAX {
            idle.push(connection);
        }
    }
}

fn covers_all(seen: &Cursor, target: &Cursor) -> bool {
    target.0.iter().enumerate().all(|(shard, end)| *end == 0 || seen.0.get(shard).is_some_and(|at| at >= end))
}

async fn follow(
    category: Category,
    mut cursor: Cursor,
    log: Arc<dyn EventLog>,
    blobs: Arc<BlobStore>,
    items: mpsc::Sender<Item>,
) {
    let mut plans = Plans::default();
    loop {
        let mut records = log.follow(category, cursor.clone());
        while let Some(record) = records.next().await {
            let Followed { position, envelope } = match record {
                Ok(followed) => followed,
                Err(error) => {
                    tracing::error!(%error, category = category.word(), "the views cannot follow the log");
                    break;
                }
            };
            let decoded = decode(category, &envelope, &blobs, &mut plans).await;
            if items.send(Item { category, position, decoded }).await.is_err() {
                return;
            }
            cursor.advance(position);
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn write(
    mut connection: Connection,
    mut queue: mpsc::Receiver<Item>,
    mut cursors: [Cursor; FOLLOWED.len()],
    publish: [watch::Sender<Cursor>; FOLLOWED.len()],
) {
    while let Some(first) = queue.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH_RECORDS_MAX
            && let Ok(item) = queue.try_recv()
        {
            batch.push(item);
        }
        for item in &batch {
            cursors[index(item.category)].advance(item.position);
        }
        while let Err(error) = write_batch(&mut connection, &batch, &cursors) {
            tracing::error!(%error, "the views cannot be written; trying again");
            if queue.is_closed() {
                return;
            }
            std::thread::sleep(RETRY);
        }
        for (publish, cursor) in publish.iter().zip(&cursors) {
            publish.send_if_modified(|seen| {
                let changed = seen != cursor;
                seen.clone_from(cursor);
                changed
            });
        }
    }
}

fn write_batch(
    connection: &mut Connection,
    batch: &[Item],
    cursors: &[Cursor; FOLLOWED.len()],
) -> Result<(), rusqlite::Error> {
    let tx = connection.transaction()?;
    for decoded in batch.iter().filter_map(|item| item.decoded.as_ref()) {
        apply(&tx, decoded)?;
    }
    for category in FOLLOWED {
        store_cursor(&tx, category, &cursors[index(category)])?;
    }
    tx.commit()
}
