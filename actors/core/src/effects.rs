//! What is asked of the world once an event is durable, and what is still unanswered after a restart.

use crate::execution::{Execution, NodeState};
use crate::map_task::MapRun;
use skein_model::{Attempt, Event, ExecutionPhase, NodeId, Timestamp};

/// Something the shell is to do. All but [`Effect::Withdraw`] are answered by a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Put a node's inputs together; answered by `InputsResolved` or `InputsFailed`.
    ResolveInputs {
        /// The node.
        node: NodeId,
    },
    /// Offer a try to workers; answered by `AttemptFinished`.
    RunAttempt {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// Not before this.
        not_before: Option<Timestamp>,
        /// Whether it may have run before a restart: its folder may hold a result then.
        started: bool,
    },
    /// Offer the items of a map that still have to run; answered by `ItemsFinished`, many times.
    RunItems {
        /// The node.
        node: NodeId,
    },
    /// Put a map's outputs together; answered by `MapAssembled`.
    AssembleMap {
        /// The node.
        node: NodeId,
    },
    /// Put the execution's outputs together; answered by `OutputsResolved` or `OutputsFailed`.
    ResolveOutputs,
    /// Take back what was offered for a node, and stop what runs of it. Not answered: a result that still comes is
    /// late, and changes nothing.
    Withdraw {
        /// The node.
        node: NodeId,
    },
}

impl Execution {
    /// Lists what the world is asked for, now that `event` is durable and applied.
    pub fn effects_of(&self, event: &Event) -> Vec<Effect> {
        match event {
            Event::NodeQueued { node } => vec![Effect::ResolveInputs { node: node.clone() }],
            Event::AttemptQueued { node, attempt, not_before } => vec![Effect::RunAttempt {
                node: node.clone(),
                attempt: *attempt,
                not_before: *not_before,
                started: false,
            }],
            Event::MapStarted { node, size: 0 } => vec![Effect::AssembleMap { node: node.clone() }],
            Event::MapStarted { node, .. } => vec![Effect::RunItems { node: node.clone() }],
            Event::ItemsFinished { node, .. } => match self.map_of(node) {
                Some(map) if map.is_complete() => vec![Effect::AssembleMap { node: node.clone() }],
                Some(_) | None => Vec::new(),
            },
            Event::Succeeding => vec![Effect::ResolveOutputs],
            Event::NodeAborted { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. } => vec![Effect::Withdraw { node: node.clone() }],
            Event::Created(_)
            | Event::Started
            | Event::NodeStarted { .. }
            | Event::AttemptStarted { .. }
            | Event::AttemptSucceeded { .. }
            | Event::AttemptFailed { .. }
            | Event::AttemptAborted { .. }
            | Event::LateResultIgnored { .. }
            | Event::NodeSucceeded { .. }
            | Event::NodeSkipped { .. }
            | Event::Failing { .. }
            | Event::Aborting { .. }
            | Event::Succeeded { .. }
            | Event::Failed { .. }
            | Event::Aborted
            | Event::Archived { .. } => Vec::new(),
        }
    }

    /// Lists every effect asked for and not yet answered: what a restarted shell performs.
    pub fn outstanding(&self) -> Vec<Effect> {
        if self.phase.is_terminal() {
            return Vec::new();
        }
        let mut effects: Vec<_> =
            self.active.iter().filter_map(|place| self.outstanding_of(*place)).collect();
        if self.phase == ExecutionPhase::Succeeding {
            effects.push(Effect::ResolveOutputs);
        }
        effects
    }

    fn outstanding_of(&self, place: usize) -> Option<Effect> {
        let node = self.id_of(place);
        match &self.nodes[place] {
            NodeState::Resolving => Some(Effect::ResolveInputs { node }),
            NodeState::Task(run) if run.queued => Some(Effect::RunAttempt {
                node,
                attempt: run.attempt,
                not_before: run.not_before,
                started: run.started,
            }),
            NodeState::Map(map) => Some(outstanding_of_map(node, map)),
            NodeState::Task(_) | NodeState::Waiting | NodeState::Ended { .. } => None,
        }
    }
}

fn outstanding_of_map(node: NodeId, map: &MapRun) -> Effect {
    if map.is_complete() { Effect::AssembleMap { node } } else { Effect::RunItems { node } }
}
