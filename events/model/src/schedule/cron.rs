//! Cron expressions, in the two forms that the SDK knows.

use super::{ScheduleError, time_zone};
use crate::time::Timestamp;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use jiff::tz::TimeZone;

/// The field of the form with five fields.
const SCHEDULE: &str = "cron_schedule.schedule";
/// The field of the form with six.
pub(super) const EXPRESSION: &str = "cron_expression";
/// What may stand before the fields and names a time zone, as other programs have it.
const ZONE_WORDS: [&str; 2] = ["CRON_TZ=", "TZ="];
/// Words that the SDK lets through, beside those that begin with `@`.
const ALIASES: [(&str, &str); 11] = [
    ("hours", "0 * * * *"),
    ("hourly", "0 * * * *"),
    ("days", "0 0 * * *"),
    ("daily", "0 0 * * *"),
    ("midnight", "0 0 * * *"),
    ("weeks", "0 0 * * 0"),
    ("weekly", "0 0 * * 0"),
    ("months", "0 0 1 * *"),
    ("monthly", "0 0 1 * *"),
    ("years", "0 0 1 1 *"),
    ("yearly", "0 0 1 1 *"),
];

/// A cron expression in a time zone.
#[derive(Clone)]
pub(super) struct Cron {
    expression: String,
    pattern: croner::Cron,
    zone: TimeZone,
    zone_name: String,
}

impl Cron {
    /// Reads minute, hour, day of month, month and day of week, or a word for some of them.
    pub(super) fn five(text: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let (named, fields) = split(text);
        let word = fields.to_lowercase();
        let bare = word.strip_prefix('@').unwrap_or(&word);
        let bare = if bare == "annually" { "yearly" } else { bare };
        let known = ALIASES.iter().find(|(alias, _)| *alias == bare);
        let fields = known.map_or(fields, |(_, fields)| fields);
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .sloppy_ranges(true)
            .build();
        Self::read(SCHEDULE, text, named.or(zone), fields, &parser)
    }

    /// Reads minute, hour, day of month, month, day of week from 1 on, and year.
    pub(super) fn six(text: &str, zone: Option<&str>) -> Result<Self, ScheduleError> {
        let (named, fields) = split(text);
        let parser = CronParser::builder()
            .seconds(Seconds::Required)
            .year(Year::Required)
            .alternative_weekdays(true)
            .sloppy_ranges(true)
            .build();
        Self::read(EXPRESSION, text, named.or(zone), &format!("0 {fields}"), &parser)
    }

    fn read(
        field: &'static str,
        text: &str,
        zone: Option<&str>,
        fields: &str,
        parser: &CronParser,
    ) -> Result<Self, ScheduleError> {
        let zone_name = zone.unwrap_or("UTC").to_owned();
        let Some(zone) = time_zone(&zone_name) else {
            return Err(ScheduleError::Zone { field, zone: zone_name });
        };
        let expression = text.trim().to_owned();
        let pattern = match parser.parse(fields) {
            Ok(pattern) => pattern,
            Err(reason) => {
                let reason = reason.to_string().trim_end_matches('.').to_owned();
                return Err(ScheduleError::Cron { field, expression, reason });
            }
        };
        let cron = Self { expression, pattern, zone, zone_name };
        // What is in the past only never comes either.
        match cron.next_after(Timestamp::EPOCH) {
            Some(_) => Ok(cron),
            None => Err(ScheduleError::Never { field, expression: cron.expression }),
        }
    }

    pub(super) fn expression(&self) -> &str {
        &self.expression
    }

    pub(super) fn zone(&self) -> &str {
        &self.zone_name
    }

    pub(super) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = self.zoned(after)?;
        self.pattern.find_next_occurrence(&after, false).ok().map(|found| moment(&found))
    }

    pub(super) fn last_before(&self, before: Timestamp) -> Option<Timestamp> {
        let before = self.zoned(before)?;
        self.pattern.find_previous_occurrence(&before, false).ok().map(|found| moment(&found))
    }

    fn zoned(&self, at: Timestamp) -> Option<Zoned> {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

fn moment(zoned: &Zoned) -> Timestamp {
    Timestamp::from_micros(zoned.timestamp().as_microsecond())
}

/// Answers the time zone that stands before the fields, and the fields.
fn split(text: &str) -> (Option<&str>, &str) {
    let text = text.trim();
    let zoned = ZONE_WORDS.iter().find_map(|word| text.strip_prefix(word));
    match zoned {
        Some(rest) => {
            let (zone, fields) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Some(zone), fields.trim())
        }
        None => (None, text),
    }
}
