//! Single calls, as `flyte1-observed.md` has them: status and text.

use crate::definitions::*;
use crate::harness::{Harness, refusal};
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::{Identifier, ResourceType, SimpleType};
use tonic::Code;

fn identifier(name: &str) -> String {
    format!("project:\"flytesnacks\"  domain:\"development\"  name:\"{name}\"")
}

#[tokio::test]
async fn what_is_not_there_is_not_found_by_name() {
    let harness = Harness::start().await;
    let mut admin = harness.admin();
    let id = Some(execution_id("nope"));
    let missing = format!("missing entity of type execution with identifier {}", identifier("nope"));
    let get = admin::WorkflowExecutionGetRequest { id: id.clone() };
    assert_eq!(refusal(admin.get_execution(get).await), (Code::NotFound, missing.clone()));
    let data = admin::WorkflowExecutionGetDataRequest { id: id.clone() };
    assert_eq!(refusal(admin.get_execution_data(data).await), (Code::NotFound, missing.clone()));
    let terminate = admin::ExecutionTerminateRequest { id: id.clone(), cause: String::new() };
    assert_eq!(refusal(admin.terminate_execution(terminate).await), (Code::NotFound, missing.clone()));
    let relaunch = admin::ExecutionRelaunchRequest { id: id.clone(), ..Default::default() };
    assert_eq!(refusal(admin.relaunch_execution(relaunch).await), (Code::NotFound, missing.clone()));
    let archive = admin::ExecutionUpdateRequest { id, state: 1 };
    assert_eq!(refusal(admin.update_execution(archive).await), (Code::NotFound, missing));

    for (kind, word) in [
        (ResourceType::Workflow, "WORKFLOW"),
        (ResourceType::Task, "TASK"),
        (ResourceType::LaunchPlan, "LAUNCH_PLAN"),
    ] {
        let request = admin::ObjectGetRequest { id: Some(id_of(kind, "nope")) };
        let answer = match kind {
            ResourceType::Workflow => refusal(admin.get_workflow(request).await),
            ResourceType::Task => refusal(admin.get_task(request).await),
            _ => refusal(admin.get_launch_plan(request).await),
        };
        let missing =
            format!("missing entity of type {word} with identifier {}  version:\"v1\"", identifier("nope"));
        assert_eq!(answer, (Code::NotFound, missing));
    }
}

fn id_of(kind: ResourceType, name: &str) -> Identifier {
    id(kind, name, "v1")
}

#[tokio::test]
async fn a_request_without_what_it_needs_says_what_is_missing() {
    let harness = Harness::start().await;
    let mut admin = harness.admin();
    let get = admin::WorkflowExecutionGetRequest { id: None };
    assert_eq!(refusal(admin.get_execution(get).await), (Code::InvalidArgument, "missing id".to_owned()));
    let mut request = execution("x", launch_plan_id("m.w"), &[]);
    request.spec = None;
    assert_eq!(
        refusal(admin.create_execution(request).await),
        (Code::InvalidArgument, "missing spec".to_owned())
    );
    let mut request = inc("v1");
    request.spec.as_mut().unwrap().template.as_mut().unwrap().r#type.clear();
    assert_eq!(refusal(admin.create_task(request).await), (Code::InvalidArgument, "missing type".to_owned()));
    let mut request = inc("v1");
    let template = request.spec.as_mut().unwrap().template.as_mut().unwrap();
    let Some(skein_idl::flyteidl::core::task_template::Target::Container(container)) = &mut template.target
    else {
        panic!()
    };
    container.image.clear();
    assert_eq!(
        refusal(admin.create_task(request).await),
        (Code::InvalidArgument, "missing image".to_owned())
    );
    assert_eq!(
        refusal(admin.create_task(inc("")).await),
        (Code::InvalidArgument, "missing version".to_owned())
    );
}

