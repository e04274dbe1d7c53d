//! Many registrations at once.

use crate::definitions::*;
use crate::harness::Harness;
use skein_log::EventLog as _;
use skein_model::{EntityId, EntityKind, JournalId};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_registrations_of_one_id_one_is_stored_and_all_agree() {
    let harness = Harness::start().await;
    let calls = (0..1_000).map(|_| {
        let mut admin = harness.admin();
        async move { admin.create_task(inc("v1")).await.map_or_else(|status| status.code(), |_| Code::Ok) }
    });
    let codes = futures::future::join_all(calls).await;
    assert_eq!(codes.iter().filter(|code| **code == Code::Ok).count(), 1);
    assert!(codes.iter().all(|code| matches!(code, Code::Ok | Code::AlreadyExists)));
    let id = EntityId::parse(EntityKind::Task, inc("v1").id.as_ref().unwrap()).unwrap();
    assert_eq!(harness.log.head(&JournalId::entity(&id)).await.unwrap().version.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_executions_of_one_name_one_is_created() {
    let harness = Harness::start().await;
    register(&harness).await;
    let calls = (0..50).map(|_| {
        let mut admin = harness.admin();
        let request = execution("abc", launch_plan_id("m.w"), &[("x", integer(1))]);
        async move { admin.create_execution(request).await.map_or_else(|status| status.code(), |_| Code::Ok) }
    });
    let codes = futures::future::join_all(calls).await;
    assert_eq!(codes.iter().filter(|code| **code == Code::Ok).count(), 1);
    assert!(codes.iter().all(|code| matches!(code, Code::Ok | Code::AlreadyExists)));
}
