//! A node ends, and with it perhaps what it is inside of, and the execution.

use super::Rejection;
use crate::execution::{Caching, Execution, NodeState};
use crate::plan::{FailurePolicy, NodeIndex, ROOT, ScopeIndex, Target};
use skein_model::{DataRef, Event, ExecutionPhase, Failure, FailureCause};
use std::collections::BTreeSet;

/// What the original tells of a node that was stopped because another one failed.
const STOPPED_BY_FAILURE: &str = "Some node execution failed, auto-abort.";
/// The same of a node that a dynamic task made.
const STOPPED_BY_SIBLING: &str = "Dynamic workflow failed";
/// What the original tells of a node that was stopped because somebody ended the execution.
const STOPPED_BY_REQUEST: &str = "Workflow aborted.";

impl Execution {
    /// Records a node's success and what follows from it.
    pub(super) fn succeed_node(&self, place: NodeIndex, outputs: &DataRef, events: &mut Vec<Event>) {
        let leaving = usize::from(self.is_counted(place));
        // The case of a branch gives what the branch gives.
        let mut place = place;
        events.push(Event::NodeSucceeded { node: self.id_of(place), outputs: outputs.clone() });
        while let Some(branch) = self.branch_of(place) {
            place = branch;
            events.push(Event::NodeSucceeded { node: self.id_of(place), outputs: outputs.clone() });
        }
        let scope = self.plan.nodes[place].scope;
        let run = &self.scopes[scope];
        if self.is_failure_node(place) {
            let failure = run.failure.clone();
            return match (failure, self.plan.scopes[scope].parent) {
                (Some(failure), Some(parent)) => self.fail_inside(parent, &failure, leaving, events),
                (Some(failure), None) => events.push(Event::Failed { failure }),
                (None, _) => {}
            };
        }
        self.queue(&self.freed_by(place), |_| false, self.room(leaving), events);
        if run.unfinished > 1 {
            return;
        }
        match &run.failure {
            Some(failure) => self.begin_failing(scope, &failure.clone(), leaving, events),
            // What is inside another node is put together first, see `effects_of`.
            None if scope == ROOT => events.push(Event::Succeeding),
            None => {}
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
        self.after_failure(place, failure, usize::from(self.is_counted(place)), events);
    }

    /// Records that a node fails because what is inside of it has.
    fn fail_inside(&self, place: NodeIndex, failure: &Failure, leaving: usize, events: &mut Vec<Event>) {
        events.push(Event::NodeFailed { node: self.id_of(place), failure: failure.clone() });
        self.after_failure(place, failure, leaving, events);
    }

    /// Records what follows from a node's failure, from the inside out. `leaving` nodes that counted against the parallelism
    /// limit have ended by it already.
    pub(super) fn after_failure(
        &self,
        place: NodeIndex,
        failure: &Failure,
        leaving: usize,
        events: &mut Vec<Event>,
    ) {
        let (mut place, mut failure, mut leaving) = (place, failure.clone(), leaving);
        loop {
            let failed = match self.branch_of(place) {
                Some(branch) => Some((branch, failure)),
                None => self.after_failure_in_scope(place, failure, &mut leaving, events),
            };
            let Some((parent, why)) = failed else { return };
            events.push(Event::NodeFailed { node: self.id_of(parent), failure: why.clone() });
            (place, failure) = (parent, why);
        }
    }

    /// Records what follows for the workflow that a failed node is in; answers the node that fails by it next, if one does.
    fn after_failure_in_scope(
        &self,
        place: NodeIndex,
        failure: Failure,
        leaving: &mut usize,
        events: &mut Vec<Event>,
    ) -> Option<(NodeIndex, Failure)> {
        let scope = self.plan.nodes[place].scope;
        let of = &self.plan.scopes[scope];
        if of.failure_node == Some(place) {
            // Its error hides the one that called it (contract 5.10).
            return match of.parent {
                Some(parent) => Some((parent, failure)),
                None => {
                    events.push(Event::Failed { failure });
                    None
                }
            };
        }
        let first = self.scopes[scope].failure.clone().unwrap_or(failure);
        match of.on_failure {
            FailurePolicy::Immediately => {
                *leaving += self.stop_scope(scope, Some(place), self.reason_in(scope), events);
            }
            FailurePolicy::AfterExecutableNodes => {
                let doomed = self.doomed_by(place);
                events.extend(doomed.iter().map(|node| Event::NodeSkipped { node: self.id_of(*node) }));
                let is_out = |node| doomed.contains(&node) || self.is_inside(node, place);
                self.queue(&BTreeSet::new(), is_out, self.room(*leaving), events);
                if self.scopes[scope].unfinished > 1 + doomed.len() {
                    return None;
                }
            }
        }
        self.failing(scope, &first, events).map(|parent| (parent, first))
    }

    /// Records that a workflow fails with `failure`; answers the node that fails by it, unless there is one that handles it first.
    fn failing(&self, scope: ScopeIndex, failure: &Failure, events: &mut Vec<Event>) -> Option<NodeIndex> {
        let of = &self.plan.scopes[scope];
        match (of.parent, of.failure_node) {
            (Some(parent), None) => return Some(parent),
            (Some(parent), Some(_)) => {
                events.push(Event::InsideFailing { node: self.id_of(parent), failure: failure.clone() });
            }
            (None, _) => events.push(Event::Failing { failure: failure.clone() }),
        }
        match of.failure_node {
            Some(node) => events.push(Event::NodeQueued { node: self.id_of(node) }),
            None => events.push(Event::Failed { failure: failure.clone() }),
        }
        None
    }

    /// Records that a workflow of which nothing runs any more fails, and what follows from it.
    pub(super) fn begin_failing(
        &self,
        scope: ScopeIndex,
        failure: &Failure,
        leaving: usize,
        events: &mut Vec<Event>,
    ) {
        if let Some(parent) = self.failing(scope, failure, events) {
            self.fail_inside(parent, failure, leaving, events);
        }
    }

    fn reason_in(&self, scope: ScopeIndex) -> &'static str {
        let parent = self.plan.scopes[scope].parent;
        match parent.map(|parent| &self.plan.nodes[parent].target) {
            Some(Target::Task { .. }) => STOPPED_BY_SIBLING,
            _ => STOPPED_BY_FAILURE,
        }
    }

