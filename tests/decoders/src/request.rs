//! Requests as clients send them.

use bytes::Bytes;
use prost::Message;
use skein_idl::flyteidl::admin::{
    ExecutionCreateRequest, LaunchPlanCreateRequest, ResourceListRequest, TaskCreateRequest,
    WorkflowCreateRequest,
};
use skein_idl::flyteidl::core::{Identifier, LiteralMap, TaskTemplate};
use skein_idl::flyteidl::service::CreateUploadLocationRequest;
use skein_model::compile::{Definitions, LaunchPlanInterface, compile, single_task};
use skein_model::literals::{collection_elements, collection_len, literal_map_entries, map_entries};

/// Reads the bytes as each request that carries more than an id, and compiles what turns out to be a workflow.
///
/// # Panics
///
/// When what was read is not the same once written and read again, or a literal is two things at once.
pub fn protobuf_request(bytes: &[u8]) {
    round_trip::<ExecutionCreateRequest>(bytes);
    round_trip::<LaunchPlanCreateRequest>(bytes);
    round_trip::<ResourceListRequest>(bytes);
    round_trip::<CreateUploadLocationRequest>(bytes);
    round_trip::<LiteralMap>(bytes);
    if let Some(request) = round_trip::<TaskCreateRequest>(bytes) {
        compile_task(request);
    }
    if let Some(request) = round_trip::<WorkflowCreateRequest>(bytes) {
        compile_workflow(request);
    }
    read_encoded_literals(bytes);
}

fn round_trip<M: Message + Default + PartialEq>(bytes: &[u8]) -> Option<M> {
    let message = M::decode(bytes).ok()?;
    let again = M::decode(message.encode_to_vec().as_slice()).expect("what was written can be read");
    // Not a number is not equal to itself, so bytes are compared.
    assert_eq!(again.encode_to_vec(), message.encode_to_vec());
    Some(message)
}

/// No task and no launch plan is known.
struct Nothing;

impl Definitions for Nothing {
    fn task(&self, _: &Identifier) -> Option<TaskTemplate> {
        None
    }

    fn launch_plan(&self, _: &Identifier) -> Option<LaunchPlanInterface> {
        None
    }
}

fn compile_task(request: TaskCreateRequest) {
    let Some(template) = request.spec.and_then(|spec| spec.template) else { return };
    let id = request.id.unwrap_or_default();
    drop(single_task(&id, &template));
}

fn compile_workflow(request: WorkflowCreateRequest) {
    let Some(spec) = request.spec else { return };
    let Some(template) = spec.template else { return };
    let id = request.id.unwrap_or_default();
    // Refused or compiled, both will do; the errors must be printable.
    if let Err(errors) = compile(&id, &template, &spec.sub_workflows, &Nothing) {
        assert!(!errors.to_string().is_empty());
    }
}

fn read_encoded_literals(bytes: &[u8]) {
    let encoded = Bytes::copy_from_slice(bytes);
    drop(literal_map_entries(&encoded));
    let elements = collection_elements(&encoded).ok().flatten().map(|elements| elements.len());
    let len = collection_len(&encoded).ok().flatten();
    if let (Some(elements), Some(len)) = (elements, len) {
        assert_eq!(elements, len, "both readers must agree on the size of a collection");
    }
    let is_map = map_entries(&encoded).is_ok_and(|entries| entries.is_some());
    assert!(!(is_map && len.is_some()), "a literal is a map or a collection, not both");
}
