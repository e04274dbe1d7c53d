//! Compiles one workflow: its own nodes, not those of its sub-workflows.

use super::bind::{Outputs, Scope};
use super::branch;
use super::catalog::Catalog;
use super::errors::{Code, Collector, Site, id_text};
use super::graph::Graph;
use super::interface::{Input, Interface, Shape, Types, shape_of, types};
use super::nodes::{inner_nodes_mut, prepare, promises_in};
use crate::ids::NodeId;
use skein_idl::flyteidl::core::{CompiledWorkflow, Node, WorkflowTemplate, node};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Compiles one workflow; what comes back is of use only if no error was found.
pub(super) fn compile(
    mut template: WorkflowTemplate,
    catalog: &mut Catalog<'_>,
    errors: &mut Collector,
) -> CompiledWorkflow {
    prepare(&mut template, errors);
    if template.nodes.is_empty() {
        let id = id_text(&template.id.clone().unwrap_or_default());
        errors.add(Code::NoNodesFound, Site::node(&id), format!("Can't find any nodes in workflow [{id}]."));
        return CompiledWorkflow::default();
    }
    let graph = Graph::of(&template.nodes, errors);
    check(&mut template, &graph, catalog, errors);
    if !errors.is_empty() {
        return CompiledWorkflow::default();
    }
    for place in 0..template.nodes.len() {
        template.nodes[place].upstream_node_ids = graph.upstream_ids(&template.nodes, place);
        tidy_inner(&mut template.nodes[place], 0);
    }
    if let Some(failure_node) = &mut template.failure_node {
        failure_node.upstream_node_ids.clear();
        tidy_inner(failure_node, 0);
    }
    let connections = graph.connections(&template.nodes, &template.outputs);
    let start = Node { id: NodeId::START.to_owned(), ..Node::default() };
    let end = Node { id: NodeId::END.to_owned(), inputs: template.outputs.clone(), ..Node::default() };
    template.nodes.splice(0..0, [start, end]);
    CompiledWorkflow { template: Some(template), connections: Some(connections) }
}

fn check(template: &mut WorkflowTemplate, graph: &Graph, catalog: &mut Catalog<'_>, errors: &mut Collector) {
    let inputs = types(template.interface.as_ref().and_then(|interface| interface.inputs.as_ref()));
    let mut scope = Scope {
        inputs: &inputs,
        places: &graph.places,
        outputs: vec![Outputs::Unknown; template.nodes.len()],
    };
    let (order, left) = graph.order();
    graph.report_cycles(&template.nodes, &left, errors);
    for place in order.into_iter().chain(left) {
        scope.outputs[place] = check_node(&mut template.nodes[place], &scope, catalog, 0, errors);
    }
    let declared = types(template.interface.as_ref().and_then(|interface| interface.outputs.as_ref()));
    let required = |(name, declared)| (name, Input { declared, required: true });
    let end = Interface { inputs: declared.into_iter().map(required).collect(), outputs: Arc::default() };
    scope.check(NodeId::END, &mut template.outputs, &end, errors);
    if let Some(failure_node) = &mut template.failure_node {
        let nothing = HashMap::new();
        let scope = Scope { inputs: &inputs, places: &nothing, outputs: Vec::new() };
        check_node(failure_node, &scope, catalog, 0, errors);
    }
}

/// Checks a node, with those inside it, and answers what it gives.
pub(super) fn check_node(
    node: &mut Node,
    scope: &Scope<'_>,
    catalog: &mut Catalog<'_>,
    depth: usize,
    errors: &mut Collector,
) -> Outputs {
    match shape_of(node, catalog, errors) {
        Shape::Unknown => {
            // What it is bound to can still be checked.
            scope.infer(&node.id, &node.inputs, errors);
            Outputs::Unknown
        }
        Shape::Known(interface) => {
            scope.check(&node.id, &mut node.inputs, &interface, errors);
            share_inputs(node);
            Outputs::of(Arc::clone(&interface.outputs))
        }
        Shape::HandsOn => {
            let bound = scope.infer(&node.id, &node.inputs, errors);
            let types: Option<Types> = bound.into_iter().map(|(name, own)| Some((name, own?))).collect();
            types.map_or(Outputs::Unknown, |types| Outputs::of(Arc::new(types)))
        }
        Shape::Branch => {
            let bound = scope.infer(&node.id, &node.inputs, errors);
            let Some(node::Target::BranchNode(inside)) = &mut node.target else { return Outputs::Unknown };
            branch::check(&node.id, inside, &bound, scope, catalog, depth, errors)
        }
    }
}

/// Gives the repeated node of an array the array's own bindings, checked as they are.
fn share_inputs(node: &mut Node) {
    if let Some(node::Target::ArrayNode(array)) = &mut node.target
        && let Some(inner) = array.node.as_deref_mut()
    {
        inner.inputs.clone_from(&node.inputs);
        inner.upstream_node_ids.clear();
    }
}

/// Lists what inner nodes of a branch wait for, in ascending order.
fn tidy_inner(node: &mut Node, depth: usize) {
    let Some(node::Target::BranchNode(branch)) = &mut node.target else { return };
    if depth >= super::NODE_DEPTH_MAX {
        return;
    }
    for inner in inner_nodes_mut(branch) {
        let mut ids: BTreeSet<String> = std::mem::take(&mut inner.upstream_node_ids).into_iter().collect();
        for data in inner.inputs.iter().filter_map(|binding| binding.binding.as_ref()) {
            promises_in(data, 0, &mut |promise| {
                ids.insert(promise.node_id.clone());
            });
        }
        inner.upstream_node_ids =
            ids.into_iter().filter(|id| !id.is_empty() && id != NodeId::START).collect();
        tidy_inner(inner, depth + 1);
    }
}
