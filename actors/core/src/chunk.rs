//! How many items of a map are handed out together.
//!
//! A chunk is to take some tens of milliseconds: long enough that handing it out costs little beside running it,
//! short enough that a crash repeats little and that all workers end at about the same time.

use skein_model::{Isolation, TaskSettings};
use std::time::Duration;

/// How long a chunk is meant to take.
pub const TARGET: Duration = Duration::from_millis(40);
/// The most items of one chunk.
pub const ITEMS_MAX: u32 = 16_384;
/// The items of a chunk while nothing is known of how long one takes.
pub const ITEMS_FIRST: u32 = 16;

/// What has been measured of the items of one map so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    items: u64,
    micros: u64,
}

impl Measured {
    /// Adds a chunk. What came before counts half, so that a change of pace is followed.
    pub fn add(&mut self, items: u32, micros: u64) {
        self.items = self.items / 2 + u64::from(items);
        self.micros = self.micros / 2 + micros;
    }

    /// Answers how many items the next chunk should have, with `left` items to hand out among `slots` workers, within
    /// what the task wants.
    pub fn next_len(self, left: u32, slots: u32, bounds: Bounds) -> u32 {
        let by_time = match (self.items, self.micros) {
            (0, _) => u64::from(ITEMS_FIRST),
            (items, micros) => {
                let target = u64::try_from(TARGET.as_micros()).unwrap_or(u64::MAX);
                (target.saturating_mul(items) / micros.max(1)).max(1)
            }
        };
        // Towards the end chunks shrink, so that no worker sits on a large rest while the others are idle.
        let fair = left.div_ceil(slots.max(1).saturating_mul(2)).max(1);
        let length = u32::try_from(by_time).unwrap_or(ITEMS_MAX).min(ITEMS_MAX).min(fair);
        length.max(bounds.min).min(bounds.max).min(left)
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chunk_is_a_small_probe() {
        assert_eq!(Measured::default().next_len(10_000, 2, Bounds::default()), ITEMS_FIRST);
        assert_eq!(Measured::default().next_len(3, 2, Bounds::default()), 1);
    }

    #[test]
    fn chunks_follow_the_time_an_item_takes() {
        let mut fast = Measured::default();
        fast.add(16, 16);
        assert_eq!(fast.next_len(1_000_000, 2, Bounds::default()), ITEMS_MAX);
        let mut slow = Measured::default();
        slow.add(1, 500_000);
        assert_eq!(slow.next_len(1_000_000, 2, Bounds::default()), 1);
        let mut middling = Measured::default();
        middling.add(16, 16_000);
        assert_eq!(middling.next_len(1_000_000, 2, Bounds::default()), 40);
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
    fn items_that_share_no_process_travel_alone() {
        let alone = |isolation| Bounds::of(&TaskSettings { isolation, ..TaskSettings::default() });
        let mut fast = Measured::default();
        fast.add(16, 16);
        for isolation in [Isolation::Fresh, Isolation::Fork] {
            assert_eq!(fast.next_len(1_000_000, 2, alone(Some(isolation))), 1);
        }
        assert_eq!(fast.next_len(1_000_000, 2, alone(Some(Isolation::Reuse))), ITEMS_MAX);
    }
}
