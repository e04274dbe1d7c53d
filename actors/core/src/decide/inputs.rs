//! A node gets its inputs, or turns out not to be able to.

use super::Rejection;
use crate::execution::Execution;
use crate::plan::Target;
use skein_model::work::MAP_ITEMS_MAX;
use skein_model::{Attempt, Charge, DataRef, Event, Failure, FailureCause, NodeId};

impl Execution {
    pub(super) fn decide_inputs(
        &self,
        node: &NodeId,
        inputs: &DataRef,
        items: Option<u32>,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        if !self.is_resolving(place) {
            return Ok(Vec::new());
        }
        let mut events = vec![Event::NodeStarted { node: node.clone(), inputs: inputs.clone() }];
        match (&self.plan.nodes[place].target, items) {
            // What follows is for the cache to say.
            (Target::Task { .. }, None) if self.plan.nodes[place].cache.is_some() => {}
            (Target::Task { .. }, None) => {
                events.push(Event::AttemptQueued {
                    node: node.clone(),
                    attempt: Attempt(0),
                    not_before: None,
                });
            }
            (Target::Map { .. }, Some(size)) if size <= MAP_ITEMS_MAX => {
                events.push(Event::MapStarted { node: node.clone(), size });
            }
            (Target::Map { .. }, Some(size)) => {
                self.fail_node(place, &too_many(size), &mut events);
            }
            (Target::Task { .. }, Some(_)) => {
                return Err(Rejection::WrongKind { node: node.clone(), expected: "a map" });
            }
            (Target::Map { .. }, None) => {
                return Err(Rejection::WrongKind { node: node.clone(), expected: "a task" });
            }
        }
        Ok(events)
    }

    pub(super) fn decide_inputs_failed(
        &self,
        node: &NodeId,
        failure: &Failure,
    ) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        if self.is_resolving(place) {
            self.fail_node(place, failure, &mut events);
        }
        Ok(events)
    }
}

fn too_many(size: u32) -> Failure {
    Failure {
        code: "ArrayTooLong".to_owned(),
        message: format!("the map has {size} items, the limit is {MAP_ITEMS_MAX}"),
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}
