//! An execution as a tree of its nodes and their tries, folded from its events: by the same changes as the tables.

use super::fold::{AttemptChange, Change, Counted, Error, NodeChange, changes};
use crate::progress::{Items, rfc3339};
use crate::show::{MESSAGE_CHARS_MAX, Shown, ShownAttempt, ShownError, ShownNode};
use skein_idl::flyteidl::core::task_execution;
use skein_model::event::Created;
use skein_model::{DataRef, EntityId, Event, ExecutionId, ExecutionPhase, NodePhase, Timestamp, Version};
use std::collections::BTreeMap;

/// An execution, as far as its events have been folded.
#[derive(Default)]
pub(crate) struct Tree {
    version: Version,
    versions: u64,
    at: Timestamp,
    pub(crate) created: Option<Box<Created>>,
    created_at: Timestamp,
    pub(crate) phase: ExecutionPhase,
    pub(crate) error: Option<ShownError>,
    pub(crate) outputs: Option<DataRef>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    nodes: BTreeMap<String, Node>,
}

/// A node that has begun.
pub(crate) struct Node {
    /// When it began among the others.
    order: usize,
    pub(crate) phase: NodePhase,
    pub(crate) error: Option<ShownError>,
    queued: Timestamp,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    items: Option<Items>,
    attempts: BTreeMap<u32, Attempt>,
}

struct Attempt {
    phase: task_execution::Phase,
    worker: Option<String>,
    queued: Timestamp,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    error: Option<ShownError>,
}

impl Tree {
    /// Begins with a journal of so many records, of which none is folded yet.
    pub(crate) fn new(versions: u64) -> Self {
        Self { versions, ..Self::default() }
    }

    /// Notes whose events follow.
    pub(crate) const fn record(&mut self, version: Version, at: Timestamp) {
        (self.version, self.at) = (version, at);
    }

    /// Takes what has happened next.
    pub(crate) fn apply(&mut self, event: &Event, at: Timestamp) {
        changes(event).iter().for_each(|change| self.change(change, at));
    }

    fn change(&mut self, change: &Change<'_>, at: Timestamp) {
        match change {
            Change::Created(created) => {
                self.created = Some(Box::new((*created).clone()));
                self.created_at = at;
            }
            Change::Phase(phase) => {
                self.phase = *phase;
                if *phase == ExecutionPhase::Running {
                    self.started = Some(at);
                }
                if phase.is_terminal() {
                    self.ended = Some(at);
                }
            }
            Change::Outputs(outputs) => self.outputs = Some((*outputs).clone()),
            Change::Error(error) => self.error = Some(shown(error)),
            Change::Abort { cause, principal } => {
                let message = format!("{cause} (by {principal})");
                self.error = Some(ShownError { code: "Aborted".to_owned(), message: end_of(&message) });
            }
            Change::Node(id, change) => self.node(id.as_str(), at).change(change, at),
            Change::Attempt(id, attempt, change) => {
                self.node(id.as_str(), at).attempt(attempt.0, at).change(change, at);
            }
            Change::Map(id, size) => {
                let items = Items { total: *size, waiting: *size, ..Items::default() };
                self.node(id.as_str(), at).items = Some(items);
            }
            Change::Chunk(id, chunk, again) => {
                self.node(id.as_str(), at).count(Counted::of(chunk, *again), 0)
            }
            Change::CachedItems(id, cached) => {
                let absent = u32::try_from(cached.absent.len()).unwrap_or(u32::MAX);
                let found = cached.range.len().saturating_sub(absent);
                let counted = Counted { succeeded: found, ..Counted::default() };
                self.node(id.as_str(), at).count(counted, found);
            }
            // Of the ends of a workflow, of the cache, and of what else only the tables have, nothing is shown here.
            _ => {}
        }
    }

    fn node(&mut self, id: &str, at: Timestamp) -> &mut Node {
        let order = self.nodes.len();
        self.nodes.entry(id.to_owned()).or_insert_with(|| Node {
            order,
            phase: NodePhase::Queued,
            error: None,
            queued: at,
            started: None,
            ended: None,
            items: None,
            attempts: BTreeMap::new(),
        })
    }

    /// Lists the nodes, each before those inside of it, with the node that it is inside of and how deep it is.
    pub(crate) fn nodes(&self) -> Vec<(&str, &Node, Option<&str>, usize)> {
        let mut inside: BTreeMap<Option<&str>, Vec<(&str, &Node)>> = BTreeMap::new();
        for (id, node) in &self.nodes {
            inside.entry(self.parent_of(id)).or_default().push((id, node));
        }
        inside.values_mut().for_each(|nodes| nodes.sort_by_key(|(_, node)| node.order));
        let mut listed = Vec::with_capacity(self.nodes.len());
        let roots = inside.get(&None).into_iter().flatten().rev();
        let mut left: Vec<_> = roots.map(|(id, node)| (*id, *node, None, 0)).collect();
        while let Some((id, node, parent, depth)) = left.pop() {
            let within = inside.get(&Some(id)).into_iter().flatten().rev();
            left.extend(within.map(|(inner, node)| (*inner, *node, Some(id), depth + 1)));
            listed.push((id, node, parent, depth));
        }
        listed
    }

