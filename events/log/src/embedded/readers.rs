//! Reads beside the writer: a few connections, used on threads that may block.

use super::Shared;
use super::error::Damage;
use super::index::Index;
use super::table::{COLUMNS, envelope, number_of, open_reader};
use crate::event_log::{Followed, Position, ReadError};
use rusqlite::{Connection, OptionalExtension};
use skein_model::{Category, Digest, Envelope, Head, JournalId, Version};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// How many reads go on at once.
const CONNECTIONS: usize = 4;
/// How many records a follower takes at a time.
pub(super) const BATCH: usize = 512;
/// How many bytes of bodies a follower takes at a time; the last record may go over it.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How many heads a follower remembers.
const HEADS_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    turns: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, turns: Arc::new(Semaphore::new(CONNECTIONS)), idle: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let connection = match taken {
            Some(connection) => connection,
            None => open_reader(&self.file)
                .map_err(|error| ReadError::Unavailable { reason: error.to_string() })?,
        };
        let done = work(&connection);
        // One that failed is not used again: what is wrong with it is not known.
        if done.is_ok() {
            idle().push(connection);
        }
        done
    }
}

/// Does `work` on a connection for reading, on a thread that may block.
pub(super) async fn read<T: Send + 'static>(
    shared: Arc<Shared>,
    work: impl FnOnce(&Shared, &Connection) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let unavailable = |reason: String| ReadError::Unavailable { reason };
    let turns = Arc::clone(&shared.readers.turns);
    let turn = turns.acquire_owned().await.map_err(|error| unavailable(error.to_string()))?;
    let task = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        shared.readers.with(|connection| work(&shared, connection))
    });
    task.await.unwrap_or_else(|error| Err(unavailable(error.to_string())))
}

/// Reads the records of one journal at `sequences`, which follow `after`.
pub(super) fn journal(
    connection: &Connection,
    sequences: &[u64],
    after: Head,
) -> Result<Vec<Envelope>, ReadError> {
    let mut statement = connection
        .prepare(&format!("SELECT {COLUMNS} FROM record WHERE sequence = ?1"))
        .map_err(|error| failed(0, &error))?;
    let names = Index::default();
    let mut head = after;
    let mut envelopes = Vec::with_capacity(sequences.len());
    for &sequence in sequences {
        let found = statement.query_row([sequence.cast_signed()], |row| Ok(envelope(row, &names)));
        let (_, envelope) = match found.optional().map_err(|error| failed(sequence, &error))? {
            Some(read) => read.map_err(damaged)?,
            None => return Err(ReadError::Unreadable { sequence, reason: "it is gone".to_owned() }),
        };
        envelope.check(head)?;
        head = envelope.head(sequence);
        envelopes.push(envelope);
    }
    Ok(envelopes)
}

/// Where a follower stands.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) category: Category,
    /// The sequence up to which everything has been given out.
    pub(super) seen: u64,
    /// Heads of journals as this follower has seen them, to check what comes next; some may be forgotten.
    pub(super) heads: HashMap<JournalId, Head>,
}

impl Follower {
    /// Reads the next records up to `last` from the disk; none means that there are none up to there.
    pub(super) fn read(
        &mut self,
        shared: &Shared,
        connection: &Connection,
        last: u64,
    ) -> Result<Vec<Followed>, ReadError> {
        let select = format!(
            "SELECT {COLUMNS} FROM record WHERE sequence > ?1 AND sequence <= ?2 AND category = ?3 ORDER BY sequence"
        );
        let lost = |error| failed(self.seen, &error);
        let mut statement = connection.prepare(&select).map_err(lost)?;
        let bounds = [self.seen.cast_signed(), last.cast_signed(), number_of(self.category)];
        let mut rows = statement.query(bounds).map_err(lost)?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(row) = rows.next().map_err(|error| failed(self.seen, &error))? else {
                self.seen = last;
                return Ok(batch);
            };
            let (sequence, envelope) = envelope(row, &shared.index()).map_err(damaged)?;
            self.check(shared, connection, sequence, &envelope)?;
            bytes += envelope.record.body.len();
            self.seen = sequence;
            batch.push(Followed { position: Position { shard: 0, sequence }, envelope });
        }
        Ok(batch)
    }

    fn check(
        &mut self,
        shared: &Shared,
        connection: &Connection,
        sequence: u64,
        envelope: &Envelope,
    ) -> Result<(), ReadError> {
        let before = match self.heads.get(&envelope.journal) {
            Some(head) => *head,
            None => predecessor(shared, connection, envelope)?,
        };
        envelope.check(before)?;
        if self.heads.len() >= HEADS_MAX {
            self.heads.clear();
        }
        self.heads.insert(envelope.journal.clone(), envelope.head(sequence));
        Ok(())
    }
}

/// Answers the head that a record was appended to.
fn predecessor(shared: &Shared, connection: &Connection, envelope: &Envelope) -> Result<Head, ReadError> {
    let version = Version(envelope.version.0.saturating_sub(1));
    let Some(sequence) = shared.index().sequence_of(&envelope.journal, version) else {
        return Ok(Head::EMPTY);
    };
    let digest = connection
        .query_row("SELECT digest FROM record WHERE sequence = ?1", [sequence.cast_signed()], |row| {
            row.get::<_, i64>(0)
        })
        .map_err(|error| failed(sequence, &error))?;
    Ok(Head { version, digest: Digest(digest.cast_unsigned()), sequence })
}

pub(super) fn failed(sequence: u64, error: &rusqlite::Error) -> ReadError {
    if super::table::is_corrupt(error) {
        return ReadError::Unreadable { sequence, reason: error.to_string() };
    }
    ReadError::Unavailable { reason: error.to_string() }
}

pub(super) fn damaged(damage: Damage) -> ReadError {
    match damage {
        Damage::Chain { wrong, .. } => ReadError::Damaged(wrong),
        Damage::Unreadable { sequence, reason, .. } => ReadError::Unreadable { sequence, reason },
        Damage::Gap { found, .. } => {
            ReadError::Unreadable { sequence: found, reason: "records before it are missing".to_owned() }
        }
        Damage::File { after, reason } => ReadError::Unreadable { sequence: after, reason },
    }
}
