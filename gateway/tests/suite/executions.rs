//! Executions as clients see them while they run and afterwards.

use crate::definitions::*;
use crate::engine::{self, append, chunk, failure, node, obey, run, value};
use crate::harness::{Harness, refusal};
use skein_idl::flyteidl::admin::{self, execution_closure, node_execution_closure};
use skein_idl::flyteidl::core::{node_execution, task_execution, workflow_execution};
use skein_model::{Attempt, Event};
use tonic::Code;

pub async fn get(harness: &Harness, name: &str) -> admin::ExecutionClosure {
    let request = admin::WorkflowExecutionGetRequest { id: Some(execution_id(name)) };
    harness.admin().get_execution(request).await.unwrap().into_inner().closure.unwrap()
}

pub async fn nodes(harness: &Harness, name: &str) -> Vec<admin::NodeExecution> {
    let request = admin::NodeExecutionListRequest {
        workflow_execution_id: Some(execution_id(name)),
        limit: 100,
        ..Default::default()
    };
    harness.admin().list_node_executions(request).await.unwrap().into_inner().node_executions
}

pub async fn attempts(harness: &Harness, name: &str, node: &str) -> Vec<admin::TaskExecution> {
    let request = admin::TaskExecutionListRequest {
        node_execution_id: Some(node_id(name, node)),
        limit: 100,
        ..Default::default()
    };
    harness.admin().list_task_executions(request).await.unwrap().into_inner().task_executions
}

fn ids(nodes: &[admin::NodeExecution]) -> Vec<&str> {
    nodes.iter().map(|node| node.id.as_ref().unwrap().node_id.as_str()).collect()
}

#[tokio::test]
async fn a_finished_execution_shows_nodes_attempts_and_values() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;

    let closure = get(&harness, "abc").await;
    assert_eq!(closure.phase(), workflow_execution::Phase::Succeeded);
    assert!(closure.started_at.is_some() && closure.duration.is_some());
    assert!(matches!(closure.output_result, Some(execution_closure::OutputResult::Outputs(_))));
    let data = admin::WorkflowExecutionGetDataRequest { id: Some(execution_id("abc")) };
    let data = harness.admin().get_execution_data(data).await.unwrap().into_inner();
    assert_eq!(data.full_outputs, Some(literals(&[("o0", integer(3))])));

    let nodes = nodes(&harness, "abc").await;
    assert_eq!(ids(&nodes), ["end-node", "n0", "n1", "start-node"]);
    for node in &nodes {
        let closure = node.closure.as_ref().unwrap();
        assert_eq!(closure.phase(), node_execution::Phase::Succeeded);
        let is_edge = node.metadata.as_ref().unwrap().spec_node_id.ends_with("-node");
        assert_eq!(closure.started_at.is_some(), !is_edge);
    }
    let request = admin::NodeExecutionGetDataRequest { id: Some(node_id("abc", "n0")) };
    let data = harness.admin().get_node_execution_data(request).await.unwrap().into_inner();
    assert_eq!(data.full_inputs, Some(literals(&[("x", integer(1))])));
    assert_eq!(data.full_outputs, Some(literals(&[("o0", integer(2))])));
    assert_eq!(data.flyte_urls.unwrap().outputs, "flyte://v1/flytesnacks/development/abc/n0/o");

    let attempts = attempts(&harness, "abc", "n0").await;
    let closure = attempts[0].closure.as_ref().unwrap();
    assert_eq!(closure.phase(), task_execution::Phase::Succeeded);
    assert_eq!((closure.task_type.as_str(), closure.event_version), ("python-task", 1));
    let metadata = closure.metadata.as_ref().unwrap();
    assert_eq!(
        (metadata.generated_name.as_str(), metadata.plugin_identifier.as_str()),
        ("abc-n0-0", "container")
    );
    assert_eq!(closure.logs[0].name, "Task Logs");
    let log = format!("http://{}/logs/flytesnacks/development/abc/n0/0", harness.address);
    assert_eq!(closure.logs[0].uri, log);
    let task = attempts[0].id.as_ref().unwrap().task_id.as_ref().unwrap();
    assert_eq!((task.name.as_str(), task.version.as_str()), ("m.inc", "v1"));

    let request = admin::WorkflowExecutionGetMetricsRequest { id: Some(execution_id("abc")), depth: 10 };
    let span = harness.admin().get_execution_metrics(request).await.unwrap().into_inner().span.unwrap();
    assert_eq!(span.spans.len(), 4);
}

