//! What is now true: folds one recorded event into the state.
//!
//! Total: what stands in the journal has happened. An event that does not fit the plan (a node that is not there)
//! changes nothing; the log's chain and the golden tests keep that from being more than a theory.

use crate::execution::{Caching, ChildRun, Execution, InsideRun, Making, NodeState, TaskRun};
use crate::inside::Signal;
use crate::map_task::MapRun;
use crate::plan::{NodeIndex, ROOT, Target};
use crate::retry::Spent;
use prost::Message as _;
use skein_idl::flyteidl::core::LiteralType;
use skein_model::cache::CacheFound;
use skein_model::{
    Attempt, BlobRef, CacheKey, DataRef, Event, ExecutionPhase, Failure, NodeId, NodePhase, Timestamp,
};
use std::sync::Arc;

impl Execution {
    /// Folds one recorded event in.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Created(created) => self.created = Some(Arc::new((**created).clone())),
            Event::Started => {
                self.phase = ExecutionPhase::Running;
                self.make_ready(self.roots(ROOT));
            }
            Event::Succeeding => self.phase = ExecutionPhase::Succeeding,
            Event::Failing { failure } => {
                self.phase = ExecutionPhase::Failing;
                self.scopes[ROOT].failure = Some(failure.clone());
                self.ready.clear();
            }
            Event::Aborting { .. } => {
                self.phase = ExecutionPhase::Aborting;
                self.ready.clear();
            }
            Event::Succeeded { .. } => self.phase = ExecutionPhase::Succeeded,
            Event::Failed { failure } => {
                self.phase = ExecutionPhase::Failed;
                self.scopes[ROOT].failure = Some(failure.clone());
            }
            Event::Aborted => self.phase = ExecutionPhase::Aborted,
            Event::Archived { archived, .. } => self.archived = *archived,
            Event::SignalAsked { signal, r#type, .. } => {
                // What cannot be read has been asked for by another program: anything will do then.
                let r#type = LiteralType::decode(r#type.clone()).unwrap_or_default();
                self.signals.entry(signal.clone()).or_insert(Signal { r#type, value: None });
            }
            Event::SignalSet { signal, value, .. } => {
                if let Some(signal) = self.signals.get_mut(signal) {
                    signal.value = Some(value.clone());
                }
            }
            Event::NodeQueued { node }
            | Event::NodeStarted { node, .. }
            | Event::InsideStarted { node }
            | Event::InsideSucceeded { node, .. }
            | Event::BranchTaken { node, .. }
            | Event::AttemptMadeNodes { node, .. }
            | Event::NodesMade { node, .. }
            | Event::InsideFailing { node, .. }
            | Event::ChildLaunched { node, .. }
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
            | Event::NodeRecovered { node, .. }
            | Event::ItemsRecovered { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. }
            | Event::NodeAborted { node, .. }
            | Event::NodeSkipped { node } => self.apply_to_node(node, event),
        }
    }

    fn apply_to_node(&mut self, node: &NodeId, event: &Event) {
        let Some(place) = self.find(node) else { return };
        match event {
            Event::NodeQueued { .. } => self.queued(place),
            Event::NodeStarted { inputs, .. } => self.started(place, inputs),
            Event::InsideStarted { .. }
            | Event::InsideSucceeded { .. }
            | Event::InsideFailing { .. }
            | Event::BranchTaken { .. }
            | Event::AttemptMadeNodes { .. }
            | Event::NodesMade { .. }
            | Event::ChildLaunched { .. } => self.apply_inside(place, event),
            Event::MapStarted { .. }
            | Event::ItemsFinished { .. }
            | Event::ItemsCached { .. }
            | Event::ItemsRecovered { .. } => self.apply_to_map(place, event),
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
                self.with_task(place, |run| run.queued &= !run.caching.begin_storing(outputs));
            }
            Event::AttemptAborted { .. } | Event::CacheStored { .. } => {}
            Event::LateResultIgnored { .. } => self.late(place),
            Event::NodeSucceeded { outputs, .. } => {
                self.ended(place, NodePhase::Succeeded, Some(outputs));
                self.release(place);
            }
            Event::NodeRecovered { outputs, .. } => {
                self.ended(place, NodePhase::Recovered, Some(outputs));
                self.release(place);
            }
            Event::NodeFailed { failure, .. } => {
                self.ended(place, NodePhase::Failed, None);
                self.note_failure(place, failure);
            }
            Event::NodeTimedOut { failure, .. } => {
                self.ended(place, NodePhase::TimedOut, None);
                self.note_failure(place, failure);
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
            | Event::SignalAsked { .. }
            | Event::SignalSet { .. }
            | Event::Archived { .. } => {}
        }
    }