#[tokio::test]
async fn an_execution_is_refused_for_what_is_wrong_with_it() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut fixed = launch_plan("m.fixed", "v1", "m.w");
    fixed.spec.as_mut().unwrap().fixed_inputs = Some(literals(&[("x", integer(3))]));
    harness.admin().create_launch_plan(fixed).await.unwrap();
    let create = async |request| refusal(harness.admin().create_execution(request).await);
    let w = || launch_plan_id("m.w");
    let invalid = |text: &str| (Code::InvalidArgument, text.to_owned());

    let missing =
        format!("missing entity of type LAUNCH_PLAN with identifier {}  version:\"v1\"", identifier("nope"));
    assert_eq!(create(execution("a", launch_plan_id("nope"), &[])).await, (Code::NotFound, missing));
    let mut elsewhere = execution("a", w(), &[]);
    elsewhere.project = "nope".to_owned();
    assert_eq!(
        create(elsewhere).await,
        invalid(
            "failed to validate that project [nope] and domain [development] are registered, err: [project [nope] not found]"
        )
    );
    let mut elsewhere = execution("a", w(), &[]);
    elsewhere.domain = "nope".to_owned();
    assert_eq!(create(elsewhere).await, invalid("domain [nope] is unrecognized by system"));
    assert_eq!(
        create(execution("a", w(), &[("x", text("1"))])).await,
        invalid("invalid x input wrong type. Expected simple:INTEGER, but got simple:STRING")
    );
    assert_eq!(
        create(execution("a", w(), &[("x", integer(1)), ("zz", integer(1))])).await,
        invalid("invalid input zz")
    );
    assert_eq!(create(execution("a", w(), &[])).await, invalid("expected_inputs x missing"));
    assert_eq!(
        create(execution("a", launch_plan_id("m.fixed"), &[("x", integer(1))])).await,
        invalid("invalid input x")
    );
    assert_eq!(
        create(execution("Abc_X", w(), &[("x", integer(1))])).await,
        invalid("invalid name format: abc_x, does not match regex '^[a-z][a-z\\-0-9]*$'")
    );
    let long = "a".repeat(64);
    assert_eq!(
        create(execution(&long, w(), &[("x", integer(1))])).await,
        invalid(&format!("size of name exceeded length 63 : {long}"))
    );
}

#[tokio::test]
async fn an_execution_that_was_created_is_read_at_once() {
    let harness = Harness::start().await;
    register(&harness).await;
    let name = launch(&harness, "abc").await;
    let get = admin::WorkflowExecutionGetRequest { id: Some(execution_id(&name)) };
    let read = harness.admin().get_execution(get).await.unwrap().into_inner();
    let spec = read.spec.unwrap();
    assert_eq!(spec.max_parallelism, 25);
    // What the request leaves empty is shown empty, as in the original.
    let (labels, annotations) = (admin::Labels::default(), admin::Annotations::default());
    let role = admin::AuthRole::default();
    assert_eq!(
        (spec.labels, spec.annotations, spec.auth_role),
        (Some(labels), Some(annotations), Some(role))
    );
    assert_eq!(spec.raw_output_data_config, None);
    assert_eq!(spec.notification_overrides, None);
    assert_eq!(spec.metadata.unwrap().system_metadata.unwrap().namespace, "flytesnacks-development");
    assert!(spec.security_context.unwrap().run_as.is_some());
    let closure = read.closure.unwrap();
    assert_eq!(closure.workflow_id, Some(id(ResourceType::Workflow, "m.w", "v1")));
    let data = admin::WorkflowExecutionGetDataRequest { id: Some(execution_id(&name)) };
    let data = harness.admin().get_execution_data(data).await.unwrap().into_inner();
    assert_eq!(data.full_inputs, Some(literals(&[("x", integer(1))])));
    assert_eq!(data.full_outputs, Some(literals(&[])));
    assert_eq!(
        (data.inputs, data.outputs),
        (Some(admin::UrlBlob::default()), Some(admin::UrlBlob::default()))
    );
}

#[tokio::test]
async fn a_name_is_made_up_when_none_is_given_and_taken_once() {
    let harness = Harness::start().await;
    register(&harness).await;
    let made_up = launch(&harness, "").await;
    assert_eq!((made_up.len(), made_up.starts_with('a')), (20, true));
    launch(&harness, "abc").await;
    let again = execution("abc", launch_plan_id("m.w"), &[("x", integer(1))]);
    let (code, text) = refusal(harness.admin().create_execution(again).await);
    assert_eq!(code, Code::AlreadyExists);
    assert!(text.contains("value with matching already exists"), "{text}");
}

