//! How times are written and read: RFC 3339 and what Go makes of a duration, which is what the original writes.

use prost_types::{Duration, Timestamp};
use std::fmt::Write as _;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Writes a time as RFC 3339 in UTC, with as many digits of the second as it has.
pub(super) fn timestamp(time: &Timestamp) -> String {
    let (days, second) = (time.seconds.div_euclid(SECONDS_PER_DAY), time.seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    push_fraction(&mut text, i128::from(time.nanos.max(0)), 9);
    text.push('Z');
    text
}

/// Reads a time as RFC 3339 has it. A blank may stand for the `T`; without a zone it is UTC, as `date -u` writes it.
pub(super) fn read_timestamp(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(digits::<i64>);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute) = (digits::<i64>(clock.next()?)?, digits::<i64>(clock.next()?)?);
    let (second, nanos) = fraction(clock.next()?)?;
    let offset = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let (sign, zone) = zone.split_at(1);
            let (hours, minutes) = zone.split_once(':')?;
            let (hours, minutes) = (digits::<i64>(hours)?, digits::<i64>(minutes)?);
            let offset = (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)?;
            if sign == "-" { -offset } else { offset }
        }
    };
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 || !(1..=9_999).contains(&year) {
        return None;
    }
    let days = days_of(year, month, day);
    // A day that the month does not have is one of the next month.
    if civil(days) != (year, month, day) {
        return None;
    }
    let seconds = days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second - offset;
    Some(Timestamp { seconds, nanos: i32::try_from(nanos).ok()? })
}

/// Writes a duration as Go does: `1h30m0s`, `1.5s`, `250ms`, `-2µs`, `0s`.
pub(super) fn duration(length: &Duration) -> String {
    let nanos = i128::from(length.seconds) * NANOS_PER_SECOND + i128::from(length.nanos);
    let mut text = String::new();
    if nanos < 0 {
        text.push('-');
    }
    let nanos = nanos.abs();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let units = [(1_000, "ns", 0), (1_000_000, "µs", 3), (NANOS_PER_SECOND, "ms", 6)];
    if let Some((_, unit, places)) = units.into_iter().find(|(below, ..)| nanos < *below) {
        let of = 10_i128.pow(places);
        let _ = write!(text, "{}", nanos / of);
        push_fraction(&mut text, nanos % of, places as usize);
        text.push_str(unit);
        return text;
    }
    let seconds = nanos / NANOS_PER_SECOND;
    if seconds >= 3_600 {
        let _ = write!(text, "{}h", seconds / 3_600);
    }
    if seconds >= 60 {
        let _ = write!(text, "{}m", seconds / 60 % 60);
    }
    let _ = write!(text, "{}", seconds % 60);
    push_fraction(&mut text, nanos % NANOS_PER_SECOND, 9);
    text.push('s');
    text
}

/// Reads a duration as Go writes it, or as Python prints one: `1 day, 2:03:04.5`.
pub(super) fn read_duration(text: &str) -> Option<Duration> {
    let nanos = go_nanos(text).or_else(|| python_nanos(text))?;
    let seconds = i64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    Some(Duration { seconds, nanos: i32::try_from(nanos % NANOS_PER_SECOND).ok()? })
}

fn go_nanos(text: &str) -> Option<i128> {
    let (is_negative, mut rest) = signed(text);
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0_i128;
    let mut is_empty = true;
    while !rest.is_empty() {
        let unit_at = rest.find(|of: char| !of.is_ascii_digit() && of != '.')?;
        let (number, behind) = rest.split_at(unit_at);
        let unit_end = behind.find(|of: char| of.is_ascii_digit() || of == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let scale = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOS_PER_SECOND,
            "m" => 60 * NANOS_PER_SECOND,
            "h" => 3_600 * NANOS_PER_SECOND,
            _ => return None,
        };
        let (whole, billionths) = fraction(number)?;
        nanos = nanos
            .checked_add(i128::from(whole).checked_mul(scale)?)?
            .checked_add(i128::from(billionths) * scale / NANOS_PER_SECOND)?;
        is_empty = false;
        rest = behind;
    }
    (!is_empty).then_some(if is_negative { -nanos } else { nanos })
}

