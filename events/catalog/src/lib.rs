//! What cached tasks produced, and who computes what is missing (contract 6.3).
//!
//! The log is the catalog: a journal for each dataset says what was kept and what no longer counts, and a journal for each
//! key that somebody reserved says until when. What is held here is a fold of the journals that somebody asked for; it is
//! made again whenever it is gone, and reads what others appended before it answers.
//!
//! # Never
//!
//! - It never answers from what it remembers alone: an entry that was acknowledged to anybody is found.
//! - It never looks into outputs, nor whether they are still in the blob store: whoever reads them finds out.
//! - It reads no clock.

mod index;
mod reservation;
mod shelf;
mod writer;

pub use index::{Found, FoundItems, Summary};
pub use reservation::Reserved;

use index::Index;
use reservation::Standings;
use shelf::{Shelf, Slot};
use skein_log::{AppendError, EventLog, ReadError};
use skein_model::codec::CodecError;
use skein_model::{
    CacheKey, CacheSource, CatalogEvent, Category, DataRef, Dataset, ExecutionId, JournalId, NodeId,
    Timestamp,
};
use std::fmt;
use std::sync::Arc;

/// The most memory that remembered datasets take by default, in bytes, roughly.
pub const MEMORY_MAX: usize = 64 * 1024 * 1024;

/// The most keys that one event holds: with other events of its kind it fits a record.
const KEYS_MAX: usize = 16 * 1024;

/// A catalog that cannot answer at present, or will not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A journal cannot be read.
    #[error("the catalog cannot be read: {0}")]
    Read(#[from] ReadError),
    /// A journal cannot be appended to.
    #[error("the catalog cannot be written: {0}")]
    Append(String),
    /// A record is not what it should be.
    #[error("the catalog cannot be understood: {0}")]
    Codec(#[from] CodecError),
    /// Others write the same journal all the time.
    #[error("the catalog cannot be written: others keep writing {journal}")]
    Contended {
        /// The journal.
        journal: JournalId,
    },
}

impl From<AppendError> for CatalogError {
    fn from(error: AppendError) -> Self {
        Self::Append(error.to_string())
    }
}

/// Outputs that are to be kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Their keys, in the order of the elements; one for a task.
    pub keys: Vec<CacheKey>,
    /// For a task an encoded `LiteralMap`; for items one whose every value is a collection with an element for each key.
    pub outputs: DataRef,
    /// Whose outputs they are.
    pub source: CacheSource,
    /// Whether they are of items of a map.
    pub items: bool,
}

/// The catalog, as one process sees it.
pub struct Catalog {
    log: Arc<dyn EventLog>,
    shelf: Shelf,
    standings: Standings,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

impl Catalog {
    /// A catalog over a log, of which nothing is read yet. Remembers datasets up to about `memory_max` bytes, and the one that
    /// was used last in any case.
    pub fn new(log: Arc<dyn EventLog>, memory_max: usize) -> Self {
        Self { log, shelf: Shelf::new(memory_max), standings: Standings::default() }
    }

    /// Answers what is kept under each of some keys, in their order.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn look_up(
        &self,
        dataset: &Dataset,
        keys: &[CacheKey],
    ) -> Result<Vec<Option<Found>>, CatalogError> {
        let slot = self.shelf.slot(&JournalId::dataset(dataset));
        let mut index = slot.index.lock().await;
        self.catch_up(&slot, &mut index).await?;
        Ok(keys.iter().map(|key| index.find(*key)).collect())
    }