#[tokio::test]
async fn fixed_inputs_reach_the_execution() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut fixed = launch_plan("m.fixed", "v1", "m.w");
    fixed.spec.as_mut().unwrap().fixed_inputs = Some(literals(&[("x", integer(3))]));
    harness.admin().create_launch_plan(fixed).await.unwrap();
    let request = execution("abc", launch_plan_id("m.fixed"), &[]);
    harness.admin().create_execution(request).await.unwrap();
    let data = admin::WorkflowExecutionGetDataRequest { id: Some(execution_id("abc")) };
    let data = harness.admin().get_execution_data(data).await.unwrap().into_inner();
    assert_eq!(data.full_inputs, Some(literals(&[("x", integer(3))])));
}

#[tokio::test]
async fn registering_again_is_refused_by_what_it_is() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut admin = harness.admin();
    assert_eq!(
        refusal(admin.create_task(inc("v1")).await),
        (Code::AlreadyExists, "task with identical structure already exists".to_owned())
    );
    assert_eq!(
        refusal(admin.create_workflow(workflow("m.w", "v1")).await),
        (Code::AlreadyExists, "workflow with identical structure already exists".to_owned())
    );
    assert_eq!(
        refusal(admin.create_launch_plan(launch_plan("m.w", "v1", "m.w")).await).0,
        Code::AlreadyExists
    );
    let mut other = inc("v1");
    other.spec.as_mut().unwrap().template.as_mut().unwrap().r#type = "other".to_owned();
    let (code, text) = refusal(admin.create_task(other).await);
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(
        text,
        "m.inc task with different structure already exists. (Please register a new version of the task):\n"
    );
    let mut other = workflow("m.w", "v1");
    other.spec.as_mut().unwrap().template.as_mut().unwrap().nodes.pop();
    assert_eq!(refusal(admin.create_workflow(other).await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_workflow_is_answered_compiled() {
    let harness = Harness::start().await;
    register(&harness).await;
    let request = admin::ObjectGetRequest { id: Some(id_of(ResourceType::Workflow, "m.w")) };
    let closure = harness.admin().get_workflow(request).await.unwrap().into_inner().closure.unwrap();
    let compiled = closure.compiled_workflow.unwrap();
    let nodes: Vec<String> =
        compiled.primary.unwrap().template.unwrap().nodes.into_iter().map(|node| node.id).collect();
    assert_eq!(nodes, ["start-node", "end-node", "n0", "n1"]);
    assert_eq!(compiled.tasks.len(), 1);
    assert!(closure.created_at.is_some());
}

#[tokio::test]
async fn a_workflow_that_refers_to_what_is_not_there_is_refused() {
    let harness = Harness::start().await;
    let (code, text) = refusal(harness.admin().create_workflow(workflow("m.w", "v1")).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("failed to compile workflow for [resource_type:WORKFLOW"), "{text}");
    assert!(text.contains("TaskReferenceNotFound"), "{text}");
    let (code, _) = refusal(harness.admin().create_launch_plan(launch_plan("m.w", "v1", "m.w")).await);
    assert_eq!(code, Code::NotFound);
}

#[tokio::test]
async fn a_launch_plan_lists_what_has_to_be_given() {
    let harness = Harness::start().await;
    register(&harness).await;
    let request = admin::ObjectGetRequest { id: Some(launch_plan_id("m.w")) };
    let closure = harness.admin().get_launch_plan(request).await.unwrap().into_inner().closure.unwrap();
    let inputs = closure.expected_inputs.unwrap().parameters;
    assert_eq!(inputs["x"].behavior, Some(skein_idl::flyteidl::core::parameter::Behavior::Required(true)));
    assert_eq!(inputs["x"].var.as_ref().unwrap().r#type, Some(of_type(SimpleType::Integer)));
    assert!(closure.expected_outputs.unwrap().variables.contains_key("o0"));
    assert_eq!(closure.state, 0);
    let mut unknown = launch_plan("m.other", "v1", "m.w");
    unknown.spec.as_mut().unwrap().fixed_inputs = Some(literals(&[("zz", integer(1))]));
    let (code, text) = refusal(harness.admin().create_launch_plan(unknown).await);
    assert_eq!((code, text.contains("zz")), (Code::InvalidArgument, true));
}

#[tokio::test]
async fn one_version_of_a_launch_plan_is_active() {
    let harness = Harness::start().await;
    register(&harness).await;
    let mut admin = harness.admin();
    admin.create_task(inc("v2")).await.unwrap();
    admin.create_workflow(workflow("m.w", "v2")).await.unwrap();
    admin.create_launch_plan(launch_plan("m.w", "v2", "m.w")).await.unwrap();
    let name = admin::NamedEntityIdentifier {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        name: "m.w".to_owned(),
        ..Default::default()
    };
    let active = || admin::ActiveLaunchPlanRequest { id: Some(name.clone()) };
    assert_eq!(
        refusal(admin.get_active_launch_plan(active()).await),
        (Code::NotFound, "No active launch plan could be found: flytesnacks:development:m.w".to_owned())
    );
    let update = |version: &str, state| admin::LaunchPlanUpdateRequest {
        id: Some(id(ResourceType::LaunchPlan, "m.w", version)),
        state,
    };
    for version in ["v1", "v2", "v2"] {
        admin.update_launch_plan(update(version, 1)).await.unwrap();
        let found = admin.get_active_launch_plan(active()).await.unwrap().into_inner();
        assert_eq!(found.id.unwrap().version, version);
    }
    admin.update_launch_plan(update("v1", 0)).await.unwrap();
    assert!(admin.get_active_launch_plan(active()).await.is_ok());
    admin.update_launch_plan(update("v2", 0)).await.unwrap();
    assert_eq!(refusal(admin.get_active_launch_plan(active()).await).0, Code::NotFound);
    assert_eq!(refusal(admin.update_launch_plan(update("v9", 1)).await).0, Code::NotFound);
}

#[tokio::test]
async fn the_default_project_is_there_from_the_start() {
    let harness = Harness::start().await;
    let projects =
        harness.admin().list_projects(admin::ProjectListRequest::default()).await.unwrap().into_inner();
    let project = &projects.projects[0];
    assert_eq!(
        (project.id.as_str(), project.description.as_str()),
        ("flytesnacks", "flytesnacks description")
    );
    let domains: Vec<&str> = project.domains.iter().map(|domain| domain.id.as_str()).collect();
    assert_eq!(domains, ["development", "staging", "production"]);
    let again = admin::ProjectRegisterRequest {
        project: Some(admin::Project { id: PROJECT.to_owned(), ..Default::default() }),
    };
    assert_eq!(refusal(harness.admin().register_project(again).await).0, Code::AlreadyExists);
    assert!(
        harness
            .admin()
            .get_version(admin::GetVersionRequest {})
            .await
            .unwrap()
            .into_inner()
            .control_plane_version
            .is_some()
    );
}

#[tokio::test]
async fn a_single_task_runs_in_a_workflow_that_is_made_up_once() {
    let harness = Harness::start().await;
    register(&harness).await;
    let task = id_of(ResourceType::Task, "m.inc");
    for name in ["one", "two"] {
        let request = execution(name, task.clone(), &[("x", integer(1))]);
        harness.admin().create_execution(request).await.unwrap();
    }
    let get = admin::WorkflowExecutionGetRequest { id: Some(execution_id("two")) };
    let read = harness.admin().get_execution(get).await.unwrap().into_inner();
    assert_eq!(read.spec.unwrap().launch_plan, Some(task));
    let made_up = id_of(ResourceType::Workflow, ".flytegen.m.inc");
    assert_eq!(read.closure.unwrap().workflow_id, Some(made_up.clone()));
    let request = admin::ObjectGetRequest { id: Some(made_up) };
    assert!(harness.admin().get_workflow(request).await.is_ok());
    let (code, _) = refusal(
        harness.admin().create_execution(execution("three", id_of(ResourceType::Task, "m.inc"), &[])).await,
    );
    assert_eq!(code, Code::InvalidArgument);
}
