//! What is known in memory of each journal: where it ends, whether it is closed, and where its records are.
//!
//! A record costs one or two bytes here: sequences are kept as differences, and the records of one journal are mostly
//! near each other. So a million records of fifty thousand journals take about ten megabytes, closed ones included.

use skein_model::{Category, Envelope, Head, JournalId, Version};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

#[derive(Debug, Default)]
pub(super) struct Index {
    registry: Family,
    execution: Family,
    catalog: Family,
    notification: Family,
    schedule: Family,
}

/// The journals of one category.
#[derive(Debug, Default)]
struct Family {
    journals: HashMap<Key, Journal>,
    /// The sequence of the last record of any of them; 0 when there is none.
    last: u64,
}

/// A journal, looked up by its key alone: the scan at start must not allocate for each record.
#[derive(Debug)]
struct Key(JournalId);

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.0.key()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for Key {}

#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) head: Head,
    pub(super) closed: bool,
    sequences: Sequences,
}

impl Index {
    pub(super) fn find(&self, category: Category, key: &str) -> Option<(&JournalId, &Journal)> {
        self.family(category).journals.get_key_value(key).map(|(key, journal)| (&key.0, journal))
    }

    pub(super) fn head(&self, journal: &JournalId) -> Head {
        self.find(journal.category(), journal.key()).map_or(Head::EMPTY, |(_, known)| known.head)
    }

    /// Notes that a record is its journal's last.
    pub(super) fn note(&mut self, envelope: &Envelope, sequence: u64) {
        let Envelope { journal, record, .. } = envelope;
        let family = self.family_mut(journal.category());
        family.last = sequence;
        let known = match family.journals.get_mut(journal.key()) {
            Some(known) => known,
            None => family.journals.entry(Key(journal.clone())).or_default(),
        };
        known.sequences.push(known.head.sequence, sequence);
        known.head = envelope.head(sequence);
        known.closed = record.closes;
        if known.closed {
            known.sequences.0.shrink_to_fit();
        }
    }

    /// Answers the sequences of a journal's records after `after`.
    pub(super) fn sequences(&self, journal: &JournalId, after: Version) -> Vec<u64> {
        let Some((_, known)) = self.find(journal.category(), journal.key()) else { return Vec::new() };
        let seen = usize::try_from(after.0).unwrap_or(usize::MAX);
        known.sequences.iter().skip(seen).collect()
    }

    /// Answers the sequence of one record; none for a version that the journal does not have.
    pub(super) fn sequence_of(&self, journal: &JournalId, version: Version) -> Option<u64> {
        let (_, known) = self.find(journal.category(), journal.key())?;
        let place = usize::try_from(version.0.checked_sub(1)?).ok()?;
        known.sequences.iter().nth(place)
    }

    pub(super) fn journals(&self, category: Category) -> impl Iterator<Item = (&JournalId, &Journal)> {
        self.family(category).journals.iter().map(|(key, journal)| (&key.0, journal))
    }

    /// Answers the sequence of a category's last record; 0 when there is none.
    pub(super) const fn last(&self, category: Category) -> u64 {
        self.family(category).last
    }

    const fn family(&self, category: Category) -> &Family {
        match category {
            Category::Registry => &self.registry,
            Category::Execution => &self.execution,
            Category::Catalog => &self.catalog,
            Category::Notification => &self.notification,
            Category::Schedule => &self.schedule,
        }
    }

    const fn family_mut(&mut self, category: Category) -> &mut Family {
        match category {
            Category::Registry => &mut self.registry,
            Category::Execution => &mut self.execution,
            Category::Catalog => &mut self.catalog,
            Category::Notification => &mut self.notification,
            Category::Schedule => &mut self.schedule,
        }
    }
}

/// Growing numbers, each as its difference from the one before it, seven bits a byte, low bits first.
#[derive(Debug, Default)]
struct Sequences(Vec<u8>);

impl Sequences {
    fn push(&mut self, last: u64, next: u64) {
        let mut left = next - last;
        while left >= 0x80 {
            self.0.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        self.0.push(left as u8);
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        let (mut sequence, mut difference, mut shift) = (0, 0, 0);
        self.0.iter().filter_map(move |byte| {
            difference |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 != 0 {
                return None;
            }
            sequence += difference;
            (difference, shift) = (0, 0);
            Some(sequence)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_come_back_as_they_went_in() {
        let given = [1, 2, 129, 130, 16_000, 4_000_000_000, u64::MAX / 2, u64::MAX];
        let mut sequences = Sequences::default();
        let mut last = 0;
        for next in given {
            sequences.push(last, next);
            last = next;
        }
        assert_eq!(sequences.iter().collect::<Vec<_>>(), given);
    }
}
