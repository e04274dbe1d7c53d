//! What an execution takes over from another that did the same before: contract 5.12.
//!
//! Whatever had succeeded there is not run again, node by node, items of maps one by one. What is taken stands in events, so that
//! a journal can be folded without the other; what is still to be decided needs it.

use crate::execution::{Execution, NodeState};
use crate::map_task::Part;
use skein_model::event::CachedItems;
use skein_model::{Attempt, BlobRef, DataRef, Event, ExecutionId, NodeId};
use std::collections::BTreeMap;

/// What an execution left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    nodes: BTreeMap<NodeId, Kept>,
}

/// What a node left.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kept {
    /// All of it.
    Done {
        /// Its inputs.
        inputs: DataRef,
        /// Its outputs.
        outputs: DataRef,
    },
    /// The nodes that its task made.
    Made {
        /// By which try.
        attempt: Attempt,
        /// Where they were made.
        spec: String,
        /// They, compiled.
        plan: BlobRef,
    },
    /// Items.
    Items {
        /// Of so many.
        size: u32,
        /// Their outputs.
        parts: Vec<Part>,
    },
    /// An execution of its own, which did not succeed.
    Child(ExecutionId),
}

impl Recovery {
    /// Takes what happened next in the other execution, which is `before` that.
    pub fn note(&mut self, before: &Execution, event: &Event) {
        match event {
            Event::NodeSucceeded { node, outputs } => {
                if let Some(inputs) = before.node(node).and_then(inputs_of) {
                    let (inputs, outputs) = (inputs.clone(), outputs.clone());
                    self.nodes.insert(node.clone(), Kept::Done { inputs, outputs });
                }
            }
            Event::NodeRecovered { node, inputs, outputs } => {
                let (inputs, outputs) = (inputs.clone(), outputs.clone());
                self.nodes.insert(node.clone(), Kept::Done { inputs, outputs });
            }
            Event::NodesMade { node, attempt, spec, plan } => {
                let made = Kept::Made { attempt: *attempt, spec: spec.clone(), plan: plan.clone() };
                self.nodes.insert(node.clone(), made);
            }
            Event::ChildLaunched { node, child } => {
                self.nodes.insert(node.clone(), Kept::Child(child.clone()));
            }
            Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. }
            | Event::NodeAborted { node, .. } => {
                if let Some(map) = before.map_of(node).filter(|map| !map.parts.is_empty()) {
                    let items = Kept::Items { size: map.size, parts: map.parts.clone() };
                    self.nodes.insert(node.clone(), items);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn of(&self, node: &NodeId) -> Option<&Kept> {
        self.nodes.get(node)
    }

    /// Lists the plans of nodes that tasks made, each with its node and the try that made it: what has to be brought before an
    /// execution goes on with them, see [`Execution::provide`].
    pub fn made(&self) -> impl Iterator<Item = (&NodeId, Attempt, &BlobRef)> {
        self.nodes.iter().filter_map(|(node, kept)| match kept {
            Kept::Made { attempt, plan, .. } => Some((node, *attempt, plan)),
            Kept::Done { .. } | Kept::Items { .. } | Kept::Child(_) => None,
        })
    }
}

fn inputs_of(state: &NodeState) -> Option<&DataRef> {
    match state {
        NodeState::Task(run) => Some(&run.inputs),
        NodeState::Map(run) => Some(&run.inputs),
        NodeState::Making(run) => Some(&run.inputs),
        NodeState::Inside(run) => Some(&run.inputs),
        NodeState::Child(run) => Some(&run.inputs),
        NodeState::Branch { inputs, .. } | NodeState::Gate { inputs } => Some(inputs),
        NodeState::Waiting | NodeState::Resolving | NodeState::Ended { .. } => None,
    }
}

impl Execution {
    /// Says whether the outputs of a node are to be taken from the execution that this one recovers.
    pub fn is_recovered(&self, node: &NodeId) -> bool {
        matches!(self.kept(node), Some(Kept::Done { .. }))
            && self.find(node).is_some_and(|place| !self.is_failure_node(place))
    }

    /// Answers the execution that a node launched in the one that this one recovers, and which is to be recovered itself.
    pub fn recovered_child(&self, node: &NodeId) -> Option<&ExecutionId> {
        match self.kept(node)? {
            Kept::Child(child) => Some(child),
            Kept::Done { .. } | Kept::Made { .. } | Kept::Items { .. } => None,
        }
    }

    /// Says whether the nodes that a node's task made are part of the execution.
    pub fn has_made(&self, node: &NodeId) -> bool {
        matches!(self.node(node), Some(NodeState::Inside(_) | NodeState::Ended { .. }))
    }

    pub(crate) fn kept(&self, node: &NodeId) -> Option<&Kept> {
        self.recovery.as_ref()?.of(node)
    }

    /// Answers the items of a map of `size` that were done in the execution that this one recovers.
    pub(crate) fn items_recovered(&self, node: &NodeId, size: u32) -> Vec<Event> {
        let Some(Kept::Items { size: of, parts }) = self.kept(node) else { return Vec::new() };
        let recovered = |part: &Part| Event::ItemsRecovered {
            node: node.clone(),
            items: CachedItems {
                range: part.range,
                absent: part.absent.clone(),
                outputs: part.outputs.clone(),
            },
        };
        if *of == size { parts.iter().map(recovered).collect() } else { Vec::new() }
    }
}
