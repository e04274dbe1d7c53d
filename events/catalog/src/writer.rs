//! Appends to datasets: what several callers bring while one append is under way is the next append.

use crate::shelf::Slot;
use crate::{Catalog, CatalogError, Index};
use skein_log::AppendError;
use skein_model::codec::{self, CodecError};
use skein_model::{CatalogEvent, CauseId, Dataset, JournalId, Record, Timestamp};
use std::sync::PoisonError;
use tokio::sync::oneshot::{self, error::TryRecvError};

/// How often an append is tried at a journal that another process writes too.
pub(crate) const TRIES_MAX: u32 = 16;

/// The most bytes of events that share a record: less than the log takes, whatever the last of them is.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// An event that somebody waits for.
pub(crate) struct Waiting {
    event: CatalogEvent,
    bytes: usize,
    answer: oneshot::Sender<Result<(), CatalogError>>,
}

impl Catalog {
    /// Appends an event to a dataset's journal; durable when it answers.
    pub(crate) async fn write(
        &self,
        dataset: &Dataset,
        event: CatalogEvent,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let slot = self.shelf.slot(&JournalId::dataset(dataset));
        let bytes = rmp_serde::to_vec_named(&event).map_err(CodecError::Unwritable)?.len();
        let (answer, mut answered) = oneshot::channel();
        slot.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(Waiting { event, bytes, answer });
        loop {
            let mut index = slot.index.lock().await;
            // Whoever had it before may have written this one too.
            match answered.try_recv() {
                Ok(outcome) => return outcome,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Closed) => {
                    let reason = "whoever was writing it for others was stopped";
                    return Err(CatalogError::Append(reason.to_owned()));
                }
            }
            let batch = take(&slot);
            let (mut events, mut answers) = (Vec::new(), Vec::new());
            for Waiting { event, answer, .. } in batch {
                events.push(event);
                answers.push(answer);
            }
            let outcome = self.append(&slot, &mut index, dataset, events, now).await;
            self.shelf.weigh(&slot, index.bytes());
            for answer in answers {
                // A caller that is gone does not care.
                drop(answer.send(outcome.as_ref().map_err(again).copied()));
            }
        }
    }

    async fn append(
        &self,
        slot: &Slot,
        index: &mut Index,
        dataset: &Dataset,
        mut events: Vec<CatalogEvent>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        for _ in 0..TRIES_MAX {
            self.catch_up(slot, index).await?;
            if !index.is_open() && !matches!(events.first(), Some(CatalogEvent::Opened { .. })) {
                events.insert(0, CatalogEvent::Opened { dataset: dataset.clone() });
            }
            match self.log.append(&slot.journal, index.head, record(&events, now, false)?).await {
                Ok(appended) => {
                    index.appended(events, now, appended.head);
                    return Ok(());
                }
                // What was or was not written is read before the next try; an entry that is kept twice is one entry.
                Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(CatalogError::Contended { journal: slot.journal.clone() })
    }
}

/// Makes a record of events.
pub(crate) fn record(events: &[CatalogEvent], time: Timestamp, closes: bool) -> Result<Record, CatalogError> {
    let body = codec::encode(events)?;
    Ok(Record { time, cause: CauseId(xxhash_rust::xxh3::xxh3_64(&body)), trace: None, closes, body })
}

/// Takes as many events as fit one record, the oldest first.
fn take(slot: &Slot) -> Vec<Waiting> {
    let mut waiting = slot.waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sum = 0;
    let fits = waiting.iter().take_while(|one| {
        sum += one.bytes;
        sum <= BATCH_BYTES_MAX
    });
    let count = fits.count().max(1).min(waiting.len());
    waiting.drain(..count).collect()
}

/// Says the same to another caller.
fn again(error: &CatalogError) -> CatalogError {
    match error {
        CatalogError::Contended { journal } => CatalogError::Contended { journal: journal.clone() },
        error => CatalogError::Append(error.to_string()),
    }
}
