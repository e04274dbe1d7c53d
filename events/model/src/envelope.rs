//! How a transition is written down: sealed with its place in the journal and a digest of all that came before.

use crate::ids::CauseId;
use crate::journal::JournalId;
use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// The number of the newest way of writing records that this program knows.
pub const SCHEMA: u16 = 1;
/// The longest body of a record, in bytes. JetStream's default message limit is 1 MiB, headers included.
pub const BODY_BYTES_MAX: usize = 960 * 1024;

/// A position in one journal: the number of records up to there. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// Answers the version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The chained digest: xxh3-64 of the digest before it, and of everything else the record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub u64);

/// Where a journal ends: what an append must name to be accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last record's version; 0 when there is none.
    pub version: Version,
    /// The last record's digest; 0 when there is none.
    pub digest: Digest,
    /// The last record's sequence in the log that holds the journal; 0 when there is none.
    pub sequence: u64,
}

impl Head {
    /// The head of a journal without records.
    pub const EMPTY: Self = Self { version: Version(0), digest: Digest(0), sequence: 0 };
}

/// Trace context of whoever caused a record, as in W3C `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: u128,
    /// The span that caused the record.
    pub span_id: u64,
}

/// One transition that is to be written: all events of one command.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it was decided.
    pub time: Timestamp,
    /// What it came from.
    pub cause: CauseId,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// Whether the journal's subject has ended with it, so that nobody needs to take it up after a restart.
    pub closes: bool,
    /// The encoded events: see [`crate::codec`].
    pub body: Bytes,
}

/// One transition as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// The way its body is written.
    pub schema: u16,
    /// The journal.
    pub journal: JournalId,
    /// Its place in the journal, from 1.
    pub version: Version,
    /// Its digest, which covers all records before it.
    pub digest: Digest,
    /// What was written.
    pub record: Record,
}

/// A record that does not follow the one before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Its version is not the next one: a record is missing, repeated or moved.
    #[error("journal {journal}: record {found} follows record {after}")]
    Version {
        /// The journal.
        journal: JournalId,
        /// The version before it.
        after: Version,
        /// Its version.
        found: Version,
    },
    /// Its digest does not match what it holds.
    #[error("journal {journal}: record {version} has digest {found:016x}, its content gives {expected:016x}")]
    Digest {
        /// The journal.
        journal: JournalId,
        /// Its version.
        version: Version,
        /// The digest it should have.
        expected: u64,
        /// The digest it has.
        found: u64,
    },
}

impl Envelope {
    /// Seals a record as the next after `head`.
    pub fn seal(journal: JournalId, head: Head, record: Record) -> Self {
        let version = head.version.next();
        let digest = chain(head.digest, SCHEMA, &journal, version, &record);
        Self { schema: SCHEMA, journal, version, digest, record }
    }

    /// Checks that the record is the next after `head` and is what was written.
    ///
    /// # Errors
    /// What does not match. The journal is damaged then; nothing may be appended to it.
    pub fn check(&self, head: Head) -> Result<(), ChainError> {
        if self.version != head.version.next() {
            return Err(ChainError::Version {
                journal: self.journal.clone(),
                after: head.version,
                found: self.version,
            });
        }
        let expected = chain(head.digest, self.schema, &self.journal, self.version, &self.record);
        if expected != self.digest {
            return Err(ChainError::Digest {
                journal: self.journal.clone(),
                version: self.version,
                expected: expected.0,
                found: self.digest.0,
            });
        }
        Ok(())
    }

    /// Answers the head of the journal once this record, which stands at `sequence` of the log, is its last.
    pub const fn head(&self, sequence: u64) -> Head {
        Head { version: self.version, digest: self.digest, sequence }
    }
}

fn chain(before: Digest, schema: u16, journal: &JournalId, version: Version, record: &Record) -> Digest {
    let mut hash = Xxh3::new();
    hash.update(&before.0.to_le_bytes());
    hash.update(&schema.to_le_bytes());
    hash.update(&version.0.to_le_bytes());
    hash.update(&record.time.as_micros().to_le_bytes());
    hash.update(&record.cause.0.to_le_bytes());
    let trace = record.trace.unwrap_or(TraceContext { trace_id: 0, span_id: 0 });
    hash.update(&trace.trace_id.to_le_bytes());
    hash.update(&trace.span_id.to_le_bytes());
    hash.update(&[u8::from(record.trace.is_some()), u8::from(record.closes)]);
    hash.update(journal.category().word().as_bytes());
    hash.update(&[0]);
    hash.update(journal.key().as_bytes());
    hash.update(&[0]);
    hash.update(&record.body);
    Digest(hash.digest())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Category;

    fn record(body: &'static str) -> Record {
        Record {
            time: Timestamp::from_micros(7),
            cause: CauseId(1),
            trace: None,
            closes: false,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn journal() -> JournalId {
        JournalId::from_parts(Category::Execution, "p/d/x")
    }

    #[test]
    fn a_sealed_record_follows_its_head() {
        let first = Envelope::seal(journal(), Head::EMPTY, record("one"));
        let second = Envelope::seal(journal(), first.head(1), record("two"));
        assert_eq!(first.check(Head::EMPTY), Ok(()));
        assert_eq!(second.check(first.head(1)), Ok(()));
    }

    #[test]
    fn a_missing_record_is_named() {
        let first = Envelope::seal(journal(), Head::EMPTY, record("one"));
        let second = Envelope::seal(journal(), first.head(1), record("two"));
        assert!(matches!(second.check(Head::EMPTY), Err(ChainError::Version { found: Version(2), .. })));
    }

    #[test]
    fn a_changed_part_is_found_wherever_it_is() {
        let sealed = Envelope::seal(journal(), Head::EMPTY, record("one"));
        let changes: [fn(&mut Envelope); 6] = [
            |e| e.record.body = Bytes::from_static(b"onf"),
            |e| e.record.closes = true,
            |e| e.record.cause = CauseId(2),
            |e| e.record.time = Timestamp::from_micros(8),
            |e| e.schema = 2,
            |e| e.journal = JournalId::from_parts(Category::Execution, "p/d/y"),
        ];
        for change in changes {
            let mut changed = sealed.clone();
            change(&mut changed);
            assert!(matches!(changed.check(Head::EMPTY), Err(ChainError::Digest { .. })), "{changed:?}");
        }
    }
}
