//! A restart of this server makes nothing twice.

use crate::answers::{at, done};
use crate::fake::Reply;
use crate::house::House;
use prost::Message as _;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_model::command::Outcome;
use skein_model::{Charge, ConnectorWork, FailureCause, Job, JobPhase, Work};
use std::time::Duration;

/// The same work as an engine hands it out that performs it again.
fn again(work: &Work, job: Option<Job>) -> Work {
    let connector = ConnectorWork { job, was_started: true, ..*work.connector.clone().unwrap() };
    Work { connector: Some(Box::new(connector)), ..work.clone() }
}

async fn with_a_job_out() -> (House, Work, Job) {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::resource(at(Phase::Running))]);
    let work = house.work("job").await;
    house.offer(work.clone()).await;
    let job = house.job().await;
    (house, work, job)
}

#[tokio::test]
async fn a_recorded_job_is_asked_after_and_not_made_again() {
    let (mut house, work, job) = with_a_job_out().await;
    house.crash();
    std::fs::remove_dir_all(house.folder.path().join("connectors")).unwrap();
    house.fake.says("GetTask", [Reply::resource(done(1))]);
    house.start();
    house.offer(again(&work, Some(job))).await;
    assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
    assert_eq!(house.fake.calls("CreateTask").len(), 1);
}

#[tokio::test]
async fn a_job_that_was_noted_and_not_recorded_is_asked_after_and_recorded_now() {
    let (mut house, work, _) = with_a_job_out().await;
    house.crash();
    house.fake.says("GetTask", [Reply::resource(done(1))]);
    house.start();
    house.offer(again(&work, None)).await;
    assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
    assert_eq!(house.fake.calls("CreateTask").len(), 1);
    assert_eq!(house.told[0].resource_meta.as_deref(), Some(b"j1".as_slice()));
}

#[tokio::test]
async fn a_job_of_which_nothing_is_known_is_not_made_again_unless_the_connector_sees_to_that() {
    for is_idempotent in [false, true] {
        let mut house = House::with(|connector| {
            connector.is_idempotent = is_idempotent;
            connector.call_timeout = Duration::from_secs(60);
        })
        .await;
        house.fake.says("CreateTask", [Reply::Nothing]);
        let work = house.work("job").await;
        house.offer(work.clone()).await;
        house.called("CreateTask", 1).await;
        house.crash();
        house.fake.says("CreateTask", [Reply::meta(b"j1")]);
        house.fake.says("GetTask", [Reply::resource(done(1))]);
        house.start();
        house.offer(again(&work, None)).await;
        match house.outcome().await {
            Outcome::Failed(failure) => {
                assert!(!is_idempotent);
                assert_eq!((failure.cause, failure.charge), (FailureCause::JobUnresolved, Charge::System));
                assert!(failure.message.contains("was not created again"), "{}", failure.message);
            }
            Outcome::Succeeded { .. } | Outcome::MadeNodes { .. } => assert!(is_idempotent),
        }
        assert_eq!(house.fake.calls("CreateTask").len(), if is_idempotent { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_connector_that_could_not_be_reached_since_has_heard_nothing_and_is_asked_now() {
    for (phase, is_asked) in [(JobPhase::Unreachable, true), (JobPhase::Queued, false)] {
        let mut house = House::new().await;
        house.fake.says("CreateTask", [Reply::meta(b"j1")]);
        house.fake.says("GetTask", [Reply::resource(done(1))]);
        let recorded = Job {
            connector: house.fake.url.clone(),
            resource_meta: None,
            since: skein_model::Timestamp::from_micros(7),
            phase,
            message: String::new(),
            logs: Vec::new(),
            custom_info: bytes::Bytes::new(),
        };
        house.offer(again(&house.work("job").await, Some(recorded))).await;
        assert_eq!(matches!(house.outcome().await, Outcome::Succeeded { .. }), is_asked);
        assert_eq!(house.fake.calls("CreateTask").len(), usize::from(is_asked));
    }
}

#[tokio::test]
async fn a_job_whose_execution_ended_while_nobody_was_there_is_deleted() {
    let (mut house, _, _) = with_a_job_out().await;
    house.crash();
    house.nobody_wants_jobs();
    house.start();
    house.called("DeleteTask", 1).await;
    let sent = admin::DeleteTaskRequest::decode(house.fake.calls("DeleteTask")[0].clone()).unwrap();
    assert_eq!(sent.resource_meta.as_ref(), b"j1");
}

#[tokio::test]
async fn a_limit_of_time_counts_from_when_the_job_was_made_also_after_a_restart() {
    let (mut house, work, mut job) = with_a_job_out().await;
    house.crash();
    house.start();
    job.since = skein_model::Timestamp::from_micros(job.since.as_micros() - 3_600_000_000);
    let late = Work { timeout: Some(Duration::from_secs(1_800)), ..again(&work, Some(job)) };
    house.offer(late).await;
    assert_eq!(house.failure().await.cause, FailureCause::TimedOut);
}
