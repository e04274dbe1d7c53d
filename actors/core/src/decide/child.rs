//! An execution that a node launched has ended.

use super::Rejection;
use crate::execution::{Execution, NodeState};
use skein_model::command::ChildOutcome;
use skein_model::{Charge, Event, ExecutionId, Failure, FailureCause, NodeId};

impl Execution {
    pub(super) fn decide_child_ended(
        &self,
        node: &NodeId,
        child: &ExecutionId,
        outcome: &ChildOutcome,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        let NodeState::Child(run) = &self.nodes[place] else { return Ok(events) };
        if run.execution.as_ref() != Some(child) {
            return Ok(events);
        }
        match outcome {
            ChildOutcome::Succeeded(outputs) => self.succeed_node(place, outputs, &mut events),
            ChildOutcome::Failed(failure) => self.fail_node(place, failure, &mut events),
            ChildOutcome::Aborted(cause) => self.fail_node(place, &aborted(child, cause), &mut events),
        }
        Ok(events)
    }

    pub(super) fn decide_child_asks(
        &self,
        node: &NodeId,
        child: &ExecutionId,
    ) -> Result<Vec<Event>, Rejection> {
        let waits =
            matches!(self.node(node), Some(NodeState::Child(run)) if run.execution.as_ref() == Some(child));
        if waits && !self.phase.is_terminal() {
            return Ok(Vec::new());
        }
        Err(Rejection::NotWaitedFor { node: node.clone(), child: child.clone() })
    }
}

fn aborted(child: &ExecutionId, cause: &str) -> Failure {
    Failure {
        code: "RemoteChildWorkflowExecutionFailed".to_owned(),
        message: format!("launched execution {} was aborted: {cause}", child.name),
        cause: FailureCause::Refused,
        charge: Charge::User,
    }
}
