//! What is now true: folds one recorded event into the state.
//!
//! Total: what stands in the journal has happened. An event that does not fit the plan (a node that is not there)
//! changes nothing; the log's chain and the golden tests keep that from being more than a theory.

use crate::execution::{Caching, Execution, NodeState, TaskRun};
use crate::map_task::MapRun;
use crate::plan::{NodeIndex, Target};
use crate::retry::Spent;
use skein_model::cache::CacheFound;
use skein_model::{Attempt, CacheKey, DataRef, Event, ExecutionPhase, Failure, NodeId, NodePhase, Timestamp};
use std::sync::Arc;

impl Execution {
    /// Folds one recorded event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(created) => self.created = Some(Arc::new((**created).clone())),
            Event::Started => {
                self.phase = ExecutionPhase::Running;
                self.ready = self.roots();
            }
            Event::Succeeding => self.phase = ExecutionPhase::Succeeding,
            Event::Failing { failure } => {
                self.phase = ExecutionPhase::Failing;
                self.failure = Some(failure.clone());
                self.ready.clear();
            }
            Event::Aborting { .. } => {
                self.phase = ExecutionPhase::Aborting;
                self.ready.clear();
            }
            Event::Succeeded { .. } => self.phase = ExecutionPhase::Succeeded,
            Event::Failed { failure } => {
                self.phase = ExecutionPhase::Failed;
                self.failure = Some(failure.clone());
            }
            Event::Aborted => self.phase = ExecutionPhase::Aborted,
            Event::Archived { archived, .. } => self.archived = *archived,
            Event::NodeQueued { node }
            | Event::NodeStarted { node, .. }
            | Event::CacheLookedUp { node, .. }
            | Event::CacheStored { node, .. }
            | Event::AttemptQueued { node, .. }
            | Event::AttemptMoved { node, .. }
            | Event::AttemptStarted { node, .. }
            | Event::JobReported { node, .. }
            | Event::AttemptSucceeded { node, .. }
            | Event::AttemptFailed { node, .. }
            | Event::AttemptAborted { node, .. }
            | Event::LateResultIgnored { node, .. }
            | Event::MapStarted { node, .. }
            | Event::ItemsFinished { node, .. }
            | Event::ItemsCached { node, .. }
            | Event::NodeSucceeded { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. }
            | Event::NodeAborted { node, .. }
            | Event::NodeSkipped { node } => self.apply_to_node(node, event),
        }
    }

    fn apply_to_node(&mut self, node: &NodeId, event: &Event) {
        let Some(place) = self.plan.find(node) else { return };
        match event {
            Event::NodeQueued { .. } => self.queued(place),
            Event::NodeStarted { inputs, .. } => self.started(place, inputs),
            Event::AttemptQueued { attempt, not_before, .. } => {
                self.attempt_queued(place, *attempt, *not_before)
            }
            Event::AttemptMoved { .. } => self.with_task(place, |run| run.on_demand = true),
            Event::AttemptStarted { .. } => self.with_task(place, |run| run.started = true),
            Event::JobReported { job, .. } => self.with_task(place, |run| run.job = Some(job.clone())),
            Event::AttemptFailed { failure, .. } => self.attempt_failed(place, failure),
            Event::CacheLookedUp { key, found, .. } => {
                self.with_task(place, |run| run.caching = after_look_up(*key, found));
            }
            Event::AttemptSucceeded { outputs, .. } => {
                self.with_task(place, |run| begin_storing(run, outputs))
            }
            Event::AttemptAborted { .. } | Event::CacheStored { .. } => {}
            Event::LateResultIgnored { .. } => self.late(place),
            Event::MapStarted { size, .. } => self.map_started(place, *size),
            Event::ItemsFinished { chunk, again, .. } => {
                if let NodeState::Map(map) = &mut self.nodes[place] {
                    map.record(chunk, again);
                }
            }
            Event::ItemsCached { items, .. } => {
                if let NodeState::Map(map) = &mut self.nodes[place] {
                    map.record_cached(items);
                }
            }
            Event::NodeSucceeded { outputs, .. } => {
                self.ended(place, NodePhase::Succeeded, Some(outputs));
                self.release(place);
            }
            Event::NodeFailed { failure, .. } => {
                self.ended(place, NodePhase::Failed, None);
                self.failure.get_or_insert_with(|| failure.clone());
            }
            Event::NodeTimedOut { failure, .. } => {
                self.ended(place, NodePhase::TimedOut, None);
                self.failure.get_or_insert_with(|| failure.clone());
            }
            Event::NodeAborted { .. } => self.ended(place, NodePhase::Aborted, None),
            Event::NodeSkipped { .. } => self.ended(place, NodePhase::Skipped, None),
            Event::Created(_)
            | Event::Started
            | Event::Failing { .. }
            | Event::Aborting { .. }
            | Event::Succeeding
            | Event::Succeeded { .. }
            | Event::Failed { .. }
            | Event::Aborted
            | Event::Archived { .. } => {}
        }
    }

    fn queued(&mut self, place: NodeIndex) {
        self.ready.remove(&place);
        self.active.insert(place);
        self.nodes[place] = NodeState::Resolving;
    }

    fn started(&mut self, place: NodeIndex, inputs: &DataRef) {
        let node = &self.plan.nodes[place];
        let is_asked = node.cache.is_some() && matches!(node.target, Target::Task { .. });
        self.nodes[place] = NodeState::Task(TaskRun {
            inputs: inputs.clone(),
            attempt: Attempt(0),
            queued: false,
            started: false,
            not_before: None,
            on_demand: false,
            job: None,
            spent: Spent::default(),
            caching: if is_asked { Caching::Asked } else { Caching::Off },
        });
    }

    fn attempt_queued(&mut self, place: NodeIndex, attempt: Attempt, not_before: Option<Timestamp>) {
        self.with_task(place, |run| {
            run.attempt = attempt;
            run.queued = true;
            run.started = false;
            run.not_before = not_before;
            run.on_demand = false;
            run.job = None;
            // It was recorded before there was a cache.
            if run.caching == Caching::Asked {
                run.caching = Caching::Off;
            }
        });
    }

    fn attempt_failed(&mut self, place: NodeIndex, failure: &Failure) {
        self.with_task(place, |run| {
            run.spent = run.spent.with(failure.charge);
            run.queued = false;
        });
    }

    fn map_started(&mut self, place: NodeIndex, size: u32) {
        if let NodeState::Task(run) = &self.nodes[place] {
            self.nodes[place] = NodeState::Map(Box::new(MapRun::new(run.inputs.clone(), size)));
        }
    }

    fn with_task(&mut self, place: NodeIndex, change: impl FnOnce(&mut TaskRun)) {
        if let NodeState::Task(run) = &mut self.nodes[place] {
            change(run);
        }
    }

    fn ended(&mut self, place: NodeIndex, phase: NodePhase, outputs: Option<&DataRef>) {
        let open = match &self.nodes[place] {
            NodeState::Task(run) if phase == NodePhase::Aborted && run.queued => Some(run.attempt),
            NodeState::Task(_)
            | NodeState::Waiting
            | NodeState::Resolving
            | NodeState::Map(_)
            | NodeState::Ended { .. } => None,
        };
        self.nodes[place] = NodeState::Ended { phase, outputs: outputs.cloned(), open };
        self.ready.remove(&place);
        self.active.remove(&place);
        if !self.is_failure_node(place) {
            self.unfinished = self.unfinished.saturating_sub(1);
        }
    }

    fn late(&mut self, place: NodeIndex) {
        if let NodeState::Ended { open, .. } = &mut self.nodes[place] {
            *open = None;
        }
    }

    /// Lets the nodes after a finished one go ahead.
    fn release(&mut self, place: NodeIndex) {
        let plan = Arc::clone(&self.plan);
        for next in &plan.nodes[place].downstream {
            self.waits_for[*next] = self.waits_for[*next].saturating_sub(1);
            if self.waits_for[*next] == 0 && matches!(self.nodes[*next], NodeState::Waiting) {
                self.ready.insert(*next);
            }
        }
    }
}

fn after_look_up(key: Option<CacheKey>, found: &CacheFound) -> Caching {
    match (found, key) {
        (CacheFound::Waiting { .. }, _) => Caching::Waiting,
        (CacheFound::Missing { reserved, .. } | CacheFound::Skipped { reserved }, Some(key)) => {
            Caching::Running { key, reserved: *reserved }
        }
        // An entry that cannot be looked for can still be made.
        (CacheFound::Failed { .. }, Some(key)) => Caching::Running { key, reserved: false },
        (CacheFound::Hit { .. } | CacheFound::Failed { .. }, _)
        | (CacheFound::Missing { .. } | CacheFound::Skipped { .. }, None) => Caching::Off,
    }
}

fn begin_storing(run: &mut TaskRun, outputs: &DataRef) {
    if let Caching::Running { key, reserved } = run.caching {
        run.queued = false;
        run.caching = Caching::Storing { key, outputs: outputs.clone(), reserved };
    }
}
