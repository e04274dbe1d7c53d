//! Which limits of time count for an execution, since when, and what follows when one has been reached.
//!
//! How long something may take comes from settings, which may be others at the next start, so nothing of it is recorded:
//! what a clock asks for when it rings is, and the state decides whether that still means something.

use crate::execution::Execution;
use crate::plan::{Gate, NodeIndex, Target};
use skein_model::{Attempt, Command, Event, NodeId, TimeLimit, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long an execution and its nodes may take; what is none has no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The execution, from its start to its end.
    pub execution: Option<Duration>,
    /// Its nodes, by their places in the plan; one that is not there has none.
    pub nodes: Vec<NodeLimits>,
}

/// How long a node may take; what is none has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeLimits {
    /// Each wait of an attempt for a worker.
    pub queued: Option<Duration>,
    /// Each wait of an attempt for capacity that can be taken away.
    pub interruptible: Option<Duration>,
    /// From having all that it waits for to its end.
    pub node: Option<Duration>,
}

impl Limits {
    /// Says whether nothing is limited.
    pub fn are_none(&self) -> bool {
        self.execution.is_none() && self.nodes.iter().all(|node| *node == NodeLimits::default())
    }

    fn of(&self, place: NodeIndex) -> NodeLimits {
        self.nodes.get(place).copied().unwrap_or_default()
    }
}

/// The clocks of one execution that run.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    limits: Limits,
    running: BTreeMap<TimeLimit, Running>,
    order: BTreeSet<(Timestamp, TimeLimit)>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    rings: Timestamp,
    after: Duration,
}

impl Clocks {
    /// Clocks for `limits`, none of which runs.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes other limits, of more nodes than there were.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes what has happened next, at `at`: starts and stops clocks.
    pub fn note(&mut self, execution: &Execution, event: &Event, at: Timestamp) {
        match event {
            Event::Started => self.start(TimeLimit::Execution, self.limits.execution, at),
            Event::NodeQueued { node } => {
                let limit = execution.find(node).and_then(|place| self.limits.of(place).node);
                self.start(TimeLimit::Node { node: node.clone() }, limit, at);
            }
            Event::NodeStarted { node, .. } => self.node_started(execution, node, at),
            Event::AttemptQueued { node, attempt, not_before } => {
                let ready = not_before.map_or(at, |not_before| not_before.max(at));
                self.attempt_queued(execution, node, *attempt, ready);
            }
            Event::AttemptMoved { node, attempt, .. } => {
                self.stop(&TimeLimit::Interruptible { node: node.clone(), attempt: *attempt });
            }
            Event::AttemptStarted { node, attempt, .. }
            | Event::AttemptSucceeded { node, attempt, .. }
            | Event::AttemptMadeNodes { node, attempt, .. }
            | Event::AttemptFailed { node, attempt, .. }
            | Event::AttemptAborted { node, attempt } => self.attempt_begun(node, *attempt),
            Event::NodeSucceeded { node, .. }
            | Event::NodeRecovered { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. }
            | Event::NodeAborted { node, .. }
            | Event::NodeSkipped { node } => self.node_ended(node),
            // A node that handles the failure still has limits of its own.
            Event::Failing { .. }
            | Event::Aborting { .. }
            | Event::Succeeded { .. }
            | Event::Failed { .. }
            | Event::Aborted => self.stop(&TimeLimit::Execution),
            Event::Created(_)
            | Event::InsideStarted { .. }
            | Event::InsideSucceeded { .. }
            | Event::BranchTaken { .. }
            | Event::NodesMade { .. }
            | Event::InsideFailing { .. }
            | Event::ChildLaunched { .. }
            | Event::SignalAsked { .. }
            | Event::SignalSet { .. }
            | Event::CacheLookedUp { .. }
            | Event::CacheStored { .. }
            | Event::ItemsCached { .. }
            | Event::ItemsRecovered { .. }
            | Event::MapStarted { .. }
            | Event::JobReported { .. }
            | Event::ItemsFinished { .. }
            | Event::LateResultIgnored { .. }
            | Event::Succeeding
            | Event::Archived { .. } => {}
        }
    }

