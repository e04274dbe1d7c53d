//! Checks workflows and makes of them what the engine runs and a client is shown: contract 2.6.
//!
//! Everything that is wrong is collected, each with the node and the variable it concerns, so that one registration
//! shows all of it. Nothing is looked up here: whoever compiles brings the definitions, see [`references`].
//!
//! Workflows come from outside. Nothing here recurses deeper than [`NODE_DEPTH_MAX`] nodes within each other or
//! [`crate::types::DEPTH_MAX`] values within each other, and chains of nodes are walked without recursion.

mod bind;
mod branch;
mod catalog;
mod errors;
mod graph;
mod interface;
mod nodes;
mod single_task;
mod subworkflows;
mod workflow;

pub use catalog::{Definitions, Known, LaunchPlanInterface};
pub use errors::{Code, CompileError, CompileErrors, MESSAGE_BYTES_MAX, id_text};
pub use nodes::{References, references};
pub(crate) use nodes::{inner_nodes, visit};
pub use single_task::{single_task, single_task_node_id};

use catalog::Catalog;
use errors::Collector;
use prost::Message as _;
use skein_idl::flyteidl::core::{
    CompiledTask, CompiledWorkflowClosure, Identifier, ResourceType, WorkflowTemplate,
};

/// How deeply nodes may be nested in each other: branches in branches.
pub const NODE_DEPTH_MAX: usize = 50;
/// How deeply sub-workflows may be nested in each other.
pub const SUB_WORKFLOW_DEPTH_MAX: usize = 50;
/// How many nodes a workflow may have in all, those of its sub-workflows counted wherever they are used.
pub const NODES_MAX: u64 = 100_000;

/// Compiles a workflow, registered as `id`, with all the sub-workflows that came with it.
///
/// The result lists tasks, sub-workflows and connections in the order of their ids, so that equal workflows compile to
/// equal bytes; its launch-plan section is left empty, because it is no part of a workflow's identity.
///
/// - A node's `upstream_node_ids` hold all nodes it waits for, but not the start node; those of a branch hold what its
///   inner nodes wait for, too.
/// - Inner nodes of a branch stay inside it, renamed to `<branch>-<inner>`; their promises name outer nodes.
/// - `connections` cover the outermost nodes with start and end.
///
/// # Errors
/// Everything that is wrong with the workflow.
pub fn compile(
    id: &Identifier,
    template: &WorkflowTemplate,
    sub_workflows: &[WorkflowTemplate],
    definitions: &dyn Definitions,
) -> Result<CompiledWorkflowClosure, CompileErrors> {
    let id = Identifier { resource_type: ResourceType::Workflow.into(), ..id.clone() };
    let mut errors = Collector::new(id.clone());
    let sub_workflows = subworkflows::unique(sub_workflows, &mut errors);
    subworkflows::check_nesting(&id, template, &sub_workflows, &mut errors);
    let mut catalog = Catalog::new(definitions, &sub_workflows);

    let primary =
        workflow::compile(WorkflowTemplate { id: Some(id), ..template.clone() }, &mut catalog, &mut errors);
    let mut compiled = Vec::with_capacity(sub_workflows.len());
    for sub_workflow in sub_workflows {
        errors.enter_sub_workflow(sub_workflow.id.as_ref());
        compiled.push(workflow::compile(sub_workflow.clone(), &mut catalog, &mut errors));
    }
    errors.finish()?;
    Ok(CompiledWorkflowClosure {
        primary: Some(primary),
        sub_workflows: compiled,
        tasks: catalog.into_tasks().map(|template| CompiledTask { template: Some(template) }).collect(),
        launch_plans: Vec::new(),
    })
}

/// Answers xxh3-128 of a compiled workflow, by which a second registration is told apart from a changed one. The
/// launch-plan section does not count: launch plans may be registered after the workflow.
pub fn digest(closure: &CompiledWorkflowClosure) -> u128 {
    let CompiledWorkflowClosure { primary, sub_workflows, tasks, launch_plans: _ } = closure;
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    let mut add = |bytes: Vec<u8>| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    };
    add(primary.as_ref().map(prost::Message::encode_to_vec).unwrap_or_default());
    add((sub_workflows.len() as u64).encode_to_vec());
    sub_workflows.iter().for_each(|workflow| add(workflow.encode_to_vec()));
    tasks.iter().for_each(|task| add(task.encode_to_vec()));
    hash.digest128()
}
