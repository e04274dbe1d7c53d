//! Schedules: what is refused when they are registered, and what is told of them.

use crate::definitions::*;
use crate::harness::{Harness, refusal};
use serde_json::Value;
use skein_gateway::Config;
use skein_idl::flyteidl::admin::{self, schedule::ScheduleExpression};
use skein_idl::flyteidl::core::{Identifier, ResourceType, SimpleType};
use skein_log::EventLog as _;
use skein_model::schedule::Skip;
use skein_model::task_settings::Given;
use skein_model::{
    CatchUp, CauseId, Head, JournalId, Record, ScheduleEvent, ScheduleRule, ScheduleRules, Timestamp, codec,
};
use std::sync::atomic::Ordering;
use tonic::Code;

const API: &str = "/api/v1/schedules";

fn cron(schedule: &str) -> ScheduleExpression {
    let schedule = schedule.to_owned();
    ScheduleExpression::CronSchedule(admin::CronSchedule { schedule, ..Default::default() })
}

fn every_minutes(value: u32) -> ScheduleExpression {
    ScheduleExpression::Rate(admin::FixedRate { value, unit: admin::FixedRateUnit::Minute.into() })
}

/// A launch plan of `timed(at: datetime, x: int)` that fixes `x`, with a schedule that gives `kickoff` the time.
fn scheduled(version: &str, expression: ScheduleExpression, kickoff: &str) -> admin::LaunchPlanCreateRequest {
    let mut request = launch_plan("m.timed", version, "m.timed");
    let spec = request.spec.as_mut().unwrap();
    spec.workflow_id.as_mut().unwrap().version = "v1".to_owned();
    spec.fixed_inputs = Some(literals(&[("x", integer(1))]));
    spec.entity_metadata = Some(admin::LaunchPlanMetadata {
        schedule: Some(admin::Schedule {
            schedule_expression: Some(expression),
            kickoff_time_input_arg: kickoff.to_owned(),
        }),
        ..Default::default()
    });
    request
}

fn annotated(
    mut request: admin::LaunchPlanCreateRequest,
    of: &[(&str, &str)],
) -> admin::LaunchPlanCreateRequest {
    let values = of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    request.spec.as_mut().unwrap().annotations = Some(admin::Annotations { values });
    request
}

async fn start(config: Config) -> Harness {
    let harness = Harness::start_with(config).await;
    register(&harness).await;
    let mut timed = workflow("m.timed", "v1");
    let template = timed.spec.as_mut().unwrap().template.as_mut().unwrap();
    template.interface = Some(interface(
        &[("x", of_type(SimpleType::Integer)), ("at", of_type(SimpleType::Datetime))],
        &[("o0", of_type(SimpleType::Integer))],
    ));
    harness.admin().create_workflow(timed).await.unwrap();
    harness
}

async fn told(harness: &Harness, request: admin::LaunchPlanCreateRequest) -> String {
    let (code, text) = refusal(harness.admin().create_launch_plan(request).await);
    assert_eq!(code, Code::InvalidArgument, "{text}");
    text
}

async fn update(harness: &Harness, version: &str, state: admin::LaunchPlanState) {
    let id: Identifier = id(ResourceType::LaunchPlan, "m.timed", version);
    let request = admin::LaunchPlanUpdateRequest { id: Some(id), state: state.into() };
    harness.admin().update_launch_plan(request).await.unwrap();
}

