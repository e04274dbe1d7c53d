//! How many items of a map are handed out together.
//!
//! A chunk is to take some tens of milliseconds: long enough that handing it out costs little beside running it,
//! short enough that a crash repeats little and that all workers end at about the same time.

use skein_model::{Isolation, TaskSettings};
use std::time::Duration;

/// How long a chunk is meant to take. Whoever comes meanwhile waits about a third of it for one of two workers.
pub const TARGET: Duration = Duration::from_millis(25);
/// When a chunk is late: no further item of it begins then, and the rest is cut anew, for whoever has nothing to do. Ten
/// times what was meant: one item that takes long, which is often a round tenth of a second, is no reason to hand out
/// one more chunk.
pub const LATE: Duration = Duration::from_millis(250);
/// The most items of one chunk.
pub const ITEMS_MAX: u32 = 16_384;
/// The items of a chunk while nothing is known of how long one takes.
pub const ITEMS_FIRST: u32 = 16;
/// How much larger than the largest before it a chunk may be: what few items took says little of many.
const GROWTH_MAX: u32 = 4;
/// How much time is remembered. Items that take long are rare in some maps, and a chunk without one says nothing of
/// the next; after a change of pace the chunks follow within this time.
const REMEMBERED: Duration = Duration::from_secs(4);

/// What has been measured of the items of one map so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    items: u64,
    micros: u64,
    largest: u32,
}

impl Measured {
    /// Adds a chunk.
    pub fn add(&mut self, items: u32, micros: u64) {
        self.items += u64::from(items);
        self.micros = self.micros.saturating_add(micros);
        self.largest = self.largest.max(items);
        if self.micros > in_micros(REMEMBERED) {
            self.items = self.items.div_ceil(2);
            self.micros /= 2;
        }
    }

    /// Answers how long some items are expected to take, in microseconds.
    pub fn expected_micros(self, items: u32) -> u64 {
        match self.items {
            0 => in_micros(TARGET),
            measured => self.micros.saturating_mul(u64::from(items)) / measured,
        }
    }

    /// Answers how many items the next chunk should have, with `left` items to hand out among `slots` workers, within
    /// what the task wants.
    pub fn next_len(self, left: u32, slots: u32, bounds: Bounds) -> u32 {
        let by_time = match (self.items, self.micros) {
            (0, _) => u64::from(ITEMS_FIRST),
            (items, micros) => {
                let most = self.largest.max(ITEMS_FIRST).saturating_mul(GROWTH_MAX);
                (in_micros(TARGET).saturating_mul(items) / micros.max(1)).clamp(1, u64::from(most))
            }
        };
        // Towards the end chunks shrink, so that no worker sits on a large rest while the others are idle.
        let fair = left.div_ceil(slots.max(1).saturating_mul(2)).max(1);
        let length = u32::try_from(by_time).unwrap_or(ITEMS_MAX).min(ITEMS_MAX).min(fair);
        length.max(bounds.min).min(bounds.max).min(left)
    }
}

fn in_micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// How few and how many items a chunk may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    min: u32,
    max: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { min: 1, max: u32::MAX }
    }
}

impl Bounds {
    /// Takes from the settings of a task what they say of its chunks. Items that do not share a process travel alone.
    pub fn of(settings: &TaskSettings) -> Self {
        match settings.isolation {
            Some(Isolation::Fresh | Isolation::Fork) => Self { min: 1, max: 1 },
            Some(Isolation::Reuse) | None => Self {
                min: settings.chunk_items_min.unwrap_or(1),
                max: settings.chunk_items_max.unwrap_or(u32::MAX),
            },
        }
    }

