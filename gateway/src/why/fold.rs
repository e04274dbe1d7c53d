//! Folds the events of an execution into what its parts wait for.

use super::{Charged, MESSAGE_CHARS_MAX, TRIES_MAX, Try, Wait, Why};
use crate::progress::{Phase, rfc3339, rounded};
use crate::views::{Plan, PlanNode, PlanNodeKind};
use skein_model::cache::CacheFound;
use skein_model::event::FinishedChunk;
use skein_model::{Attempt, Event, ExecutionId, Failure, Job, JobPhase, NodeId, Offer, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How many of the nodes that one waits for are named.
const NAMED_MAX: usize = 3;

/// An execution as far as it is known.
pub(super) struct Fold {
    plan: Plan,
    max_parallelism: u32,
    phase: Phase,
    /// Since when it is in that phase.
    since: Timestamp,
    nodes: BTreeMap<String, Node>,
    /// Of which node this is to be said; none is all.
    only: Option<String>,
    tries: VecDeque<Try>,
    earlier: u64,
    /// What the machine has that runs the tries; none when that is not known.
    offer: Option<Offer>,
    limits: BTreeMap<String, Limits>,
}

/// How long a node may take; what is none has no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// Each wait of an attempt for a worker.
    pub(super) queued: Option<Duration>,
    /// From having all that it waits for to its end.
    pub(super) node: Option<Duration>,
}

/// A node that has begun.
#[derive(Debug)]
struct Node {
    state: State,
    since: Timestamp,
    /// When it had all that it waits for.
    began: Timestamp,
    spent: BTreeMap<&'static str, u32>,
}

#[derive(Debug)]
enum State {
    /// Its inputs are put together.
    Queued,
    /// It has them, and nothing is asked for yet.
    Begun,
    /// Somebody else computes what the cache is to have.
    Reserved { owner: String },
    /// Its outputs are given to the cache.
    Storing,
    /// A try waits.
    Tried { not_before: Option<Timestamp>, moved: Option<String> },
    /// A try runs.
    Running { worker: String },
    /// A connector has a job for a try, or cannot be asked.
    Job { job: Box<Job> },
    /// Nodes inside run.
    Inside,
    /// One of its nodes runs: that of this case.
    Branch { case: u32 },
    /// The nodes that its task made are read.
    Making,
    /// The execution that it launched runs.
    Child { execution: String },
    /// Items wait or run.
    Map { total: u32, ended: u32 },
    /// It has ended, well or not.
    Ended { well: bool },
}

impl Fold {
    /// Begins with an execution that was asked for at `created`; `only` one node is to be told of, or all.
    pub(super) fn new(
        plan: Plan,
        max_parallelism: u32,
        only: Option<String>,
        created: Timestamp,
        offer: Option<Offer>,
        limits: BTreeMap<String, Limits>,
    ) -> Self {
        Self {
            offer,
            limits,
            plan,
            max_parallelism,
            phase: Phase::Queued,
            since: created,
            nodes: BTreeMap::new(),
            only,
            tries: VecDeque::new(),
            earlier: 0,
        }
    }

    /// Says whether there is such a node.
    pub(super) fn has(&self, node: &str) -> bool {
        self.nodes().any(|id| id == node)
    }

