//! What journals say: of one secret, and of the keys that secrets need.

use skein_model::codec::{self, CodecError};
use skein_model::{Envelope, RegistryEvent, Sealed, SecretKind, Timestamp};

/// A secret as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What it is for.
    pub kind: SecretKind,
    /// When it came to be.
    pub created: Timestamp,
    /// Its value.
    pub sealed: Sealed,
}

/// Folds more records of a secret's journal in; none is a secret that is not there.
///
/// # Errors
/// When a record cannot be read.
pub(crate) fn fold(state: Option<Stored>, records: &[Envelope]) -> Result<Option<Stored>, CodecError> {
    let mut state = state;
    for event in events(records)? {
        match event {
            RegistryEvent::SecretPut { id: _, kind, created, sealed, principal: _ } => {
                state = Some(Stored { kind, created, sealed });
            }
            RegistryEvent::SecretDeleted { .. } => state = None,
            RegistryEvent::Registered { .. }
            | RegistryEvent::Activated { .. }
            | RegistryEvent::Deactivated { .. }
            | RegistryEvent::NameUpdated { .. }
            | RegistryEvent::ProjectPut { .. }
            | RegistryEvent::AttributePut { .. }
            | RegistryEvent::SecretKeysUsed { .. } => {}
        }
    }
    Ok(state)
}

/// Answers the names of the keys that secrets need, by the records of their journal.
///
/// # Errors
/// When a record cannot be read.
pub(crate) fn keys_used(records: &[Envelope]) -> Result<Vec<String>, CodecError> {
    let of = |event| if let RegistryEvent::SecretKeysUsed { keys } = event { Some(keys) } else { None };
    Ok(events(records)?.into_iter().filter_map(of).next_back().unwrap_or_default())
}

pub(crate) fn events(records: &[Envelope]) -> Result<Vec<RegistryEvent>, CodecError> {
    let mut all = Vec::new();
    for record in records {
        all.extend(codec::decode::<RegistryEvent>(record.schema, &record.record.body)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::{CauseId, Head, JournalId, Record, SecretId};

    fn id() -> SecretId {
        SecretId::parse("", "", "k").expect("it is right")
    }

    fn put(ciphertext: &'static str) -> RegistryEvent {
        let sealed = Sealed { key: "k1".to_owned(), nonce: "n".into(), ciphertext: ciphertext.into() };
        let (kind, created) = (SecretKind::Generic, Timestamp::from_micros(7));
        RegistryEvent::SecretPut { id: id(), kind, created, sealed, principal: "somebody".to_owned() }
    }

    fn journal(events: Vec<RegistryEvent>) -> Vec<Envelope> {
        let mut head = Head::EMPTY;
        let seal = |event| {
            let body = codec::encode(&[event]).expect("an event is small");
            let record =
                Record { time: Timestamp::EPOCH, cause: CauseId(1), trace: None, closes: true, body };
            let envelope = Envelope::seal(JournalId::secret(&id()), head, record);
            head = envelope.head(1);
            envelope
        };
        events.into_iter().map(seal).collect()
    }

    #[test]
    fn a_secret_is_what_its_last_record_says() {
        let deleted = || RegistryEvent::SecretDeleted { id: id(), principal: "somebody".to_owned() };
        let of = |events| fold(None, &journal(events)).expect("they are right");
        assert_eq!(of(vec![]), None);
        let stored = of(vec![put("one"), put("two")]).expect("it is there");
        assert_eq!(stored.sealed.ciphertext, "two");
        assert_eq!(of(vec![put("one"), deleted()]), None);
        assert!(of(vec![put("one"), deleted(), put("three")]).is_some());
        let later = journal(vec![put("one"), put("two")]);
        let first = fold(None, &later[..1]).expect("it is right");
        let last = fold(first, &later[1..]).expect("it is right");
        assert_eq!(last, fold(None, &later).expect("it is right"), "in one go or in two");
    }

    #[test]
    fn the_keys_that_are_needed_are_those_that_were_told_last() {
        let used = |names: &[&str]| RegistryEvent::SecretKeysUsed {
            keys: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert_eq!(keys_used(&[]).expect("it is right"), Vec::<String>::new());
        let records = journal(vec![used(&["a"]), used(&["b", "a"]), used(&["b"])]);
        assert_eq!(keys_used(&records[..2]).expect("it is right"), ["b", "a"]);
        assert_eq!(keys_used(&records).expect("it is right"), ["b"]);
    }
}
