//! Which nodes are ready, and how many of them may go ahead.

use crate::execution::{Execution, NodeState};
use crate::plan::NodeIndex;
use skein_model::Event;
use std::collections::BTreeSet;

/// The most nodes queued by one transition, so that its record stays below the log's limit. The others are queued by
/// the transitions that follow.
const QUEUED_MAX: usize = 4096;

impl Execution {
    /// Answers how many more nodes may be queued when `leaving` of the active ones end.
    pub(crate) fn room(&self, leaving: usize) -> usize {
        let limit = self.created.as_ref().map_or(0, |created| created.settings.max_parallelism);
        match limit {
            0 => usize::MAX,
            limit => (limit as usize).saturating_sub(self.active.len().saturating_sub(leaving)),
        }
    }

    /// Lists the nodes without upstream nodes.
    pub(crate) fn roots(&self) -> BTreeSet<NodeIndex> {
        self.plan.main_nodes().filter(|node| self.waits_for[*node] == 0).collect()
    }

    /// Lists, in order, the nodes that wait for nothing once `done` has succeeded. Only as far as somebody looks: what waits
    /// for a place may be thousands, of which each transition takes one.
    pub(crate) fn ready_after(&self, done: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        let is_freed =
            |node: &NodeIndex| self.waits_for[*node] == 1 && matches!(self.nodes[*node], NodeState::Waiting);
        let downstream = self.plan.nodes[done].downstream.iter().copied();
        let freed: BTreeSet<NodeIndex> = downstream.filter(is_freed).collect();
        let (mut freed, mut ready) = (freed.into_iter().peekable(), self.ready.iter().copied().peekable());
        std::iter::from_fn(move || match (freed.peek(), ready.peek()) {
            (Some(one), Some(other)) if one < other => freed.next(),
            (Some(_), None) => freed.next(),
            (_, Some(_)) | (None, None) => ready.next(),
        })
    }

    /// Queues as many of `ready` as there is room for.
    pub(crate) fn queue(
        &self,
        ready: impl Iterator<Item = NodeIndex>,
        room: usize,
        events: &mut Vec<Event>,
    ) -> usize {
        let before = events.len();
        let queued = ready.take(room.min(QUEUED_MAX));
        events.extend(queued.map(|node| Event::NodeQueued { node: self.id_of(node) }));
        events.len() - before
    }

    /// Lists the nodes that can never run once `failed` has failed: all that come after it and have not ended.
    pub(crate) fn doomed_by(&self, failed: NodeIndex) -> BTreeSet<NodeIndex> {
        let mut doomed = BTreeSet::new();
        let mut open = self.plan.nodes[failed].downstream.clone();
        while let Some(node) = open.pop() {
            if matches!(self.nodes[node], NodeState::Waiting) && doomed.insert(node) {
                open.extend(&self.plan.nodes[node].downstream);
            }
        }
        doomed
    }
}
