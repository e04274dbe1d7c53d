//! Points in time, as numbers that someone else read from a clock.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A point in time: microseconds since 1970-01-01 00:00:00 UTC; negative before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// Makes a timestamp of microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Answers the microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Answers this point moved by `span` into the future; the latest point there is when it does not fit.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Answers how long after `earlier` this is; zero when it is not after it (clocks step back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(at: Timestamp) -> Self {
        let nanos = at.0.rem_euclid(1_000_000) * 1_000;
        Self {
            seconds: at.0.div_euclid(1_000_000),
            nanos: i32::try_from(nanos).expect("a remainder of a second is below 10^9 nanoseconds"),
        }
    }
}

impl From<&prost_types::Timestamp> for Timestamp {
    fn from(at: &prost_types::Timestamp) -> Self {
        Self(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_keeps_its_fraction_in_the_protobuf_form() {
        let proto = prost_types::Timestamp::from(Timestamp::from_micros(-1));
        assert_eq!((proto.seconds, proto.nanos), (-1, 999_999_000));
        assert_eq!(Timestamp::from(&proto), Timestamp::from_micros(-1));
    }

    #[test]
    fn a_clock_that_stepped_back_shows_no_time_passed() {
        assert_eq!(Timestamp::from_micros(5).since(Timestamp::from_micros(9)), Duration::ZERO);
    }
}
