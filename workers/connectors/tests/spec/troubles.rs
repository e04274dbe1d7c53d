//! Connectors that hang, err, forget, or are not there.

use crate::answers::{at, done};
use crate::fake::Reply;
use crate::house::House;
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_model::command::Outcome;
use skein_model::{Charge, FailureCause, JobPhase};
use std::time::Duration;
use tonic::Code;

#[tokio::test]
async fn a_connector_that_hangs_when_it_is_to_make_a_job_is_not_asked_again() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::Nothing]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.cause, failure.charge), (FailureCause::JobUnresolved, Charge::System));
    assert_eq!(house.fake.calls("CreateTask").len(), 1);
}

#[tokio::test]
async fn one_that_is_said_to_be_idempotent_is_asked_again_and_told_the_same_name() {
    let mut house = House::with(|connector| connector.is_idempotent = true).await;
    house.fake.says("CreateTask", [Reply::Nothing, Reply::Error(Code::Unavailable), Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::resource(done(1))]);
    house.offer(house.work("job").await).await;
    assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
    let calls = house.fake.calls("CreateTask");
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| *call == calls[0]), "the same task execution, and the same folder");
}

#[tokio::test]
async fn a_connector_that_hangs_or_errs_for_a_while_is_asked_on() {
    let mut house = House::with(|connector| connector.give_up_after = Duration::from_secs(60)).await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    let trouble = [Reply::Nothing, Reply::Error(Code::Internal), Reply::garbage(), Reply::resource(done(1))];
    house.fake.says("GetTask", trouble);
    house.offer(house.work("job").await).await;
    assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
    assert!(
        house.told.iter().any(|job| job.phase == JobPhase::Unreachable),
        "it is told that it cannot be asked"
    );
    assert_eq!(house.fake.calls("CreateTask").len(), 1);
}

#[tokio::test]
async fn one_that_hangs_for_too_long_is_given_up_and_its_job_is_deleted_first() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::Nothing]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.cause, failure.charge), (FailureCause::ConnectorFault, Charge::System));
    assert!(failure.message.contains("its job was deleted"), "{}", failure.message);
}

#[tokio::test]
async fn a_job_that_was_forgotten_may_be_made_anew_by_another_try() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::Error(Code::NotFound)]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.code.as_str(), failure.cause), ("JobForgotten", FailureCause::ConnectorFault));
    assert_eq!(failure.charge, Charge::System);
}

#[tokio::test]
async fn one_that_was_started_without_the_type_has_forgotten_nothing() {
    let mut house = House::with(|connector| connector.give_up_after = Duration::from_secs(60)).await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::Error(Code::NotFound), Reply::resource(done(1))]);
    house.offer(house.work("job").await).await;
    house.called("CreateTask", 1).await;
    house.fake.says("ListAgents", [Reply::Bytes(Vec::new())]);
    assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn a_connector_that_is_not_there_is_waited_for_and_nothing_was_begun() {
    let mut house = House::with(|connector| {
        connector.url = "http://127.0.0.1:1".to_owned();
        connector.types = ["job".to_owned()].into();
    })
    .await;
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.cause.clone(), failure.charge), (FailureCause::ConnectorFault, Charge::System));
    assert!(failure.message.contains("cannot be reached"), "{}", failure.message);
    assert_eq!((house.began, house.told.len()), (0, 1), "what is told is that it cannot be reached");
    assert_eq!(house.told[0].phase, JobPhase::Unreachable);
}

#[tokio::test]
async fn a_type_that_nobody_does_is_named_with_those_that_there_are() {
    let mut house = House::new().await;
    house.offer(house.work("other").await).await;
    let failure = house.failure().await;
    assert_eq!(failure.code, "ConnectorNotFound");
    assert!(
        failure.message.contains("type other") && failure.message.contains("call, job"),
        "{}",
        failure.message
    );
    assert!(!failure.is_retryable());
}

#[tokio::test]
async fn a_job_that_is_withdrawn_is_deleted_until_that_is_done() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::resource(at(Phase::Running))]);
    house.fake.says("DeleteTask", [Reply::Error(Code::Internal), Reply::Nothing, Reply::Bytes(Vec::new())]);
    let work = house.work("job").await;
    house.offer(work.clone()).await;
    house.job().await;
    house.withdraw(&work).await;
    house.called("DeleteTask", 3).await;
}

#[tokio::test]
async fn a_job_that_nobody_wants_when_it_is_made_is_deleted() {
    let house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.nobody_wants_jobs();
    house.offer(house.work("job").await).await;
    house.called("DeleteTask", 1).await;
}

#[tokio::test]
async fn a_job_that_takes_longer_than_it_may_is_deleted_and_fails() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::resource(at(Phase::Running))]);
    let work = house.work("job").await;
    house.offer(skein_model::Work { timeout: Some(Duration::from_millis(100)), ..work }).await;
    let failure = house.failure().await;
    assert_eq!((failure.cause, failure.charge), (FailureCause::TimedOut, Charge::User));
    house.called("DeleteTask", 1).await;
}
