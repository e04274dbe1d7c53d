//! The writer of one execution's journal.

use crate::ports::Ports;
use skein_log::{AppendError, ReadError};
use skein_model::codec::{self, CodecError};
use skein_model::envelope::TraceContext;
use skein_model::{CauseId, Envelope, Event, Head, JournalId, Record, Timestamp};
use std::sync::Arc;

/// A journal that cannot be gone on with. The actor ends, and the journal is read afresh.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("the journal is empty")]
    Empty,
}

/// Where the writer stands in its journal.
pub(crate) struct Journal {
    id: JournalId,
    head: Head,
    /// The trace of whoever created the execution; all its records belong to it.
    pub(crate) trace: Option<TraceContext>,
}

impl Journal {
    /// Reads a journal to its end; answers the writer and all events, each with the time of its record.
    pub(crate) async fn load(ports: &Ports, id: JournalId) -> Result<(Self, Vec<Dated>), JournalError> {
        let envelopes = ports.log.read(&id, Head::EMPTY).await?;
        let trace = envelopes.first().ok_or(JournalError::Empty)?.record.trace;
        let head = ports.log.head(&id).await?;
        let mut journal = Self { id, head: Head::EMPTY, trace };
        let mut events = Vec::new();
        for envelope in &envelopes {
            events.extend(dated(envelope)?);
            journal.head = envelope.head(0);
        }
        if head.version == journal.head.version {
            journal.head = head;
            return Ok((journal, events));
        }
        // Somebody appended in between: only a second owner could, so start over.
        Err(JournalError::Append(AppendError::Conflict {
            journal: journal.id,
            expected: journal.head.version,
            actual: head.version,
        }))
    }

    /// Takes up a journal whose only record was just followed.
    pub(crate) fn begin(envelope: &Envelope, sequence: u64) -> Result<(Self, Vec<Dated>), JournalError> {
        let events = dated(envelope)?;
        let journal = Self {
            id: envelope.journal.clone(),
            head: envelope.head(sequence),
            trace: envelope.record.trace,
        };
        Ok((journal, events))
    }

    /// Reads again, up to where the writer stands, what it has recorded.
    pub(crate) async fn read_again(&self, ports: &Ports) -> Result<Vec<Event>, JournalError> {
        let envelopes = ports.log.read(&self.id, Head::EMPTY).await?;
        let mut events = Vec::new();
        for envelope in envelopes.iter().take_while(|envelope| envelope.version <= self.head.version) {
            events.extend(decode(envelope)?);
        }
        Ok(events)
    }

    /// Makes the events of one transition durable; answers when they were recorded.
    pub(crate) async fn append(
        &mut self,
        ports: &Arc<Ports>,
        cause: CauseId,
        events: &[Event],
        closes: bool,
    ) -> Result<Timestamp, JournalError> {
        let body = codec::encode(events)?;
        let time = (ports.clock)();
        let record = Record { time, cause, trace: self.trace, closes, body };
        let appended = ports.log.append(&self.id, self.head, record).await?;
        self.head = appended.head;
        ports.metrics.transitions.inc();
        ports.metrics.events.inc_by(events.len() as u64);
        Ok(time)
    }
}

/// What happened, and when that was recorded.
pub(crate) type Dated = (Timestamp, Event);

fn dated(envelope: &Envelope) -> Result<Vec<Dated>, CodecError> {
    Ok(decode(envelope)?.into_iter().map(|event| (envelope.record.time, event)).collect())
}

fn decode(envelope: &Envelope) -> Result<Vec<Event>, CodecError> {
    codec::decode(envelope.schema, &envelope.record.body)
}
