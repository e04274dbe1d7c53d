//! What the nodes of a workflow ask for of a machine, each by the task that it runs and by its own word.

use crate::accelerators::Gpu;
use crate::compile::visit;
use crate::resources::{Offer, Quota, ResourceError, TaskResources};
use skein_idl::flyteidl::core::{self, node, task_node};
use std::collections::HashMap;

/// What is asked for, and the first node that does.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    node: String,
    task: String,
    resources: TaskResources,
}

/// What is asked for and cannot be had. The texts name the node and its task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskedError {
    /// A time limit that is none.
    #[error(
        "{whose}: its timeout is {seconds} s and {nanos} ns; it has to be from 0, which is none, to {TIMEOUT_SECONDS_MAX} s"
    )]
    Timeout {
        /// What has it, in words.
        whose: String,
        /// Its whole seconds.
        seconds: i64,
        /// The rest, in nanoseconds.
        nanos: i32,
    },
    /// Resources that are none, or more than project and domain allow.
    #[error("node {node}, task {task}: {fault}")]
    Resources {
        /// The node.
        node: String,
        /// Its task.
        task: String,
        /// What is wrong.
        fault: Box<ResourceError>,
    },
    /// More than the machine has.
    #[error("node {node}, task {task}: nothing here can ever run it: {why}")]
    Never {
        /// The node.
        node: String,
        /// Its task.
        task: String,
        /// What is asked for, and what there is.
        why: String,
    },
}

/// Answers what the nodes of a compiled workflow ask for, the same only once. `there` are accelerators that are known
/// beside those that always are.
///
/// # Errors
/// [`AskedError`] naming the node, its task, and what is wrong.
pub fn of(closure: &core::CompiledWorkflowClosure, there: &[Gpu]) -> Result<Vec<Asked>, AskedError> {
    let templates = closure.tasks.iter().filter_map(|task| task.template.as_ref());
    let tasks: HashMap<&core::Identifier, &core::TaskTemplate> =
        templates.filter_map(|template| Some((template.id.as_ref()?, template))).collect();
    let mut all: Vec<Asked> = Vec::new();
    for node in nodes_of(closure) {
        let asked = task_of(node);
        for metadata in [node.metadata.as_ref(), of_items(node)].into_iter().flatten() {
            let task = asked.map_or_else(String::new, |(id, _)| format!(", task {}", id.name));
            timeout(&format!("node {}{task}", node.id), metadata.timeout.as_ref())?;
        }
        let Some((id, overrides)) = asked else { continue };
        let Some(template) = tasks.get(id) else { continue };
        let (node, task) = (node.id.clone(), id.name.clone());
        let resources = match TaskResources::of(template, overrides, Some(there)) {
            Ok(resources) => resources,
            Err(fault) => return Err(AskedError::Resources { node, task, fault: Box::new(fault) }),
        };
        if !all.iter().any(|known| known.resources == resources) {
            all.push(Asked { node, task, resources });
        }
    }
    Ok(all)
}

/// Lists the nodes of a compiled workflow and of all that is inside it, each once however often it is used.
fn nodes_of(closure: &core::CompiledWorkflowClosure) -> Vec<&core::Node> {
    let compiled = closure.primary.iter().chain(&closure.sub_workflows);
    let templates = compiled.filter_map(|compiled| compiled.template.as_ref());
    let mut nodes = Vec::new();
    for node in templates.flat_map(|template| template.nodes.iter().chain(&template.failure_node)) {
        // Of a map the node that it repeats is a part.
        visit(node, 0, &mut |node| {
            if !node.id.is_empty() {
                nodes.push(node)
            }
        });
    }
    nodes
}

/// Answers the task that a node runs, alone or for every item, and what the node says otherwise than that.
fn task_of(node: &core::Node) -> Option<(&core::Identifier, Option<&core::TaskNodeOverrides>)> {
    let target = match node.target.as_ref()? {
        node::Target::ArrayNode(array) => array.node.as_ref()?.target.as_ref()?,
        other => other,
    };
    let node::Target::TaskNode(task) = target else { return None };
    let task_node::Reference::ReferenceId(id) = task.reference.as_ref()?;
    Some((id, task.overrides.as_ref()))
}

/// Answers what a node says of each of its items; none of one that is no map.
fn of_items(node: &core::Node) -> Option<&core::NodeMetadata> {
    let node::Target::ArrayNode(array) = node.target.as_ref()? else { return None };
    array.node.as_ref()?.metadata.as_ref()
}

/// The longest time limit, in seconds: what a duration may be by its definition, ten thousand years.
const TIMEOUT_SECONDS_MAX: i64 = 315_576_000_000;

/// Checks a time limit; `whose` names in words what has it.
///
/// # Errors
/// [`AskedError`] naming it, its value, and what would be right.
pub fn timeout(whose: &str, timeout: Option<&prost_types::Duration>) -> Result<(), AskedError> {
    let Some(prost_types::Duration { seconds, nanos }) = timeout else { return Ok(()) };
    if *seconds < 0 || *nanos < 0 || *seconds > TIMEOUT_SECONDS_MAX {
        return Err(AskedError::Timeout { whose: whose.to_owned(), seconds: *seconds, nanos: *nanos });
    }
    Ok(())
}

/// Checks that each can be had, within `quota` and of what there is.
///
/// # Errors
/// [`AskedError`] naming the node, its task, what it asks for, and what there is.
pub fn check(asked: &[Asked], quota: &Quota, offer: Option<&Offer>) -> Result<(), AskedError> {
    for Asked { node, task, resources } in asked {
        let (node, task) = (node.clone(), task.clone());
        let resources = match resources.within(quota) {
            Ok(resources) => resources,
            Err(fault) => return Err(AskedError::Resources { node, task, fault: Box::new(fault) }),
        };
        if let Some(why) = offer.and_then(|offer| offer.refusal(&resources)) {
            return Err(AskedError::Never { node, task, why });
        }
    }
    Ok(())
}
