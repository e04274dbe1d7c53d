//! Tasks that are done within one call.

use crate::answers::{at, done, outputs};
use crate::fake::Reply;
use crate::house::House;
use prost::Message as _;
use skein_idl::flyteidl::admin::execute_task_sync_response::Res;
use skein_idl::flyteidl::admin::{self, Resource};
use skein_idl::flyteidl::core::primitive;
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_model::command::Outcome;
use skein_model::{Charge, FailureCause};
use std::time::Duration;
use tonic::Code;

fn answer(res: Res) -> Reply {
    Reply::Bytes(admin::ExecuteTaskSyncResponse { res: Some(res) }.encode_to_vec())
}

fn header(resource: Resource) -> Reply {
    answer(Res::Header(admin::ExecuteTaskSyncResponseHeader { resource: Some(resource) }))
}

#[tokio::test]
async fn outputs_come_in_the_header_or_apart() {
    for reply in [header(done(4)), answer(Res::Outputs(outputs(primitive::Value::Integer(4))))] {
        let mut house = House::new().await;
        house.fake.says("ExecuteTaskSync", [reply]);
        house.offer(house.work("call").await).await;
        assert!(matches!(house.outcome().await, Outcome::Succeeded { .. }));
        assert!(house.fake.calls("CreateTask").is_empty());
    }
}

#[tokio::test]
async fn a_failure_is_the_tasks_own_and_an_error_the_connectors() {
    let failed = Resource { message: "no".to_owned(), ..at(Phase::Failed) };
    let cases = [
        (header(failed), Charge::User, false),
        (Reply::Error(Code::Internal), Charge::System, true),
        (Reply::Error(Code::Unavailable), Charge::System, true),
        (Reply::garbage(), Charge::System, false),
        (header(at(Phase::Running)), Charge::System, false),
        (header(Resource { phase: 99, ..Resource::default() }), Charge::System, false),
    ];
    for (reply, charge, again) in cases {
        let mut house = House::new().await;
        house.fake.says("ExecuteTaskSync", [reply.clone()]);
        house.offer(house.work("call").await).await;
        let failure = house.failure().await;
        assert_eq!((failure.charge, failure.is_retryable()), (charge, again), "{reply:?} {failure:?}");
    }
}

#[tokio::test]
async fn a_call_that_hangs_ends_by_the_tasks_limit_or_by_the_connectors() {
    for (own, cause) in [(Some(100), FailureCause::TimedOut), (None, FailureCause::ConnectorFault)] {
        let mut house = House::with(|connector| connector.sync_timeout = Duration::from_millis(300)).await;
        house.fake.says("ExecuteTaskSync", [Reply::Nothing]);
        let work = house.work("call").await;
        house.offer(skein_model::Work { timeout: own.map(Duration::from_millis), ..work }).await;
        assert_eq!(house.failure().await.cause, cause);
    }
}
