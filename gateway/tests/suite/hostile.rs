//! What no client of good will sends: never UNKNOWN, and the server goes on.

use crate::definitions::*;
use crate::harness::{Harness, refusal};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::ResourceType;
use tonic::Code;

/// Every method that is served, by its path.
fn methods() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(skein_idl::FILE_DESCRIPTOR_SET).unwrap();
    let mut paths = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "flyteidl.service") {
        for service in &file.service {
            let path = |method: &prost_types::MethodDescriptorProto| {
                format!("/{}.{}/{}", file.package(), service.name(), method.name())
            };
            paths.extend(service.method.iter().map(path));
        }
    }
    assert!(paths.len() > 60, "{}", paths.len());
    paths
}

/// Bytes that are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self) -> Bytes {
        let length = self.next() % 64;
        (0..length).map(|_| (self.next() & 0xff) as u8).collect::<Vec<u8>>().into()
    }
}

async fn is_alive(harness: &Harness) {
    harness.admin().get_version(admin::GetVersionRequest {}).await.unwrap();
}

#[tokio::test]
async fn random_and_truncated_messages_are_refused_on_every_method_and_never_by_unknown() {
    let harness = Harness::start().await;
    register(&harness).await;
    let whole = [
        inc("v3").encode_to_vec(),
        workflow("m.w", "v3").encode_to_vec(),
        execution("abc", launch_plan_id("m.w"), &[("x", integer(1))]).encode_to_vec(),
    ];
    let mut random = Random(42);
    for path in methods() {
        let mut requests: Vec<Bytes> = (0..20).map(|_| random.bytes()).collect();
        requests.push(Bytes::new());
        for whole in &whole {
            let end = random.next() as usize % whole.len();
            requests.push(whole[..end].to_vec().into());
            let mut flipped = whole.clone();
            let at = random.next() as usize % whole.len();
            flipped[at] ^= 1 << (random.next() % 8);
            requests.push(flipped.into());
        }
        for request in requests {
            if let Err(status) = harness.call_raw(&path, request.clone()).await {
                assert_ne!(status.code(), Code::Unknown, "{path} {request:?} {status}");
                assert_ne!(status.code(), Code::Unauthenticated, "{path} {request:?} {status}");
            }
        }
    }
    is_alive(&harness).await;
}

#[tokio::test]
async fn names_that_could_do_harm_are_refused_wherever_they_stand() {
    let harness = Harness::start().await;
    register(&harness).await;
    let long = "x".repeat(10_240);
    for name in ["a/b", "..", ".", "a\0b", "a\nb", "a\\b", long.as_str()] {
        let invalid =
            |code: Code| assert_eq!(code, Code::InvalidArgument, "{:?}", &name[..name.len().min(20)]);
        let mut task = inc("v1");
        task.id.as_mut().unwrap().name = name.to_owned();
        invalid(refusal(harness.admin().create_task(task).await).0);
        invalid(refusal(harness.admin().create_task(inc(name)).await).0);
        invalid(
            refusal(harness.admin().create_execution(execution(name, launch_plan_id("m.w"), &[])).await).0,
        );
        let mut elsewhere = execution("abc", launch_plan_id("m.w"), &[]);
        elsewhere.project = name.to_owned();
        invalid(refusal(harness.admin().create_execution(elsewhere).await).0);
        let get = admin::ObjectGetRequest { id: Some(id(ResourceType::Workflow, name, "v1")) };
        invalid(refusal(harness.admin().get_workflow(get).await).0);
        let get = admin::WorkflowExecutionGetRequest { id: Some(execution_id(name)) };
        invalid(refusal(harness.admin().get_execution(get).await).0);
        let get = admin::NodeExecutionGetRequest { id: Some(node_id("abc", name)) };
        invalid(refusal(harness.admin().get_node_execution(get).await).0);
        let project = admin::Project { id: name.to_owned(), ..Default::default() };
        let register = admin::ProjectRegisterRequest { project: Some(project) };
        invalid(refusal(harness.admin().register_project(register).await).0);
    }
}

#[tokio::test]
async fn a_message_of_100_mib_is_refused_and_the_next_one_served() {
    let harness = Harness::start().await;
    let huge = Bytes::from(vec![0_u8; 100 << 20]);
    let status = harness.call_raw("/flyteidl.service.AdminService/CreateTask", huge).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted | Code::InvalidArgument),
        "{status}"
    );
    is_alive(&harness).await;
}

#[tokio::test]
async fn messages_within_messages_without_end_are_refused() {
    let harness = Harness::start().await;
    // Field 1 of the request, then a literal type within a literal type (field 2 and 3), 100 000 deep.
    let mut nested = Vec::new();
    for _ in 0..100_000_u32 {
        let mut outer = vec![0x12];
        prost::encoding::encode_varint(nested.len() as u64, &mut outer);
        outer.append(&mut nested);
        nested = outer;
        if nested.len() > 60_000 {
            break;
        }
    }
    for method in ["CreateTask", "CreateWorkflow", "CreateExecution", "CreateLaunchPlan"] {
        let path = format!("/flyteidl.service.AdminService/{method}");
        let status = harness.call_raw(&path, nested.clone().into()).await.unwrap_err();
        assert_ne!(status.code(), Code::Unknown, "{status}");
    }
    is_alive(&harness).await;
}

#[tokio::test]
async fn an_error_about_a_flood_of_wrong_nodes_fits_into_the_trailers() {
    let harness = Harness::start().await;
    let mut request = workflow("m.w", "v1");
    let template = request.spec.as_mut().unwrap().template.as_mut().unwrap();
    let node = template.nodes[0].clone();
    template.nodes = (0..10_000)
        .map(|at| skein_idl::flyteidl::core::Node { id: format!("é{at}"), ..node.clone() })
        .collect();
    let (code, text) = refusal(harness.admin().create_workflow(request).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.len() < 16 * 1024, "{}", text.len());
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let harness = Harness::start().await;
    let event = harness.call_raw("/flyteidl.service.AdminService/CreateWorkflowEvent", Bytes::new()).await;
    assert_eq!(refusal(event).0, Code::Unimplemented);
    let apps = harness.call_raw("/cloudidl.identity.AppsService/List", Bytes::new()).await;
    assert_eq!(refusal(apps).0, Code::Unimplemented);
    let oauth =
        harness.call_raw("/flyteidl.service.AuthMetadataService/GetOAuth2Metadata", Bytes::new()).await;
    assert_eq!(refusal(oauth).0, Code::Unimplemented);
    let health = harness.call_raw("/grpc.health.v1.Health/Check", Bytes::new()).await;
    assert!(health.is_ok());
}

#[tokio::test]
async fn a_signal_that_no_gate_waits_for_is_refused() {
    use skein_idl::flyteidl::core::SignalIdentifier;
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let id = SignalIdentifier { signal_id: "nope".to_owned(), execution_id: Some(execution_id("abc")) };
    let set = admin::SignalSetRequest { id: Some(id), value: Some(integer(1)) };
    assert_eq!(
        refusal(harness.signals().set_signal(set).await),
        (
            Code::InvalidArgument,
            "failed to validate that signal [{{flytesnacks development abc} nope}] exists, err: [signal does not exist]".to_owned()
        )
    );
    let list = admin::SignalListRequest {
        workflow_execution_id: Some(execution_id("abc")),
        limit: 10,
        ..Default::default()
    };
    assert_eq!(
        harness.signals().list_signals(list).await.unwrap().into_inner(),
        admin::SignalList::default()
    );
}
