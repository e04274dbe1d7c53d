//! A record as the payload of a message: a format byte, the length of a header, the header, the body as it is.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use skein_model::envelope::TraceContext;
use skein_model::{CauseId, Digest, Envelope, Head, JournalId, Record, Timestamp, Version};

const FORMAT: u8 = 1;
/// Format byte and length of the header.
const PREFIX_BYTES: usize = 3;

/// Names one call of `append`, so that its writer knows its own record from an equal one of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token(pub(super) u64, pub(super) u64);

/// A record as it was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) envelope: Envelope,
    /// The digest of the record before it, as its writer knew it.
    pub(super) before: Digest,
    pub(super) token: Token,
}

impl Stored {
    /// The journal's head once this is its last record.
    pub(super) const fn head(&self) -> Head {
        self.envelope.head(self.sequence)
    }

    /// The head that its writer appended to, as far as the record tells.
    pub(super) const fn follows(&self) -> Head {
        Head { version: Version(self.envelope.version.0.saturating_sub(1)), digest: self.before, sequence: 0 }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema: u16,
    version: u64,
    before: u64,
    digest: u64,
    time: i64,
    cause: u64,
    /// The two halves of the trace, high first, and the span.
    trace: Option<(u64, u64, u64)>,
    closes: bool,
    token: Token,
}

/// Writes a record whose predecessor has digest `before`.
pub(super) fn write(envelope: &Envelope, before: Digest, token: Token) -> Bytes {
    let Record { time, cause, trace, closes, body } = &envelope.record;
    let header = Header {
        schema: envelope.schema,
        version: envelope.version.0,
        before: before.0,
        digest: envelope.digest.0,
        time: time.as_micros(),
        cause: cause.0,
        trace: trace.map(|TraceContext { trace_id, span_id }| {
            let [high, low] = [trace_id >> 64, trace_id & u128::from(u64::MAX)];
            let half = |part: u128| u64::try_from(part).expect("half of 128 bits is 64 bits");
            (half(high), half(low), span_id)
        }),
        closes: *closes,
        token,
    };
    let header = rmp_serde::to_vec(&header).expect("numbers can be written");
    let length = u16::try_from(header.len()).expect("a dozen numbers are far below 64 KiB");
    let mut payload = BytesMut::with_capacity(PREFIX_BYTES + header.len() + body.len());
    payload.put_u8(FORMAT);
    payload.put_u16_le(length);
    payload.put_slice(&header);
    payload.put_slice(body);
    payload.freeze()
}

/// Reads a record; the reason when it is none.
pub(super) fn read(journal: JournalId, sequence: u64, payload: &Bytes) -> Result<Stored, String> {
    let [format, low, high, ..] = payload[..] else {
        return Err(format!("{} bytes are too few for a record", payload.len()));
    };
    if format != FORMAT {
        return Err(format!("a record of format {format}, this program reads format {FORMAT}"));
    }
    let end = PREFIX_BYTES + usize::from(u16::from_le_bytes([low, high]));
    let header = payload.get(PREFIX_BYTES..end).ok_or("its header is cut off")?;
    let header: Header = rmp_serde::from_slice(header).map_err(|error| format!("its header: {error}"))?;
    let record = Record {
        time: Timestamp::from_micros(header.time),
        cause: CauseId(header.cause),
        trace: header.trace.map(|(high, low, span_id)| TraceContext {
            trace_id: u128::from(high) << 64 | u128::from(low),
            span_id,
        }),
        closes: header.closes,
        body: payload.slice(end..),
    };
    let (version, digest) = (Version(header.version), Digest(header.digest));
    let envelope = Envelope { schema: header.schema, journal, version, digest, record };
    Ok(Stored { sequence, envelope, before: Digest(header.before), token: header.token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::Category;

    fn written() -> (Envelope, Bytes) {
        let record = Record {
            time: Timestamp::from_micros(-5),
            cause: CauseId(u64::MAX),
            trace: Some(TraceContext { trace_id: u128::MAX - 7, span_id: 9 }),
            closes: true,
            body: Bytes::from_static(b"body"),
        };
        let envelope = Envelope::seal(JournalId::from_parts(Category::Execution, "k"), Head::EMPTY, record);
        let payload = write(&envelope, Digest(0), Token(1, 2));
        (envelope, payload)
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let (envelope, payload) = written();
        let stored = read(envelope.journal.clone(), 4, &payload).unwrap();
        assert_eq!(stored, Stored { sequence: 4, envelope, before: Digest(0), token: Token(1, 2) });
    }

    #[test]
    fn a_record_that_is_cut_or_changed_anywhere_is_refused_or_fails_its_check() {
        let (envelope, payload) = written();
        let good = read(envelope.journal.clone(), 1, &payload).unwrap();
        for end in 0..payload.len() {
            let read = read(envelope.journal.clone(), 1, &payload.slice(..end));
            assert!(read.is_err_and(|reason| !reason.is_empty()) || end >= payload.len() - 4, "cut at {end}");
        }
        for bit in 0..payload.len() * 8 {
            let mut changed = payload.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(stored) = read(envelope.journal.clone(), 1, &changed.into()) else { continue };
            let harmless = Stored { token: good.token, ..stored.clone() } == good;
            assert!(harmless || stored.envelope.check(stored.follows()).is_err(), "bit {bit}: {stored:?}");
        }
    }
}
