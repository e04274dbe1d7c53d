//! Which time of a schedule is next, and what becomes of those that were missed.

use proptest::prelude::*;
use skein_core::ticks::{Next, Ticking};
use skein_idl::flyteidl::admin::{self, schedule::ScheduleExpression};
use skein_model::schedule::Skip;
use skein_model::{CatchUp, Schedule, Timestamp};

const MINUTE: i64 = 60;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn every_minutes(value: u32) -> Schedule {
    let rate = admin::FixedRate { value, unit: admin::FixedRateUnit::Minute.into() };
    read(ScheduleExpression::Rate(rate))
}

fn cron(schedule: &str) -> Schedule {
    let cron = admin::CronSchedule { schedule: schedule.to_owned(), ..Default::default() };
    read(ScheduleExpression::CronSchedule(cron))
}

fn read(expression: ScheduleExpression) -> Schedule {
    let given = admin::Schedule { schedule_expression: Some(expression), ..Default::default() };
    Schedule::read(&given, None).unwrap().unwrap()
}

fn ticking(schedule: Schedule, catch_up: CatchUp) -> Ticking {
    Ticking { schedule, since: at(0), catch_up }
}

/// What is done until there is nothing to do at `now`: what is started, and what is left out.
fn all(ticking: &Ticking, mut decided: Option<Timestamp>, now: Timestamp) -> (Vec<Timestamp>, Vec<Skip>) {
    let (mut started, mut skipped) = (Vec::new(), Vec::new());
    loop {
        match ticking.next(decided, now) {
            Next::Start(time) => {
                started.push(time);
                decided = Some(time);
            }
            Next::Skip(skip) => {
                decided = Some(skip.last);
                skipped.push(skip);
            }
            Next::Wait(_) | Next::Never => return (started, skipped),
        }
    }
}

#[test]
fn a_rate_counts_from_when_it_was_activated() {
    let ticking = Ticking { since: at(7), ..ticking(every_minutes(5), CatchUp::All) };
    assert_eq!(ticking.next(None, at(7)), Next::Wait(at(7 + 5 * MINUTE)));
    assert_eq!(ticking.next(None, at(7 + 5 * MINUTE)), Next::Start(at(7 + 5 * MINUTE)));
    assert_eq!(ticking.next(Some(at(7 + 5 * MINUTE)), at(7 + 5 * MINUTE)), Next::Wait(at(7 + 10 * MINUTE)));
}

#[test]
fn a_time_before_the_activation_is_none_of_ours() {
    let ticking = Ticking { since: at(30 * MINUTE), ..ticking(cron("0 * * * *"), CatchUp::All) };
    assert_eq!(ticking.next(None, at(30 * MINUTE)), Next::Wait(at(60 * MINUTE)));
    assert_eq!(ticking.next(Some(at(0)), at(30 * MINUTE)), Next::Wait(at(60 * MINUTE)));
}

#[test]
fn a_clock_that_steps_back_starts_nothing_twice() {
    let ticking = ticking(every_minutes(1), CatchUp::All);
    let decided = Some(at(10 * MINUTE));
    assert_eq!(ticking.next(decided, at(8 * MINUTE)), Next::Wait(at(11 * MINUTE)));
    assert_eq!(ticking.next(decided, at(11 * MINUTE)), Next::Start(at(11 * MINUTE)));
}

#[test]
fn with_all_each_time_that_was_missed_is_started_in_its_order() {
    let (started, skipped) = all(&ticking(every_minutes(1), CatchUp::All), None, at(4 * MINUTE + 30));
    assert_eq!(started, [1, 2, 3, 4].map(|minute| at(minute * MINUTE)));
    assert!(skipped.is_empty());
}

#[test]
fn with_last_one_time_that_was_missed_is_started_and_the_others_are_told_as_skipped() {
    let last = ticking(every_minutes(1), CatchUp::Latest(1));
    let (started, skipped) = all(&last, None, at(4 * MINUTE + 30));
    assert_eq!(started, [at(4 * MINUTE)]);
    let skip = Skip { first: at(MINUTE), last: at(3 * MINUTE), ticks: 3, catch_up: CatchUp::Latest(1) };
    assert_eq!(skipped, [skip]);
}

#[test]
fn with_a_number_so_many_of_the_latest_are_started() {
    let three = ticking(cron("0 0 * * *"), CatchUp::Latest(3));
    let day = 24 * 60 * MINUTE;
    let (started, skipped) = all(&three, None, at(10 * day + 5));
    assert_eq!(started, [8, 9, 10].map(|days| at(days * day)));
    assert_eq!((skipped[0].first, skipped[0].last, skipped[0].ticks), (at(day), at(7 * day), 7));
    let (started, skipped) = all(&three, Some(at(8 * day)), at(10 * day));
    assert_eq!(started, [9, 10].map(|days| at(days * day)), "fewer than that are all of them");
    assert!(skipped.is_empty());
}

#[test]
fn with_none_what_is_late_by_less_than_a_minute_is_started_and_what_was_missed_is_not() {
    let none = ticking(every_minutes(5), CatchUp::None);
    assert_eq!(none.next(None, at(5 * MINUTE + 59)), Next::Start(at(5 * MINUTE)));
    let (started, skipped) = all(&none, None, at(12 * MINUTE));
    assert!(started.is_empty());
    assert_eq!((skipped[0].first, skipped[0].last, skipped[0].ticks), (at(5 * MINUTE), at(10 * MINUTE), 2));
    let (started, skipped) = all(&none, None, at(15 * MINUTE + 10));
    assert_eq!(started, [at(15 * MINUTE)]);
    assert_eq!(skipped[0].last, at(10 * MINUTE));
}

#[test]
fn what_was_missed_for_years_is_counted_up_to_a_limit() {
    let last = ticking(every_minutes(1), CatchUp::Latest(1));
    let years = 10 * 365 * 24 * 60 * MINUTE;
    let Next::Skip(skip) = last.next(None, at(years)) else { panic!("all but one are left out") };
    assert_eq!((skip.ticks, skip.last), (Skip::TICKS_MAX, at(years - MINUTE)));
}

proptest! {
    /// However often somebody looks, and whatever the clock does, each time is decided once and in order.
    #[test]
    fn each_time_is_started_once_whatever_the_clock_does(
        looks in prop::collection::vec(0..100_i64, 1..40),
        number in prop_oneof![Just(CatchUp::All), Just(CatchUp::None), (1..5_u32).prop_map(CatchUp::Latest)],
    ) {
        let ticking = ticking(every_minutes(3), number);
        let (mut decided, mut started) = (None, Vec::new());
        for look in &looks {
            let (new, skipped) = all(&ticking, decided, at(look * MINUTE));
            let last = new.iter().copied().chain(skipped.iter().map(|skip| skip.last)).max();
            decided = decided.max(last);
            started.extend(new);
        }
        prop_assert!(started.windows(2).all(|pair| pair[0] < pair[1]), "{started:?}");
        if number == CatchUp::All {
            let latest = looks.iter().max().copied().unwrap_or(0) / 3;
            prop_assert_eq!(started.len() as i64, latest);
        }
    }
}
