//! What the engine cannot run yet is refused before it starts, by name.
//!
//! Each kind of node that the engine learns takes its line out of [`reason`].

use crate::error::ApiError;
use skein_idl::flyteidl::core::{self, node, workflow_node};
use skein_model::runnable::{is_raw_container, is_runnable};

/// Checks that every node of a plan can be run; `no_containers` says why containers cannot, if so.
///
/// # Errors
/// [`ApiError::Unimplemented`] naming the first node that cannot, and its kind; [`ApiError::FailedPrecondition`] naming a task
/// for which this server lacks something.
pub(super) fn check(
    closure: &core::CompiledWorkflowClosure,
    no_containers: Option<&str>,
) -> Result<(), ApiError> {
    let Some(template) = closure.primary.as_ref().and_then(|primary| primary.template.as_ref()) else {
        return Err(ApiError::Internal("a compiled workflow has no template".to_owned()));
    };
    for node in template.nodes.iter().chain(&template.failure_node) {
        if let Some(reason) = reason(node) {
            return Err(ApiError::Unimplemented(format!(
                "node {} is {reason}, which this server does not run yet",
                node.id
            )));
        }
    }
    closure
        .tasks
        .iter()
        .filter_map(|task| task.template.as_ref())
        .try_for_each(|task| check_task(task, no_containers))
}

/// Checks that a worker can start a task's code.
fn check_task(task: &core::TaskTemplate, no_containers: Option<&str>) -> Result<(), ApiError> {
    let name = task.id.as_ref().map(|id| id.name.as_str()).unwrap_or_default();
    if let Some(why) = no_containers
        && is_raw_container(task)
    {
        return Err(ApiError::FailedPrecondition(format!(
            "task {name} is a container, and this server runs none: {why}"
        )));
    }
    if is_runnable(task) {
        return Ok(());
    }
    Err(ApiError::Unimplemented(format!(
        "task {name} of type {} has a command, pod or statement of its own, which this server does not run yet",
        task.r#type
    )))
}

/// Answers what a node is, when that cannot be run.
fn reason(node: &core::Node) -> Option<&'static str> {
    match node.target.as_ref()? {
        node::Target::TaskNode(_) => None,
        node::Target::ArrayNode(array) => match array.node.as_ref().and_then(|inner| inner.target.as_ref()) {
            Some(node::Target::TaskNode(_)) => None,
            _ => Some("a map over a launch plan"),
        },
        node::Target::BranchNode(_) => Some("a branch node"),
        node::Target::GateNode(_) => Some("a gate node"),
        node::Target::WorkflowNode(inner) => Some(match inner.reference {
            Some(workflow_node::Reference::LaunchplanRef(_)) => "a launch plan node",
            Some(workflow_node::Reference::SubWorkflowRef(_)) | None => "a sub-workflow node",
        }),
    }
}
