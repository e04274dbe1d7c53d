//! Times and durations. Flyte's SDK counts microseconds, so finer parts are left out, towards the past.

use super::{Value, of_primitive, primitive_of, sealed, simple};
use skein_idl::flyteidl::core::{Literal, LiteralType, SimpleType, primitive};
use skein_protocol::Plain;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i32 = 1_000;

/// A span of time that may go backwards, as Python's `timedelta` may. Tasks that never see a negative one may take a
/// [`Duration`] instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timedelta {
    /// How long it is, in microseconds.
    pub micros: i64,
}

impl sealed::Sealed for Timedelta {}
impl Value for Timedelta {
    fn literal_type() -> LiteralType {
        simple(SimpleType::Duration)
    }

    fn tag() -> &'static str {
        "timedelta"
    }

    fn from_plain(value: Plain) -> Option<Self> {
        i64::from_plain(value).map(|micros| Self { micros })
    }

    fn into_plain(self) -> Plain {
        Plain::Int(self.micros)
    }

    fn from_literal(literal: &Literal) -> Option<Self> {
        match primitive_of(literal)? {
            primitive::Value::Duration(span) => {
                micros(span.seconds, span.nanos).map(|micros| Self { micros })
            }
            _ => None,
        }
    }

    fn into_literal(self) -> Literal {
        let nanos = self.micros % MICROS_PER_SECOND * i64::from(NANOS_PER_MICRO);
        let span = prost_types::Duration { seconds: self.micros / MICROS_PER_SECOND, nanos: part(nanos) };
        of_primitive(primitive::Value::Duration(span))
    }
}

impl sealed::Sealed for Duration {}
impl Value for Duration {
    fn literal_type() -> LiteralType {
        Timedelta::literal_type()
    }

    fn tag() -> &'static str {
        Timedelta::tag()
    }

    fn limits() -> Option<&'static str> {
        Some("not negative")
    }

    fn from_plain(value: Plain) -> Option<Self> {
        positive(Timedelta::from_plain(value)?)
    }

    fn into_plain(self) -> Plain {
        timedelta(self).into_plain()
    }

    fn from_literal(literal: &Literal) -> Option<Self> {
        positive(Timedelta::from_literal(literal)?)
    }

    fn into_literal(self) -> Literal {
        timedelta(self).into_literal()
    }
}

impl sealed::Sealed for SystemTime {}
impl Value for SystemTime {
    fn literal_type() -> LiteralType {
        simple(SimpleType::Datetime)
    }

    fn tag() -> &'static str {
        "datetime"
    }

    fn from_plain(value: Plain) -> Option<Self> {
        at(i64::from_plain(value)?)
    }

    fn into_plain(self) -> Plain {
        Plain::Int(since_epoch(self))
    }

    fn from_literal(literal: &Literal) -> Option<Self> {
        match primitive_of(literal)? {
            primitive::Value::Datetime(time) => at(micros(time.seconds, time.nanos)?),
            _ => None,
        }
    }

    fn into_literal(self) -> Literal {
        let micros = since_epoch(self);
        let nanos = micros.rem_euclid(MICROS_PER_SECOND) * i64::from(NANOS_PER_MICRO);
        let time =
            prost_types::Timestamp { seconds: micros.div_euclid(MICROS_PER_SECOND), nanos: part(nanos) };
        of_primitive(primitive::Value::Datetime(time))
    }
}

fn positive(span: Timedelta) -> Option<Duration> {
    u64::try_from(span.micros).ok().map(Duration::from_micros)
}

/// What is longer than 292 000 years is as long.
fn timedelta(span: Duration) -> Timedelta {
    Timedelta { micros: i64::try_from(span.as_micros()).unwrap_or(i64::MAX) }
}

fn at(micros: i64) -> Option<SystemTime> {
    let span = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 { UNIX_EPOCH.checked_sub(span) } else { UNIX_EPOCH.checked_add(span) }
}

fn since_epoch(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => timedelta(after).micros,
        // Towards the past: a part of a microsecond before the epoch is a whole one before it.
        Err(before) => {
            let nanos = before.duration().as_nanos();
            i64::try_from(nanos.div_ceil(1_000)).map_or(i64::MIN, |micros| -micros)
        }
    }
}

fn micros(seconds: i64, nanos: i32) -> Option<i64> {
    seconds.checked_mul(MICROS_PER_SECOND)?.checked_add(i64::from(nanos.div_euclid(NANOS_PER_MICRO)))
}

fn part(nanos: i64) -> i32 {
    i32::try_from(nanos).expect("a part of a second is below 10^9 nanoseconds")
}
