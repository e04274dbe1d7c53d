//! Which datasets are remembered, within a bound.

use crate::index::Index;
use crate::writer::Waiting;
use skein_model::JournalId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One dataset.
pub(crate) struct Slot {
    pub(crate) journal: JournalId,
    /// What it holds; whoever has it may append.
    pub(crate) index: tokio::sync::Mutex<Index>,
    /// What waits for whoever appends next.
    pub(crate) waiting: Mutex<Vec<Waiting>>,
}

pub(crate) struct Shelf {
    memory_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    slots: BTreeMap<JournalId, Weighed>,
    /// Counts uses: the smaller, the longer ago.
    clock: u64,
}

struct Weighed {
    slot: Arc<Slot>,
    used: u64,
    bytes: usize,
}

impl Shelf {
    pub(crate) fn new(memory_max: usize) -> Self {
        Self { memory_max, inner: Mutex::default() }
    }

    /// Answers the place of a dataset; an empty one when it is not remembered.
    pub(crate) fn slot(&self, journal: &JournalId) -> Arc<Slot> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let used = inner.clock;
        if let Some(known) = inner.slots.get_mut(journal) {
            known.used = used;
            return Arc::clone(&known.slot);
        }
        let slot = Arc::new(Slot {
            journal: journal.clone(),
            index: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
        });
        inner.slots.insert(journal.clone(), Weighed { slot: Arc::clone(&slot), used, bytes: 0 });
        slot
    }

    /// Notes how much a dataset takes, and forgets others while all take too much. Whoever uses one of those goes on with it:
    /// it only is no longer the one that the next user gets, and both read the log.
    pub(crate) fn weigh(&self, slot: &Slot, bytes: usize) {
        /// What an empty place takes.
        const SLOT: usize = 512;
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.slots.get_mut(&slot.journal) {
            known.bytes = bytes;
        }
        let mut sum: usize = inner.slots.values().map(|known| known.bytes + SLOT).sum();
        while sum > self.memory_max && inner.slots.len() > 1 {
            let others = inner.slots.iter().filter(|(journal, _)| **journal != slot.journal);
            let Some(oldest) = others.min_by_key(|(_, known)| known.used).map(|(id, _)| id.clone()) else {
                return;
            };
            sum -= inner.slots.remove(&oldest).map_or(0, |known| known.bytes + SLOT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::Category;

    fn journal(name: &str) -> JournalId {
        JournalId::from_parts(Category::Catalog, name)
    }

    #[test]
    fn what_was_used_longest_ago_is_forgotten_first_and_what_is_used_stays() {
        let shelf = Shelf::new(10_000);
        let (one, two) = (shelf.slot(&journal("one")), shelf.slot(&journal("two")));
        shelf.weigh(&one, 4_000);
        shelf.weigh(&two, 4_000);
        let one_again = shelf.slot(&journal("one"));
        assert!(Arc::ptr_eq(&one, &one_again));
        let three = shelf.slot(&journal("three"));
        shelf.weigh(&three, 4_000);
        assert!(Arc::ptr_eq(&one, &shelf.slot(&journal("one"))));
        assert!(!Arc::ptr_eq(&two, &shelf.slot(&journal("two"))), "it was forgotten");
        shelf.weigh(&three, 1 << 30);
        assert!(Arc::ptr_eq(&three, &shelf.slot(&journal("three"))), "what is used stays, however large");
    }
}
