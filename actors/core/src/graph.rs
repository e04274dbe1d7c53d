//! Which nodes are ready, and how many of them may go ahead.

use crate::execution::{Execution, NodeState};
use crate::plan::{NodeIndex, Plan, ROOT, ScopeIndex, Target};
use skein_model::Event;
use std::collections::BTreeSet;

/// The most nodes queued by one transition, so that its record stays below the log's limit. The others are queued by
/// the transitions that follow.
const QUEUED_MAX: usize = 4096;

impl Execution {
    /// Answers how many more nodes may be queued when `leaving` of those end that count. Of the nodes that are queued then some may
    /// not count: the limit is kept, if not always reached at once.
    pub(crate) fn room(&self, leaving: usize) -> usize {
        let limit = self.created.as_ref().map_or(0, |created| created.settings.max_parallelism);
        match limit {
            0 => usize::MAX,
            limit => (limit as usize).saturating_sub(self.counted.saturating_sub(leaving)),
        }
    }

    /// Lists the nodes of a workflow that wait for no other.
    pub(crate) fn roots(&self, scope: ScopeIndex) -> BTreeSet<NodeIndex> {
        self.plan.scopes[scope].nodes.iter().copied().filter(|node| self.waits_for[*node] == 0).collect()
    }

    /// Lists the nodes that wait for nothing once `done` has succeeded, and did before.
    pub(crate) fn freed_by(&self, done: NodeIndex) -> BTreeSet<NodeIndex> {
        let is_freed =
            |node: &NodeIndex| self.waits_for[*node] == 1 && matches!(self.nodes[*node], NodeState::Waiting);
        self.plan.nodes[done].downstream.iter().copied().filter(is_freed).collect()
    }

    /// Queues what waits for nothing, `freed` and all before it but for what `is_out`: nodes that count against the limit as far
    /// as there is `room`, and all others. Answers how many of the first kind.
    pub(crate) fn queue(
        &self,
        freed: &BTreeSet<NodeIndex>,
        is_out: impl Fn(NodeIndex) -> bool,
        room: usize,
        events: &mut Vec<Event>,
    ) -> usize {
        let is_limited = |place: &NodeIndex| self.plan.nodes[*place].target.is_limited();
        let queued = |place| Event::NodeQueued { node: self.id_of(place) };
        let free = freed.iter().copied().filter(|place| !is_limited(place));
        let free = free.chain(self.ready.free.iter().copied()).filter(|place| !is_out(*place));
        events.extend(free.take(QUEUED_MAX).map(queued));
        let limited = in_order(
            freed.iter().copied().filter(is_limited),
            self.ready.limited.iter().copied().filter(|place| !is_out(*place)),
        );
        let before = events.len();
        events.extend(limited.take(room.min(QUEUED_MAX)).map(queued));
        events.len() - before
    }

    /// Queues the first nodes of what a task made, which the plan does not have yet: those that wait for no other, after all that
    /// wait already.
    pub(crate) fn queue_made(&self, made: &Plan, events: &mut Vec<Event>) {
        // The task that made them has ended.
        let room = self.room(1);
        let mut room = room - self.queue(&BTreeSet::new(), |_| false, room, events);
        for node in made.scopes[ROOT].nodes.iter().map(|place| &made.nodes[*place]) {
            if !node.upstream.is_empty() {
                continue;
            }
            if node.target.is_limited() {
                if room == 0 {
                    continue;
                }
                room -= 1;
            }
            events.push(Event::NodeQueued { node: node.id.clone() });
        }
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

/// Nodes that wait for nothing but to be queued.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ready {
    /// Those that count against the parallelism limit: they wait for a place under it.
    pub(crate) limited: BTreeSet<NodeIndex>,
    /// The others.
    pub(crate) free: BTreeSet<NodeIndex>,
}

impl Ready {
    pub(crate) fn insert(&mut self, place: NodeIndex, target: &Target) {
        if target.is_limited() { &mut self.limited } else { &mut self.free }.insert(place);
    }

    pub(crate) fn remove(&mut self, place: NodeIndex) {
        if !self.limited.remove(&place) {
            self.free.remove(&place);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn retain(&mut self, keeps: impl Fn(NodeIndex) -> bool) {
        self.limited.retain(|place| keeps(*place));
        self.free.retain(|place| keeps(*place));
    }
}

/// Merges two ascending series. Only as far as somebody looks: what waits for a place may be thousands, of which each
/// transition takes one.
fn in_order(
    one: impl Iterator<Item = NodeIndex>,
    other: impl Iterator<Item = NodeIndex>,
) -> impl Iterator<Item = NodeIndex> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if first < second => one.next(),
        (Some(_), None) => one.next(),
        (_, Some(_)) | (None, None) => other.next(),
    })
}
