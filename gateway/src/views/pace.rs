//! How many items of a map ended lately.
//!
//! Counted by the times that the records have, a few counts a map: a rebuild gives the same, and a chunk costs the same
//! whatever the size of its map.

use serde::{Deserialize, Serialize};
use skein_model::Timestamp;
use std::collections::VecDeque;

/// How much time one count covers, in microseconds.
const STEP_MICROS: i64 = 2_000_000;
/// How many counts are kept. Together they reach back 28 to 30 s: long enough that items of seconds give a steady
/// rate, short enough that a change of pace shows soon.
const STEPS: usize = 15;

/// Items that ended in each of the last steps of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pace {
    /// The number of the newest step, counted from the epoch.
    newest: i64,
    /// Oldest first; the last is that of `newest`.
    counts: VecDeque<u32>,
}

impl Pace {
    /// Notes that `items` ended at `at`. What a clock that stepped back says is counted with the newest.
    pub(super) fn add(&mut self, at: Timestamp, items: u32) {
        let step = step_of(at);
        if self.counts.is_empty() {
            self.newest = step;
            self.counts.push_back(0);
        }
        while self.newest < step {
            // After a long rest there is nothing to shift one by one.
            self.newest = (self.newest + 1).max(step - STEPS as i64);
            self.counts.push_back(0);
            if self.counts.len() > STEPS {
                self.counts.pop_front();
            }
        }
        if let Some(last) = self.counts.back_mut() {
            *last = last.saturating_add(items);
        }
    }

    /// Answers how many items a second ended lately, of a map that began at `started`; none when none did, which says
    /// nothing of items that take longer than this looks back.
    pub(crate) fn per_second(&self, started: Timestamp, now: Timestamp) -> Option<f64> {
        let newest = self.newest.max(step_of(now));
        let oldest = newest - STEPS as i64 + 1;
        let first = self.newest - self.counts.len() as i64 + 1;
        let recent = (first..).zip(&self.counts).filter(|(step, _)| *step >= oldest);
        let items: u64 = recent.map(|(_, count)| u64::from(*count)).sum();
        let since = Timestamp::from_micros(oldest * STEP_MICROS).max(started);
        rate(items, since, now)
    }
}

/// Answers how many of `items` a second ended from `since` to `now`; none when none did, or no time has passed.
pub(crate) fn rate(items: u64, since: Timestamp, now: Timestamp) -> Option<f64> {
    let seconds = now.since(since).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number; the counts beside it are")]
    (items > 0 && seconds > 0.0).then(|| items as f64 / seconds)
}

const fn step_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(STEP_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_map_that_has_just_begun_is_measured_from_its_beginning() {
        let mut pace = Pace::default();
        pace.add(second(101), 30);
        assert_eq!(pace.per_second(second(100), second(102)), Some(15.0));
    }

    #[test]
    fn what_ended_long_ago_does_not_count() {
        let mut pace = Pace::default();
        pace.add(second(0), 1_000);
        pace.add(second(100), 29);
        // The newest step is 100 to 102, so the oldest of fifteen begins at 72.
        assert_eq!(pace.per_second(second(0), second(101)), Some(1.0));
        assert_eq!(pace.per_second(second(0), second(200)), None);
    }

    #[test]
    fn it_stays_small_however_long_the_map_runs_or_rests() {
        let mut pace = Pace::default();
        for at in (0..10_000).chain([1_000_000_000]) {
            pace.add(second(at), 1);
        }
        assert!(pace.counts.len() <= STEPS);
        assert_eq!(pace.newest, 500_000_000);
        assert_eq!(pace.counts.iter().sum::<u32>(), 1);
    }

    #[test]
    fn a_clock_that_stepped_back_loses_nothing() {
        let mut pace = Pace::default();
        pace.add(second(100), 1);
        pace.add(second(50), 1);
        assert_eq!(pace.per_second(second(99), second(101)), Some(1.0));
    }

    #[test]
    fn no_time_gives_no_rate() {
        assert_eq!(rate(5, second(1), second(1)), None);
        assert_eq!(rate(0, second(0), second(1)), None);
    }
}
