//! Makes the workflow that runs one task alone: contract 5.1.

use skein_idl::flyteidl::core::{
    Binding, BindingData, Identifier, Node, NodeMetadata, OutputReference, ResourceType, TaskNode,
    TaskTemplate, WorkflowMetadata, WorkflowMetadataDefaults, WorkflowTemplate, binding_data, node,
    node_metadata, task_metadata, task_node,
};

/// What the name of a workflow that runs one task begins with.
pub const PREFIX: &str = ".flytegen.";

/// Answers the workflow that runs a task alone, with the task's inputs and outputs.
///
/// The node takes timeout, retries and interruptibility from the task, which the original leaves out in part: users
/// are promised them for tasks.
pub fn single_task(id: &Identifier, task: &TaskTemplate) -> WorkflowTemplate {
    let interface = task.interface.clone().unwrap_or_default();
    let node_id = single_task_node_id(&id.name);
    let bindings = |variables: Option<&skein_idl::flyteidl::core::VariableMap>, from: &str| {
        let names = variables.iter().flat_map(|variables| variables.variables.keys());
        names.map(|name| promise(name, from)).collect::<Vec<_>>()
    };
    let node = Node {
        id: node_id.clone(),
        metadata: Some(node_metadata_of(&node_id, task)),
        inputs: bindings(interface.inputs.as_ref(), ""),
        target: Some(node::Target::TaskNode(TaskNode {
            reference: Some(task_node::Reference::ReferenceId(id.clone())),
            ..TaskNode::default()
        })),
        ..Node::default()
    };
    WorkflowTemplate {
        id: Some(Identifier {
            resource_type: ResourceType::Workflow.into(),
            name: format!("{PREFIX}{}", id.name),
            ..id.clone()
        }),
        metadata: Some(WorkflowMetadata::default()),
        outputs: bindings(interface.outputs.as_ref(), &node_id),
        interface: Some(interface),
        nodes: vec![node],
        failure_node: None,
        metadata_defaults: Some(WorkflowMetadataDefaults::default()),
    }
}

fn promise(name: &str, from: &str) -> Binding {
    let reference = OutputReference { node_id: from.to_owned(), var: name.to_owned(), attr_path: Vec::new() };
    let data = BindingData { value: Some(binding_data::Value::Promise(reference)), union: None };
    Binding { var: name.to_owned(), binding: Some(data) }
}

fn node_metadata_of(name: &str, task: &TaskTemplate) -> NodeMetadata {
    let metadata = task.metadata.clone().unwrap_or_default();
    NodeMetadata {
        name: name.to_owned(),
        timeout: metadata.timeout,
        retries: Some(metadata.retries.unwrap_or_default()),
        interruptible_value: metadata.interruptible_value.map(|value| match value {
            task_metadata::InterruptibleValue::Interruptible(interruptible) => {
                node_metadata::InterruptibleValue::Interruptible(interruptible)
            }
        }),
        ..NodeMetadata::default()
    }
}

/// How much of a task's name becomes the node's id, in characters.
const NAME_CHARS: usize = 63;

/// Answers the id of the node that runs a task alone: letters, digits and dashes among the last 63 characters of the
/// task's name.
pub fn single_task_node_id(task_name: &str) -> String {
    let start = task_name.char_indices().rev().nth(NAME_CHARS - 1).map_or(0, |(at, _)| at);
    let id: String = task_name[start..].chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    // A name of nothing but other characters still needs a node.
    if id.is_empty() { "task".to_owned() } else { id }
}
