//! A gate waits for time to pass, or for somebody.

use super::Rejection;
use crate::execution::{Execution, NodeState};
use crate::plan::{Gate, NodeIndex, Target};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core::{Literal, LiteralType, literal, primitive, scalar};
use skein_model::{Charge, DataRef, Event, Failure, FailureCause, NodeId, literals, types};

impl Execution {
    pub(super) fn decide_signal(
        &self,
        id: &str,
        value: &Bytes,
        principal: &str,
    ) -> Result<Vec<Event>, Rejection> {
        let Some(signal) = self.signals.get(id) else {
            return Err(Rejection::UnknownSignal { signal: id.to_owned() });
        };
        let literal = Literal::decode(value.clone());
        let misfit = match &literal {
            Ok(literal) => types::fits(literal, &signal.r#type).err().map(|misfit| misfit.to_string()),
            Err(fault) => Some(fault.to_string()),
        };
        if let Some(fault) = misfit {
            return Err(Rejection::WrongSignal { signal: id.to_owned(), fault });
        }
        if signal.value.as_ref() == Some(value) {
            return Ok(Vec::new());
        }
        if self.phase.is_terminal() {
            return Err(Rejection::SignalLate { signal: id.to_owned() });
        }
        let (signal, principal) = (id.to_owned(), principal.to_owned());
        // Who waits for it goes on by itself, see `Effect::PassGate`.
        Ok(vec![Event::SignalSet { signal, value: value.clone(), principal }])
    }

    pub(super) fn decide_pass(&self, node: &NodeId) -> Result<Vec<Event>, Rejection> {
        let place = self.place_of(node)?;
        let mut events = Vec::new();
        let (NodeState::Gate { inputs }, Some(value)) = (&self.nodes[place], self.signal_for(place)) else {
            return Ok(events);
        };
        match &self.plan.nodes[place].target {
            Target::Gate(Gate::Signal { output, .. }) => {
                let outputs = literals::encode_literal_map([(output.as_str(), value.as_ref())]);
                self.succeed_node(place, &DataRef::Inline(outputs), &mut events);
            }
            Target::Gate(Gate::Approve { .. }) if is_true(value) => {
                self.succeed_node(place, inputs, &mut events);
            }
            Target::Gate(Gate::Approve { .. }) => self.fail_node(place, &rejected(), &mut events),
            _ => {}
        }
        Ok(events)
    }

    /// Answers the value of the signal that a gate is for; none while there is none.
    pub(crate) fn signal_for(&self, place: NodeIndex) -> Option<&Bytes> {
        let Target::Gate(Gate::Signal { id, .. } | Gate::Approve { id }) = &self.plan.nodes[place].target
        else {
            return None;
        };
        self.signals.get(id)?.value.as_ref()
    }

    /// Lists the gates that wait for a signal.
    pub(crate) fn gates_for<'e>(&'e self, id: &'e str) -> impl Iterator<Item = NodeIndex> + 'e {
        self.active.iter().copied().filter(move |place| {
            let target = &self.plan.nodes[*place].target;
            matches!(self.nodes[*place], NodeState::Gate { .. })
                && matches!(target, Target::Gate(Gate::Signal { id: of, .. } | Gate::Approve { id: of }) if of == id)
        })
    }

    /// Records that the time of a gate has passed.
    pub(super) fn wake(&self, place: NodeIndex, events: &mut Vec<Event>) {
        if matches!(self.nodes[place], NodeState::Gate { .. })
            && matches!(self.plan.nodes[place].target, Target::Gate(Gate::Sleep(_)))
        {
            self.succeed_node(place, &DataRef::empty(), events);
        }
    }

    /// Answers the type of a signal's value; none when no gate has waited for it yet.
    pub fn signal_type(&self, id: &str) -> Option<&LiteralType> {
        self.signals.get(id).map(|signal| &signal.r#type)
    }
}

fn is_true(value: &Bytes) -> bool {
    let literal = Literal::decode(value.clone()).ok().and_then(|literal| literal.value);
    let Some(literal::Value::Scalar(scalar)) = literal else { return false };
    let Some(scalar::Value::Primitive(primitive)) = scalar.value else { return false };
    primitive.value == Some(primitive::Value::Boolean(true))
}

fn rejected() -> Failure {
    Failure {
        code: "ReceivedRejectSignal".to_owned(),
        message: "received a reject signal to disapprove the node input values".to_owned(),
        cause: FailureCause::Refused,
        charge: Charge::User,
    }
}
