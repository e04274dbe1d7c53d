//! How long to wait before a connector is asked again. Pure: time and chance are arguments.

use std::time::Duration;

/// How often jobs are asked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The shortest wait. Default: 250 ms, so that a short job is noticed soon.
    pub first: Duration,
    /// The longest wait. Default: 15 s; thousands of jobs that run for hours are some hundred calls a second.
    pub most: Duration,
    /// How long after a change was recorded another one of words alone waits to be. Default: 10 s; a job that counts per cents
    /// would fill its journal.
    pub words: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            most: Duration::from_secs(15),
            words: Duration::from_secs(10),
        }
    }
}

/// Which part of the time that nothing has changed for a job waits until it is asked after again: what runs for an hour is
/// noticed to have ended within minutes at the worst, and [`Pace::most`] makes that seconds.
const PART: u32 = 10;

impl Pace {
    /// Answers how long to wait before a job is asked after again of which nothing has changed for `quiet`. `draw` is what
    /// chance says: it makes the wait up to a quarter shorter or longer, so that jobs made together are not asked after together.
    pub fn poll_after(self, quiet: Duration, draw: u64) -> Duration {
        spread((quiet / PART).clamp(self.first, self.most), draw)
    }

    /// Says whether a change of words alone is to be recorded, so long after the last record.
    pub fn tells_words(self, since_last: Duration) -> bool {
        since_last >= self.words
    }

    /// Answers how long to wait after `failed` calls in a row that failed, at least 1: it doubles with each.
    pub fn again_after(self, failed: u32, draw: u64) -> Duration {
        let full = self.first.saturating_mul(1 << failed.saturating_sub(1).min(20));
        spread(full.min(self.most), draw)
    }
}

fn spread(full: Duration, draw: u64) -> Duration {
    /// How many lengths of a wait chance tells apart.
    const LENGTHS: u32 = 1024;
    let drawn = u32::try_from(draw % u64::from(LENGTHS)).unwrap_or_default();
    full * 3 / 4 + full / 2 * drawn / LENGTHS
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u64 = 512;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_job_that_has_just_changed_is_asked_after_soon_and_a_quiet_one_ever_more_rarely() {
        let pace = Pace { first: secs(1), most: secs(60), ..Pace::default() };
        let waits = [0, 5, 100, 300, 100_000].map(|quiet| pace.poll_after(secs(quiet), MIDDLE));
        assert_eq!(waits, [1, 1, 10, 30, 60].map(secs));
    }

    #[test]
    fn a_connector_that_fails_is_asked_more_and_more_slowly_up_to_the_limit() {
        let pace = Pace { first: secs(1), most: secs(60), ..Pace::default() };
        let waits = [1, 2, 3, 7, 1_000].map(|failed| pace.again_after(failed, MIDDLE));
        assert_eq!(waits, [1, 2, 4, 60, 60].map(secs));
    }

    #[test]
    fn words_that_change_all_the_time_are_recorded_now_and_then() {
        let pace = Pace { words: secs(10), ..Pace::default() };
        assert_eq!([0, 9, 10].map(|since| pace.tells_words(secs(since))), [false, false, true]);
    }

    #[test]
    fn chance_makes_a_wait_up_to_a_quarter_shorter_or_longer() {
        let pace = Pace { first: secs(4), most: secs(60), ..Pace::default() };
        assert_eq!(pace.poll_after(Duration::ZERO, 0), secs(3));
        assert!(pace.poll_after(Duration::ZERO, 1023) < secs(5));
        assert_eq!(pace.poll_after(Duration::ZERO, 1024), secs(3));
    }
}
