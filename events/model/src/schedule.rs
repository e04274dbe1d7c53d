//! When a launch plan starts by itself: what its schedule says, and which times those are. Contract 8.1.
//!
//! Cron schedules are told in the wall clock of a time zone, UTC where nobody names one. When that clock jumps forward, a
//! schedule with a fixed minute and hour that falls into the gap comes right after it, and one with `*` or `*/n` in them leaves
//! out what does not exist. When it jumps back, the first comes once, at the earlier of the two, and the second in both. So
//! whatever is to happen once a day happens once a day, and whatever is to happen every twenty minutes does.
//!
//! Times come from a time zone database in this program, so that all parts of a system read a schedule alike.

mod cron;
mod history;

pub use history::{CatchUp, History, LastTick, SEGMENT_TICKS_MAX, ScheduleEvent, Skip, tick_name};

use crate::time::Timestamp;
use cron::Cron;
use jiff::tz::TimeZone;
use skein_idl::flyteidl::admin::{self, schedule::ScheduleExpression};
use std::fmt;

/// The longest rate, in minutes: a hundred years.
const RATE_MINUTES_MAX: i64 = 100 * 366 * 24 * 60;

/// A schedule that is none. Each message names the field, its value, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No cron expression.
    #[error("{field} is {expression:?}: {reason}; it has to be {}", right(field))]
    Cron {
        /// The field.
        field: &'static str,
        /// What it says.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// A cron expression for a date that there never is.
    #[error("{field} is {expression:?}, which never comes: there is no such date")]
    Never {
        /// The field.
        field: &'static str,
        /// What it says.
        expression: String,
    },
    /// A time zone that there is not.
    #[error(
        "the time zone of {field} is {zone:?}; it has to be a name of the IANA database such as Europe/Berlin, or UTC"
    )]
    Zone {
        /// The field.
        field: &'static str,
        /// What it says.
        zone: String,
    },
    /// A rate of nothing, or of more than anybody waits for.
    #[error("rate.value is {value}; it has to be a whole number from 1 to a hundred years")]
    Rate {
        /// What it says.
        value: u32,
    },
    /// A unit that there is not.
    #[error("rate.unit is {number}; it has to be MINUTE (0), HOUR (1) or DAY (2)")]
    Unit {
        /// Its number.
        number: i32,
    },
    /// An offset, which nothing here reads.
    #[error(
        "cron_schedule.offset is {offset:?}, and offsets are not served; put it into the schedule itself"
    )]
    Offset {
        /// What it says.
        offset: String,
    },
}

fn right(field: &str) -> &'static str {
    if field == cron::EXPRESSION {
        "six fields for minute, hour, day of month, month, day of week (1 is Sunday) and year, such as \"0 9 ? * MON-FRI *\""
    } else {
        "five fields for minute, hour, day of month, month and day of week, such as \"0 9 * * MON-FRI\", or one of @hourly, \
         @daily, @weekly, @monthly and @yearly; CRON_TZ=Europe/Berlin before it names a time zone"
    }
}

/// When a launch plan starts by itself.
#[derive(Clone)]
pub struct Schedule {
    when: When,
    kickoff: Option<String>,
}

#[derive(Clone)]
enum When {
    Cron(Box<Cron>),
    /// Every so many microseconds, from when it was activated.
    Rate(i64),
}

impl Schedule {
    /// Reads a schedule; none when it says no time. `zone` is the time zone of a cron schedule that does not name one itself.
    ///
    /// # Errors
    /// [`ScheduleError`].
    pub fn read(given: &admin::Schedule, zone: Option<&str>) -> Result<Option<Self>, ScheduleError> {
        let when = match &given.schedule_expression {
            None => return Ok(None),
            Some(ScheduleExpression::CronSchedule(admin::CronSchedule { schedule, offset })) => {
                if !offset.is_empty() {
                    return Err(ScheduleError::Offset { offset: offset.clone() });
                }
                When::Cron(Box::new(Cron::five(schedule, zone)?))
            }
            Some(ScheduleExpression::CronExpression(expression)) => {
                When::Cron(Box::new(Cron::six(expression, zone)?))
            }
            Some(ScheduleExpression::Rate(rate)) => When::Rate(period(*rate)?),
        };
        let kickoff = Some(given.kickoff_time_input_arg.clone()).filter(|name| !name.is_empty());
        Ok(Some(Self { when, kickoff }))
    }

