//! The progress of a map: which items are done, which failed, which were tried more than once.
//!
//! Costs two bits an item, an entry a chunk of outputs, and an entry for each item that failed at least once.

use crate::retry::Spent;
use skein_model::event::{CachedItems, FinishedChunk, ItemRange};
use skein_model::{Attempt, DataRef, Failure};
use std::collections::BTreeMap;

/// One bit for each item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemSet {
    words: Vec<u64>,
    count: u32,
}

impl ItemSet {
    fn of_size(size: u32) -> Self {
        Self { words: vec![0; (size as usize).div_ceil(64)], count: 0 }
    }

    /// Says whether the item is in.
    pub fn has(&self, item: u32) -> bool {
        self.words.get(item as usize / 64).is_some_and(|word| word >> (item % 64) & 1 == 1)
    }

    fn insert(&mut self, item: u32) {
        if let Some(word) = self.words.get_mut(item as usize / 64) {
            let bit = 1 << (item % 64);
            self.count += u32::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Answers how many items are in.
    pub const fn count(&self) -> u32 {
        self.count
    }
}

/// Outputs of items that ran together.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The items that ran together.
    pub range: ItemRange,
    /// Those among them without outputs here, in ascending order.
    pub absent: Vec<u32>,
    /// The outputs of the others, in order.
    pub outputs: DataRef,
}

/// An item that failed at least once.
#[derive(Clone, Debug, PartialEq)]
pub struct Troubled {
    /// The number of its next try, or of the last one when it has failed for good.
    pub attempt: Attempt,
    /// What its tries were charged to.
    pub spent: Spent,
}

/// A map under way.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRun {
    /// The inputs of the whole map.
    pub inputs: DataRef,
    /// How many items there are.
    pub size: u32,
    /// Items with outputs.
    pub succeeded: ItemSet,
    /// How many of those the cache had.
    pub cached: u32,
    /// Items that failed for good.
    pub failed: ItemSet,
    /// Items that failed at least once.
    pub troubled: BTreeMap<u32, Troubled>,
    /// The outputs so far, in order of arrival.
    pub parts: Vec<Part>,
    /// The first item in input order that failed for good, and why.
    pub first_failure: Option<(u32, Failure)>,
}

impl MapRun {
    /// A map whose items all wait.
    pub fn new(inputs: DataRef, size: u32) -> Self {
        Self {
            inputs,
            size,
            succeeded: ItemSet::of_size(size),
            cached: 0,
            failed: ItemSet::of_size(size),
            troubled: BTreeMap::new(),
            parts: Vec::new(),
            first_failure: None,
        }
    }

    /// Says whether the item still has to run.
    pub fn is_pending(&self, item: u32) -> bool {
        item < self.size && !self.succeeded.has(item) && !self.failed.has(item)
    }

    /// Says whether no item has to run any more.
    pub const fn is_complete(&self) -> bool {
        self.succeeded.count() + self.failed.count() == self.size
    }

    /// Answers the number of the item's next try.
    pub fn attempt_of(&self, item: u32) -> Attempt {
        self.troubled.get(&item).map_or(Attempt(0), |troubled| troubled.attempt)
    }

    /// Says whether a chunk may be recorded: what it claims is the next try of items that wait for just that.
    pub fn expects(&self, chunk: &FinishedChunk) -> bool {
        let ItemRange { start, end } = chunk.range;
        start < end
            && end <= self.size
            && (start..end).all(|item| self.is_pending(item) && self.attempt_of(item) == chunk.attempt)
            && is_ascending(
                chunk.failures.iter().map(|f| ItemRange { start: f.index, end: f.index + 1 }),
                chunk.range,
            )
            && is_ascending(chunk.returned.iter().copied(), chunk.range)
    }

    /// Lists what still has to run, in order: ranges of items whose next try has the same number.
    pub fn pending(&self) -> Vec<(ItemRange, Attempt)> {
        let mut ranges: Vec<(ItemRange, Attempt)> = Vec::new();
        for item in (0..self.size).filter(|item| self.is_pending(*item)) {
            let attempt = self.attempt_of(item);
            match ranges.last_mut() {
                Some((range, of)) if range.end == item && *of == attempt => range.end = item + 1,
                _ => ranges.push((ItemRange { start: item, end: item + 1 }, attempt)),
            }
        }
        ranges
    }

    /// Says whether what the cache has may be recorded: outputs of at least one item, all of them of items that wait.
    pub fn expects_cached(&self, items: &CachedItems) -> bool {
        let ItemRange { start, end } = items.range;
        let is_absent = |item: &u32| items.absent.binary_search(item).is_ok();
        end <= self.size
            && items.absent.len() < items.range.len() as usize
            && is_ascending(
                items.absent.iter().map(|item| ItemRange { start: *item, end: item + 1 }),
                items.range,
            )
            && (start..end).filter(|item| !is_absent(item)).all(|item| self.is_pending(item))
    }

