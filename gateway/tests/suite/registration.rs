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

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_of_ten_thousand_nodes_is_registered_answered_and_launched() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut large = workflow("m.large", "v1");
    let template = large.spec.as_mut().unwrap().template.as_mut().unwrap();
    let node = template.nodes[0].clone();
    template.nodes.extend(
        (2..10_000).map(|at| skein_idl::flyteidl::core::Node { id: format!("n{at}"), ..node.clone() }),
    );
    harness.admin().create_workflow(large).await.unwrap();
    harness.admin().create_launch_plan(launch_plan("m.large", "v1", "m.large")).await.unwrap();
    let request = skein_idl::flyteidl::admin::ObjectGetRequest {
        id: Some(id(skein_idl::flyteidl::core::ResourceType::Workflow, "m.large", "v1")),
    };
    let closure = harness.admin().get_workflow(request).await.unwrap().into_inner().closure.unwrap();
    let nodes = closure.compiled_workflow.unwrap().primary.unwrap().template.unwrap().nodes;
    assert_eq!(nodes.len(), 10_002);
    let request = execution("abc", launch_plan_id("m.large"), &[("x", integer(1))]);
    harness.admin().create_execution(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pollers_do_not_keep_a_registration_waiting() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let poll = (0..1_000).map(|_| {
        let mut admin = harness.admin();
        let request =
            skein_idl::flyteidl::admin::WorkflowExecutionGetRequest { id: Some(execution_id("abc")) };
        async move {
            for _ in 0..5 {
                admin.get_execution(request.clone()).await.unwrap();
            }
        }
    });
    let mut admin = harness.admin();
    let register = async { admin.create_task(inc("v2")).await.unwrap() };
    let started = std::time::Instant::now();
    futures::future::join(futures::future::join_all(poll), register).await;
    assert!(started.elapsed() < std::time::Duration::from_secs(60));
}