    /// Folds in what happened to a node that has others inside, or an execution of its own.
    fn apply_inside(&mut self, place: NodeIndex, event: &Event) {
        match event {
            Event::InsideStarted { .. } => self.inside_started(place),
            Event::BranchTaken { case, .. } => self.branch_taken(place, *case),
            Event::AttemptMadeNodes { attempt, spec, .. } => self.making(place, *attempt, spec),
            Event::NodesMade { attempt, plan, .. } => self.nodes_made(place, *attempt, plan),
            Event::InsideFailing { failure, .. } => self.inside_failing(place, failure),
            Event::ChildLaunched { child, .. } => {
                if let NodeState::Child(run) = &mut self.nodes[place] {
                    run.execution = Some(child.clone());
                }
            }
            Event::InsideSucceeded { outputs, .. } => {
                if let NodeState::Inside(run) = &mut self.nodes[place] {
                    run.caching.begin_storing(outputs);
                }
            }
            _ => {}
        }
    }

    fn apply_to_map(&mut self, place: NodeIndex, event: &Event) {
        if let Event::MapStarted { size, .. } = event {
            return self.map_started(place, *size);
        }
        let NodeState::Map(map) = &mut self.nodes[place] else { return };
        match event {
            Event::ItemsFinished { chunk, again, .. } => map.record(chunk, again),
            Event::ItemsCached { items, .. } => map.record_cached(items),
            Event::ItemsRecovered { items, .. } => map.record_outputs(items),
            _ => {}
        }
    }

    fn make_ready(&mut self, places: impl IntoIterator<Item = NodeIndex>) {
        for place in places {
            self.ready.insert(place, &self.plan.nodes[place].target);
        }
    }

    /// The failure of a node is that of its workflow, but for the second and those of nodes inside of branches.
    fn note_failure(&mut self, place: NodeIndex, failure: &Failure) {
        if self.branch_of(place).is_none() {
            let scope = self.plan.nodes[place].scope;
            self.scopes[scope].failure.get_or_insert_with(|| failure.clone());
        }
    }

    fn queued(&mut self, place: NodeIndex) {
        self.ready.remove(place);
        self.active.insert(place);
        self.set(place, NodeState::Resolving);
    }

    fn started(&mut self, place: NodeIndex, inputs: &DataRef) {
        let (inputs, node) = (inputs.clone(), Arc::clone(&self.plan.nodes[place]));
        match &node.target {
            Target::Task { .. } | Target::Map { .. } => {
                let is_asked = node.cache.is_some() && matches!(node.target, Target::Task { .. });
                let caching = if is_asked { Caching::Asked } else { Caching::Off };
                self.set(place, NodeState::Task(first_try(inputs, caching)));
            }
            Target::Workflow { scope } => {
                let (scope, caching) = (*scope, Caching::Off);
                self.set(place, NodeState::Inside(InsideRun { inputs, scope, attempt: Attempt(0), caching }));
            }
            Target::Branch { .. } => self.set(place, NodeState::Branch { inputs, child: None }),
            Target::Gate(_) => self.set(place, NodeState::Gate { inputs }),
            Target::Launch { .. } => {
                self.set(place, NodeState::Child(Box::new(ChildRun { inputs, execution: None })));
            }
        }
    }

    fn inside_started(&mut self, place: NodeIndex) {
        if let NodeState::Inside(inside) = &self.nodes[place] {
            let roots = self.roots(inside.scope);
            self.make_ready(roots);
        }
    }

