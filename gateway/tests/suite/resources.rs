//! What tasks ask for of a machine: refused at registration where nobody could have it, at launch where nothing here can give
//! it, and told where it is waited for.

use crate::definitions::*;
use crate::engine::{append_unseen, created, node, value};
use crate::harness::{Harness, refusal};
use crate::progress::progress_of;
use skein_gateway::Config;
use skein_gateway::why::Why;
use skein_idl::flyteidl::admin::matching_attributes::Target;
use skein_idl::flyteidl::core::resources::{ResourceEntry, ResourceName};
use skein_idl::flyteidl::core::{self, ResourceType, task_template};
use skein_idl::flyteidl::{admin, core::node::Target as NodeTarget};
use skein_model::{Attempt, Event, Gpu, Offer};
use tonic::Code;

type Given<'g> = &'g [(ResourceName, &'g str)];

fn resources(requests: Given<'_>, limits: Given<'_>) -> core::Resources {
    let list = |given: Given<'_>| {
        let entry = |(name, value): &(ResourceName, &str)| ResourceEntry {
            name: (*name).into(),
            value: (*value).to_owned(),
        };
        given.iter().map(entry).collect()
    };
    core::Resources { requests: list(requests), limits: list(limits) }
}

fn accelerator(device: &str) -> Option<core::ExtendedResources> {
    let gpu_accelerator =
        Some(core::GpuAccelerator { device: device.to_owned(), partition_size_value: None });
    Some(core::ExtendedResources { gpu_accelerator, shared_memory: None })
}

/// `m.inc`, which asks for something.
fn asking(requests: Given<'_>, limits: Given<'_>, device: Option<&str>) -> admin::TaskCreateRequest {
    let mut task = inc("v1");
    let template = task.spec.as_mut().unwrap().template.as_mut().unwrap();
    let Some(task_template::Target::Container(container)) = &mut template.target else {
        panic!("it has one")
    };
    container.resources = Some(resources(requests, limits));
    template.extended_resources = device.and_then(accelerator);
    task
}

fn gpu(device: &str) -> Gpu {
    Gpu { device: device.to_owned(), part: None }
}

/// A gateway of a machine with 2 cores, 4 GiB and one T4.
async fn machine(is_enforced: bool) -> Harness {
    let gpus = Some(vec![gpu("nvidia-tesla-t4")]);
    let offer = Some(Offer { cpu_millis: 2_000, memory_bytes: 4 << 30, gpus, is_enforced });
    Harness::start_with(Config { offer, ..Config::default() }).await
}

async fn set_quota(harness: &Harness, defaults: &[&str; 2], limits: &[&str; 2]) -> Result<(), tonic::Status> {
    let spec = |[cpu, memory]: &[&str; 2]| {
        Some(admin::TaskResourceSpec {
            cpu: (*cpu).to_owned(),
            memory: (*memory).to_owned(),
            ..Default::default()
        })
    };
    let attributes = admin::TaskResourceAttributes { defaults: spec(defaults), limits: spec(limits) };
    let matching = admin::MatchingAttributes { target: Some(Target::TaskResourceAttributes(attributes)) };
    let attributes = admin::ProjectDomainAttributes {
        project: PROJECT.to_owned(),
        domain: DOMAIN.to_owned(),
        matching_attributes: Some(matching),
        ..Default::default()
    };
    let request = admin::ProjectDomainAttributesUpdateRequest { attributes: Some(attributes) };
    harness.admin().update_project_domain_attributes(request).await.map(drop)
}

use ResourceName::{Cpu, Gpu as GPU, Memory};

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_at_registration_with_task_list_resource_and_value() {
    let harness = Harness::start().await;
    let cases = [
        (
            asking(&[(Memory, "2Gi")], &[(Memory, "1Gi")], None),
            "task m.inc: MEMORY request 2Gi is greater than its limit 1Gi",
        ),
        (
            asking(&[(Cpu, "much")], &[], None),
            "task m.inc: CPU of requests is \"much\", not a quantity such as 500m, 2 or 1.5Gi",
        ),
        (
            asking(&[], &[(GPU, "1")], Some("nvidia-tesla-t5")),
            "task m.inc: accelerator: \"nvidia-tesla-t5\" is unknown (did you mean nvidia-tesla-t4?); known are amd-mi100, ",
        ),
    ];
    for (task, expected) in cases {
        let (code, text) = refusal(harness.admin().create_task(task).await);
        assert_eq!(code, Code::InvalidArgument);
        assert!(text.starts_with(expected), "{text}");
    }
    let fine = asking(&[(Cpu, "1")], &[(Cpu, "2"), (GPU, "1")], Some("nvidia-tesla-t4"));
    harness.admin().create_task(fine).await.unwrap();
}

#[tokio::test]
async fn a_node_that_asks_for_what_cannot_be_is_refused_with_its_workflow() {
    let harness = Harness::start().await;
    harness.admin().create_task(inc("v1")).await.unwrap();
    let mut wf = workflow("m.w", "v1");
    let first = &mut wf.spec.as_mut().unwrap().template.as_mut().unwrap().nodes[0];
    let Some(NodeTarget::TaskNode(task)) = &mut first.target else { panic!("it runs a task") };
    task.overrides = Some(core::TaskNodeOverrides {
        resources: Some(resources(&[], &[(GPU, "0")])),
        ..Default::default()
    });
    let (code, text) = refusal(harness.admin().create_workflow(wf).await);
    assert_eq!(code, Code::InvalidArgument);
    let expected = "node n0, task m.inc: GPU of limits is 0; it has to be 1 or more, and a task that needs none leaves it out";
    assert_eq!(text, expected);
}

#[tokio::test]
async fn the_quota_of_a_project_and_domain_bounds_what_is_registered_and_launched() {
    let harness = Harness::start().await;
    let (code, text) = refusal(set_quota(&harness, &["4", ""], &["2", ""]).await);
    assert_eq!(
        (code, text.as_str()),
        (Code::InvalidArgument, "task_resource_attributes: CPU of defaults is 4, above the 2 of limits")
    );
    harness.admin().create_task(asking(&[], &[(Memory, "8Gi")], None)).await.unwrap();
    set_quota(&harness, &["1", "256Mi"], &["2", "1Gi"]).await.unwrap();
    let over = "MEMORY of limits is 8Gi, and 1Gi is the most that its project and domain allow";
    let mut later = asking(&[], &[(Memory, "8Gi")], None);
    later.id.as_mut().unwrap().version = "v2".to_owned();
    let (code, text) = refusal(harness.admin().create_task(later).await);
    assert_eq!((code, text), (Code::InvalidArgument, format!("task m.inc: {over}")));
    // What was registered before is refused when it is launched.
    let launched = id(ResourceType::Task, "m.inc", "v1");
    let request = execution("abc", launched, &[("x", integer(1))]);
    let (code, text) = refusal(harness.admin().create_execution(request).await);
    assert_eq!((code, text), (Code::InvalidArgument, format!("node minc, task m.inc: {over}")));
}

#[tokio::test]
async fn what_a_project_says_when_an_execution_is_created_stands_in_its_journal() {
    let harness = Harness::start().await;
    set_quota(&harness, &["1", "256Mi"], &["2", "1Gi"]).await.unwrap();
    register(&harness).await;
    launch(&harness, "abc").await;
    let created = created(&harness, "abc").await;
    assert_eq!(created.settings.quota.defaults.memory_bytes, Some(256 << 20));
    assert_eq!(created.settings.quota.limits.cpu_millis, Some(2_000));
}

#[tokio::test]
async fn what_nothing_here_can_give_is_refused_at_launch_with_what_there_is() {
    let harness = machine(false).await;
    harness.admin().create_task(asking(&[], &[(GPU, "2")], Some("nvidia-tesla-t4"))).await.unwrap();
    let launched = || id(ResourceType::Task, "m.inc", "v1");
    let request = execution("abc", launched(), &[("x", integer(1))]);
    let (code, text) = refusal(harness.admin().create_execution(request).await);
    assert_eq!(code, Code::InvalidArgument);
    let expected = "node minc, task m.inc: nothing here can ever run it: it asks for 2 GPU of nvidia-tesla-t4, and the machine has 1 × nvidia-tesla-t4";
    assert_eq!(text, expected);
    let created = harness
        .admin()
        .get_execution(admin::WorkflowExecutionGetRequest { id: Some(execution_id("abc")) })
        .await;
    assert_eq!(refusal(created).0, Code::NotFound, "nothing was created");
}

#[tokio::test]
async fn cores_and_memory_that_are_not_there_are_in_the_way_only_where_they_are_held_to() {
    for is_enforced in [false, true] {
        let harness = machine(is_enforced).await;
        harness.admin().create_task(asking(&[(Memory, "64Gi")], &[], None)).await.unwrap();
        let request = execution("abc", id(ResourceType::Task, "m.inc", "v1"), &[("x", integer(1))]);
        let answer = harness.admin().create_execution(request).await;
        if is_enforced {
            let (code, text) = refusal(answer);
            assert_eq!(code, Code::InvalidArgument);
            assert!(text.ends_with("it requests MEMORY 64Gi, and the machine has 4Gi"), "{text}");
        } else {
            answer.unwrap();
        }
    }
}

async fn waits(harness: &Harness) -> Vec<String> {
    let path = progress_of("abc").replace("/progress", "/why");
    let (status, body) = harness.http("GET", &path, &[], &[]).await;
    assert_eq!(status, 200);
    let why: Why = serde_json::from_slice(&body).unwrap();
    why.waits.into_iter().map(|wait| wait.what).collect()
}

#[tokio::test]
async fn a_try_that_waits_for_a_gpu_says_so_and_one_that_asks_for_more_than_there_is_runs_although_it_does() {
    let harness = machine(false).await;
    let task = asking(&[(Memory, "64Gi")], &[(GPU, "1")], Some("nvidia-tesla-t4"));
    harness.admin().create_task(task).await.unwrap();
    let mut admin = harness.admin();
    admin.create_workflow(workflow("m.w", "v1")).await.unwrap();
    admin.create_launch_plan(launch_plan("m.w", "v1", "m.w")).await.unwrap();
    launch(&harness, "abc").await;
    let n0 = node("n0");
    let started = Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) };
    let queued = Event::AttemptQueued { node: n0.clone(), attempt: Attempt(0), not_before: None };
    append_unseen(&harness, "abc", &[Event::Started, started, queued]).await;
    let expected =
        "a worker, and 1 GPU of nvidia-tesla-t4 to be free: there are 1, and no two tries share one";
    assert_eq!(waits(&harness).await[0], expected);
    let began = Event::AttemptStarted {
        node: n0,
        attempt: Attempt(0),
        worker: "w1".to_owned(),
        micros_ago: 0,
        place: None,
    };
    append_unseen(&harness, "abc", &[began]).await;
    let expected = "its task, which runs on w1 although it requests MEMORY 64Gi, and the machine has 4Gi";
    assert_eq!(waits(&harness).await[0], expected);
}
