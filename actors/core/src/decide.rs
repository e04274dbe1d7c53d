//! What next: from a state, a command and the time to the events that are to be recorded.

mod attempt;
mod cache;
mod child;
mod finish;
mod gate;
mod inputs;
mod inside;
mod map;
mod time;

use crate::execution::{Execution, NodeState};
use crate::plan::{NodeIndex, ROOT};
use attempt::End;
use skein_model::{Attempt, Command, Event, ExecutionId, ExecutionPhase, NodeId, Timestamp};

/// A command that cannot apply. Nothing is recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The plan has no such node: whoever sent the command speaks of another execution.
    #[error("there is no node {node}")]
    UnknownNode {
        /// The node.
        node: NodeId,
    },
    /// The execution has ended.
    #[error("Cannot abort an already terminated workflow execution")]
    AlreadyTerminated,
    /// The try is over, or another one is under way.
    #[error("try {attempt} of node {node} is over")]
    AttemptOver {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
    },
    /// Nobody waits for the execution that asks.
    #[error("node {node} does not wait for execution {child}")]
    NotWaitedFor {
        /// The node that launched it.
        node: NodeId,
        /// The execution.
        child: ExecutionId,
    },
    /// No gate has waited for the signal yet, or there is none of that name.
    #[error("no gate of the execution has asked for signal {signal} yet")]
    UnknownSignal {
        /// The signal.
        signal: String,
    },
    /// The value of a signal has another type than its gate asks for.
    #[error("signal {signal}: {fault}")]
    WrongSignal {
        /// The signal.
        signal: String,
        /// What does not fit.
        fault: String,
    },
    /// The execution has ended, and no gate of it waits.
    #[error("signal {signal} comes too late: the execution has ended")]
    SignalLate {
        /// The signal.
        signal: String,
    },
    /// The command does not fit what the node is.
    #[error("node {node} is not {expected}")]
    WrongKind {
        /// The node.
        node: NodeId,
        /// What the command takes it for.
        expected: &'static str,
    },
}

impl Execution {
    /// Answers `command` with the events to record; none when it changes nothing.
    ///
    /// # Errors
    /// [`Rejection`] when the command cannot apply. Nothing is to be recorded then.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Start => Ok(self.decide_start()),
            Command::InputsResolved { node, inputs, items, case } => {
                self.decide_inputs(node, inputs, *items, *case)
            }
            Command::InputsFailed { node, failure } => self.decide_inputs_failed(node, failure),
            Command::InsideResolved { node, outputs } => self.decide_inside(node, outputs),
            Command::InsideFailed { node, failure } => self.decide_inside_failed(node, failure),
            Command::NodesCompiled { node, plan } => self.decide_nodes_compiled(node, plan),
            Command::NodesRefused { node, failure } => self.decide_nodes_refused(node, failure),
            Command::ChildEnded { node, child, outcome } => self.decide_child_ended(node, child, outcome),
            Command::ChildAsks { node, child } => self.decide_child_asks(node, child),
            Command::SetSignal { signal, value, principal } => self.decide_signal(signal, value, principal),
            Command::PassGate { node } => self.decide_pass(node),
            Command::CacheLookedUp { node, key, found } => self.decide_looked_up(node, *key, found),
            Command::CacheStored { node, failure } => self.decide_stored(node, failure.as_deref()),
            Command::ItemsCached { node, items } => self.decide_cached(node, items),
            Command::AttemptStarted { node, attempt, worker, place } => {
                self.decide_started(node, *attempt, worker, place.as_ref())
            }
            Command::JobReported { node, attempt, job } => self.decide_job(node, *attempt, job),
            Command::AttemptFinished { node, attempt, outcome, began, used } => {
                let end = End { outcome, used: *used, now };
                self.decide_finished(node, *attempt, end, began.as_ref())
            }
            Command::ItemsFinished { node, chunk } => self.decide_items(node, chunk),
            Command::MapAssembled { node, outputs } => self.decide_assembled(node, outputs),
            Command::OutputsResolved { outputs } => Ok(self.decide_outputs(outputs)),
            Command::OutputsFailed { failure } => Ok(self.decide_outputs_failed(failure)),
            Command::TimeUp { limit, after } => self.decide_time_up(limit, *after),
            Command::Terminate { cause, principal } => self.decide_terminate(cause, principal),
            Command::Archive { archived, principal } => Ok(self.decide_archive(*archived, principal)),
        }
    }

    fn decide_start(&self) -> Vec<Event> {
        if self.phase != ExecutionPhase::Queued || self.created.is_none() {
            return Vec::new();
        }
        let mut events = vec![Event::Started];
        if let Some(failure) = &self.plan.unrunnable {
            events.push(Event::Failing { failure: failure.clone() });
            events.push(Event::Failed { failure: failure.clone() });
        } else if self.scopes[ROOT].unfinished == 0 {
            events.push(Event::Succeeding);
        } else {
            self.queue(&self.roots(ROOT), |_| false, self.room(0), &mut events);
        }
        events
    }

    fn decide_archive(&self, archived: bool, principal: &str) -> Vec<Event> {
        if self.archived == archived {
            return Vec::new();
        }
        vec![Event::Archived { archived, principal: principal.to_owned() }]
    }

    pub(crate) fn place_of(&self, node: &NodeId) -> Result<NodeIndex, Rejection> {
        self.find(node).ok_or_else(|| Rejection::UnknownNode { node: node.clone() })
    }

    pub(crate) fn is_resolving(&self, place: NodeIndex) -> bool {
        matches!(self.nodes[place], NodeState::Resolving)
    }
}