    fn branch_taken(&mut self, place: NodeIndex, case: u32) {
        let taken = self.plan.nodes[place].target.case(case);
        if let NodeState::Branch { child, .. } = &mut self.nodes[place] {
            *child = taken;
            self.make_ready(taken);
        }
    }

    fn making(&mut self, place: NodeIndex, attempt: Attempt, spec: &str) {
        if let NodeState::Task(run) = &self.nodes[place] {
            let (inputs, caching) = (run.inputs.clone(), run.caching.clone());
            let making = Making { inputs, attempt, spec: spec.to_owned(), caching };
            self.set(place, NodeState::Making(Box::new(making)));
        }
    }

    fn nodes_made(&mut self, place: NodeIndex, attempt: Attempt, made: &BlobRef) {
        let Some(at) = self.provided.iter().position(|(known, _)| known == made) else { return };
        let (inputs, attempt, caching) = match &self.nodes[place] {
            NodeState::Making(making) => (making.inputs.clone(), making.attempt, making.caching.clone()),
            // They were made in the execution that this one recovers.
            NodeState::Task(run) => (run.inputs.clone(), attempt, Caching::Off),
            _ => return,
        };
        let (_, made) = self.provided.remove(at);
        let (first, scope) = (self.plan.nodes.len(), self.plan.scopes.len());
        self.plan = Arc::new(self.plan.grafted(&made, place));
        self.made.extend((first..).zip(&made.nodes).map(|(place, node)| (node.id.clone(), place)));
        self.take_in_plan();
        self.set(place, NodeState::Inside(InsideRun { inputs, scope, attempt, caching }));
        self.inside_started(place);
    }

    fn inside_failing(&mut self, place: NodeIndex, failure: &Failure) {
        if let NodeState::Inside(inside) = &self.nodes[place] {
            self.scopes[inside.scope].failure = Some(failure.clone());
            self.drop_ready_inside(place);
        }
    }

    fn drop_ready_inside(&mut self, place: NodeIndex) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.retain(|other| !self.is_inside(other, place));
        self.ready = ready;
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
            self.set(place, NodeState::Map(Box::new(MapRun::new(run.inputs.clone(), size))));
        }
    }

    fn with_task(&mut self, place: NodeIndex, change: impl FnOnce(&mut TaskRun)) {
        if let NodeState::Task(run) = &mut self.nodes[place] {
            change(run);
        }
    }

    fn ended(&mut self, place: NodeIndex, phase: NodePhase, outputs: Option<&DataRef>) {
        let open = self.nodes[place].task().filter(|run| phase == NodePhase::Aborted && run.queued);
        let open = open.map(|run| run.attempt);
        let had_inside = matches!(self.nodes[place], NodeState::Inside(_) | NodeState::Branch { .. });
        self.set(place, NodeState::Ended { phase, outputs: outputs.cloned(), open });
        self.ready.remove(place);
        self.active.remove(&place);
        if had_inside && !matches!(phase, NodePhase::Succeeded | NodePhase::Recovered) {
            self.drop_ready_inside(place);
        }
        if !self.is_failure_node(place) && self.branch_of(place).is_none() {
            let scope = self.plan.nodes[place].scope;
            self.scopes[scope].unfinished = self.scopes[scope].unfinished.saturating_sub(1);
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
                self.ready.insert(*next, &plan.nodes[*next].target);
            }
        }
    }
}

fn first_try(inputs: DataRef, caching: Caching) -> TaskRun {
    TaskRun {
        inputs,
        attempt: Attempt(0),
        queued: false,
        started: false,
        not_before: None,
        on_demand: false,
        job: None,
        spent: Spent::default(),
        caching,
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

impl Caching {
    /// Gives the cache what it was computed for; answers whether it is to have that.
    fn begin_storing(&mut self, outputs: &DataRef) -> bool {
        let Self::Running { key, reserved } = *self else { return false };
        *self = Self::Storing { key, outputs: outputs.clone(), reserved };
        true
    }
}
