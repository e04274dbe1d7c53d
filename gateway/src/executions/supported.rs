//! What the engine cannot run yet is refused before it starts, by name.

use crate::config::Config;
use crate::connectors;
use crate::error::ApiError;
use skein_idl::flyteidl::core::{self, node};
use skein_model::nested;
use skein_model::runnable::{is_raw_container, is_runnable};

/// Checks that every node of a plan can be run where there is what `config` says.
///
/// # Errors
/// [`ApiError::Unimplemented`] naming the first node that cannot, and its kind; [`ApiError::FailedPrecondition`] naming a task
/// for which this server lacks something.
pub(super) async fn check(closure: &core::CompiledWorkflowClosure, config: &Config) -> Result<(), ApiError> {
    let tree = nested::lay_out(closure, None).map_err(|error| ApiError::Internal(error.to_string()))?;
    for node in tree.nodes.iter().map(|placed| placed.node) {
        if maps_over_launch_plan(node) {
            return Err(ApiError::Unimplemented(format!(
                "node {} is a map over a launch plan, which this server does not run yet",
                node.id
            )));
        }
    }
    for task in closure.tasks.iter().filter_map(|task| task.template.as_ref()) {
        check_task(task, config).await?;
        if tree.nodes.iter().any(|placed| maps_over(placed.node, task)) {
            connectors::check_mapped(config.connectors.as_ref(), task)?;
        }
    }
    Ok(())
}

fn maps_over_launch_plan(node: &core::Node) -> bool {
    let Some(node::Target::ArrayNode(array)) = &node.target else { return false };
    let inner = array.node.as_ref().and_then(|inner| inner.target.as_ref());
    !matches!(inner, Some(node::Target::TaskNode(_)))
}

/// Says whether a node is a map over a task.
fn maps_over(node: &core::Node, task: &core::TaskTemplate) -> bool {
    let Some(node::Target::ArrayNode(array)) = &node.target else { return false };
    let inner = array.node.as_ref().and_then(|inner| inner.target.as_ref());
    let Some(node::Target::TaskNode(inner)) = inner else { return false };
    let core::task_node::Reference::ReferenceId(id) = match &inner.reference {
        Some(reference) => reference,
        None => return false,
    };
    task.id.as_ref() == Some(id)
}

/// Checks that a worker can start a task's code, or that a connector does it.
async fn check_task(task: &core::TaskTemplate, config: &Config) -> Result<(), ApiError> {
    let name = task.id.as_ref().map(|id| id.name.as_str()).unwrap_or_default();
    if let Some(why) = &config.no_containers
        && is_raw_container(task)
    {
        return Err(ApiError::FailedPrecondition(format!(
            "task {name} is a container, and this server runs none: {why}"
        )));
    }
    if is_runnable(task) {
        return Ok(());
    }
    let why = match connectors::check(config.connectors.as_ref(), task).await {
        Ok(()) => return Ok(()),
        Err(why) => why,
    };
    if !matches!(
        task.target,
        Some(core::task_template::Target::Container(_) | core::task_template::Target::K8sPod(_))
    ) {
        return Err(ApiError::FailedPrecondition(why));
    }
    Err(ApiError::Unimplemented(format!(
        "task {name} of type {} has a command, pod or statement of its own, which this server does not run yet",
        task.r#type
    )))
}
