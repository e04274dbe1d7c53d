//! A node gets its inputs, or turns out not to be able to.

use super::Rejection;
use crate::execution::Execution;
use crate::plan::{Gate, Target};
use prost::Message as _;
use skein_idl::flyteidl::core::SimpleType;
use skein_model::work::MAP_ITEMS_MAX;
use skein_model::{Attempt, Charge, DataRef, Event, Failure, FailureCause, NodeId, types};
use std::collections::BTreeSet;

impl Execution {
    pub(super) fn decide_inputs(
        &self,
        node: &NodeId,
        inputs: &DataRef,
        items: Option<u32>,
        case: Option<u32>,
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
            (Target::Map { .. }, None) => {
                return Err(Rejection::WrongKind { node: node.clone(), expected: "a task" });
            }
            (_, Some(_)) => return Err(Rejection::WrongKind { node: node.clone(), expected: "a map" }),
            (Target::Workflow { scope }, None) => {
                events.push(Event::InsideStarted { node: node.clone() });
                self.queue(&self.roots(*scope), |_| false, self.room(0), &mut events);
            }
            (target @ Target::Branch { .. }, None) => self.take_case(node, target, case, &mut events)?,
            // The effects that follow say what they wait for.
            (Target::Gate(gate), None) => events.extend(asked(node, gate)),
            (Target::Launch { .. }, None) => {
                let child = self.created.as_ref().map(|created| created.execution.child(node));
                events.extend(child.map(|child| Event::ChildLaunched { node: node.clone(), child }));
            }
        }
        Ok(events)
    }

    fn take_case(
        &self,
        node: &NodeId,
        target: &Target,
        case: Option<u32>,
        events: &mut Vec<Event>,
    ) -> Result<(), Rejection> {
        let taken = case.and_then(|case| Some((case, target.case(case)?)));
        let Some((case, child)) = taken else {
            return Err(Rejection::WrongKind { node: node.clone(), expected: "a branch with such a case" });
        };
        events.push(Event::BranchTaken { node: node.clone(), case });
        self.queue(&BTreeSet::from([child]), |_| false, self.room(0), events);
        Ok(())
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

/// Says which signal a gate is for; none when it only lets time pass.
fn asked(node: &NodeId, gate: &Gate) -> Option<Event> {
    let (signal, r#type) = match gate {
        Gate::Sleep(_) => return None,
        Gate::Signal { id, r#type, .. } => (id, r#type.encode_to_vec()),
        Gate::Approve { id } => (id, types::simple(SimpleType::Boolean).encode_to_vec()),
    };
    Some(Event::SignalAsked { node: node.clone(), signal: signal.clone(), r#type: r#type.into() })
}

fn too_many(size: u32) -> Failure {
    Failure {
        code: "ArrayTooLong".to_owned(),
        message: format!("the map has {size} items, the limit is {MAP_ITEMS_MAX}"),
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}