    /// Answers the node that one is inside of: the longest that there is whose name begins the one's.
    fn parent_of(&self, id: &str) -> Option<&str> {
        let ends = id.match_indices('-').map(|(at, _)| at).collect::<Vec<_>>();
        let known = |at: usize| self.nodes.get_key_value(&id[..at]).map(|(known, _)| known.as_str());
        ends.into_iter().rev().find_map(known)
    }

    /// Shows it; none when nobody asked for it yet.
    pub(crate) fn shown(&self, id: &ExecutionId) -> Option<Shown> {
        let created = self.created.as_ref()?;
        let named = |id: &EntityId| format!("{} {}", id.name, id.version);
        let nodes = self.nodes().into_iter();
        Some(Shown {
            execution: id.to_string(),
            version: self.version.0,
            versions: self.versions,
            at: rfc3339(self.at),
            launched: format!("{} {}", created.launched.kind.word(), named(&created.launched)),
            workflow: named(&created.workflow),
            phase: self.phase.as_proto().as_str_name().to_owned(),
            error: self.error.clone(),
            created: rfc3339(self.created_at),
            started: self.started.map(rfc3339),
            ended: self.ended.map(rfc3339),
            nodes: nodes.map(|(id, node, parent, depth)| node.shown(id, parent, depth)).collect(),
        })
    }
}

impl Node {
    /// Answers the word for where it stands.
    pub(crate) fn word(&self) -> &'static str {
        self.phase.as_proto().as_str_name()
    }

    fn change(&mut self, change: &NodeChange<'_>, at: Timestamp) {
        self.phase = change.phase;
        if change.inputs.is_some() {
            self.started = Some(at);
        }
        if change.phase.is_terminal() {
            self.ended = Some(at);
        }
        if let Some(error) = &change.error {
            self.error = Some(shown(error));
        }
    }

    fn attempt(&mut self, attempt: u32, at: Timestamp) -> &mut Attempt {
        self.attempts.entry(attempt).or_insert_with(|| Attempt {
            phase: task_execution::Phase::Queued,
            worker: None,
            queued: at,
            started: None,
            ended: None,
            error: None,
        })
    }

    fn count(&mut self, counted: Counted, cached: u32) {
        let Some(items) = &mut self.items else { return };
        items.succeeded = items.succeeded.saturating_add(counted.succeeded);
        items.failed = items.failed.saturating_add(counted.failed);
        items.retried = items.retried.saturating_add(counted.retried.into());
        items.cached = items.cached.saturating_add(cached);
        items.waiting = items.total.saturating_sub(items.ended());
    }

    fn shown(&self, id: &str, parent: Option<&str>, depth: usize) -> ShownNode {
        let items = self.items.map(|items| match self.phase.is_terminal() {
            true => Items { waiting: 0, aborted: items.waiting, ..items },
            false => items,
        });
        ShownNode {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            depth,
            phase: self.word().to_owned(),
            error: self.error.clone(),
            queued: rfc3339(self.queued),
            started: self.started.map(rfc3339),
            ended: self.ended.map(rfc3339),
            items,
            attempts: self.attempts.iter().map(|(attempt, of)| of.shown(*attempt)).collect(),
        }
    }
}

impl Attempt {
    fn change(&mut self, change: &AttemptChange<'_>, at: Timestamp) {
        use task_execution::Phase;
        self.phase = change.phase;
        match change.phase {
            Phase::Running => {
                let began = at.as_micros().saturating_sub_unsigned(change.micros_ago);
                self.started = Some(Timestamp::from_micros(began));
            }
            Phase::Succeeded | Phase::Failed | Phase::Aborted => self.ended = Some(at),
            _ => {}
        }
        if let Some(worker) = change.worker {
            self.worker = Some(worker.to_owned());
        }
        if let Some(error) = &change.error {
            self.error = Some(shown(error));
        }
    }

    fn shown(&self, attempt: u32) -> ShownAttempt {
        ShownAttempt {
            attempt,
            phase: self.phase.as_str_name().to_owned(),
            worker: self.worker.clone(),
            queued: rfc3339(self.queued),
            started: self.started.map(rfc3339),
            ended: self.ended.map(rfc3339),
            error: self.error.clone(),
        }
    }
}

fn shown(error: &Error) -> ShownError {
    ShownError { code: error.code.clone(), message: end_of(&error.message) }
}

fn end_of(message: &str) -> String {
    match message.char_indices().rev().nth(MESSAGE_CHARS_MAX - 1) {
        Some((begin, _)) => message[begin..].to_owned(),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::NodeId;

    #[test]
    fn a_node_stands_below_the_longest_one_whose_name_begins_its_own() {
        let mut tree = Tree::new(1);
        for id in ["n1", "n0", "n1-0-n0", "n1-0-n0-0-n3", "n1-0-n1", "n10", "fn-a"] {
            tree.apply(&Event::NodeQueued { node: NodeId::new(id) }, Timestamp::EPOCH);
        }
        let listed: Vec<_> =
            tree.nodes().into_iter().map(|(id, _, parent, depth)| (id, parent, depth)).collect();
        assert_eq!(
            listed,
            [
                ("n1", None, 0),
                ("n1-0-n0", Some("n1"), 1),
                ("n1-0-n0-0-n3", Some("n1-0-n0"), 2),
                ("n1-0-n1", Some("n1"), 1),
                ("n0", None, 0),
                ("n10", None, 0),
                ("fn-a", None, 0),
            ]
        );
    }
}
