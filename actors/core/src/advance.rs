//! One command and all that follows from it without the world's help, as one transition.
//!
//! A record costs a disk's flush, so what can be known at once is recorded at once: that a node succeeded, that the
//! next one is ready, what it is given, and that its first try waits for a worker, are one record and not four.

use crate::decide::Rejection;
use crate::effects::Effect;
use crate::execution::Execution;
use crate::resolve::{Resolved, Wanted};
use bytes::Bytes;
use skein_model::{Command, DataRef, Event, INLINE_BYTES_MAX, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// The most effects answered within one transition; further ones are performed like any other. With
/// [`INLINE_BYTES_MAX`] this bounds the values that one transition adds to a record to 128 KiB.
const ANSWERED_MAX: usize = 64;

/// What one command leads to: to be recorded together, and only then to be performed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transition {
    /// What happened; nothing when the command changes nothing.
    pub events: Vec<Event>,
    /// What the world is asked for.
    pub effects: Vec<Effect>,
}

impl Execution {
    /// Decides `command` and what follows from it, and folds the events in.
    ///
    /// The state is then ahead of the journal: whoever cannot make the events durable must drop it.
    ///
    /// # Errors
    /// [`Rejection`] when the command cannot apply. The state is unchanged then, and nothing is to be recorded.
    pub fn advance(&mut self, command: &Command, now: Timestamp) -> Result<Transition, Rejection> {
        let mut transition = Transition { events: self.decide(command, now)?, effects: Vec::new() };
        let (mut applied, mut answered) = (0, 0);
        let mut open = VecDeque::new();
        loop {
            for event in &transition.events[applied..] {
                self.apply(event);
                open.extend(self.effects_of(event));
            }
            applied = transition.events.len();
            let Some(effect) = open.pop_front() else { return Ok(transition) };
            let room = answered < ANSWERED_MAX;
            // Refused it would be performed, and its answer refused as well.
            match self.at_hand(&effect).filter(|_| room).and_then(|answer| self.decide(&answer, now).ok()) {
                Some(events) => {
                    answered += 1;
                    transition.events.extend(events);
                }
                None => transition.effects.push(effect),
            }
        }
    }

    /// Answers an effect that needs nothing but the state; none when the world has to.
    fn at_hand(&self, effect: &Effect) -> Option<Command> {
        let wanted = match effect {
            Effect::ResolveInputs { node } => Wanted::of_node(self, node)?,
            Effect::ResolveInside { node } => Wanted::of_inside(self, node)?,
            Effect::ResolveOutputs => Wanted::of_outputs(self)?,
            Effect::PassGate { node } => return Some(Command::PassGate { node: node.clone() }),
            Effect::LookUpCache { .. }
            | Effect::StoreCache { .. }
            | Effect::HoldReservation { .. }
            | Effect::ReleaseReservation { .. }
            | Effect::RunAttempt { .. }
            | Effect::RunItems { .. }
            | Effect::AssembleMap { .. }
            | Effect::CompileNodes { .. }
            | Effect::RunChild { .. }
            | Effect::Wait { .. }
            | Effect::Withdraw { .. } => return None,
        };
        let mut values: BTreeMap<&str, Bytes> = BTreeMap::new();
        for (node, source) in wanted.sources() {
            let DataRef::Inline(bytes) = source else { return None };
            values.insert(node, bytes.clone());
        }
        match wanted.resolve(&values) {
            Ok(Resolved { values, lists, case })
                if values.len() <= INLINE_BYTES_MAX
                    && lists.as_ref().is_none_or(|lists| lists.stored().is_empty()) =>
            {
                Some(wanted.answer(DataRef::Inline(values), lists.map(|lists| lists.items()), case))
            }
            Ok(_) => None,
            Err(failure) => Some(wanted.refuse(failure)),
        }
    }
}
