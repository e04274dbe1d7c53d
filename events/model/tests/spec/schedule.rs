//! What a schedule says, and which times those are.

use skein_idl::flyteidl::admin::{self, schedule::ScheduleExpression};
use skein_model::schedule::{History, LastTick, ScheduleError, Skip, tick_name};
use skein_model::task_settings::Given;
use skein_model::{CatchUp, Schedule, ScheduleEvent, SchedulePolicy, ScheduleRule, ScheduleRules, Timestamp};
use std::collections::BTreeMap;

fn read(expression: ScheduleExpression, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
    let given = admin::Schedule { schedule_expression: Some(expression), ..Default::default() };
    Ok(Schedule::read(&given, zone)?.expect("it says a time"))
}

fn cron(schedule: &str) -> Result<Schedule, ScheduleError> {
    cron_in(schedule, None)
}

fn cron_in(schedule: &str, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
    let cron = admin::CronSchedule { schedule: schedule.to_owned(), offset: String::new() };
    read(ScheduleExpression::CronSchedule(cron), zone)
}

fn six(expression: &str) -> Result<Schedule, ScheduleError> {
    read(ScheduleExpression::CronExpression(expression.to_owned()), None)
}

fn rate(value: u32, unit: i32) -> Result<Schedule, ScheduleError> {
    read(ScheduleExpression::Rate(admin::FixedRate { value, unit }), None)
}

fn time(text: &str) -> Timestamp {
    let time: jiff::Timestamp = text.parse().expect("a time");
    Timestamp::from_micros(time.as_microsecond())
}

fn text(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.as_micros()).expect("a time").to_string()
}

/// The first times of a schedule after one.
fn after(schedule: &Schedule, begin: &str, count: usize) -> Vec<String> {
    let (mut at, mut times) = (time(begin), Vec::new());
    while times.len() < count
        && let Some(next) = schedule.next_after(Timestamp::EPOCH, at)
    {
        times.push(text(next));
        at = next;
    }
    times
}

fn refused(schedule: Result<Schedule, ScheduleError>) -> String {
    schedule.expect_err("it is wrong").to_string()
}

