//! What one dataset holds: the fold of its journal.

use skein_model::codec::{self, CodecError};
use skein_model::{
    CacheKey, CacheSource, CatalogEvent, DataRef, Dataset, Envelope, Head, Timestamp, Version,
};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Outputs that are kept under a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Whose they are.
    pub source: CacheSource,
    /// They; together with others' if `item` says so.
    pub outputs: DataRef,
    /// The place of their element in the collections that `outputs` has; none when `outputs` is theirs alone.
    pub item: Option<u32>,
}

/// Outputs that are kept of items, each set of outputs once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoundItems {
    /// The outputs of items that ran together: encoded `LiteralMap`s of collections.
    pub outputs: Vec<DataRef>,
    /// For each item which of those has its element, and where; none when nothing is kept.
    pub places: Vec<Option<(u32, u32)>>,
}

/// What a dataset holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What it is.
    pub dataset: Dataset,
    /// How many entries count.
    pub entries: usize,
    /// When something was last kept in it.
    pub stored_at: Option<Timestamp>,
}

/// The fold. Some 48 bytes for an entry, and what each record keeps inline.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A head that the log has given: what is read and appended next comes after it.
    pub(crate) head: Head,
    /// The last record that is folded in, which may be one after that head.
    pub(crate) seen: Version,
    dataset: Option<Dataset>,
    records: Vec<Record>,
    entries: HashMap<u128, Place, Hashed>,
    evicted: HashSet<u128, Hashed>,
    stored_at: Option<Timestamp>,
    inline: usize,
}

#[derive(Debug)]
struct Record {
    outputs: DataRef,
    source: CacheSource,
    items: bool,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    record: u32,
    item: u32,
}

/// Keys are hashes already.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
        let half = key as u64;
        self.0 = half;
    }
}

type Hashed = BuildHasherDefault<KeyHasher>;

impl Index {
    /// Folds a record of the journal in, unless that is done.
    pub(crate) fn fold(&mut self, envelope: &Envelope) -> Result<(), CodecError> {
        if envelope.version <= self.seen {
            return Ok(());
        }
        let events: Vec<CatalogEvent> = codec::decode(envelope.schema, &envelope.record.body)?;
        for event in events {
            self.apply(event, envelope.record.time);
        }
        self.seen = envelope.version;
        Ok(())
    }

    /// Folds in what was just appended.
    pub(crate) fn appended(&mut self, events: Vec<CatalogEvent>, at: Timestamp, head: Head) {
        for event in events {
            self.apply(event, at);
        }
        self.head = head;
        self.seen = head.version;
    }