#[tokio::test]
async fn a_failed_node_is_listed_with_a_short_message_and_shown_with_the_whole() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let (n0, attempt) = (node("n0"), Attempt(0));
    let failure = failure("USER:RuntimeError", &"Trace ".repeat(100));
    let events = [
        Event::Started,
        Event::NodeQueued { node: n0.clone() },
        Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) },
        Event::AttemptQueued { node: n0.clone(), attempt, not_before: None },
        Event::AttemptStarted {
            node: n0.clone(),
            attempt,
            worker: "w1".to_owned(),
            micros_ago: 0,
            place: None,
        },
        Event::AttemptFailed { node: n0.clone(), attempt, failure: failure.clone(), used: None },
        Event::NodeFailed { node: n0, failure: failure.clone() },
        Event::Failing { failure: failure.clone() },
        Event::Failed { failure: failure.clone() },
    ];
    append(&harness, "abc", &events).await;
    let nodes = nodes(&harness, "abc").await;
    assert_eq!(ids(&nodes), ["n0", "start-node"]);
    let Some(node_execution_closure::OutputResult::Error(error)) =
        nodes[0].closure.clone().unwrap().output_result
    else {
        panic!("no error")
    };
    assert_eq!((error.code.as_str(), error.message.len()), ("USER:RuntimeError", 100));
    assert_eq!(error.kind().as_str_name(), "USER");
    let Some(execution_closure::OutputResult::Error(error)) = get(&harness, "abc").await.output_result else {
        panic!("no error")
    };
    assert_eq!(error.message, failure.message);
    let attempts = attempts(&harness, "abc", "n0").await;
    assert_eq!(attempts[0].closure.as_ref().unwrap().phase(), task_execution::Phase::Failed);
}

#[tokio::test]
async fn an_attempt_that_was_recorded_when_it_had_ended_began_before_that() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let (n0, attempt) = (node("n0"), Attempt(0));
    let events = [
        Event::Started,
        Event::NodeQueued { node: n0.clone() },
        Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) },
        Event::AttemptQueued { node: n0.clone(), attempt, not_before: None },
        Event::AttemptStarted {
            node: n0.clone(),
            attempt,
            worker: "w1".to_owned(),
            micros_ago: 250_000,
            place: None,
        },
        Event::AttemptSucceeded { node: n0, attempt, outputs: value("o0", 2), deck: None, used: None },
    ];
    append(&harness, "abc", &events).await;
    let attempts = attempts(&harness, "abc", "n0").await;
    let duration = attempts[0].closure.as_ref().unwrap().duration.unwrap();
    assert_eq!((duration.seconds, duration.nanos), (0, 250_000_000));
}

#[tokio::test]
async fn a_map_is_a_map_before_its_items_are_counted() {
    let harness = Harness::start().await;
    launch_mapped(&harness, "abc").await;
    let n0 = node("n0");
    append(&harness, "abc", &[Event::Started, Event::NodeQueued { node: n0.clone() }]).await;
    let is_array = async || nodes(&harness, "abc").await[0].metadata.as_ref().unwrap().is_array;
    assert!(is_array().await, "the SDK takes a node that is not one for a task, and fails");
    let failed = Event::NodeFailed { node: n0, failure: failure("InvalidArrayLength", "2 and 3") };
    append(&harness, "abc", &[failed]).await;
    assert!(is_array().await);
}

#[tokio::test]
async fn a_map_is_one_task_execution_that_shows_every_run_of_an_item() {
    let harness = Harness::start().await;
    launch_mapped(&harness, "abc").await;
    let n0 = node("n0");
    let events = [
        Event::Started,
        Event::NodeQueued { node: n0.clone() },
        Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) },
        Event::MapStarted { node: n0.clone(), size: 3 },
        Event::ItemsFinished { node: n0.clone(), chunk: chunk(0, 3, 0, &[1]), again: vec![1] },
        Event::ItemsFinished { node: n0.clone(), chunk: chunk(1, 2, 1, &[]), again: vec![] },
        Event::NodeSucceeded { node: n0, outputs: value("o0", 1) },
    ];
    append(&harness, "abc", &events).await;
    assert!(nodes(&harness, "abc").await[0].metadata.as_ref().unwrap().is_array);
    let attempts = attempts(&harness, "abc", "n0").await;
    assert_eq!(attempts.len(), 1);
    let closure = attempts[0].closure.as_ref().unwrap();
    assert_eq!(
        (closure.task_type.as_str(), closure.phase()),
        ("container_array", task_execution::Phase::Succeeded)
    );
    let metadata = closure.metadata.as_ref().unwrap();
    assert_eq!(metadata.plugin_identifier, "k8s-array");
    let shown: Vec<(&str, u32, u32)> = metadata
        .external_resources
        .iter()
        .map(|resource| (resource.external_id.as_str(), resource.index, resource.retry_attempt))
        .collect();
    assert_eq!(
        shown,
        [("abc-n0-0-n0-0", 0, 0), ("abc-n0-0-n1-0", 1, 0), ("abc-n0-0-n1-1", 1, 1), ("abc-n0-0-n2-0", 2, 0)]
    );
}