    /// Notes what the cache has.
    pub fn record_cached(&mut self, items: &CachedItems) {
        let absent = u32::try_from(items.absent.len()).unwrap_or(u32::MAX);
        self.cached += items.range.len().saturating_sub(absent);
        self.record_outputs(items);
    }

    /// Notes items that are done without having run here.
    pub fn record_outputs(&mut self, items: &CachedItems) {
        let CachedItems { range, absent, outputs } = items;
        for item in range.start..range.end {
            if absent.binary_search(&item).is_err() {
                self.succeeded.insert(item);
            }
        }
        self.parts.push(Part { range: *range, absent: absent.clone(), outputs: outputs.clone() });
    }

    /// Notes what became of a chunk.
    pub fn record(&mut self, chunk: &FinishedChunk, again: &[u32]) {
        let mut absent: Vec<u32> = chunk.failures.iter().map(|failure| failure.index).collect();
        absent.extend(chunk.returned.iter().flat_map(|range| range.start..range.end));
        absent.sort_unstable();
        for item in chunk.range.start..chunk.range.end {
            if absent.binary_search(&item).is_err() {
                self.succeeded.insert(item);
            }
        }
        for failure in &chunk.failures {
            self.record_failure(failure.index, chunk.attempt, &failure.failure, again);
        }
        if absent.len() < chunk.range.len() as usize {
            self.parts.push(Part { range: chunk.range, absent, outputs: chunk.outputs.clone() });
        }
    }

    fn record_failure(&mut self, item: u32, attempt: Attempt, failure: &Failure, again: &[u32]) {
        let retried = again.binary_search(&item).is_ok();
        let spent = self.troubled.get(&item).map_or(Spent::default(), |troubled| troubled.spent);
        let attempt = if retried { attempt.next() } else { attempt };
        self.troubled.insert(item, Troubled { attempt, spent: spent.with(failure.charge) });
        if retried {
            return;
        }
        self.failed.insert(item);
        if self.first_failure.as_ref().is_none_or(|(first, _)| item < *first) {
            self.first_failure = Some((item, failure.clone()));
        }
    }
}

fn is_ascending(ranges: impl Iterator<Item = ItemRange>, within: ItemRange) -> bool {
    let mut at = within.start;
    for range in ranges {
        if range.start < at || range.is_empty() || range.end > within.end {
            return false;
        }
        at = range.end;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::event::ItemFailure;
    use skein_model::{Charge, FailureCause};

    fn chunk(start: u32, end: u32, attempt: u32, failed: &[u32]) -> FinishedChunk {
        let failure = Failure {
            code: "USER:Recoverable".to_owned(),
            message: "again".to_owned(),
            cause: FailureCause::TaskRaised { recoverable: true },
            charge: Charge::User,
        };
        FinishedChunk {
            range: ItemRange { start, end },
            attempt: Attempt(attempt),
            outputs: DataRef::empty(),
            failures: failed.iter().map(|i| ItemFailure { index: *i, failure: failure.clone() }).collect(),
            returned: Vec::new(),
            micros: 1,
            worker: "w".to_owned(),
            used: None,
        }
    }

    #[test]
    fn all_items_wait_at_first_as_one_range() {
        let map = MapRun::new(DataRef::empty(), 5);
        assert_eq!(map.pending(), [(ItemRange { start: 0, end: 5 }, Attempt(0))]);
    }

    #[test]
    fn an_item_that_is_tried_again_waits_alone_with_its_own_number() {
        let mut map = MapRun::new(DataRef::empty(), 5);
        map.record(&chunk(0, 3, 0, &[1]), &[1]);
        assert_eq!(
            map.pending(),
            [(ItemRange { start: 1, end: 2 }, Attempt(1)), (ItemRange { start: 3, end: 5 }, Attempt(0))]
        );
        assert!(map.expects(&chunk(1, 2, 1, &[])));
        assert!(!map.expects(&chunk(1, 2, 0, &[])), "an old try changes nothing");
        assert!(!map.expects(&chunk(0, 2, 0, &[])), "an item that is done is not done again");
    }

    #[test]
    fn a_map_is_complete_when_every_item_succeeded_or_failed_for_good() {
        let mut map = MapRun::new(DataRef::empty(), 2);
        map.record(&chunk(0, 2, 0, &[0]), &[]);
        assert!(map.is_complete());
        assert_eq!((map.succeeded.count(), map.failed.count()), (1, 1));
        assert_eq!(map.first_failure.as_ref().map(|(item, _)| *item), Some(0));
    }

    #[test]
    fn a_chunk_that_lists_items_outside_of_its_range_is_not_expected() {
        let map = MapRun::new(DataRef::empty(), 5);
        assert!(!map.expects(&chunk(0, 3, 0, &[4])));
        assert!(!map.expects(&chunk(0, 3, 0, &[2, 1])));
        assert!(!map.expects(&chunk(3, 6, 0, &[])));
        assert!(!map.expects(&chunk(3, 3, 0, &[])));
    }
}
