//! Walks over nodes within nodes, and brings the ids in them into the form that is stored.

use super::NODE_DEPTH_MAX;
use super::errors::{Code, Collector, Site};
use crate::ids::{NodeId, check_name};
use crate::types::DEPTH_MAX;
use skein_idl::flyteidl::core::{
    BindingData, BranchNode, Identifier, Node, OutputReference, WorkflowTemplate, binding_data,
    if_else_block, node, task_node, workflow_node,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a workflow and its sub-workflows refer to: what has to be looked up before they are compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// The tasks, each once.
    pub tasks: Vec<Identifier>,
    /// The launch plans, each once.
    pub launch_plans: Vec<Identifier>,
}

/// Answers what a workflow and its sub-workflows refer to.
pub fn references(template: &WorkflowTemplate, sub_workflows: &[WorkflowTemplate]) -> References {
    let (mut found, mut seen) = (References::default(), HashSet::new());
    for workflow in std::iter::once(template).chain(sub_workflows) {
        for node in workflow.nodes.iter().chain(&workflow.failure_node) {
            visit(node, 0, &mut |node| match &node.target {
                Some(node::Target::TaskNode(task)) => {
                    let Some(task_node::Reference::ReferenceId(id)) = &task.reference else { return };
                    if seen.insert((1, id.clone())) {
                        found.tasks.push(id.clone());
                    }
                }
                Some(node::Target::WorkflowNode(workflow)) => {
                    let Some(workflow_node::Reference::LaunchplanRef(id)) = &workflow.reference else {
                        return;
                    };
                    if seen.insert((2, id.clone())) {
                        found.launch_plans.push(id.clone());
                    }
                }
                _ => {}
            });
        }
    }
    found
}

/// Visits a node and those inside it.
pub(crate) fn visit<'a>(node: &'a Node, depth: usize, each: &mut impl FnMut(&'a Node)) {
    each(node);
    if depth >= NODE_DEPTH_MAX {
        return;
    }
    match &node.target {
        Some(node::Target::BranchNode(branch)) => {
            inner_nodes(branch).for_each(|inner| visit(inner, depth + 1, each));
        }
        Some(node::Target::ArrayNode(array)) => {
            array.node.iter().for_each(|inner| visit(inner, depth + 1, each));
        }
        Some(node::Target::TaskNode(_) | node::Target::WorkflowNode(_) | node::Target::GateNode(_))
        | None => {}
    }
}

/// Answers the nodes of a branch in the order of its cases.
pub(crate) fn inner_nodes(branch: &BranchNode) -> impl Iterator<Item = &Node> {
    let blocks =
        branch.if_else.iter().flat_map(|blocks| blocks.case.iter().map(AsRef::as_ref).chain(&blocks.other));
    let last = branch.if_else.as_ref().and_then(|blocks| match &blocks.default {
        Some(if_else_block::Default::ElseNode(node)) => Some(node.as_ref()),
        Some(if_else_block::Default::Error(_)) | None => None,
    });
    blocks.filter_map(|block| block.then_node.as_deref()).chain(last)
}

/// Answers the nodes of a branch, to be changed.
pub(super) fn inner_nodes_mut(branch: &mut BranchNode) -> impl Iterator<Item = &mut Node> {
    let blocks = branch.if_else.as_deref_mut();
    let (case, other, default) = match blocks {
        Some(blocks) => (blocks.case.as_deref_mut(), blocks.other.as_mut_slice(), blocks.default.as_mut()),
        None => (None, [].as_mut_slice(), None),
    };
    let last = match default {
        Some(if_else_block::Default::ElseNode(node)) => Some(node.as_mut()),
        Some(if_else_block::Default::Error(_)) | None => None,
    };
    case.into_iter().chain(other).filter_map(|block| block.then_node.as_deref_mut()).chain(last)
}

/// Renames inner nodes, points promises of workflow inputs to the start node, and checks all ids.
pub(super) fn prepare(template: &mut WorkflowTemplate, errors: &mut Collector) {
    // A compiled workflow that is registered again has these already; they are made anew.
    template.nodes.retain(|node| !(node.target.is_none() && is_terminal(&node.id)));
    let mut ids = HashSet::new();
    let mut aliases = HashMap::new();
    for node in template.nodes.iter_mut().chain(&mut template.failure_node) {
        prepare_node(node, 0, &mut ids, &mut aliases, errors);
    }
    let mut rewrite = |promise: &mut OutputReference| {
        if promise.node_id.is_empty() {
            NodeId::START.clone_into(&mut promise.node_id);
        }
        let variable = aliases
            .get(&promise.node_id)
            .and_then(|of_node: &BTreeMap<String, String>| of_node.get(&promise.var));
        if let Some(variable) = variable {
            promise.var.clone_from(variable);
        }
    };
    for node in template.nodes.iter_mut().chain(&mut template.failure_node) {
        promises_of_node(node, 0, &mut rewrite);
    }
    for binding in &mut template.outputs {
        binding.binding.iter_mut().for_each(|data| promises(data, 0, &mut rewrite));
    }
}