#[test]
fn every_word_and_form_that_the_sdk_lets_through_is_read() {
    let begin = "2026-11-23T11:30:44Z";
    let each = [
        ("hourly", "2026-11-23T12:00:00Z"),
        ("hours", "2026-11-23T12:00:00Z"),
        ("@hourly", "2026-11-23T12:00:00Z"),
        ("daily", "2026-11-24T00:00:00Z"),
        ("days", "2026-11-24T00:00:00Z"),
        ("@daily", "2026-11-24T00:00:00Z"),
        ("@midnight", "2026-11-24T00:00:00Z"),
        ("weekly", "2026-11-29T00:00:00Z"),
        ("weeks", "2026-11-29T00:00:00Z"),
        ("@Weekly", "2026-11-29T00:00:00Z"),
        ("monthly", "2026-12-01T00:00:00Z"),
        ("months", "2026-12-01T00:00:00Z"),
        ("@monthly", "2026-12-01T00:00:00Z"),
        ("annually", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        ("yearly", "2027-01-01T00:00:00Z"),
        ("years", "2027-01-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("*/1 * * * *", "2026-11-23T11:31:00Z"),
        ("0 9 * * MON-FRI", "2026-11-24T09:00:00Z"),
        ("0/15 12 * * *", "2026-11-23T12:00:00Z"),
        ("0 0 ? * 7", "2026-11-29T00:00:00Z"),
        ("0 0 L * *", "2026-11-30T00:00:00Z"),
        ("0 0 1 jan,jul *", "2027-01-01T00:00:00Z"),
        ("0 0 13 * fri", "2026-11-27T00:00:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00:00Z"),
    ];
    for (expression, expected) in each {
        let schedule = cron(expression).expect(expression);
        assert_eq!(after(&schedule, begin, 1), [expected], "{expression}");
        assert_eq!(schedule.to_string(), expression);
    }
}

#[test]
fn the_older_form_counts_days_of_the_week_from_one_and_has_a_year() {
    let mondays = six("15 10 ? * 2 *").expect("it is right");
    assert_eq!(after(&mondays, "2026-11-23T11:30:44Z", 1), ["2026-11-30T10:15:00Z"]);
    let once = six("0 12 1 1 ? 2027").expect("it is right");
    assert_eq!(after(&once, "2026-11-23T11:30:44Z", 2), ["2027-01-01T12:00:00Z"]);
}

#[test]
fn a_time_zone_stands_before_the_fields_or_is_said_apart() {
    for word in ["CRON_TZ", "TZ"] {
        let schedule = cron(&format!("{word}=Asia/Tokyo 0 9 * * *")).expect("it is right");
        assert_eq!(after(&schedule, "2026-11-23T11:30:44Z", 1), ["2026-11-24T00:00:00Z"]);
        assert_eq!(schedule.zone(), Some("Asia/Tokyo"));
    }
    let said = cron_in("0 9 * * *", Some("America/New_York")).expect("it is right");
    assert_eq!(after(&said, "2026-11-23T11:30:44Z", 1), ["2026-11-23T14:00:00Z"]);
    let both = cron_in("CRON_TZ=UTC @daily", Some("America/New_York")).expect("it is right");
    assert_eq!(after(&both, "2026-11-23T11:30:44Z", 1), ["2026-11-24T00:00:00Z"], "its own counts for more");
}

#[test]
fn a_fixed_time_in_a_gap_comes_right_after_it_and_one_in_an_overlap_comes_once() {
    let daily = cron("CRON_TZ=Europe/Berlin 30 2 * * *").expect("it is right");
    // On 29 March 2026 the clock goes from 2:00 to 3:00, which is 1:00 UTC.
    assert_eq!(
        after(&daily, "2026-03-28T00:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    // On 25 October 2026 it goes from 3:00 back to 2:00, which is 1:00 UTC.
    assert_eq!(after(&daily, "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
}

#[test]
fn what_comes_all_the_time_leaves_a_gap_out_and_comes_in_both_hours_of_an_overlap() {
    let often = cron("CRON_TZ=Europe/Berlin */30 * * * *").expect("it is right");
    assert_eq!(
        after(&often, "2026-03-29T00:20:00Z", 3),
        ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
    );
    assert_eq!(
        after(&often, "2026-10-24T23:50:00Z", 5),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-25T02:00:00Z"
        ]
    );
}

#[test]
fn going_back_finds_the_same_times_as_going_on_also_where_clocks_change() {
    let each = ["30 2 * * *", "*/20 * * * *", "0 2,3 * * *", "15 */2 * * *", "0 0 * * *"];
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "UTC"] {
        for expression in each {
            let schedule = cron_in(expression, Some(zone)).expect(expression);
            for begin in ["2026-03-06T00:00:00Z", "2026-03-27T12:00:00Z", "2026-10-23T12:00:00Z"] {
                let mut at = time(begin);
                for _ in 0..400 {
                    let next = schedule.next_after(Timestamp::EPOCH, at).expect("there is always one more");
                    let again =
                        schedule.next_after(Timestamp::EPOCH, next).expect("there is always one more");
                    let back = schedule.last_before(Timestamp::EPOCH, again);
                    assert_eq!(
                        back.map(text),
                        Some(text(next)),
                        "{expression} in {zone}, before {}",
                        text(again)
                    );
                    at = next;
                }
            }
        }
    }
}

#[test]
fn a_rate_is_in_minutes_hours_or_days() {
    let each =
        [(1, 0, "every minute"), (90, 0, "every 90 minutes"), (2, 1, "every 2 hours"), (1, 2, "every day")];
    for (value, unit, expected) in each {
        assert_eq!(rate(value, unit).expect("it is right").to_string(), expected);
    }
    let two = rate(2, 1).expect("it is right");
    let since = time("2026-11-23T11:30:44.75Z");
    let next = two.next_after(since, since).expect("there is always one more");
    assert_eq!(text(next), "2026-11-23T13:30:44Z", "it counts from the second in which it was activated");
    assert_eq!(two.last_before(since, next), None);
    assert_eq!(two.last_before(since, Timestamp::from_micros(next.as_micros() + 1)), Some(next));
}

#[test]
fn what_is_wrong_is_told_with_field_value_and_what_would_be_right() {
    let five = "it has to be five fields for minute, hour, day of month, month and day of week, such as \
                \"0 9 * * MON-FRI\", or one of @hourly, @daily, @weekly, @monthly and @yearly; CRON_TZ=Europe/Berlin \
                before it names a time zone";
    for expression in
        ["61 * * * *", "a b c d e", "* * * *", "* * * * * *", "", "@every 5m", "5-1 * * * *", "CRON_TZ=UTC"]
    {
        let told = refused(cron(expression));
        assert!(told.starts_with(&format!("cron_schedule.schedule is {expression:?}: ")), "{told}");
        assert!(told.ends_with(five), "{told}");
    }
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *"] {
        assert_eq!(
            refused(cron(never)),
            format!("cron_schedule.schedule is {never:?}, which never comes: there is no such date")
        );
    }
    assert_eq!(
        refused(cron("CRON_TZ=Mars/Base 0 9 * * *")),
        "the time zone of cron_schedule.schedule is \"Mars/Base\"; it has to be a name of the IANA database such as \
         Europe/Berlin, or UTC"
    );
    assert_eq!(refused(rate(0, 0)), "rate.value is 0; it has to be a whole number from 1 to a hundred years");
    assert_eq!(
        refused(rate(u32::MAX, 2)),
        "rate.value is 4294967295; it has to be a whole number from 1 to a hundred years"
    );
    assert_eq!(refused(rate(1, 9)), "rate.unit is 9; it has to be MINUTE (0), HOUR (1) or DAY (2)");
    assert!(refused(six("0 12 * * *")).starts_with("cron_expression is \"0 12 * * *\": "));
    let offset = admin::CronSchedule { schedule: "@daily".to_owned(), offset: "P1D".to_owned() };
    assert!(refused(read(ScheduleExpression::CronSchedule(offset), None)).contains("offsets are not served"));
}

#[test]
fn a_name_is_the_same_for_one_tick_and_another_for_any_other() {
    let at = time("2026-11-23T11:30:44Z");
    let name = tick_name("p", "d", "lp", at);
    assert_eq!(name.len(), 20);
    assert!(skein_model::ExecutionId::parse_new("p", "d", &name).is_ok());
    assert_eq!(name, tick_name("p", "d", "lp", at));
    let others = [
        tick_name("q", "d", "lp", at),
        tick_name("p", "e", "lp", at),
        tick_name("p", "d", "lq", at),
        tick_name("p", "d", "lp", time("2026-11-23T11:30:45Z")),
    ];
    assert!(!others.contains(&name));
}

#[test]
fn a_history_knows_the_last_tick_what_was_skipped_and_what_may_not_be_there_yet() {
    let mut history = History::default();
    assert_eq!(history.decided(), None);
    let at = |minute: i64| Timestamp::from_micros(minute * 60_000_000);
    let version = || "v1".to_owned();
    history.apply(&ScheduleEvent::Ticked { version: version(), at: at(1), execution: "f1".to_owned() });
    assert_eq!(history.outstanding().map(|tick| tick.execution.as_str()), Some("f1"));
    history.apply(&ScheduleEvent::Refused { at: at(1), reason: "no".to_owned() });
    assert_eq!(history.outstanding(), None);
    let refused = Some("no".to_owned());
    assert_eq!(
        history.last,
        Some(LastTick { version: version(), at: at(1), execution: "f1".to_owned(), refused })
    );
    let skip = Skip { first: at(2), last: at(5), ticks: 4, catch_up: CatchUp::None };
    history.apply(&ScheduleEvent::Skipped { version: version(), skip });
    assert_eq!(history.decided(), Some(at(5)));
}

#[test]
fn what_a_launch_plan_says_of_itself_counts_before_the_last_rule_that_matches() {
    let rule = |given: &[(&str, &str)]| {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), Given::Text((*value).to_owned())));
        ScheduleRule::read(&given.collect())
    };
    let rules = ScheduleRules::new(vec![
        rule(&[("catch_up", "last"), ("time_zone", "Europe/Berlin")]).expect("it is right"),
        rule(&[("name", "etl.*"), ("catch_up", "3")]).expect("it is right"),
    ]);
    let zone = Some("Europe/Berlin".to_owned());
    let nothing = SchedulePolicy::default();
    let said = rules.resolve("p", "d", "etl.load", &nothing);
    assert_eq!(said, SchedulePolicy { time_zone: zone.clone(), catch_up: Some(CatchUp::Latest(3)) });
    let annotations = BTreeMap::from([("skein/catch-up".to_owned(), "none".to_owned())]);
    let own = SchedulePolicy::of(&annotations).expect("it is right");
    let said = rules.resolve("p", "d", "etl.load", &own);
    assert_eq!(said, SchedulePolicy { time_zone: zone, catch_up: Some(CatchUp::None) });
    let told = |given: &[(&str, &str)]| rule(given).expect_err("it is wrong").to_string();
    assert_eq!(
        told(&[("catch_up", "some")]),
        "catch_up is \"some\"; it has to be \"none\", \"last\", \"all\", or a whole number from 1 to 1000"
    );
    assert_eq!(
        told(&[("time_zone", "Mars")]),
        "time_zone is \"Mars\"; it has to be a time zone of the IANA database, such as \"Europe/Berlin\""
    );
    let annotations = BTreeMap::from([("skein/time-zone".to_owned(), "Mars".to_owned())]);
    let told = SchedulePolicy::of(&annotations).expect_err("it is wrong").to_string();
    assert!(told.starts_with("skein/time-zone is \"Mars\"; it has to be"), "{told}");
}
