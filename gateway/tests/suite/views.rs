//! The views can be deleted.

use crate::definitions::*;
use crate::engine::run;
use crate::harness::Harness;
use crate::progress::progress_of;
use bytes::Bytes;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::ResourceType;

/// Every kind of answer that comes out of the views, as bytes.
async fn answers(harness: &Harness) -> Vec<(&'static str, Bytes)> {
    let list = admin::ResourceListRequest {
        id: Some(admin::NamedEntityIdentifier {
            project: PROJECT.to_owned(),
            domain: DOMAIN.to_owned(),
            ..Default::default()
        }),
        limit: 100,
        ..Default::default()
    };
    let mut answers = Vec::new();
    for method in [
        "AdminService/ListTasks",
        "AdminService/ListWorkflows",
        "AdminService/ListLaunchPlans",
        "AdminService/ListExecutions",
    ] {
        answers.push((method, harness.call(method, &list).await.unwrap()));
    }
    for (method, kind, name) in [
        ("AdminService/GetTask", ResourceType::Task, "m.inc"),
        ("AdminService/GetWorkflow", ResourceType::Workflow, "m.w"),
        ("AdminService/GetLaunchPlan", ResourceType::LaunchPlan, "m.w"),
    ] {
        let request = admin::ObjectGetRequest { id: Some(id(kind, name, "v1")) };
        answers.push((method, harness.call(method, &request).await.unwrap()));
    }
    let execution = admin::WorkflowExecutionGetRequest { id: Some(execution_id("abc")) };
    for method in
        ["AdminService/GetExecution", "AdminService/GetExecutionData", "AdminService/GetExecutionMetrics"]
    {
        answers.push((method, harness.call(method, &execution).await.unwrap()));
    }
    let nodes = admin::NodeExecutionListRequest {
        workflow_execution_id: Some(execution_id("abc")),
        limit: 100,
        ..Default::default()
    };
    answers
        .push(("ListNodeExecutions", harness.call("AdminService/ListNodeExecutions", &nodes).await.unwrap()));
    let data = admin::NodeExecutionGetDataRequest { id: Some(node_id("abc", "n1")) };
    answers.push((
        "GetNodeExecutionData",
        harness.call("AdminService/GetNodeExecutionData", &data).await.unwrap(),
    ));
    let projects = admin::ProjectListRequest::default();
    answers.push(("ListProjects", harness.call("AdminService/ListProjects", &projects).await.unwrap()));
    let (status, progress) = harness.http("GET", &progress_of("abc"), &[], &[]).await;
    assert_eq!(status, 200);
    answers.push(("progress", progress.into()));
    answers
}

async fn with_everything() -> Harness {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;
    let active = admin::LaunchPlanUpdateRequest {
        id: Some(launch_plan_id("m.w")),
        state: admin::LaunchPlanState::Active.into(),
    };
    harness.admin().update_launch_plan(active).await.unwrap();
    harness
}

#[tokio::test]
async fn deleted_views_are_made_again_and_answer_the_same_bytes() {
    let mut harness = with_everything().await;
    let before = answers(&harness).await;
    harness.stop().await;
    std::fs::remove_dir_all(harness.views()).unwrap();
    harness.start_again().await;
    assert_eq!(answers(&harness).await, before);
}

#[tokio::test]
async fn views_that_are_kept_go_on_where_they_were() {
    let mut harness = with_everything().await;
    let before = answers(&harness).await;
    harness.stop().await;
    harness.start_again().await;
    assert_eq!(answers(&harness).await, before);
}

#[tokio::test]
async fn damaged_views_are_made_again() {
    let mut harness = with_everything().await;
    let before = answers(&harness).await;
    harness.stop().await;
    for file in std::fs::read_dir(harness.views()).unwrap() {
        std::fs::write(file.unwrap().path(), b"not a database at all").unwrap();
    }
    harness.start_again().await;
    assert_eq!(answers(&harness).await, before);
}
