//! Nodes inside nodes: which are in which, and what is true of the workflow that they make up.

use crate::execution::{Execution, NodeState};
use crate::plan::{NodeIndex, ScopeIndex};
use bytes::Bytes;
use skein_idl::flyteidl::core::LiteralType;
use skein_model::Failure;

/// A workflow under way: the execution's own, or one inside a node.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeRun {
    /// How many nodes of its normal way have not ended.
    pub unfinished: usize,
    /// The failure that ends, or will end, it.
    pub failure: Option<Failure>,
}

/// A signal that a gate waits for or has waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// The type of its value.
    pub r#type: LiteralType,
    /// Its value, an encoded `Literal`; none while nobody has given one.
    pub value: Option<Bytes>,
}

impl Execution {
    /// Says whether a node is inside another one, at any depth.
    pub(crate) fn is_inside(&self, place: NodeIndex, of: NodeIndex) -> bool {
        self.ancestors(place).any(|ancestor| ancestor == of)
    }

    /// Says whether a node is one of a workflow or inside one of its nodes.
    pub(crate) fn is_in_scope(&self, place: NodeIndex, scope: ScopeIndex) -> bool {
        match self.plan.scopes[scope].parent {
            None => true,
            Some(parent) => self.is_inside(place, parent),
        }
    }

    /// Lists the nodes that a node is inside of, from the nearest on.
    fn ancestors(&self, place: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        std::iter::successors(self.plan.nodes[place].parent, |place| self.plan.nodes[*place].parent)
    }

    /// Answers the branch that a node is a case of; none when it is a node of a workflow.
    pub(crate) fn branch_of(&self, place: NodeIndex) -> Option<NodeIndex> {
        let node = &self.plan.nodes[place];
        node.parent.filter(|parent| self.plan.scopes[node.scope].parent != Some(*parent))
    }

    /// Answers the node whose inside is complete, so that its outputs can be put together; none while something is left, or
    /// when it has failed.
    pub(crate) fn complete_inside(&self, scope: ScopeIndex) -> Option<NodeIndex> {
        let run = &self.scopes[scope];
        let parent = self.plan.scopes[scope].parent?;
        let is_open = matches!(&self.nodes[parent], NodeState::Inside(inside) if inside.scope == scope);
        (is_open && run.unfinished == 0 && run.failure.is_none()).then_some(parent)
    }
}
