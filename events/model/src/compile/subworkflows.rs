//! Checks how sub-workflows refer to each other, before any of them is compiled.

use super::catalog::Key;
use super::errors::{Code, Collector, Site, id_text};
use super::nodes::visit;
use super::{NODES_MAX, SUB_WORKFLOW_DEPTH_MAX};
use skein_idl::flyteidl::core::{Identifier, WorkflowTemplate, node, workflow_node};
use std::collections::BTreeMap;

/// Answers each sub-workflow once, in the order of their ids.
pub(super) fn unique<'a>(
    sub_workflows: &'a [WorkflowTemplate],
    errors: &mut Collector,
) -> Vec<&'a WorkflowTemplate> {
    let mut unique: BTreeMap<Key, &WorkflowTemplate> = BTreeMap::new();
    for workflow in sub_workflows {
        let id = workflow.id.clone().unwrap_or_default();
        let text = id_text(&id);
        if id.name.is_empty() {
            errors.add(Code::ValueRequired, Site::node(&text), "Value required [SubWorkflow.Id.Name].");
        }
        let other = unique.insert((&id).into(), workflow);
        if other.is_some_and(|other| other != workflow) {
            let description = format!("Two sub-workflows have the id [{text}] and are not the same.");
            errors.add(Code::DuplicateId, Site::node(&text), description);
        }
    }
    unique.into_values().collect()
}

/// Refuses sub-workflows that run themselves, or that are nested too deeply, or come to too many nodes.
pub(super) fn check_nesting(
    id: &Identifier,
    template: &WorkflowTemplate,
    sub_workflows: &[&WorkflowTemplate],
    errors: &mut Collector,
) {
    let nesting = Nesting::of(sub_workflows);
    let site = id_text(id);
    let (order, left) = nesting.order();
    if let Some(place) = left.first() {
        let inside = id_text(&sub_workflows[*place].id.clone().unwrap_or_default());
        let description = format!("A cycle has been detected: sub-workflow [{inside}] runs itself.");
        return errors.add(Code::CycleDetected, Site::node(&site), description);
    }
    // Depth and size of each, those inside it counted; inner ones come first.
    let (mut depth, mut size) = (vec![0_usize; sub_workflows.len()], vec![0_u64; sub_workflows.len()]);
    for place in order {
        let uses = &nesting.uses[place];
        depth[place] = 1 + uses.keys().map(|inner| depth[*inner]).max().unwrap_or(0);
        size[place] = total(nesting.nodes[place], uses, &size);
    }
    let (uses, nodes) = nesting.read(template);
    let depth = uses.keys().map(|inner| depth[*inner]).max().unwrap_or(0);
    if depth > SUB_WORKFLOW_DEPTH_MAX {
        let description =
            format!("sub-workflows are nested {depth} deep, the limit is {SUB_WORKFLOW_DEPTH_MAX}");
        errors.add(Code::WorkflowBuildError, Site::node(&site), description);
    }
    let size = total(nodes, &uses, &size);
    if size > NODES_MAX {
        let description =
            format!("the workflow has {size} nodes with its sub-workflows, the limit is {NODES_MAX}");
        errors.add(Code::WorkflowBuildError, Site::node(&site), description);
    }
}

fn total(own: u64, uses: &BTreeMap<usize, u64>, size: &[u64]) -> u64 {
    uses.iter().fold(own, |sum, (inner, times)| sum.saturating_add(size[*inner].saturating_mul(*times)))
}

struct Nesting {
    places: BTreeMap<Key, usize>,
    /// Which sub-workflows each one runs, and how often.
    uses: Vec<BTreeMap<usize, u64>>,
    /// How many nodes each has itself.
    nodes: Vec<u64>,
}

impl Nesting {
    fn of(sub_workflows: &[&WorkflowTemplate]) -> Self {
        let key = |(place, workflow): (usize, &&WorkflowTemplate)| {
            (Key::from(&workflow.id.clone().unwrap_or_default()), place)
        };
        let places = sub_workflows.iter().enumerate().map(key).collect();
        let mut nesting = Self { places, uses: Vec::new(), nodes: Vec::new() };
        for workflow in sub_workflows {
            let (uses, nodes) = nesting.read(workflow);
            nesting.uses.push(uses);
            nesting.nodes.push(nodes);
        }
        nesting
    }

    fn read(&self, workflow: &WorkflowTemplate) -> (BTreeMap<usize, u64>, u64) {
        let (mut uses, mut nodes) = (BTreeMap::new(), 0);
        for node in workflow.nodes.iter().chain(&workflow.failure_node) {
            visit(node, 0, &mut |node| {
                nodes += 1;
                let Some(node::Target::WorkflowNode(inner)) = &node.target else { return };
                let Some(workflow_node::Reference::SubWorkflowRef(id)) = &inner.reference else { return };
                if let Some(place) = self.places.get(&id.into()) {
                    *uses.entry(*place).or_insert(0) += 1;
                }
            });
        }
        (uses, nodes)
    }

    /// Answers positions, inner sub-workflows before those that run them, and those that have no such order.
    fn order(&self) -> (Vec<usize>, Vec<usize>) {
        let mut users = vec![Vec::new(); self.uses.len()];
        for (place, uses) in self.uses.iter().enumerate() {
            uses.keys().for_each(|inner| users[*inner].push(place));
        }
        let mut waits_for: Vec<usize> = self.uses.iter().map(BTreeMap::len).collect();
        let mut order: Vec<usize> = (0..waits_for.len()).filter(|place| waits_for[*place] == 0).collect();
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            next += 1;
            for &user in &users[place] {
                waits_for[user] -= 1;
                if waits_for[user] == 0 {
                    order.push(user);
                }
            }
        }
        let left = (0..waits_for.len()).filter(|place| waits_for[*place] > 0).collect();
        (order, left)
    }
}