    /// Lists the nodes, in the order of the workflow.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &str> {
        self.plan.nodes.iter().map(|node| node.id.as_str())
    }

    /// Takes what has happened next.
    pub(super) fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Started => self.turn(Phase::Running, at),
            Event::NodeQueued { node } => self.set(node, State::Queued, at),
            Event::NodeStarted { node, .. } => self.set(node, State::Begun, at),
            Event::InsideStarted { node } | Event::NodesMade { node, .. } => {
                self.set(node, State::Inside, at)
            }
            Event::BranchTaken { node, case } => self.set(node, State::Branch { case: *case }, at),
            Event::AttemptMadeNodes { node, .. } => self.set(node, State::Making, at),
            Event::ChildLaunched { node, child } => {
                self.set(node, State::Child { execution: child.to_string() }, at);
            }
            Event::CacheLookedUp { node, found: CacheFound::Waiting { owner }, .. } => {
                self.set(node, State::Reserved { owner: owner.to_string() }, at);
            }
            Event::AttemptSucceeded { node, .. } => self.set(node, State::Storing, at),
            Event::ItemsCached { node, items } => {
                let absent = u32::try_from(items.absent.len()).unwrap_or(u32::MAX);
                self.ended(node, items.range.len().saturating_sub(absent));
            }
            Event::AttemptQueued { node, attempt, not_before } => {
                if *attempt > Attempt(0)
                    && let Some(last) = self.tries.iter_mut().rev().find(|one| one.node == node.as_str())
                {
                    last.again = true;
                }
                self.set(node, State::Tried { not_before: *not_before, moved: None }, at);
            }
            Event::AttemptMoved { node, reason, .. } => {
                let since = self.nodes.get(node.as_str()).map_or(at, |node| node.since);
                self.set(node, State::Tried { not_before: None, moved: Some(reason.clone()) }, since);
            }
            Event::AttemptStarted { node, worker, micros_ago, .. } => {
                let began = Timestamp::from_micros(at.as_micros().saturating_sub_unsigned(*micros_ago));
                self.set(node, State::Running { worker: worker.clone() }, began);
            }
            Event::JobReported { node, job, .. } => self.set(node, State::Job { job: job.clone() }, at),
            Event::AttemptFailed { node, attempt, failure, .. } => {
                self.failed(node, None, *attempt, failure, at)
            }
            Event::MapStarted { node, size } => self.set(node, State::Map { total: *size, ended: 0 }, at),
            Event::ItemsFinished { node, chunk, again } => self.chunk(node, chunk, again, at),
            Event::NodeSucceeded { node, .. } => self.set(node, State::Ended { well: true }, at),
            Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. }
            | Event::NodeAborted { node, .. }
            | Event::NodeSkipped { node } => self.set(node, State::Ended { well: false }, at),
            Event::Succeeding => self.turn(Phase::Succeeding, at),
            Event::Succeeded { .. } => self.turn(Phase::Succeeded, at),
            Event::Failing { .. } => self.turn(Phase::Failing, at),
            Event::Failed { .. } => self.turn(Phase::Failed, at),
            Event::Aborting { .. } => self.turn(Phase::Aborting, at),
            Event::Aborted => self.turn(Phase::Aborted, at),
            // What follows on them stands in events of their own, or concerns nobody who waits.
            Event::Created(_)
            | Event::InsideSucceeded { .. }
            | Event::InsideFailing { .. }
            | Event::SignalAsked { .. }
            | Event::SignalSet { .. }
            | Event::CacheLookedUp { .. }
            | Event::CacheStored { .. }
            | Event::AttemptAborted { .. }
            | Event::LateResultIgnored { .. }
            | Event::Archived { .. } => {}
        }
    }

    const fn turn(&mut self, phase: Phase, at: Timestamp) {
        self.phase = phase;
        self.since = at;
    }

    fn set(&mut self, node: &NodeId, state: State, since: Timestamp) {
        match self.nodes.get_mut(node.as_str()) {
            Some(known) => (known.state, known.since) = (state, since),
            None => {
                self.nodes
                    .insert(node.to_string(), Node { state, since, began: since, spent: BTreeMap::new() });
            }
        }
    }

    fn failed(
        &mut self,
        node: &NodeId,
        item: Option<u32>,
        attempt: Attempt,
        failure: &Failure,
        at: Timestamp,
    ) {
        if !self.is_asked_for(node.as_str()) {
            return;
        }
        let charged = Charged::from(failure.charge);
        let nth = match item {
            Some(_) => None,
            None => self.nodes.get_mut(node.as_str()).map(|node| {
                let spent = node.spent.entry(charged.word()).or_default();
                *spent += 1;
                *spent
            }),
        };
        let message = end_of(&failure.message).to_owned();
        if self.tries.len() == TRIES_MAX {
            self.tries.pop_front();
            self.earlier += 1;
        }
        self.tries.push_back(Try {
            node: node.to_string(),
            item,
            attempt: attempt.0,
            at: rfc3339(at),
            code: failure.code.clone(),
            message,
            charged,
            nth,
            again: false,
        });
    }

    fn chunk(&mut self, node: &NodeId, chunk: &FinishedChunk, again: &[u32], at: Timestamp) {
        for failed in &chunk.failures {
            self.failed(node, Some(failed.index), chunk.attempt, &failed.failure, at);
            if again.binary_search(&failed.index).is_ok()
                && let Some(last) = self.tries.back_mut()
            {
                last.again = true;
            }
        }
        let returned: u32 = chunk.returned.iter().map(|range| range.len()).sum();
        let open = returned.saturating_add(u32::try_from(again.len()).unwrap_or(u32::MAX));
        self.ended(node, chunk.range.len().saturating_sub(open));
    }

    fn ended(&mut self, node: &NodeId, items: u32) {
        if let Some(Node { state: State::Map { ended, .. }, .. }) = self.nodes.get_mut(node.as_str()) {
            *ended = ended.saturating_add(items);
        }
    }

    /// Says what waits for what.
    pub(super) fn why(self, execution: &ExecutionId, now: Timestamp) -> Why {
        let mut waits: Vec<Waiting> =
            self.of_execution().filter(|_| self.only.is_none()).into_iter().collect();
        if !self.phase.is_terminal() {
            let nodes = self.plan.nodes.iter().filter(|node| self.is_asked_for(&node.id));
            waits.extend(nodes.filter_map(|node| self.of_node(node, now)));
        }
        Why {
            execution: execution.to_string(),
            phase: self.phase,
            waits: waits.into_iter().map(|wait| wait.told(now)).collect(),
            tries: self.tries.into(),
            earlier: self.earlier,
        }
    }

    fn of_execution(&self) -> Option<Waiting> {
        let what = match self.phase {
            Phase::Queued => "the engine to take the execution up",
            Phase::Succeeding => "its outputs to be put together",
            Phase::Failing | Phase::Aborting => "what still runs to be stopped",
            _ => return None,
        };
        Some(Waiting { node: None, what: what.to_owned(), since: self.since, until: None })
    }

    fn of_node(&self, node: &PlanNode, now: Timestamp) -> Option<Waiting> {
        let Some(Node { state, since, began, .. }) = self.nodes.get(&node.id) else {
            return self.before(node);
        };
        let limits = self.limits.get(&node.id).copied().unwrap_or_default();
        let (mut since, mut until) = (*since, None);
        let what = match state {
            State::Queued => "its inputs to be put together".to_owned(),
            State::Begun if node.cache.is_some() => "the cache to be looked up".to_owned(),
            State::Begun => match &node.kind {
                PlanNodeKind::Sleep(duration) => {
                    until = Some(since.after(*duration));
                    format!("{duration:?} to pass")
                }
                PlanNodeKind::Signal(signal) => {
                    until = node.timeout.map(|timeout| since.after(timeout));
                    format!("signal {signal} to be set")
                }
                _ => "its inputs to be put together".to_owned(),
            },
            State::Making => "the nodes that its task made to be read".to_owned(),
            State::Child { execution } => format!("execution {execution} to end"),
            // Those inside say what they wait for.
            State::Inside | State::Branch { .. } => return None,
            State::Reserved { owner } => {
                format!("{owner}, which computes the same for the serialized cache")
            }
            State::Storing => "its outputs to be given to the cache".to_owned(),
            State::Tried { not_before: Some(at), .. } if *at > now => {
                until = Some(*at);
                "the time at which it is tried again".to_owned()
            }
            State::Tried { not_before, moved } => {
                since = not_before.map_or(since, |at| at.max(since));
                until = limits.queued.map(|limit| since.after(limit));
                let why =
                    moved.as_ref().map_or_else(String::new, |why| format!(" on demand: there was {why}"));
                format!("{}{why}", self.of_place(node))
            }
            State::Running { worker } => {
                until = node.timeout.map(|timeout| since.after(timeout));
                format!("its task, which runs on {worker}{}", self.beyond(node))
            }
            State::Job { job } => {
                until =
                    node.timeout.filter(|_| job.resource_meta.is_some()).map(|limit| job.since.after(limit));
                of_job(job)
            }
            State::Map { total, ended } => {
                format!("{} of its {total} items to end", total.saturating_sub(*ended))
            }
            State::Ended { .. } => return None,
        };
        let end = limits.node.map(|limit| began.after(limit));
        let until = until.into_iter().chain(end).min();
        Some(Waiting { node: Some(node.id.clone()), what, since, until })
    }

    /// Says for what a try waits that is ready.
    fn of_place(&self, node: &PlanNode) -> String {
        if let Some(actor) = &node.actor {
            return format!("a free process of the actor environment {actor}");
        }
        let wanted = node.resources.gpus();
        let Some(there) = self.offer.as_ref().and_then(|offer| offer.gpus.as_ref()) else {
            return "a worker".to_owned();
        };
        if wanted == 0 {
            return "a worker".to_owned();
        }
        let fitting = there.iter().filter(|gpu| node.resources.takes(gpu)).count();
        let kind = node.resources.kind();
        format!(
            "a worker, and {wanted} GPU of {kind} to be free: there are {fitting}, and no two tries share one"
        )
    }

    /// Says what a try asks for beyond what the machine has, on which it runs nevertheless.
    fn beyond(&self, node: &PlanNode) -> String {
        let lack = self.offer.as_ref().and_then(|offer| offer.lack(&node.resources));
        lack.map_or_else(String::new, |lack| format!(" although {lack}"))
    }

    /// Says what a node waits for that has not begun; none when it never will.
    fn before(&self, node: &PlanNode) -> Option<Waiting> {
        let mut since = self.since;
        if !self.is_within_reach(node) {
            return None;
        }
        let what = match self.phase {
            Phase::Queued => "the engine to take the execution up".to_owned(),
            Phase::Failing if node.handles_failure => "what still runs to be stopped".to_owned(),
            Phase::Running if !node.handles_failure => {
                let open: Vec<&str> =
                    node.upstream.iter().map(String::as_str).filter(|id| !self.is_done(id)).collect();
                match named(&open) {
                    Some(nodes) => format!("{nodes} to succeed"),
                    None => {
                        let ends = node.upstream.iter().filter_map(|id| self.nodes.get(id.as_str()));
                        since = ends.map(|node| node.since).fold(since, Timestamp::max);
                        format!("one of {} nodes to end that may run at once", self.max_parallelism)
                    }
                }
            }
            _ => return None,
        };
        Some(Waiting { node: Some(node.id.clone()), what, since, until: None })
    }

    /// Says whether a node may begin yet: what it is inside of has, and a branch runs no other.
    fn is_within_reach(&self, node: &PlanNode) -> bool {
        let Some(parent) = &node.parent else { return true };
        match self.nodes.get(parent).map(|parent| &parent.state) {
            Some(State::Inside) => true,
            Some(State::Branch { case }) => {
                let mut cases = self.plan.nodes.iter().filter(|other| other.parent.as_ref() == Some(parent));
                cases.nth(*case as usize).is_some_and(|taken| taken.id == node.id)
            }
            _ => false,
        }
    }

    /// Takes the nodes that a task made.
    pub(super) fn extend(&mut self, made: Plan, limits: BTreeMap<String, Limits>) {
        self.plan.nodes.extend(made.nodes);
        self.limits.extend(limits);
    }

    fn is_done(&self, node: &str) -> bool {
        // The node that hands out the inputs has no events.
        let state = self.nodes.get(node).map(|node| &node.state);
        node == NodeId::START || matches!(state, Some(State::Ended { well: true }))
    }

    fn is_asked_for(&self, node: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == node)
    }
}

