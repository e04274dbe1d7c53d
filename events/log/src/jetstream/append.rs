//! Appending: one publish, and what is made of an answer that leaves something open.
//!
//! ```text
//!  publish ──ack──► stored
//!     │ mismatch, timeout, refusal, no answer
//!     ▼
//!  read the subject's last message
//!     ├─ mine                 stored after all
//!     ├─ somebody else's      conflict: mine can never be stored any more
//!     └─ my predecessor       publish again, with the same expectation: it cannot be stored twice
//! ```

use super::api::{Published, Source};
use super::log::{JetStreamLog, Place};
use super::wire::{self, Stored, Token};
use crate::{AppendError, Appended, Position};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use skein_model::envelope::BODY_BYTES_MAX;
use skein_model::{Envelope, Head, JournalId, Record, Version};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The longest wait before publishing again.
const WAIT_MAX: Duration = Duration::from_millis(250);

/// One append on its way.
struct Append<'a> {
    log: &'a JetStreamLog,
    place: Place,
    journal: &'a JournalId,
    after: Head,
    envelope: Envelope,
    token: Token,
    started: Instant,
    /// Whether a try of it may have been stored or may still be.
    open: bool,
}

/// How a subject stands towards an append.
enum Standing {
    /// It is stored there.
    Mine(u64),
    /// Another record follows the one it names.
    Overtaken(Version),
    /// It could be stored.
    Ready,
    /// The subject ends before the record it names.
    Short(Version),
    /// Nobody could be asked.
    Unseen(String),
}

impl JetStreamLog {
    pub(super) async fn append_record(
        &self,
        journal: &JournalId,
        after: Head,
        record: Record,
    ) -> Result<Appended, AppendError> {
        let bytes = record.body.len();
        if bytes > BODY_BYTES_MAX {
            return Err(AppendError::TooLarge { journal: journal.clone(), bytes, limit: BODY_BYTES_MAX });
        }
        let place = self.place(journal).map_err(|limit| AppendError::TooLarge {
            journal: journal.clone(),
            bytes: journal.key().len(),
            limit,
        })?;
        let envelope = Envelope::seal(journal.clone(), after, record);
        let (token, started) = (self.api.token(), Instant::now());
        Append { log: self, place, journal, after, envelope, token, started, open: false }.run().await
    }
}

impl Append<'_> {
    async fn run(mut self) -> Result<Appended, AppendError> {
        let payload = wire::write(&self.envelope, self.after.digest, self.token);
        let deadline = self.started + self.log.api.settings.patience;
        let mut wait = Duration::from_millis(1);
        loop {
            if !self.log.api.connected(deadline).await {
                return Err(self.ended("no server is connected".to_owned()));
            }
            let (numbered, refused) = match self.publish(payload.clone()).await {
                Published::Stored(sequence) => return Ok(self.stored(sequence)),
                Published::TooLarge(limit) => return Err(self.too_large(payload.len(), limit)),
                Published::Mismatch => (true, None),
                Published::Refused(reason) => (false, Some(reason)),
                Published::Unclear(reason) => {
                    tracing::debug!(journal = %self.journal, reason, "the answer to an append is not clear");
                    self.open = true;
                    (false, None)
                }
            };
            match self.standing().await {
                Standing::Mine(sequence) => return Ok(self.stored(sequence)),
                Standing::Overtaken(actual) => return Err(self.conflict(actual)),
                Standing::Short(actual) if numbered && !self.open => return Err(self.conflict(actual)),
                Standing::Ready | Standing::Short(_) => {
                    if let (Some(reason), false) = (refused, self.open) {
                        return Err(self.ended(reason));
                    }
                }
                Standing::Unseen(reason) => {
                    tracing::debug!(journal = %self.journal, reason, "cannot be read back")
                }
            }
            if Instant::now() >= deadline {
                return Err(self.ended("the record was not taken, again and again".to_owned()));
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn publish(&self, payload: Bytes) -> Published {
        let message =
            PublishMessage::build().payload(payload).expected_last_subject_sequence(self.after.sequence);
        self.log.api.publish(&self.place.subject, message).await
    }

    async fn standing(&self) -> Standing {
        let (last, source) = match self.log.last(&self.place, self.journal).await {
            Ok(found) => found,
            Err(error) => return Standing::Unseen(error.to_string()),
        };
        let (sequence, version) = last.as_ref().map_or((0, Version(0)), |l| (l.sequence, l.envelope.version));
        match last {
            Some(last) if last.token == self.token => Standing::Mine(last.sequence),
            _ if sequence == self.after.sequence => Standing::Ready,
            _ if sequence > self.after.sequence => self.follower(version).await,
            // A replica that lags behind shows the same as a head that never was.
            _ if source == Source::Replica => Standing::Unseen("a replica lags behind".to_owned()),
            _ => Standing::Short(version),
        }
    }

    /// Looks at the record that follows the one named: it is this one, if others were appended to it since.
    async fn follower(&self, actual: Version) -> Standing {
        match self.log.next(&self.place, self.journal, self.after.sequence + 1).await {
            Ok(Some(Stored { token, sequence, .. })) if token == self.token => Standing::Mine(sequence),
            Ok(Some(_)) => Standing::Overtaken(actual),
            Ok(None) => Standing::Unseen("a replica lags behind".to_owned()),
            Err(error) => Standing::Unseen(error.to_string()),
        }
    }

    fn stored(&self, sequence: u64) -> Appended {
        Appended {
            head: self.envelope.head(sequence),
            position: Position { shard: self.place.shard, sequence },
        }
    }

    fn conflict(&self, actual: Version) -> AppendError {
        AppendError::Conflict { journal: self.journal.clone(), expected: self.after.version, actual }
    }

    fn too_large(&self, bytes: usize, limit: usize) -> AppendError {
        AppendError::TooLarge { journal: self.journal.clone(), bytes, limit }
    }

    /// What a caller is told when nothing more is tried.
    fn ended(&self, reason: String) -> AppendError {
        let journal = self.journal.clone();
        if self.open {
            AppendError::Unknown { journal, waited: self.started.elapsed() }
        } else {
            AppendError::Unavailable { journal, reason }
        }
    }
}
