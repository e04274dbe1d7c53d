//! Which time of a schedule is next, and what is done about those that were missed.
//!
//! A time is decided once: what comes after is decided from the last that was, so that clocks which step back start nothing
//! twice, and clocks which step forward, or an engine that was away, miss nothing that is wanted.

use skein_model::schedule::Skip;
use skein_model::{CatchUp, Schedule, Timestamp};
use std::time::Duration;

/// How late a time may be that was not missed: there is none more often than each minute.
pub const LATE_MAX: Duration = Duration::from_secs(60);

/// A schedule that is active.
#[derive(Clone, Debug)]
pub struct Ticking {
    /// Its times.
    pub schedule: Schedule,
    /// When it was activated.
    pub since: Timestamp,
    /// What is done about times that were missed.
    pub catch_up: CatchUp,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start what is due at this time, and ask again.
    Start(Timestamp),
    /// Leave these times out, and ask again.
    Skip(Skip),
    /// Ask again at this time: nothing is due before.
    Wait(Timestamp),
    /// Nothing, ever: there is no time any more.
    Never,
}

impl Ticking {
    /// Answers what is to be done at `now`, when everything up to `decided` is decided.
    pub fn next(&self, decided: Option<Timestamp>, now: Timestamp) -> Next {
        let after = decided.unwrap_or(self.since);
        let Some(first) = self.schedule.next_after(self.since, after) else { return Next::Never };
        if first > now {
            return Next::Wait(first);
        }
        let wanted = match self.catch_up {
            CatchUp::All => return Next::Start(first),
            CatchUp::Latest(number) => self.latest(number, first, now),
            CatchUp::None => {
                // Whatever is late by less was not missed.
                let late = i64::try_from(LATE_MAX.as_micros()).unwrap_or(i64::MAX);
                Timestamp::from_micros(now.as_micros().saturating_sub(late))
            }
        };
        if first >= wanted {
            return Next::Start(first);
        }
        let last = self.schedule.last_before(self.since, wanted).unwrap_or(first).max(first);
        Next::Skip(Skip { first, last, ticks: self.count(first, last), catch_up: self.catch_up })
    }

    /// Answers the first of the latest `number` times up to `now`, but none before `first`.
    fn latest(&self, number: u32, first: Timestamp, now: Timestamp) -> Timestamp {
        let mut wanted = now.after(Duration::from_micros(1));
        for _ in 0..number {
            match self.schedule.last_before(self.since, wanted) {
                Some(before) if before > first => wanted = before,
                _ => return first,
            }
        }
        wanted
    }

    fn count(&self, first: Timestamp, last: Timestamp) -> u32 {
        let (mut ticks, mut at) = (1, first);
        while ticks < Skip::TICKS_MAX
            && let Some(next) = self.schedule.next_after(self.since, at).filter(|next| *next <= last)
        {
            (ticks, at) = (ticks + 1, next);
        }
        ticks
    }
}
