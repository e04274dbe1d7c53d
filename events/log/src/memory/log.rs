//! A log for tests: everything that the contract says but surviving the process.

use super::lock;
use crate::event_log::{AppendError, Appended, Cursor, EventLog, Followed, Position, ReadError};
use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use skein_model::envelope::BODY_BYTES_MAX;
use skein_model::{Category, Envelope, Head, JournalId, Record};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// How many records a follower takes at a time.
const BATCH: usize = 256;

/// A log in memory. A clone is the same log, so a test can let its owner die and open it again.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    /// The sequence of the last record.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// All records; the one at sequence `n` is at index `n - 1`.
    records: Vec<Envelope>,
    journals: HashMap<JournalId, Journal>,
}

#[derive(Debug, Default)]
struct Journal {
    head: Head,
    closed: bool,
    /// Indexes into the records.
    records: Vec<usize>,
}

impl State {
    /// Gives up to [`BATCH`] records of a category after `seen`, and how far that looked.
    fn after(&self, category: Category, seen: u64) -> (Vec<Followed>, u64) {
        let start = usize::try_from(seen).unwrap_or(usize::MAX).min(self.records.len());
        let mut batch = Vec::new();
        for (sequence, envelope) in (1_u64..).zip(&self.records).skip(start) {
            if batch.len() == BATCH {
                return (batch, sequence - 1);
            }
            if envelope.journal.category() == category {
                batch
                    .push(Followed { position: Position { shard: 0, sequence }, envelope: envelope.clone() });
            }
        }
        (batch, self.records.len() as u64)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(
        &self,
        journal: &JournalId,
        after: Head,
        record: Record,
    ) -> Result<Appended, AppendError> {
        if record.body.len() > BODY_BYTES_MAX {
            let (journal, bytes) = (journal.clone(), record.body.len());
            return Err(AppendError::TooLarge { journal, bytes, limit: BODY_BYTES_MAX });
        }
        let mut state = lock(&self.0.state);
        let State { records, journals } = &mut *state;
        let actual = journals.get(journal).map_or(Head::EMPTY, |known| known.head);
        if (actual.version, actual.digest) != (after.version, after.digest) {
            let (journal, expected, actual) = (journal.clone(), after.version, actual.version);
            return Err(AppendError::Conflict { journal, expected, actual });
        }
        let closes = record.closes;
        let envelope = Envelope::seal(journal.clone(), actual, record);
        let sequence = records.len() as u64 + 1;
        let head = envelope.head(sequence);
        let known = journals.entry(journal.clone()).or_default();
        known.head = head;
        known.closed = closes;
        known.records.push(records.len());
        records.push(envelope);
        self.0.last.send_replace(sequence);
        Ok(Appended { head, position: Position { shard: 0, sequence } })
    }

    async fn read(&self, journal: &JournalId, after: Head) -> Result<Vec<Envelope>, ReadError> {
        let state = lock(&self.0.state);
        let Some(known) = state.journals.get(journal) else { return Ok(Vec::new()) };
        let seen = usize::try_from(after.version.0).unwrap_or(usize::MAX);
        let found = known.records.iter().skip(seen).map(|index| state.records[*index].clone());
        let mut head = after;
        let mut envelopes = Vec::new();
        for envelope in found {
            envelope.check(head)?;
            head = envelope.head(0);
            envelopes.push(envelope);
        }
        Ok(envelopes)
    }

    async fn head(&self, journal: &JournalId) -> Result<Head, ReadError> {
        Ok(lock(&self.0.state).journals.get(journal).map_or(Head::EMPTY, |known| known.head))
    }

    fn follow(&self, category: Category, from: Cursor) -> BoxStream<'static, Result<Followed, ReadError>> {
        let inner = Arc::clone(&self.0);
        let last = self.0.last.subscribe();
        let seen = from.0.first().copied().unwrap_or(0);
        let batches = stream::try_unfold((inner, last, seen), move |(inner, mut last, seen)| async move {
            loop {
                let (batch, seen) = lock(&inner.state).after(category, seen);
                if !batch.is_empty() {
                    let batch = stream::iter(batch).map(Ok);
                    return Ok::<_, ReadError>(Some((batch, (inner, last, seen))));
                }
                // The sender is in `inner`, which this stream holds, so it is not gone.
                let _ = last.wait_for(|last| *last > seen).await;
            }
        });
        batches.try_flatten().boxed()
    }

    async fn end(&self, category: Category) -> Result<Cursor, ReadError> {
        let state = lock(&self.0.state);
        let last = state.records.iter().rposition(|record| record.journal.category() == category);
        Ok(Cursor(vec![last.map_or(0, |place| place as u64 + 1)]))
    }

    async fn open_journals(&self, category: Category) -> Result<Vec<JournalId>, ReadError> {
        let state = lock(&self.0.state);
        let open = state.journals.iter().filter(|(id, known)| id.category() == category && !known.closed);
        Ok(open.map(|(id, _)| id.clone()).collect())
    }
}
