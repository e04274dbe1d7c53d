//! Something has taken as long as it may.

use super::Rejection;
use crate::execution::{Execution, NodeState, TaskRun};
use crate::plan::NodeIndex;
use skein_model::{Attempt, Charge, Event, ExecutionPhase, Failure, FailureCause, NodeId, TimeLimit};
use std::time::Duration;

/// The code of what took too long, whatever that was (contract 9.4): users match on it.
const CODE: &str = "TimeoutExpired";
/// What is told of a node that was stopped because its execution took too long.
const STOPPED_BY_TIME: &str = "The execution took longer than it may.";

impl Execution {
    pub(super) fn decide_time_up(&self, limit: &TimeLimit, after: Duration) -> Result<Vec<Event>, Rejection> {
        let mut events = Vec::new();
        match limit {
            TimeLimit::Interruptible { node, attempt } => {
                let place = self.place_of(node)?;
                if self.waiting_for_worker(place, *attempt).is_some_and(|run| !run.on_demand) {
                    events.push(Event::AttemptMoved {
                        node: node.clone(),
                        attempt: *attempt,
                        reason: format!("no interruptible capacity within {after:?}"),
                    });
                }
            }
            TimeLimit::Queued { node, attempt } => {
                let place = self.place_of(node)?;
                if self.waiting_for_worker(place, *attempt).is_some() {
                    let message = format!(
                        "attempt {attempt} had not begun after [{after:?}], the queued_seconds_max of its task"
                    );
                    self.time_out(place, &failure(message, Charge::System), &mut events);
                }
            }
            TimeLimit::Node { node } => {
                let place = self.place_of(node)?;
                if self.active.contains(&place) {
                    let message = format!(
                        "node {node} had not ended after [{after:?}], waits and retries included: the node_seconds_max of its task"
                    );
                    self.time_out(place, &failure(message, Charge::User), &mut events);
                }
            }
            TimeLimit::Execution => {
                if matches!(self.phase, ExecutionPhase::Running | ExecutionPhase::Succeeding) {
                    let failure = failure(
                        format!(
                            "execution timeout [{after:?}] expired: the seconds_max of [[executions]] in the server's configuration"
                        ),
                        Charge::User,
                    );
                    self.stop_active(None, STOPPED_BY_TIME, &mut events);
                    self.begin_failing(&failure, &mut events);
                }
            }
        }
        Ok(events)
    }

    /// Answers the task that runs at `place` while its attempt waits for a worker.
    fn waiting_for_worker(&self, place: NodeIndex, attempt: Attempt) -> Option<&TaskRun> {
        match &self.nodes[place] {
            NodeState::Task(run) => (run.attempt == attempt && run.queued && !run.started).then_some(run),
            NodeState::Waiting | NodeState::Resolving | NodeState::Map(_) | NodeState::Ended { .. } => None,
        }
    }

    fn time_out(&self, place: NodeIndex, failure: &Failure, events: &mut Vec<Event>) {
        let node: NodeId = self.id_of(place);
        if let NodeState::Task(run) = &self.nodes[place]
            && run.queued
        {
            events.push(Event::AttemptAborted { node: node.clone(), attempt: run.attempt });
        }
        events.push(Event::NodeTimedOut { node, failure: failure.clone() });
        self.after_failure(place, failure, events);
    }
}

fn failure(message: String, charge: Charge) -> Failure {
    Failure { code: CODE.to_owned(), message, cause: FailureCause::TimedOut, charge }
}