    /// Answers what is kept under each of the keys of some items of a map, in their order.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn look_up_items(
        &self,
        dataset: &Dataset,
        keys: &[CacheKey],
    ) -> Result<FoundItems, CatalogError> {
        let slot = self.shelf.slot(&JournalId::dataset(dataset));
        let mut index = slot.index.lock().await;
        self.catch_up(&slot, &mut index).await?;
        Ok(index.find_items(keys))
    }

    /// Says of each of some keys whether an entry of it was evicted and none was kept since.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn evicted(&self, dataset: &Dataset, keys: &[CacheKey]) -> Result<Vec<bool>, CatalogError> {
        let slot = self.shelf.slot(&JournalId::dataset(dataset));
        let mut index = slot.index.lock().await;
        self.catch_up(&slot, &mut index).await?;
        Ok(keys.iter().map(|key| index.is_evicted(*key)).collect())
    }

    /// Answers the keys of the entries that an execution made, or one node of it.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn keys_of(
        &self,
        dataset: &Dataset,
        execution: &ExecutionId,
        node: Option<&NodeId>,
    ) -> Result<Vec<CacheKey>, CatalogError> {
        let slot = self.shelf.slot(&JournalId::dataset(dataset));
        let mut index = slot.index.lock().await;
        self.catch_up(&slot, &mut index).await?;
        let is_of = |source: &CacheSource| {
            source.execution == *execution && node.is_none_or(|node| source.node == *node)
        };
        Ok(index.keys_of(is_of))
    }

    /// Keeps outputs; durable when it answers. What several callers keep in one dataset at once shares a record.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn keep(&self, dataset: &Dataset, kept: Kept, now: Timestamp) -> Result<(), CatalogError> {
        let Kept { keys, outputs, source, items } = kept;
        let chunks = keys.chunks(KEYS_MAX).enumerate();
        let events = chunks.map(|(number, keys)| CatalogEvent::Stored {
            keys: CacheKey::join(keys.iter().copied()),
            outputs: outputs.clone(),
            first: u32::try_from(number * KEYS_MAX).expect("a map has fewer items than 2^32"),
            source: source.clone(),
            items,
        });
        for event in events {
            self.write(dataset, event, now).await?;
        }
        Ok(())
    }

    /// Makes entries not count any more: those of some keys, or all of the dataset. Answers how many there were.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn evict(
        &self,
        dataset: &Dataset,
        keys: Option<&[CacheKey]>,
        principal: &str,
        now: Timestamp,
    ) -> Result<usize, CatalogError> {
        let mut evicted = 0;
        let parts: Vec<Option<&[CacheKey]>> = match keys {
            None => vec![None],
            Some(keys) => keys.chunks(KEYS_MAX).map(Some).collect(),
        };
        for keys in parts {
            let found = match keys {
                None => self.summary(dataset).await?.map_or(0, |summary| summary.entries),
                Some(keys) => self.look_up(dataset, keys).await?.iter().flatten().count(),
            };
            if found > 0 {
                let keys = keys.map(|keys| CacheKey::join(keys.iter().copied()));
                let event = CatalogEvent::Evicted { keys, principal: principal.to_owned() };
                self.write(dataset, event, now).await?;
            }
            evicted += found;
        }
        Ok(evicted)
    }

    /// Lists the datasets that anything was ever kept in, in order of their names.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub async fn datasets(&self) -> Result<Vec<Summary>, CatalogError> {
        let mut journals = self.log.open_journals(Category::Catalog).await?;
        journals.retain(JournalId::is_dataset);
        let mut found = Vec::new();
        for journal in journals {
            let slot = self.shelf.slot(&journal);
            let mut index = slot.index.lock().await;
            self.catch_up(&slot, &mut index).await?;
            found.extend(index.summary());
        }
        found.sort_unstable_by(|one, other| one.dataset.cmp(&other.dataset));
        Ok(found)
    }

    async fn summary(&self, dataset: &Dataset) -> Result<Option<Summary>, CatalogError> {
        let slot = self.shelf.slot(&JournalId::dataset(dataset));
        let mut index = slot.index.lock().await;
        self.catch_up(&slot, &mut index).await?;
        Ok(index.summary())
    }

    /// Reads what was appended since the index was last looked at.
    async fn catch_up(&self, slot: &Slot, index: &mut Index) -> Result<(), CatalogError> {
        if self.log.head(&slot.journal).await?.version == index.seen {
            return Ok(());
        }
        loop {
            for envelope in self.log.read(&slot.journal, index.head).await? {
                index.fold(&envelope)?;
            }
            // A record does not say where in the log it stands, and the next append has to.
            let head = self.log.head(&slot.journal).await?;
            if head.version == index.seen {
                index.head = head;
                self.shelf.weigh(slot, index.bytes());
                return Ok(());
            }
        }
    }
}