#[tokio::test]
async fn a_terminated_execution_shows_the_first_cause_and_cannot_be_terminated_once_it_has_ended() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let calls = async {
        let terminate = |cause: &str| {
            let request =
                admin::ExecutionTerminateRequest { id: Some(execution_id("abc")), cause: cause.to_owned() };
            let mut admin = harness.admin();
            async move { admin.terminate_execution(request).await }
        };
        terminate("because").await.unwrap();
        let closure = get(&harness, "abc").await;
        assert_eq!(closure.phase(), workflow_execution::Phase::Aborting);
        terminate("twice").await.unwrap();
        let closure = get(&harness, "abc").await;
        assert_eq!(closure.phase(), workflow_execution::Phase::Aborted);
        let metadata =
            admin::AbortMetadata { cause: "because".to_owned(), principal: "anonymous".to_owned() };
        assert_eq!(closure.output_result, Some(execution_closure::OutputResult::AbortMetadata(metadata)));
        assert_eq!(
            refusal(terminate("late").await),
            (Code::FailedPrecondition, "Cannot abort an already terminated workflow execution".to_owned())
        );
        let archive = admin::ExecutionUpdateRequest { id: Some(execution_id("abc")), state: 1 };
        harness.admin().update_execution(archive).await.unwrap();
        let details = get(&harness, "abc").await.state_change_details.unwrap();
        assert_eq!(details.state(), admin::ExecutionState::ExecutionArchived);
    };
    tokio::select! {
        () = calls => {}
        () = obey(&harness) => panic!("the inbox was closed"),
    }
}

#[tokio::test]
async fn a_relaunch_has_the_users_inputs_and_names_what_it_repeats() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let request = admin::ExecutionRelaunchRequest {
        id: Some(execution_id("abc")),
        name: "again".to_owned(),
        overwrite_cache: true,
    };
    harness.admin().relaunch_execution(request.clone()).await.unwrap();
    let get = admin::WorkflowExecutionGetRequest { id: Some(execution_id("again")) };
    let spec = harness.admin().get_execution(get).await.unwrap().into_inner().spec.unwrap();
    let metadata = spec.metadata.unwrap();
    assert_eq!(metadata.mode().as_str_name(), "RELAUNCH");
    assert_eq!(metadata.reference_execution, Some(execution_id("abc")));
    assert!(spec.overwrite_cache);
    assert_eq!(refusal(harness.admin().relaunch_execution(request).await).0, Code::AlreadyExists);
}

#[tokio::test]
async fn an_address_of_a_node_gives_its_values() {
    use skein_idl::flyteidl::service::{GetDataRequest, get_data_response::Data};
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;
    let get = async |rest: &str| {
        let flyte_url = format!("flyte://v1/flytesnacks/development/abc/{rest}");
        harness
            .data_proxy()
            .get_data(GetDataRequest { flyte_url })
            .await
            .map(|answer| answer.into_inner().data.unwrap())
    };
    assert_eq!(get("n0/i").await.unwrap(), Data::LiteralMap(literals(&[("x", integer(1))])));
    assert_eq!(get("n0/o").await.unwrap(), Data::LiteralMap(literals(&[("o0", integer(2))])));
    assert_eq!(get("n0/0/o").await.unwrap(), Data::LiteralMap(literals(&[("o0", integer(2))])));
    assert_eq!(get("n0/o/o0").await.unwrap(), Data::Literal(integer(2)));
    assert_eq!(refusal(get("n0/o/zz").await).0, Code::InvalidArgument);
    assert_eq!(refusal(get("zz/o").await).0, Code::NotFound);
    assert_eq!(refusal(get("n0/d").await).0, Code::NotFound);
    let bad = GetDataRequest { flyte_url: "flyte://v1/a/b".to_owned() };
    assert_eq!(
        refusal(harness.data_proxy().get_data(bad).await),
        (
            Code::InvalidArgument,
            "failed to parse artifact url Error: failed to parse [flyte://v1/a/b]".to_owned()
        )
    );
}

#[tokio::test]
async fn values_above_the_limit_are_answered_by_a_link() {
    let mut config = skein_gateway::Config::default();
    config.limits.inline_bytes_max = 5;
    let harness = Harness::start_with(config).await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let data = admin::WorkflowExecutionGetDataRequest { id: Some(execution_id("abc")) };
    let data = harness.admin().get_execution_data(data).await.unwrap().into_inner();
    assert_eq!(data.full_inputs, Some(literals(&[])));
    let blob = data.inputs.unwrap();
    let (status, body) = harness.http("GET", harness.target(&blob.url), &[], &[]).await;
    assert_eq!((status, body.len() as i64), (200, blob.bytes));
    let read: skein_idl::flyteidl::core::LiteralMap = prost::Message::decode(body.as_slice()).unwrap();
    assert_eq!(read, literals(&[("x", integer(1))]));
}

