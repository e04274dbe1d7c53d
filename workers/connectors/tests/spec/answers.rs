//! Connectors that answer, with sense and without.

use crate::fake::Reply;
use crate::house::House;
use prost::Message as _;
use skein_idl::flyteidl::admin::{self, Resource};
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_idl::flyteidl::core::{
    Literal, LiteralMap, Primitive, Scalar, TaskLog, literal, primitive, scalar,
};
use skein_model::command::Outcome;
use skein_model::{Charge, FailureCause, JobPhase, paths};
use tonic::Code;

pub fn at(phase: Phase) -> Resource {
    Resource { phase: phase.into(), ..Resource::default() }
}

pub fn outputs(value: primitive::Value) -> LiteralMap {
    let scalar = Scalar { value: Some(scalar::Value::Primitive(Primitive { value: Some(value) })) };
    let literal = Literal { value: Some(literal::Value::Scalar(Box::new(scalar))), ..Literal::default() };
    LiteralMap { literals: [("o0".to_owned(), literal)].into() }
}

pub fn done(value: i64) -> Resource {
    Resource { outputs: Some(outputs(primitive::Value::Integer(value))), ..at(Phase::Succeeded) }
}

#[tokio::test]
async fn a_job_is_made_once_asked_after_until_it_is_done_and_its_outputs_are_kept() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    let link = TaskLog { uri: "https://x".to_owned(), ..TaskLog::default() };
    let running =
        Resource { message: "half".to_owned(), log_links: vec![link.clone()], ..at(Phase::Running) };
    let queued = Reply::resource(at(Phase::Queued));
    let running = Reply::resource(running);
    house.fake.says("GetTask", [queued, running.clone(), running, Reply::resource(done(7))]);
    house.offer(house.work("job").await).await;
    let Outcome::Succeeded { outputs: kept, .. } = house.outcome().await else { panic!("it succeeds") };
    let kept = LiteralMap::decode(house.blobs.load(&kept).await.unwrap()).unwrap();
    assert_eq!(kept, outputs(primitive::Value::Integer(7)));
    assert_eq!((house.fake.calls("CreateTask").len(), house.began), (1, 1));
    let phases: Vec<_> =
        house.told.iter().map(|job| (job.phase, job.message.as_str(), job.logs.len())).collect();
    assert_eq!(
        phases,
        [
            (JobPhase::Queued, "", 0),
            (JobPhase::Queued, "", 0),
            (JobPhase::Running, "half", 1),
            (JobPhase::Running, "half", 0)
        ],
        "that it is asked for, that it is made, and each change once"
    );
    assert!(house.told[1..].iter().all(|job| job.resource_meta.as_deref() == Some(b"j1".as_slice())));
    let sent = admin::GetTaskRequest::decode(house.fake.calls("GetTask")[0].clone()).unwrap();
    assert_eq!(sent.resource_meta.as_ref(), b"j1");
    assert_eq!(sent.task_category.unwrap().name, "job");
}

#[tokio::test]
async fn outputs_may_be_a_file_that_the_job_left() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::resource(at(Phase::Succeeded))]);
    let work = house.work("job").await;
    let file = outputs(primitive::Value::Integer(3)).encode_to_vec();
    house.blobs.put(&paths::outputs(&work.output_prefix), file.into()).await.unwrap();
    house.offer(work).await;
    assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn outputs_that_are_missing_or_cannot_be_read_are_the_tasks_fault() {
    for (file, code) in [(None, "OutputsNotFound"), (Some(vec![0x0a, 0xff]), "OutputsUnreadable")] {
        let mut house = House::new().await;
        house.fake.says("CreateTask", [Reply::meta(b"j1")]);
        house.fake.says("GetTask", [Reply::resource(at(Phase::Succeeded))]);
        let work = house.work("job").await;
        if let Some(file) = file {
            house.blobs.put(&paths::outputs(&work.output_prefix), file.into()).await.unwrap();
        }
        house.offer(work).await;
        let failure = house.failure().await;
        assert_eq!((failure.code.as_str(), failure.charge), (code, Charge::User));
    }
}

#[tokio::test]
async fn outputs_of_another_type_are_the_connectors_fault_and_would_be_again() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    let wrong = outputs(primitive::Value::StringValue("x".to_owned()));
    house.fake.says("GetTask", [Reply::resource(Resource { outputs: Some(wrong), ..at(Phase::Succeeded) })]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.charge, failure.is_retryable()), (Charge::System, false));
    assert!(failure.message.contains("o0 is of another type"), "{}", failure.message);
}

#[tokio::test]
async fn a_failure_is_told_in_the_connectors_words_and_charged_to_the_task() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    let failed = Resource { message: "no table".to_owned(), ..at(Phase::RetryableFailed) };
    house.fake.says("GetTask", [Reply::resource(failed)]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.charge, failure.is_retryable()), (Charge::User, true));
    assert_eq!(failure.message, "failed to run the job: no table");
}

#[tokio::test]
async fn a_phase_that_does_not_exist_deletes_the_job_and_another_may_be_made() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::resource(Resource { phase: 99, ..Resource::default() })]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.cause.clone(), failure.charge), (FailureCause::ConnectorFault, Charge::System));
    assert!(failure.message.contains("phase 99 does not exist") && failure.is_retryable());
    assert_eq!(house.fake.calls("DeleteTask").len(), 1);
}

#[tokio::test]
async fn garbage_that_stays_and_a_job_that_cannot_be_deleted_leave_the_job_unresolved() {
    let mut house = House::new().await;
    house.fake.says("CreateTask", [Reply::meta(b"j1")]);
    house.fake.says("GetTask", [Reply::garbage()]);
    house.fake.says("DeleteTask", [Reply::Error(Code::Internal)]);
    house.offer(house.work("job").await).await;
    let failure = house.failure().await;
    assert_eq!((failure.cause.clone(), failure.charge), (FailureCause::JobUnresolved, Charge::System));
    assert!(failure.message.contains("not created again") && !failure.is_retryable(), "{}", failure.message);
}

#[tokio::test]
async fn what_a_connector_refuses_is_the_tasks_fault_only_where_it_says_so() {
    let cases = [(Code::InvalidArgument, Charge::User, false), (Code::Internal, Charge::System, true)];
    for (code, charge, again) in cases {
        let mut house = House::new().await;
        house.fake.says("CreateTask", [Reply::Error(code)]);
        house.offer(house.work("job").await).await;
        let failure = house.failure().await;
        assert_eq!((failure.charge, failure.is_retryable()), (charge, again));
        assert!(failure.message.contains("as the test says"), "{}", failure.message);
    }
}

#[tokio::test]
async fn a_thousand_jobs_are_out_at_once_and_each_ends() {
    const JOBS: usize = 1_000;
    let mut house =
        House::with(|connector| connector.call_timeout = std::time::Duration::from_secs(60)).await;
    house.fake.says("CreateTask", [Reply::meta(b"j")]);
    house.fake.says("GetTask", [Reply::resource(at(Phase::Running))]);
    let work = house.work("job").await;
    for number in 0..JOBS {
        let mut one = work.clone();
        one.id.node = skein_model::NodeId::new(format!("n{number}"));
        one.output_prefix = house.blobs.url(&format!("out/{number}"));
        house.offer(one).await;
    }
    house.called("CreateTask", JOBS).await;
    house.fake.says("GetTask", [Reply::resource(done(1))]);
    for _ in 0..JOBS {
        assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
    }
    assert_eq!(house.fake.calls("CreateTask").len(), JOBS);
}
