//! What is inside a node is complete, or was made by its task.

use super::Rejection;
use crate::execution::{Caching, Execution, InsideRun, NodeState};
use skein_model::{BlobRef, Charge, DataRef, Event, Failure, FailureCause, NodeId};

impl Execution {
    pub(super) fn decide_inside(&self, node: &NodeId, outputs: &DataRef) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        if let NodeState::Inside(InsideRun { attempt, caching, .. }) = &self.nodes[place]
            && self.resolving_inside(place).is_some()
        {
            let (node, attempt, outputs) = (node.clone(), *attempt, outputs.clone());
            events.push(Event::InsideSucceeded { node, attempt, outputs: outputs.clone() });
            // Else the cache is given them first, as those of a task.
            if !matches!(caching, Caching::Running { .. }) {
                self.succeed_node(place, &outputs, &mut events);
            }
        }
        Ok(events)
    }

    pub(super) fn decide_inside_failed(
        &self,
        node: &NodeId,
        failure: &Failure,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        if let Some(scope) = self.resolving_inside(place) {
            self.begin_failing(scope, failure, 0, &mut events);
        }
        Ok(events)
    }

    pub(super) fn decide_nodes_compiled(
        &self,
        node: &NodeId,
        plan: &BlobRef,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let NodeState::Making(making) = &self.nodes[place] else { return Ok(Vec::new()) };
        let Some((_, made)) = self.provided.iter().find(|(known, _)| known == plan) else {
            return Err(Rejection::WrongKind { node: node.clone(), expected: "given its nodes" });
        };
        let mut events = Vec::new();
        if let Some(taken) = made.nodes.iter().map(|node| &node.id).find(|id| self.find(id).is_some()) {
            let message =
                format!("it made a node {taken}, and there is one of that name: name the other otherwise");
            self.fail_node(place, &not_buildable(message), &mut events);
            return Ok(events);
        }
        if let Some(failure) = &made.unrunnable {
            self.fail_node(place, failure, &mut events);
            return Ok(events);
        }
        events.push(Event::NodesMade {
            node: node.clone(),
            attempt: making.attempt,
            spec: making.spec.clone(),
            plan: plan.clone(),
        });
        self.queue_made(made, &mut events);
        Ok(events)
    }

    pub(super) fn decide_nodes_refused(
        &self,
        node: &NodeId,
        failure: &Failure,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        if matches!(self.nodes[place], NodeState::Making(_)) {
            self.fail_node(place, failure, &mut events);
        }
        Ok(events)
    }
}

fn not_buildable(message: String) -> Failure {
    Failure {
        code: "DynamicWorkflowBuildFailed".to_owned(),
        message,
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}