#[tokio::test]
async fn with_the_policy_to_finish_what_can_run_a_failure_leaves_the_end_node_skipped() {
    use skein_idl::flyteidl::core::workflow_metadata::OnFailurePolicy;
    let harness = Harness::start().await;
    register(&harness).await;
    let mut patient = workflow("m.patient", "v1");
    let template = patient.spec.as_mut().unwrap().template.as_mut().unwrap();
    template.metadata.as_mut().unwrap().set_on_failure(OnFailurePolicy::FailAfterExecutableNodesComplete);
    harness.admin().create_workflow(patient).await.unwrap();
    harness.admin().create_launch_plan(launch_plan("m.patient", "v1", "m.patient")).await.unwrap();
    let request = execution("abc", launch_plan_id("m.patient"), &[("x", integer(1))]);
    harness.admin().create_execution(request).await.unwrap();
    let failure = failure("C", "m");
    append(&harness, "abc", &[Event::Started, Event::Failed { failure }]).await;
    let nodes = nodes(&harness, "abc").await;
    assert_eq!(ids(&nodes), ["end-node", "start-node"]);
    assert_eq!(nodes[0].closure.as_ref().unwrap().phase(), node_execution::Phase::Skipped);
}

#[tokio::test]
async fn what_the_engine_does_not_run_is_refused_before_it_starts() {
    use skein_idl::flyteidl::core::{ArrayNode, Node, WorkflowNode, node::Target, workflow_node};
    let harness = Harness::start().await;
    register(&harness).await;
    let mut gated = workflow("m.gated", "v1");
    let template = gated.spec.as_mut().unwrap().template.as_mut().unwrap();
    let mut gate = template.nodes[0].clone();
    gate.id = "n2".to_owned();
    let reference = Some(workflow_node::Reference::LaunchplanRef(launch_plan_id("m.w")));
    let inner = Node { target: Some(Target::WorkflowNode(WorkflowNode { reference })), ..Node::default() };
    gate.target =
        Some(Target::ArrayNode(Box::new(ArrayNode { node: Some(Box::new(inner)), ..ArrayNode::default() })));
    template.nodes.push(gate);
    harness.admin().create_workflow(gated).await.unwrap();
    harness.admin().create_launch_plan(launch_plan("m.gated", "v1", "m.gated")).await.unwrap();
    let request = execution("abc", launch_plan_id("m.gated"), &[("x", integer(1))]);
    assert_eq!(
        refusal(harness.admin().create_execution(request).await),
        (
            Code::Unimplemented,
            "node n2 is a map over a launch plan, which this server does not run yet".to_owned()
        )
    );
}

#[tokio::test]
async fn settings_of_the_request_win_over_those_of_the_launch_plan_and_empty_ones_do_not_count() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut plan = launch_plan("m.labelled", "v1", "m.w");
    let spec = plan.spec.as_mut().unwrap();
    spec.labels = Some(admin::Labels { values: [("team".to_owned(), "blue".to_owned())].into() });
    spec.max_parallelism = 3;
    spec.raw_output_data_config =
        Some(admin::RawOutputDataConfig { output_location_prefix: "s3://b/raw/".to_owned() });
    harness.admin().create_launch_plan(plan).await.unwrap();
    let request = execution("abc", launch_plan_id("m.labelled"), &[("x", integer(1))]);
    harness.admin().create_execution(request.clone()).await.unwrap();
    let created = engine::created(&harness, "abc").await;
    assert_eq!(created.settings.labels["team"], "blue");
    assert_eq!(created.settings.max_parallelism, 3);
    assert_eq!(created.raw_prefix, "s3://b/raw/flytesnacks-development-abc");

    let mut other = request;
    other.name = "other".to_owned();
    let spec = other.spec.as_mut().unwrap();
    spec.labels.as_mut().unwrap().values.insert("team".to_owned(), "red".to_owned());
    spec.max_parallelism = 7;
    spec.envs = Some(admin::Envs {
        values: vec![skein_idl::flyteidl::core::KeyValuePair { key: "A".to_owned(), value: "1".to_owned() }],
    });
    harness.admin().create_execution(other).await.unwrap();
    let created = engine::created(&harness, "other").await;
    assert_eq!(created.settings.labels["team"], "red");
    assert_eq!(created.settings.max_parallelism, 7);
    assert_eq!(created.settings.envs["A"], "1");
}