    fn apply(&mut self, event: CatalogEvent, at: Timestamp) {
        match event {
            CatalogEvent::Opened { dataset } => self.dataset = Some(dataset),
            CatalogEvent::Stored { keys, outputs, first, source, items } => {
                let Ok(record) = u32::try_from(self.records.len()) else { return };
                if let DataRef::Inline(bytes) = &outputs {
                    self.inline += bytes.len();
                }
                self.records.push(Record { outputs, source, items });
                for (item, key) in (first..).zip(CacheKey::split(&keys)) {
                    self.entries.insert(key.0, Place { record, item });
                    self.evicted.remove(&key.0);
                }
                self.stored_at = Some(at);
            }
            CatalogEvent::Evicted { keys: Some(keys), .. } => {
                for key in CacheKey::split(&keys) {
                    if self.entries.remove(&key.0).is_some() {
                        self.evicted.insert(key.0);
                    }
                }
            }
            CatalogEvent::Evicted { keys: None, .. } => {
                self.evicted.extend(self.entries.drain().map(|(key, _)| key));
                self.records.iter_mut().for_each(|record| record.outputs = DataRef::empty());
                self.inline = 0;
            }
            // Of another kind of journal.
            CatalogEvent::Reserved { .. } | CatalogEvent::Released => {}
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.dataset.is_some()
    }

    pub(crate) fn find(&self, key: CacheKey) -> Option<Found> {
        let Place { record, item } = *self.entries.get(&key.0)?;
        let Record { outputs, source, items } = self.records.get(record as usize)?;
        Some(Found { source: source.clone(), outputs: outputs.clone(), item: items.then_some(item) })
    }

    pub(crate) fn find_items(&self, keys: &[CacheKey]) -> FoundItems {
        let mut found = FoundItems { outputs: Vec::new(), places: Vec::with_capacity(keys.len()) };
        let mut known: HashMap<u32, Option<u32>> = HashMap::new();
        for key in keys {
            let place = self.entries.get(&key.0).and_then(|Place { record, item }| {
                let number = *known.entry(*record).or_insert_with(|| {
                    let record = self.records.get(*record as usize).filter(|record| record.items)?;
                    let number = u32::try_from(found.outputs.len()).ok()?;
                    found.outputs.push(record.outputs.clone());
                    Some(number)
                });
                Some((number?, *item))
            });
            found.places.push(place);
        }
        found
    }

    /// Answers the keys of the entries whose source is wanted, in order.
    pub(crate) fn keys_of(&self, is_wanted: impl Fn(&CacheSource) -> bool) -> Vec<CacheKey> {
        let wanted: Vec<bool> = self.records.iter().map(|record| is_wanted(&record.source)).collect();
        let is_wanted = |place: &Place| wanted.get(place.record as usize).copied().unwrap_or_default();
        let entries = self.entries.iter().filter(|(_, place)| is_wanted(place));
        let mut keys: Vec<CacheKey> = entries.map(|(key, _)| CacheKey(*key)).collect();
        keys.sort_unstable();
        keys
    }

    pub(crate) fn is_evicted(&self, key: CacheKey) -> bool {
        self.evicted.contains(&key.0)
    }

    pub(crate) fn summary(&self) -> Option<Summary> {
        Some(Summary {
            dataset: self.dataset.clone()?,
            entries: self.entries.len(),
            stored_at: self.stored_at,
        })
    }

    /// Answers roughly how much memory it takes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * 33
            + self.evicted.capacity() * 17
            + self.records.capacity() * (size_of::<Record>() + 100)
            + self.inline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::{Attempt, ExecutionId, NodeId};

    fn source() -> CacheSource {
        CacheSource {
            execution: ExecutionId::parse("p", "d", "x").expect("a good id"),
            node: NodeId::new("n0"),
            attempt: Attempt(0),
            task_version: "v1".to_owned(),
        }
    }

    fn stored(keys: &[u128], first: u32, items: bool) -> CatalogEvent {
        CatalogEvent::Stored {
            keys: CacheKey::join(keys.iter().map(|key| CacheKey(*key))),
            outputs: DataRef::empty(),
            first,
            source: source(),
            items,
        }
    }

    #[test]
    fn an_item_is_found_at_the_place_of_its_element() {
        let mut index = Index::default();
        index.apply(stored(&[5, 6, 7], 16, true), Timestamp::EPOCH);
        let place = |key| index.find(CacheKey(key)).map(|found| found.item);
        assert_eq!((place(5), place(7), place(8)), (Some(Some(16)), Some(Some(18)), None));
    }

    #[test]
    fn what_was_evicted_is_not_found_and_is_known_to_have_been_there_until_it_is_kept_again() {
        let mut index = Index::default();
        index.apply(stored(&[1], 0, false), Timestamp::EPOCH);
        let evicted = CatalogEvent::Evicted {
            keys: Some(CacheKey::join([CacheKey(1), CacheKey(2)])),
            principal: String::new(),
        };
        index.apply(evicted, Timestamp::EPOCH);
        assert_eq!(index.find(CacheKey(1)), None);
        assert!(index.is_evicted(CacheKey(1)));
        assert!(!index.is_evicted(CacheKey(2)), "there never was one");
        index.apply(stored(&[1], 0, false), Timestamp::EPOCH);
        assert!(index.find(CacheKey(1)).is_some_and(|found| found.item.is_none()));
        assert!(!index.is_evicted(CacheKey(1)));
    }

    #[test]
    fn all_of_a_dataset_goes_at_once() {
        let mut index = Index::default();
        index.apply(stored(&[1, 2, 3], 0, true), Timestamp::EPOCH);
        index.apply(CatalogEvent::Evicted { keys: None, principal: String::new() }, Timestamp::EPOCH);
        assert!([1, 2, 3].iter().all(|key| index.find(CacheKey(*key)).is_none()));
        assert!(index.is_evicted(CacheKey(3)));
    }
}