    /// Stops every active node of a workflow, with all inside of them, but for one with all inside of it; answers how many of them
    /// counted against the parallelism limit.
    pub(super) fn stop_scope(
        &self,
        scope: ScopeIndex,
        but: Option<NodeIndex>,
        reason: &str,
        events: &mut Vec<Event>,
    ) -> usize {
        let is_spared = |place| but.is_some_and(|but| but == place || self.is_inside(place, but));
        let all = self.active.iter().copied();
        self.stop(all.filter(|place| self.is_in_scope(*place, scope) && !is_spared(*place)), reason, events)
    }

    /// Stops what is active inside a node; answers how many of that counted against the parallelism limit.
    pub(super) fn stop_inside(&self, place: NodeIndex, reason: &str, events: &mut Vec<Event>) -> usize {
        let all = self.active.iter().copied();
        self.stop(all.filter(|other| self.is_inside(*other, place)), reason, events)
    }

    fn stop(&self, places: impl Iterator<Item = NodeIndex>, reason: &str, events: &mut Vec<Event>) -> usize {
        let mut counted = 0;
        for place in places {
            counted += usize::from(self.is_counted(place));
            let node = self.id_of(place);
            if let Some(run) = self.nodes[place].task().filter(|run| run.queued) {
                events.push(Event::AttemptAborted { node: node.clone(), attempt: run.attempt });
            }
            events.push(Event::NodeAborted { node, reason: reason.to_owned() });
        }
        counted
    }

    pub(super) fn decide_terminate(&self, cause: &str, principal: &str) -> Result<Vec<Event>, Rejection> {
        if self.phase.is_terminal() {
            return Err(Rejection::AlreadyTerminated);
        }
        let mut events = vec![Event::Aborting { cause: cause.to_owned(), principal: principal.to_owned() }];
        self.stop_scope(ROOT, None, STOPPED_BY_REQUEST, &mut events);
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
        self.begin_failing(ROOT, failure, 0, &mut events);
        events
    }

    /// Answers the workflow inside a node that waits for nothing but its outputs to be put together.
    pub(crate) fn resolving_inside(&self, place: NodeIndex) -> Option<ScopeIndex> {
        let NodeState::Inside(inside) = &self.nodes[place] else { return None };
        let is_storing = matches!(inside.caching, Caching::Storing { .. });
        self.complete_inside(inside.scope).filter(|_| !is_storing).map(|_| inside.scope)
    }
}