    fn node_started(&mut self, execution: &Execution, node: &NodeId, at: Timestamp) {
        let Some(place) = execution.find(node).filter(|_| execution.plan().is_nested) else { return };
        let planned = &execution.plan().nodes[place];
        match &planned.target {
            // What workers watch.
            Target::Task { .. } | Target::Map { .. } => {}
            Target::Gate(Gate::Sleep(duration)) => {
                self.start(TimeLimit::Sleep { node: node.clone() }, Some(*duration), at);
            }
            Target::Workflow { .. } | Target::Branch { .. } | Target::Gate(_) | Target::Launch { .. } => {
                self.start(TimeLimit::Inside { node: node.clone() }, planned.timeout, at);
            }
        }
    }

    fn node_ended(&mut self, node: &NodeId) {
        self.stop(&TimeLimit::Node { node: node.clone() });
        self.stop(&TimeLimit::Inside { node: node.clone() });
        self.stop(&TimeLimit::Sleep { node: node.clone() });
    }

    fn attempt_queued(&mut self, execution: &Execution, node: &NodeId, attempt: Attempt, ready: Timestamp) {
        let Some(place) = execution.find(node) else { return };
        let limits = self.limits.of(place);
        self.start(TimeLimit::Queued { node: node.clone(), attempt }, limits.queued, ready);
        if execution.is_interruptible(place, attempt) {
            let limit = TimeLimit::Interruptible { node: node.clone(), attempt };
            self.start(limit, limits.interruptible, ready);
        }
    }

    fn attempt_begun(&mut self, node: &NodeId, attempt: Attempt) {
        self.stop(&TimeLimit::Queued { node: node.clone(), attempt });
        self.stop(&TimeLimit::Interruptible { node: node.clone(), attempt });
    }

    fn start(&mut self, limit: TimeLimit, after: Option<Duration>, at: Timestamp) {
        self.stop(&limit);
        let Some(after) = after else { return };
        let rings = at.after(after);
        self.order.insert((rings, limit.clone()));
        self.running.insert(limit, Running { rings, after });
    }

    fn stop(&mut self, limit: &TimeLimit) {
        // Most executions limit little, and a search of an empty map costs nothing.
        if let Some(Running { rings, .. }) = self.running.remove(limit) {
            self.order.remove(&(rings, limit.clone()));
        }
    }

    /// Lets the waits for a worker begin at `now` that began before: while nobody was there to hand anything out, nothing
    /// waited for a worker.
    pub fn resume(&mut self, now: Timestamp) {
        let is_wait = |limit: &&TimeLimit| match limit {
            TimeLimit::Queued { .. } | TimeLimit::Interruptible { .. } => true,
            TimeLimit::Node { .. }
            | TimeLimit::Inside { .. }
            | TimeLimit::Sleep { .. }
            | TimeLimit::Execution => false,
        };
        let waits: Vec<TimeLimit> = self.running.keys().filter(is_wait).cloned().collect();
        for limit in waits {
            let Some(Running { rings, after }) = self.running.get(&limit).copied() else { continue };
            if rings < now.after(after) {
                self.start(limit, Some(after), now);
            }
        }
    }

    /// Answers when the next clock rings; none when none runs.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(rings, _)| *rings)
    }

    /// Takes what has rung by `now`, and answers what is to be decided.
    pub fn take_rung(&mut self, now: Timestamp) -> Vec<Command> {
        let mut commands = Vec::new();
        while let Some((rings, _)) = self.order.first()
            && *rings <= now
            && let Some((_, limit)) = self.order.pop_first()
        {
            if let Some(Running { after, .. }) = self.running.remove(&limit) {
                commands.push(Command::TimeUp { limit, after });
            }
        }
        commands
    }
}
