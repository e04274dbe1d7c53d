//! A node ends, and with it perhaps the execution.

use super::Rejection;
use crate::execution::{Execution, NodeState};
use crate::plan::{FailurePolicy, NodeIndex, Target};
use skein_model::{DataRef, Event, ExecutionPhase, Failure, FailureCause};

/// What the original tells of a node that was stopped because another one failed.
const STOPPED_BY_FAILURE: &str = "Some node execution failed, auto-abort.";
/// What the original tells of a node that was stopped because somebody ended the execution.
const STOPPED_BY_REQUEST: &str = "Workflow aborted.";

impl Execution {
    /// Records a node's success and what follows from it.
    pub(super) fn succeed_node(&self, place: NodeIndex, outputs: &DataRef, events: &mut Vec<Event>) {
        events.push(Event::NodeSucceeded { node: self.id_of(place), outputs: outputs.clone() });
        if self.is_failure_node(place) {
            self.end_failed(self.failure.as_ref(), events);
            return;
        }
        let queued = self.queue(self.ready_after(place), self.room(1), events);
        let still_active = self.active.len() - 1 + queued;
        if self.failure.is_some() {
            self.end_when_idle(still_active, events);
        } else if self.unfinished == 1 {
            events.push(Event::Succeeding);
        }
    }

    /// Records a node's failure and what follows from it.
    pub(super) fn fail_node(&self, place: NodeIndex, failure: &Failure, events: &mut Vec<Event>) {
        let node = self.id_of(place);
        let timed_out = failure.cause == FailureCause::TimedOut && self.plan.nodes[place].attempts > 1;
        events.push(if timed_out {
            Event::NodeTimedOut { node, failure: failure.clone() }
        } else {
            Event::NodeFailed { node, failure: failure.clone() }
        });
        self.after_failure(place, failure, events);
    }

    /// Records what follows from a node's failure.
    pub(super) fn after_failure(&self, place: NodeIndex, failure: &Failure, events: &mut Vec<Event>) {
        if self.is_failure_node(place) {
            // Its error hides the one that called it (contract 5.10).
            self.end_failed(Some(failure), events);
            return;
        }
        match self.plan.on_failure {
            FailurePolicy::Immediately => {
                let first = self.failure.as_ref().unwrap_or(failure);
                self.stop_active(Some(place), STOPPED_BY_FAILURE, events);
                self.begin_failing(first, events);
            }
            FailurePolicy::AfterExecutableNodes => self.skip_after(place, failure, events),
        }
    }

    fn skip_after(&self, place: NodeIndex, failure: &Failure, events: &mut Vec<Event>) {
        let doomed = self.doomed_by(place);
        events.extend(doomed.iter().map(|node| Event::NodeSkipped { node: self.id_of(*node) }));
        let queued = self.queue(self.ready.difference(&doomed).copied(), self.room(1), events);
        if self.active.len() - 1 + queued == 0 {
            self.begin_failing(self.failure.as_ref().unwrap_or(failure), events);
        }
    }

    fn end_when_idle(&self, still_active: usize, events: &mut Vec<Event>) {
        if still_active == 0
            && let Some(failure) = &self.failure
        {
            self.begin_failing(failure, events);
        }
    }

    pub(super) fn begin_failing(&self, failure: &Failure, events: &mut Vec<Event>) {
        events.push(Event::Failing { failure: failure.clone() });
        match self.plan.failure_node {
            Some(node) => events.push(Event::NodeQueued { node: self.id_of(node) }),
            None => events.push(Event::Failed { failure: failure.clone() }),
        }
    }

    fn end_failed(&self, failure: Option<&Failure>, events: &mut Vec<Event>) {
        if let Some(failure) = failure {
            events.push(Event::Failed { failure: failure.clone() });
        }
    }

    /// Stops every active node but one.
    pub(super) fn stop_active(&self, but: Option<NodeIndex>, reason: &str, events: &mut Vec<Event>) {
        for place in self.active.iter().copied().filter(|place| Some(*place) != but) {
            let node = self.id_of(place);
            if let NodeState::Task(run) = &self.nodes[place]
                && run.queued
            {
                events.push(Event::AttemptAborted { node: node.clone(), attempt: run.attempt });
            }
            events.push(Event::NodeAborted { node, reason: reason.to_owned() });
        }
    }

    pub(super) fn decide_terminate(&self, cause: &str, principal: &str) -> Result<Vec<Event>, Rejection> {
        if self.phase.is_terminal() {
            return Err(Rejection::AlreadyTerminated);
        }
        let mut events = vec![Event::Aborting { cause: cause.to_owned(), principal: principal.to_owned() }];
        self.stop_active(None, STOPPED_BY_REQUEST, &mut events);
        events.push(Event::Aborted);
        Ok(events)
    }

    pub(super) fn decide_outputs(&self, outputs: &DataRef) -> Vec<Event> {
        if self.phase != ExecutionPhase::Succeeding {
            return Vec::new();
        }
        vec![Event::Succeeded { outputs: outputs.clone() }]
    }

    pub(super) fn decide_outputs_failed(&self, failure: &Failure) -> Vec<Event> {
        if self.phase != ExecutionPhase::Succeeding {
            return Vec::new();
        }
        let mut events = Vec::new();
        self.begin_failing(failure, &mut events);
        events
    }

    /// Says whether a node is a map.
    pub fn is_map(&self, place: NodeIndex) -> bool {
        matches!(self.plan.nodes[place].target, Target::Map { .. })
    }
}