fn python_nanos(text: &str) -> Option<i128> {
    let (days, clock) = match text.split_once(", ") {
        Some((days, clock)) => {
            let days = days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?;
            let (is_negative, days) = signed(days);
            let days = i128::from(digits::<i64>(days)?);
            (if is_negative { -days } else { days }, clock)
        }
        None => (0, text),
    };
    let mut clock = clock.splitn(3, ':');
    let (hours, minutes) = (digits::<i64>(clock.next()?)?, digits::<i64>(clock.next()?)?);
    let (seconds, nanos) = fraction(clock.next()?)?;
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let seconds = i128::from(hours) * 3_600 + i128::from(minutes * 60 + seconds);
    Some((days * i128::from(SECONDS_PER_DAY) + seconds) * NANOS_PER_SECOND + i128::from(nanos))
}

fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Reads a number that is nothing but digits.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Reads what stands before a point, and what stands after it in billionths; digits beyond are left out.
fn fraction(text: &str) -> Option<(i64, i64)> {
    let Some((whole, part)) = text.split_once('.') else { return Some((digits(text)?, 0)) };
    let whole = if whole.is_empty() && !part.is_empty() { 0 } else { digits(whole)? };
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some((whole, digits(&part)?))
}

/// Appends a part of one as a point and its digits, without zeros at the end; nothing when it is none.
fn push_fraction(text: &mut String, part: i128, places: usize) {
    if part > 0 {
        let digits = format!("{part:0places$}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

/// Answers the day of the proleptic Gregorian calendar that is `days` after 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that the day that comes and goes is the last one.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil`].
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_and_read_back() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_767_225_600, 500_000_000, "2026-01-01T00:00:00.5Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (-1, 0, "1969-12-31T23:59:59Z"),
            (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
            (253_402_300_799, 0, "9999-12-31T23:59:59Z"),
        ] {
            let time = Timestamp { seconds, nanos };
            assert_eq!(timestamp(&time), text);
            assert_eq!(read_timestamp(text), Some(time), "{text}");
        }
    }

    #[test]
    fn a_time_may_have_a_zone_a_blank_and_no_zone_but_no_day_that_is_none() {
        let noon = Some(Timestamp { seconds: 1_767_268_800, nanos: 0 });
        for text in [
            "2026-01-01T12:00:00Z",
            "2026-01-01 12:00:00",
            "2026-01-01T13:30:00+01:30",
            "2026-01-01t07:00:00.000-05:00",
        ] {
            assert_eq!(read_timestamp(text), noon, "{text}");
        }
        for text in
            ["", "now", "2026-02-30T00:00:00Z", "2026-01-01", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z"]
        {
            assert_eq!(read_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them_and_read_back() {
        for (seconds, nanos, text) in [
            (0, 0, "0s"),
            (0, 1, "1ns"),
            (0, 1_500, "1.5µs"),
            (0, 250_000_000, "250ms"),
            (1, 500_000_000, "1.5s"),
            (90, 0, "1m30s"),
            (5_400, 0, "1h30m0s"),
            (-2, -500_000_000, "-2.5s"),
            (360_000, 0, "100h0m0s"),
        ] {
            let length = Duration { seconds, nanos };
            assert_eq!(duration(&length), text);
            assert_eq!(read_duration(text), Some(length), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_python_prints_them_too() {
        for (text, seconds, nanos) in
            [("0:01:30", 90, 0), ("1 day, 0:00:01.500000", 86_401, 500_000_000), ("-1 day, 23:59:59", -1, 0)]
        {
            assert_eq!(read_duration(text), Some(Duration { seconds, nanos }), "{text}");
        }
        for text in ["", "5", "5 s", "1h-3m", "s", "1x", "1:2"] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }
}
