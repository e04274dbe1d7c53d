//! Adds the nodes that a dynamic task made to the plan of its execution.

use super::{NodeIndex, Otherwise, Plan, PlanNode, ROOT, Scope, ScopeIndex, Target};
use std::sync::Arc;

impl Plan {
    /// Answers this plan with all of `made`, whose workflow is what `parent` runs. Nodes of `made` get the places after those
    /// that there are, in their order; so do its workflows.
    pub(crate) fn grafted(&self, made: &Self, parent: NodeIndex) -> Self {
        let shift =
            Shift { nodes: self.nodes.len(), scopes: self.scopes.len(), tasks: self.tasks.len(), parent };
        let mut whole = self.clone();
        whole.nodes.extend(made.nodes.iter().map(|node| Arc::new(shift.node(node))));
        whole
            .scopes
            .extend(made.scopes.iter().enumerate().map(|(at, scope)| Arc::new(shift.scope(at, scope))));
        whole.tasks.extend(made.tasks.iter().cloned());
        whole.has_cache |= made.has_cache;
        whole.is_nested = true;
        whole
    }
}

/// By how much places grow.
struct Shift {
    nodes: usize,
    scopes: usize,
    tasks: usize,
    parent: NodeIndex,
}

impl Shift {
    fn places(&self, places: &[NodeIndex]) -> Vec<NodeIndex> {
        places.iter().map(|place| place + self.nodes).collect()
    }

    fn node(&self, node: &PlanNode) -> PlanNode {
        PlanNode {
            scope: node.scope + self.scopes,
            parent: Some(node.parent.map_or(self.parent, |parent| parent + self.nodes)),
            upstream: self.places(&node.upstream),
            downstream: self.places(&node.downstream),
            target: self.target(&node.target),
            ..node.clone()
        }
    }

    fn scope(&self, at: ScopeIndex, scope: &Scope) -> Scope {
        let parent =
            if at == ROOT { Some(self.parent) } else { scope.parent.map(|parent| parent + self.nodes) };
        Scope {
            parent,
            nodes: self.places(&scope.nodes),
            names: scope.names.iter().map(|(name, place)| (name.clone(), place + self.nodes)).collect(),
            failure_node: scope.failure_node.map(|node| node + self.nodes),
            ..scope.clone()
        }
    }

    fn target(&self, target: &Target) -> Target {
        match target.clone() {
            Target::Task { task } => Target::Task { task: task + self.tasks },
            Target::Map { task, concurrency, min_successes, bound, run_all } => {
                Target::Map { task: task + self.tasks, concurrency, min_successes, bound, run_all }
            }
            Target::Workflow { scope } => Target::Workflow { scope: scope + self.scopes },
            Target::Branch { cases, otherwise } => Target::Branch {
                cases: cases.into_iter().map(|(condition, node)| (condition, node + self.nodes)).collect(),
                otherwise: match otherwise {
                    Otherwise::Node(node) => Otherwise::Node(node + self.nodes),
                    fail @ Otherwise::Fail(_) => fail,
                },
            },
            other @ (Target::Gate(_) | Target::Launch { .. }) => other,
        }
    }
}
