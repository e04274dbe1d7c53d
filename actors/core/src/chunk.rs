//! How many items of a map are handed out together.
//!
//! A chunk is to take some tens of milliseconds: long enough that handing it out costs little beside running it,
//! short enough that a crash repeats little and that all workers end at about the same time.

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

    /// Answers how many items the next chunk should have, with `left` items to hand out among `slots` workers.
    pub fn next_len(self, left: u32, slots: u32) -> u32 {
        let by_time = match (self.items, self.micros) {
            (0, _) => u64::from(ITEMS_FIRST),
            (items, micros) => {
                let target = u64::try_from(TARGET.as_micros()).unwrap_or(u64::MAX);
                (target.saturating_mul(items) / micros.max(1)).max(1)
            }
        };
        // Towards the end chunks shrink, so that no worker sits on a large rest while the others are idle.
        let fair = left.div_ceil(slots.max(1).saturating_mul(2)).max(1);
        u32::try_from(by_time).unwrap_or(ITEMS_MAX).min(ITEMS_MAX).min(fair).min(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_chunk_is_a_small_probe() {
        assert_eq!(Measured::default().next_len(10_000, 2), ITEMS_FIRST);
        assert_eq!(Measured::default().next_len(3, 2), 1);
    }

    #[test]
    fn chunks_follow_the_time_an_item_takes() {
        let mut fast = Measured::default();
        fast.add(16, 16);
        assert_eq!(fast.next_len(1_000_000, 2), ITEMS_MAX);
        let mut slow = Measured::default();
        slow.add(1, 500_000);
        assert_eq!(slow.next_len(1_000_000, 2), 1);
        let mut middling = Measured::default();
        middling.add(16, 16_000);
        assert_eq!(middling.next_len(1_000_000, 2), 40);
    }

    #[test]
    fn chunks_shrink_towards_the_end_and_never_exceed_what_is_left() {
        let mut fast = Measured::default();
        fast.add(1_000, 1_000);
        assert_eq!(fast.next_len(100, 2), 25);
        assert_eq!(fast.next_len(1, 2), 1);
        assert_eq!(fast.next_len(0, 2), 0);
    }
}