    /// Answers after what time a chunk of `items` begins no further one; none where the task wants so many together.
    pub fn patience(self, items: u32) -> Option<Duration> {
        (items > 1 && self.min == 1).then_some(LATE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chunk_is_a_small_probe() {
        assert_eq!(Measured::default().next_len(10_000, 2, Bounds::default()), ITEMS_FIRST);
        assert_eq!(Measured::default().next_len(3, 2, Bounds::default()), 1);
    }

    /// What a chunk of so many items that took so long leads to.
    fn after(items: u32, micros: u64) -> Measured {
        let mut measured = Measured::default();
        measured.add(items, micros);
        measured
    }

    #[test]
    fn chunks_follow_the_time_an_item_takes() {
        assert_eq!(after(10_000, 10_000).next_len(1_000_000, 2, Bounds::default()), ITEMS_MAX);
        assert_eq!(after(1, 500_000).next_len(1_000_000, 2, Bounds::default()), 1);
        assert_eq!(after(16, 16_000).next_len(1_000_000, 2, Bounds::default()), 25);
    }

    #[test]
    fn what_few_items_took_says_little_of_many() {
        let mut measured = after(ITEMS_FIRST, 16);
        let mut lengths = Vec::new();
        for _ in 0..5 {
            let next = measured.next_len(1_000_000, 2, Bounds::default());
            lengths.push(next);
            measured.add(next, u64::from(next));
        }
        assert_eq!(lengths, [64, 256, 1_024, 4_096, ITEMS_MAX]);
    }

    #[test]
    fn an_item_in_a_hundred_that_takes_long_is_not_forgotten_by_chunks_without_one() {
        let mut measured = Measured::default();
        for chunk in 0..200_u64 {
            measured.add(20, if chunk % 5 == 0 { 100_000 } else { 20 });
        }
        let next = measured.next_len(1_000_000, 2, Bounds::default());
        assert!((20..=30).contains(&next), "{next}");
    }

    #[test]
    fn a_change_of_pace_is_followed() {
        let mut measured = after(16_384, 16_384);
        for _ in 0..4 {
            measured.add(100, 2_000_000);
        }
        let next = measured.next_len(1_000_000, 2, Bounds::default());
        assert!(next < 100, "{next}");
    }

    #[test]
    fn chunks_shrink_towards_the_end_and_never_exceed_what_is_left() {
        let mut fast = Measured::default();
        fast.add(1_000, 1_000);
        assert_eq!(fast.next_len(100, 2, Bounds::default()), 25);
        assert_eq!(fast.next_len(1, 2, Bounds::default()), 1);
        assert_eq!(fast.next_len(0, 2, Bounds::default()), 0);
    }

    #[test]
    fn a_task_may_bound_its_chunks() {
        let mut slow = Measured::default();
        slow.add(1, 500_000);
        let settings =
            TaskSettings { chunk_items_min: Some(10), chunk_items_max: Some(20), ..TaskSettings::default() };
        let bounds = Bounds::of(&settings);
        assert_eq!(slow.next_len(1_000, 2, bounds), 10);
        assert_eq!(slow.next_len(7, 2, bounds), 7, "there are no more");
        let mut fast = Measured::default();
        fast.add(16, 16);
        assert_eq!(fast.next_len(1_000_000, 2, bounds), 20);
    }

    #[test]
    fn a_chunk_that_is_late_begins_no_further_item_unless_its_task_wants_so_many_together() {
        assert_eq!(Bounds::default().patience(20), Some(LATE));
        assert_eq!(Bounds::default().patience(1), None, "there is nothing to give back");
        let settings = TaskSettings { chunk_items_min: Some(10), ..TaskSettings::default() };
        assert_eq!(Bounds::of(&settings).patience(20), None);
    }

    #[test]
    fn items_that_share_no_process_travel_alone() {
        let alone = |isolation| Bounds::of(&TaskSettings { isolation, ..TaskSettings::default() });
        let fast = after(10_000, 10_000);
        for isolation in [Isolation::Fresh, Isolation::Fork] {
            assert_eq!(fast.next_len(1_000_000, 2, alone(Some(isolation))), 1);
        }
        assert_eq!(fast.next_len(1_000_000, 2, alone(Some(Isolation::Reuse))), ITEMS_MAX);
    }
}
