//! The views can be deleted, and be late.

use crate::definitions::*;
use crate::engine::{append_unseen, run, run_node, seen};
use crate::harness::Harness;
use crate::progress::progress_of;
use bytes::Bytes;
use rusqlite::Connection;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::ResourceType;
use skein_idl::flyteidl::core::workflow_execution::Phase;
use skein_model::Event;

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

/// How many records of executions the views have yet to take in, as `/metrics` tells it.
async fn lag(harness: &Harness) -> u64 {
    let (status, text) = harness.http("GET", "/metrics", &[], &[]).await;
    assert_eq!(status, 200);
    let text = String::from_utf8(text).unwrap();
    let line =
        text.lines().find_map(|line| line.strip_prefix("skein_gateway_views_lag{category=\"execution\"} "));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[tokio::test]
async fn views_that_cannot_be_written_hold_nothing_back_and_say_how_late_they_are() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    assert_eq!(lag(&harness).await, 0, "what was acknowledged is in the views");
    let held = Connection::open(harness.views().join("views.sqlite")).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();

    append_unseen(&harness, "abc", &[Event::Started]).await;
    run_node(&harness, "abc", "n0", 1).await;
    assert_eq!(lag(&harness).await, 5, "the log goes on, and the views' lag is shown");
    let request = admin::WorkflowExecutionGetRequest { id: Some(execution_id("abc")) };
    let late = harness.admin().get_execution(request.clone()).await.unwrap().into_inner();
    let phase = |execution: &admin::Execution| execution.closure.as_ref().unwrap().phase();
    assert_eq!(phase(&late), Phase::Queued, "what is in the views is answered meanwhile");

    held.execute_batch("ROLLBACK").unwrap();
    seen(&harness, "abc").await;
    assert_eq!(lag(&harness).await, 0);
    let now = harness.admin().get_execution(request).await.unwrap().into_inner();
    assert_eq!(phase(&now), Phase::Running, "they catch up by themselves");
}
