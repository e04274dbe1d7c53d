//! Something has taken as long as it may.

use super::Rejection;
use crate::execution::{Execution, NodeState, TaskRun};
use crate::plan::{NodeIndex, ROOT};
use crate::retry::{self, Next, Spent};
use skein_model::{Attempt, Charge, Event, ExecutionPhase, Failure, FailureCause, NodeId, TimeLimit};
use std::time::Duration;

/// The code of what took too long, whatever that was (contract 9.4): users match on it.
const CODE: &str = "TimeoutExpired";
/// What is told of a node that was stopped because the one that it is inside of took too long.
const STOPPED_BY_TIME_OF_NODE: &str = "The node that it is inside of took longer than it may.";
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
            TimeLimit::Inside { node } => {
                let place = self.place_of(node)?;
                if self.active.contains(&place) && !matches!(self.nodes[place], NodeState::Resolving) {
                    let failure =
                        failure(format!("task execution timeout [{after:?}] expired"), Charge::User);
                    self.stop_inside(place, STOPPED_BY_TIME_OF_NODE, &mut events);
                    if let Next::Final(failure) = retry::next(1, Spent::default(), &failure, 0) {
                        self.fail_node(place, &failure, &mut events);
                    }
                }
            }
            TimeLimit::Sleep { node } => self.wake(self.place_of(node)?, &mut events),
            TimeLimit::Execution => {
                if matches!(self.phase, ExecutionPhase::Running | ExecutionPhase::Succeeding) {
                    let failure = failure(
                        format!(
                            "execution timeout [{after:?}] expired: the seconds_max of [[executions]] in the server's configuration"
                        ),
                        Charge::User,
                    );
                    self.stop_scope(ROOT, None, STOPPED_BY_TIME, &mut events);
                    self.begin_failing(ROOT, &failure, 0, &mut events);
                }
            }
        }
        Ok(events)
    }

    /// Answers the task that runs at `place` while its attempt waits for a worker.
    fn waiting_for_worker(&self, place: NodeIndex, attempt: Attempt) -> Option<&TaskRun> {
        self.nodes[place].task().filter(|run| run.attempt == attempt && run.queued && !run.started)
    }

    fn time_out(&self, place: NodeIndex, failure: &Failure, events: &mut Vec<Event>) {
        let leaving = usize::from(self.is_counted(place));
        let leaving = leaving + self.stop_inside(place, STOPPED_BY_TIME_OF_NODE, events);
        let node: NodeId = self.id_of(place);
        if let Some(run) = self.nodes[place].task().filter(|run| run.queued) {
            events.push(Event::AttemptAborted { node: node.clone(), attempt: run.attempt });
        }
        events.push(Event::NodeTimedOut { node, failure: failure.clone() });
        self.after_failure(place, failure, leaving, events);
    }
}

fn failure(message: String, charge: Charge) -> Failure {
    Failure { code: CODE.to_owned(), message, cause: FailureCause::TimedOut, charge }
}
