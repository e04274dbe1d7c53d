//! The journals: where each one is, and reading it.

use super::api::{Api, Source};
use super::names::{SUBJECT_BYTES_MAX, shard_of};
use super::wire::{self, Stored};
use crate::{AppendError, Appended, Cursor, EventLog, Followed, ReadError};
use async_nats::jetstream::message::StreamMessage;
use async_trait::async_trait;
use futures::future::try_join_all;
use futures::stream::BoxStream;
use skein_model::{Category, Envelope, Head, JournalId, Record};
use std::sync::Arc;

/// A log whose journals are subjects of JetStream streams.
#[derive(Clone)]
pub struct JetStreamLog {
    pub(super) api: Arc<Api>,
}

/// Where a journal is.
pub(super) struct Place {
    pub(super) shard: u16,
    pub(super) stream: String,
    pub(super) subject: String,
}

impl JetStreamLog {
    pub(super) const fn new(api: Arc<Api>) -> Self {
        Self { api }
    }

    /// Finds a journal's subject; the longest possible key, in bytes, when it is too long for one.
    pub(super) fn place(&self, journal: &JournalId) -> Result<Place, usize> {
        let category = journal.category();
        let shard = shard_of(journal.key(), self.api.settings.shards(category));
        let subject = self.api.names.journal_subject(journal, shard);
        if subject.len() > SUBJECT_BYTES_MAX {
            return Err(journal.key().len().saturating_sub(subject.len() - SUBJECT_BYTES_MAX));
        }
        Ok(Place { shard, stream: self.api.names.log_stream(category, shard), subject })
    }

    pub(super) async fn last(
        &self,
        place: &Place,
        of: &JournalId,
    ) -> Result<(Option<Stored>, Source), ReadError> {
        let (message, source) = self.api.last(&place.stream, &place.subject).await.map_err(unavailable)?;
        Ok((message.map(|message| stored(of, &message)).transpose()?, source))
    }

    pub(super) async fn next(
        &self,
        place: &Place,
        of: &JournalId,
        from: u64,
    ) -> Result<Option<Stored>, ReadError> {
        let (message, _) = self.api.next(&place.stream, &place.subject, from).await.map_err(unavailable)?;
        message.map(|message| stored(of, &message)).transpose()
    }

    /// Reads up to `last`, which any reader before has seen.
    async fn read_to(&self, place: &Place, after: Head, last: Stored) -> Result<Vec<Envelope>, ReadError> {
        let journal = last.envelope.journal.clone();
        let end = last.sequence;
        let mut run = Run { head: after, records: Vec::new() };
        if last.envelope.version == after.version.next() {
            run.push(last)?;
            return Ok(run.records);
        }
        while run.head.sequence < end {
            let from = run.head.sequence + 1;
            let page = self.api.page(&place.stream, &place.subject, from).await.unwrap_or_default();
            if page.is_empty() {
                // A replica that lags behind or fails; the leader has the record.
                let next = self.next(place, &journal, from).await?;
                let reason = || unavailable("the record at the end is gone".to_owned());
                run.push(next.ok_or_else(reason)?)?;
            }
            for message in page {
                run.push(stored(&journal, &message)?)?;
            }
        }
        Ok(run.records)
    }
}

/// Records of one journal, each checked against the one before it.
struct Run {
    head: Head,
    records: Vec<Envelope>,
}

impl Run {
    fn push(&mut self, next: Stored) -> Result<(), ReadError> {
        next.envelope.check(self.head)?;
        self.head = next.head();
        self.records.push(next.envelope);
        Ok(())
    }
}

pub(super) const fn unavailable(reason: String) -> ReadError {
    ReadError::Unavailable { reason }
}

pub(super) fn stored(journal: &JournalId, message: &StreamMessage) -> Result<Stored, ReadError> {
    let sequence = message.sequence;
    let stored = wire::read(journal.clone(), sequence, &message.payload)
        .map_err(|reason| ReadError::Unreadable { sequence, reason })?;
    stored.envelope.check(stored.follows())?;
    Ok(stored)
}

#[async_trait]
impl EventLog for JetStreamLog {
    async fn append(
        &self,
        journal: &JournalId,
        after: Head,
        record: Record,
    ) -> Result<Appended, AppendError> {
        self.append_record(journal, after, record).await
    }

    async fn read(&self, journal: &JournalId, after: Head) -> Result<Vec<Envelope>, ReadError> {
        // No record can have been appended to a journal whose name is too long for a subject.
        let Ok(place) = self.place(journal) else { return Ok(Vec::new()) };
        match self.last(&place, journal).await?.0 {
            Some(last) if last.sequence > after.sequence => self.read_to(&place, after, last).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn head(&self, journal: &JournalId) -> Result<Head, ReadError> {
        let Ok(place) = self.place(journal) else { return Ok(Head::EMPTY) };
        Ok(self.last(&place, journal).await?.0.map_or(Head::EMPTY, |last| last.head()))
    }

    fn follow(&self, category: Category, from: Cursor) -> BoxStream<'static, Result<Followed, ReadError>> {
        self.follow_shards(category, &from)
    }

    async fn end(&self, category: Category) -> Result<Cursor, ReadError> {
        let shards = (0..self.api.settings.shards(category)).map(|shard| async move {
            let stream = self.api.names.log_stream(category, shard);
            let (last, _) = self
                .api
                .last(&stream, &self.api.names.log_subjects(category, shard))
                .await
                .map_err(unavailable)?;
            Ok::<u64, ReadError>(last.map_or(0, |last| last.sequence))
        });
        Ok(Cursor(try_join_all(shards).await?))
    }

    async fn open_journals(&self, category: Category) -> Result<Vec<JournalId>, ReadError> {
        let end = self.end(category).await?;
        let shards = end.0.into_iter().zip(0..).map(|(end, shard)| self.open_in_shard(category, shard, end));
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }
}