fn is_terminal(id: &str) -> bool {
    id == NodeId::START || id == NodeId::END
}

fn prepare_node(
    node: &mut Node,
    depth: usize,
    ids: &mut HashSet<String>,
    aliases: &mut HashMap<String, BTreeMap<String, String>>,
    errors: &mut Collector,
) {
    check_id(node, ids, errors);
    let mut of_node = BTreeMap::new();
    for alias in &node.output_aliases {
        if of_node.insert(alias.alias.clone(), alias.var.clone()).is_some() {
            let description =
                format!("Duplicate alias [{}] found. An output alias can only be used once.", alias.alias);
            errors.add(Code::DuplicateAlias, Site::node(&node.id).variable(&alias.alias), description);
        }
    }
    if !of_node.is_empty() {
        aliases.insert(node.id.clone(), of_node);
    }
    if let Some(node::Target::BranchNode(branch)) = &mut node.target {
        if depth >= NODE_DEPTH_MAX {
            let description = format!("branches are nested more than {NODE_DEPTH_MAX} deep");
            errors.add(Code::WorkflowBuildError, Site::node(&node.id), description);
            return;
        }
        for inner in inner_nodes_mut(branch) {
            inner.id = format!("{}-{}", node.id, inner.id);
            prepare_node(inner, depth + 1, ids, aliases, errors);
        }
    }
}

fn check_id(node: &Node, ids: &mut HashSet<String>, errors: &mut Collector) {
    let site = Site::node(&node.id);
    if node.id.is_empty() {
        errors.add(Code::ValueRequired, site, "Value required [Id].");
    } else if let Err(error) = check_name("node id", &node.id) {
        errors.add(Code::InvalidValue, site, format!("Invalid value [Id]: {error}."));
    } else if is_terminal(&node.id) || !ids.insert(node.id.clone()) {
        let description = format!("Node with Id [{}] already exists in the workflow.", node.id);
        errors.add(Code::DuplicateId, site, description);
    }
}

fn promises_of_node(node: &mut Node, depth: usize, each: &mut impl FnMut(&mut OutputReference)) {
    for binding in &mut node.inputs {
        binding.binding.iter_mut().for_each(|data| promises(data, 0, each));
    }
    if depth >= NODE_DEPTH_MAX {
        return;
    }
    match &mut node.target {
        Some(node::Target::BranchNode(branch)) => {
            inner_nodes_mut(branch).for_each(|inner| promises_of_node(inner, depth + 1, each));
        }
        Some(node::Target::ArrayNode(array)) => {
            array.node.iter_mut().for_each(|inner| promises_of_node(inner, depth + 1, each));
        }
        Some(node::Target::TaskNode(_) | node::Target::WorkflowNode(_) | node::Target::GateNode(_))
        | None => {}
    }
}

fn promises(data: &mut BindingData, depth: usize, each: &mut impl FnMut(&mut OutputReference)) {
    if depth > DEPTH_MAX {
        return;
    }
    match &mut data.value {
        Some(binding_data::Value::Promise(promise)) => each(promise),
        Some(binding_data::Value::Collection(elements)) => {
            elements.bindings.iter_mut().for_each(|element| promises(element, depth + 1, each));
        }
        Some(binding_data::Value::Map(entries)) => {
            entries.bindings.values_mut().for_each(|value| promises(value, depth + 1, each));
        }
        Some(binding_data::Value::Scalar(_) | binding_data::Value::OffloadedMetadata(_)) | None => {}
    }
}

/// Visits the promises of a value, those that are nested too deeply left out.
pub(super) fn promises_in<'a>(
    data: &'a BindingData,
    depth: usize,
    each: &mut impl FnMut(&'a OutputReference),
) {
    if depth > DEPTH_MAX {
        return;
    }
    match &data.value {
        Some(binding_data::Value::Promise(promise)) => each(promise),
        Some(binding_data::Value::Collection(elements)) => {
            elements.bindings.iter().for_each(|element| promises_in(element, depth + 1, each));
        }
        Some(binding_data::Value::Map(entries)) => {
            entries.bindings.values().for_each(|value| promises_in(value, depth + 1, each));
        }
        Some(binding_data::Value::Scalar(_) | binding_data::Value::OffloadedMetadata(_)) | None => {}
    }
}