    /// Answers the input that is given the time of the tick.
    pub fn kickoff(&self) -> Option<&str> {
        self.kickoff.as_deref()
    }

    /// Answers the time zone that it is told in; none for a rate.
    pub fn zone(&self) -> Option<&str> {
        match &self.when {
            When::Cron(cron) => Some(cron.zone()),
            When::Rate(_) => None,
        }
    }

    /// Answers its first time after `after`, of a launch plan that was activated at `since`; none when there is none.
    pub fn next_after(&self, since: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(since);
        match &self.when {
            When::Cron(cron) => cron.next_after(after),
            When::Rate(period) => {
                let begin = begin(since);
                let ticks = after.as_micros().checked_sub(begin)?.div_euclid(*period).checked_add(1)?;
                begin.checked_add(ticks.checked_mul(*period)?).map(Timestamp::from_micros)
            }
        }
    }

    /// Answers its last time before `before` and after `since`, when it was activated; none when there is none.
    pub fn last_before(&self, since: Timestamp, before: Timestamp) -> Option<Timestamp> {
        let last = match &self.when {
            When::Cron(cron) => cron.last_before(before)?,
            When::Rate(period) => {
                let begin = begin(since);
                let ticks = before.as_micros().checked_sub(begin)?.checked_sub(1)?.div_euclid(*period);
                Timestamp::from_micros(begin.checked_add(ticks.checked_mul(*period)?)?)
            }
        };
        (last > since).then_some(last)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.when {
            When::Cron(cron) => f.write_str(cron.expression()),
            When::Rate(period) => {
                let minutes = period / MINUTE;
                let (count, unit) = match minutes {
                    days if days % (24 * 60) == 0 => (days / (24 * 60), "day"),
                    hours if hours % 60 == 0 => (hours / 60, "hour"),
                    minutes => (minutes, "minute"),
                };
                match count {
                    1 => write!(f, "every {unit}"),
                    count => write!(f, "every {count} {unit}s"),
                }
            }
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

/// A minute, in microseconds.
const MINUTE: i64 = 60_000_000;

/// Answers from when a rate counts: the whole second in which it was activated, so that its ticks are readable times.
const fn begin(since: Timestamp) -> i64 {
    since.as_micros() - since.as_micros().rem_euclid(1_000_000)
}

fn period(rate: admin::FixedRate) -> Result<i64, ScheduleError> {
    let minutes = match admin::FixedRateUnit::try_from(rate.unit) {
        Ok(admin::FixedRateUnit::Minute) => 1,
        Ok(admin::FixedRateUnit::Hour) => 60,
        Ok(admin::FixedRateUnit::Day) => 24 * 60,
        Err(_) => return Err(ScheduleError::Unit { number: rate.unit }),
    };
    let minutes = i64::from(rate.value) * minutes;
    if !(1..=RATE_MINUTES_MAX).contains(&minutes) {
        return Err(ScheduleError::Rate { value: rate.value });
    }
    Ok(minutes * MINUTE)
}

/// Answers the time zone of a name; none when there is none. The database in this program is asked, and no other.
fn time_zone(name: &str) -> Option<TimeZone> {
    jiff::tz::TimeZoneDatabase::bundled().get(name).ok()
}

/// Says whether there is a time zone of a name.
pub fn is_time_zone(name: &str) -> bool {
    time_zone(name).is_some()
}