/// What one part waits for.
struct Waiting {
    node: Option<String>,
    what: String,
    since: Timestamp,
    until: Option<Timestamp>,
}

impl Waiting {
    fn told(self, now: Timestamp) -> Wait {
        Wait {
            node: self.node,
            what: self.what,
            since: rfc3339(self.since),
            seconds: rounded(now.since(self.since).as_secs_f64()),
            until: self.until.map(rfc3339),
        }
    }
}

/// Says how far a job of a connector is.
fn of_job(Job { connector, resource_meta, phase, message, .. }: &Job) -> String {
    let said = if message.is_empty() { String::new() } else { format!(": {message}") };
    let phase = match phase {
        JobPhase::Running if resource_meta.is_none() => return format!("connector {connector} to do it"),
        JobPhase::Queued if resource_meta.is_none() => {
            return format!("connector {connector} to create its job");
        }
        JobPhase::Unreachable if connector.is_empty() => return format!("a connector to be reached{said}"),
        JobPhase::Unreachable if resource_meta.is_some() => "cannot be asked after",
        JobPhase::Unreachable => return format!("connector {connector} to be reached{said}"),
        JobPhase::Queued => "is queued",
        JobPhase::WaitingForResources => "waits for resources",
        JobPhase::Initializing => "is about to run",
        JobPhase::Running => "runs",
    };
    format!("its job at connector {connector}, which {phase}{said}")
}

fn end_of(message: &str) -> &str {
    match message.char_indices().rev().nth(MESSAGE_CHARS_MAX - 1) {
        Some((begin, _)) => &message[begin..],
        None => message,
    }
}

/// Names the first of some nodes, and how many more they are; none when they are none.
fn named(nodes: &[&str]) -> Option<String> {
    let (first, more) = nodes.split_at(nodes.len().min(NAMED_MAX));
    match (first, more.len()) {
        ([], _) => None,
        (first, 0) => Some(first.join(", ")),
        (first, more) => Some(format!("{} and {more} more", first.join(", "))),
    }
}