async fn get(harness: &Harness, target: &str, expected: u16) -> Value {
    let (status, body) = harness.http("GET", target, &[], &[]).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, expected, "{target}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Records what an engine records.
async fn tick(harness: &Harness, event: ScheduleEvent) {
    let journal = JournalId::ticks(PROJECT, DOMAIN, "m.timed", 0);
    let head: Head = harness.log.head(&journal).await.unwrap();
    let time = Timestamp::from_micros(harness.now.load(Ordering::Relaxed));
    let body = codec::encode(&[event]).unwrap();
    let record = Record { time, cause: CauseId(0), trace: None, closes: true, body };
    harness.log.append(&journal, head, record).await.unwrap();
}

#[tokio::test]
async fn a_schedule_that_cannot_be_is_refused_with_field_value_and_what_would_be_right() {
    let harness = start(Config::default()).await;
    let each = [
        (
            cron("0 0 30 2 *"),
            "cron_schedule.schedule is \"0 0 30 2 *\", which never comes: there is no such date",
        ),
        (cron("61 * * * *"), "cron_schedule.schedule is \"61 * * * *\": "),
        (cron("sometimes"), "cron_schedule.schedule is \"sometimes\": "),
        (
            cron("CRON_TZ=Mars/Base @daily"),
            "the time zone of cron_schedule.schedule is \"Mars/Base\"; it has to be",
        ),
        (every_minutes(0), "rate.value is 0; it has to be a whole number from 1"),
        (
            ScheduleExpression::CronExpression("0 12 1 1 ? 1999".to_owned()),
            "its schedule is \"0 12 1 1 ? 1999\", of which all times have passed",
        ),
    ];
    for (expression, expected) in each {
        let text = told(&harness, scheduled("v1", expression, "at")).await;
        assert!(text.starts_with(&format!("launch plan m.timed: {expected}")), "{text}");
    }
    let annotations = [("skein/catch-up", "some"), ("skein/time-zone", "Mars/Base")];
    for (name, value) in annotations {
        let text = told(&harness, annotated(scheduled("v1", cron("@daily"), "at"), &[(name, value)])).await;
        assert!(text.contains(&format!("annotation {name} is {value:?}; it has to be")), "{text}");
    }
}

#[tokio::test]
async fn every_input_needs_a_value_and_the_time_goes_to_one_that_takes_it() {
    let harness = start(Config::default()).await;
    assert_eq!(
        told(&harness, scheduled("v1", cron("@daily"), "")).await,
        "a launch plan with a schedule needs a value for input \"at\", which has neither default nor fixed value"
    );
    let right = "it has to be the name of an input of type datetime";
    assert_eq!(
        told(&harness, scheduled("v1", cron("@daily"), "when")).await,
        format!(
            "launch plan m.timed: kickoff_time_input_arg is \"when\", and its workflow has no such input; {right}"
        )
    );
    assert_eq!(
        told(&harness, scheduled("v1", cron("@daily"), "x")).await,
        format!(
            "launch plan m.timed: kickoff_time_input_arg is \"x\", which is fixed by the launch plan; {right}"
        )
    );
    let mut open = scheduled("v1", cron("@daily"), "x");
    open.spec.as_mut().unwrap().fixed_inputs = None;
    assert_eq!(
        told(&harness, open).await,
        format!("launch plan m.timed: kickoff_time_input_arg is \"x\", which is of another type; {right}")
    );
    harness.admin().create_launch_plan(scheduled("v1", cron("@daily"), "at")).await.unwrap();
}

#[tokio::test]
async fn what_is_active_is_listed_with_what_comes_next_and_what_came_last() {
    let given = [("catch_up".to_owned(), Given::Text("last".to_owned()))];
    let rules = ScheduleRules::new(vec![ScheduleRule::read(&given.into()).unwrap()]);
    let harness = start(Config { schedule_rules: rules, ..Config::default() }).await;
    let mut admin = harness.admin();
    let zone = [("skein/time-zone", "Europe/Berlin")];
    let daily = annotated(scheduled("v1", cron("0 9 * * *"), "at"), &zone);
    admin.create_launch_plan(daily).await.unwrap();
    admin
        .create_launch_plan(annotated(scheduled("v2", every_minutes(5), "at"), &[("skein/catch-up", "3")]))
        .await
        .unwrap();
    assert_eq!(get(&harness, API, 200).await["schedules"], serde_json::json!([]));
    let now =
        |seconds: i64| harness.now.store(1_795_433_444_000_000 + seconds * 1_000_000, Ordering::Relaxed);
    now(0);
    update(&harness, "v1", admin::LaunchPlanState::Active).await;
    let listed = get(&harness, API, 200).await;
    assert_eq!(
        listed["schedules"],
        serde_json::json!([{
            "project": PROJECT, "domain": DOMAIN, "name": "m.timed", "version": "v1",
            "since": "2026-11-23T11:30:44Z", "expression": "0 9 * * *", "time_zone": "Europe/Berlin",
            "catch_up": "last", "next": "2026-11-24T08:00:00Z", "last": null, "skipped": null,
        }])
    );
    now(60);
    update(&harness, "v2", admin::LaunchPlanState::Active).await;
    let at = Timestamp::from_micros(1_795_433_444_000_000 + 360 * 1_000_000);
    let skip = Skip { first: at, last: at, ticks: 1, catch_up: CatchUp::Latest(3) };
    tick(&harness, ScheduleEvent::Skipped { version: "v2".to_owned(), skip }).await;
    let at = at.after(std::time::Duration::from_secs(300));
    let (version, execution) = ("v2".to_owned(), "f0".to_owned());
    tick(&harness, ScheduleEvent::Ticked { version, at, execution }).await;
    tick(&harness, ScheduleEvent::Refused { at, reason: "no".to_owned() }).await;
    let listed = get(&harness, &format!("{API}?name=m.timed&project={PROJECT}"), 200).await;
    let one = &listed["schedules"][0];
    assert_eq!((&one["version"], &one["expression"]), (&"v2".into(), &"every 5 minutes".into()));
    assert_eq!(one["next"], "2026-11-23T11:46:44Z");
    assert_eq!(one["last"]["refused"], "no");
    assert!(one["skipped"]["why"].as_str().unwrap().contains("only the last 3 of those are caught up with"));
    assert_eq!(get(&harness, &format!("{API}?name=other"), 200).await["schedules"], serde_json::json!([]));
    let refused = get(&harness, &format!("{API}?nam=other"), 400).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("say project, domain or name"));
    update(&harness, "v2", admin::LaunchPlanState::Inactive).await;
    assert_eq!(get(&harness, API, 200).await["schedules"], serde_json::json!([]));
}
