//! The contract of a log of journals.

use async_trait::async_trait;
use futures::stream::BoxStream;
use skein_model::envelope::ChainError;
use skein_model::{Category, Envelope, Head, JournalId, Record, Version};
use std::time::Duration;

/// A place in the log as a whole, in the order in which a category is followed.
///
/// Positions of one shard are ordered; positions of different shards are not comparable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The shard of the log.
    pub shard: u16,
    /// The sequence in the shard, from 1.
    pub sequence: u64,
}

/// How far a category has been followed: for each shard, the sequence of the last record seen (0 for none).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor(pub Vec<u64>);

impl Cursor {
    /// Says whether a record at `position` has been seen.
    pub fn covers(&self, position: Position) -> bool {
        self.0.get(usize::from(position.shard)).is_some_and(|seen| *seen >= position.sequence)
    }

    /// Notes that the record at `position` has been seen.
    pub fn advance(&mut self, position: Position) {
        let shard = usize::from(position.shard);
        if self.0.len() <= shard {
            self.0.resize(shard + 1, 0);
        }
        self.0[shard] = self.0[shard].max(position.sequence);
    }
}

/// A record that is durable now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The journal's new head: the next append names it.
    pub head: Head,
    /// Where the record stands; a follower that has passed it has seen the record.
    pub position: Position,
}

/// A record as a follower sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// Where it stands.
    pub position: Position,
    /// The record.
    pub envelope: Envelope,
}

/// An append that was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The journal ends elsewhere than the writer believes. Nothing was written. Read the journal, then decide again.
    #[error("journal {journal} ends at version {actual}, the writer expected {expected}")]
    Conflict {
        /// The journal.
        journal: JournalId,
        /// The version the writer named.
        expected: Version,
        /// The version the journal has.
        actual: Version,
    },
    /// No answer came, so the record may have been written or may still be. Read the journal before anything else.
    #[error("journal {journal}: no answer within {waited:?}, so the record may have been written")]
    Unknown {
        /// The journal.
        journal: JournalId,
        /// How long an answer was waited for.
        waited: Duration,
    },
    /// The record is larger than the log takes. Nothing was written, and never will be.
    #[error("journal {journal}: a record of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// The journal.
        journal: JournalId,
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The log takes nothing at present (it is closed, full, or out of reach). Nothing was written.
    #[error("journal {journal}: the log takes no records: {reason}")]
    Unavailable {
        /// The journal.
        journal: JournalId,
        /// Why.
        reason: String,
    },
}

/// A journal that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// What is stored is not what was written. Nothing may be appended to the journal.
    #[error("the log is damaged")]
    Damaged(#[from] ChainError),
    /// A stored record that is none.
    #[error("the log is damaged at sequence {sequence}: {reason}")]
    Unreadable {
        /// The sequence of the record.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The log cannot be reached.
    #[error("the log cannot be read: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// The journals of everything: append-only, ordered within a journal, one record a transition.
///
/// ```text
///  writer ── append(after: head) ──► durable ──► acknowledged ──► followers, in order of position
///                 └─ head moved: Conflict, nothing written
/// ```
///
/// What holds for every implementation, and is checked by [`crate::conformance`]:
///
/// - *Durable*: when `append` answers `Ok`, the record survives the death of this process and, for the log's
///   declared replication and sync, of the machine.
/// - *Whole*: a record is there entirely or not at all.
/// - *One writer*: of several appends that name the same head, exactly one succeeds.
/// - *Ordered*: `read` gives a journal's records by version without gaps; `follow` gives each record of a category
///   exactly once in a stream, records of one journal in order of version, and only records that are durable.
/// - *Checked*: every record read is checked against the chain; damage ends the read with an error.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends `record` right after `after`; durable when it answers.
    ///
    /// # Errors
    /// See [`AppendError`]; only [`AppendError::Unknown`] leaves open whether the record was written.
    async fn append(&self, journal: &JournalId, after: Head, record: Record)
    -> Result<Appended, AppendError>;

    /// Reads a journal from the record after `after` to its end.
    ///
    /// `after` must be [`Head::EMPTY`] or a head that this log has given.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read(&self, journal: &JournalId, after: Head) -> Result<Vec<Envelope>, ReadError>;

    /// Answers where a journal ends; [`Head::EMPTY`] when it has no records.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn head(&self, journal: &JournalId) -> Result<Head, ReadError>;

    /// Streams the records of a category after `from`, then waits for more. Ends after the first error.
    fn follow(&self, category: Category, from: Cursor) -> BoxStream<'static, Result<Followed, ReadError>>;

    /// Answers how far a category reaches now: following it up to there gives all that was acknowledged before. A
    /// follower gets there: in each shard it is the place of the category's own last record (0 when there is none).
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn end(&self, category: Category) -> Result<Cursor, ReadError>;

    /// Lists the journals of a category whose last record does not close them.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn open_journals(&self, category: Category) -> Result<Vec<JournalId>, ReadError>;
}
