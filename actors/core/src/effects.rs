//! What is asked of the world once an event is durable, and what is still unanswered after a restart.

use crate::execution::{Caching, Execution, NodeState, TaskRun};
use crate::map_task::MapRun;
use skein_model::{Attempt, CacheKey, Event, ExecutionId, ExecutionPhase, NodeId, Timestamp};

/// Something the shell is to do. All are answered by a command, but for those that say that they are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Put a node's inputs together; answered by `InputsResolved` or `InputsFailed`.
    ResolveInputs {
        /// The node.
        node: NodeId,
    },
    /// Ask the cache for a node's outputs; answered by `CacheLookedUp`.
    LookUpCache {
        /// The node.
        node: NodeId,
        /// Whether to wait for the entry or the reservation that somebody else makes or holds.
        wait: bool,
    },
    /// Give a node's outputs to the cache; answered by `CacheStored`.
    StoreCache {
        /// The node.
        node: NodeId,
    },
    /// Keep the reservation of a node's key until [`Effect::ReleaseReservation`]. Not answered.
    HoldReservation {
        /// The node.
        node: NodeId,
        /// The key.
        key: CacheKey,
    },
    /// Give up the reservation that the node holds, if it does. Not answered.
    ReleaseReservation {
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
        /// Whether it was moved from capacity that can be taken away: what is offered of it there is taken back first.
        on_demand: bool,
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
    /// Put the outputs of the nodes inside a node together; answered by `InsideResolved` or `InsideFailed`.
    ResolveInside {
        /// The node that they are inside of.
        node: NodeId,
    },
    /// Read and compile what a dynamic task made; answered by `NodesCompiled` or `NodesRefused`.
    CompileNodes {
        /// The node.
        node: NodeId,
        /// Where it is, an encoded `DynamicJobSpec`.
        spec: String,
    },
    /// Launch the execution of a launch plan node, unless there is one, and wait for its end; answered by `ChildEnded`.
    RunChild {
        /// The node.
        node: NodeId,
        /// The execution.
        child: ExecutionId,
    },
    /// Wait: for a clock that was started with the node, or for somebody who gives a signal its value.
    Wait {
        /// The gate.
        node: NodeId,
    },
    /// Let a gate go on whose signal has its value; answered by `PassGate`.
    PassGate {
        /// The gate.
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
            Event::AttemptQueued { node, attempt, not_before } => {
                vec![run(node, *attempt, *not_before, false)]
            }
            Event::AttemptMoved { node, attempt, .. } => vec![run(node, *attempt, None, true)],
            // What most executions do not have costs them no search for the node.
            Event::NodeStarted { .. }
            | Event::AttemptSucceeded { .. }
            | Event::NodeSucceeded { .. }
            | Event::NodeRecovered { .. }
                if !self.plan.has_cache && !self.plan.is_nested =>
            {
                Vec::new()
            }
            Event::NodeStarted { .. }
            | Event::NodesMade { .. }
            | Event::InsideStarted { .. }
            | Event::AttemptMadeNodes { .. }
            | Event::ChildLaunched { .. }
            | Event::SignalSet { .. } => self.effects_of_inside(event),
            Event::CacheLookedUp { node, .. } => self.after_look_up(node),
            Event::AttemptSucceeded { node, .. } | Event::InsideSucceeded { node, .. } => self.storing(node),
            Event::MapStarted { node, size: 0 } => vec![Effect::AssembleMap { node: node.clone() }],
            Event::MapStarted { node, .. } => vec![Effect::RunItems { node: node.clone() }],
            Event::ItemsFinished { node, .. }
            | Event::ItemsCached { node, .. }
            | Event::ItemsRecovered { node, .. } => self.after_items(node),
            Event::Succeeding => vec![Effect::ResolveOutputs],
            Event::NodeRecovered { node, .. } => self.inside_completed_by(node).into_iter().collect(),
            Event::NodeSucceeded { node, .. } => {
                self.release_of(node).into_iter().chain(self.inside_completed_by(node)).collect()
            }
            Event::NodeAborted { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeTimedOut { node, .. } => {
                let mut effects = vec![Effect::Withdraw { node: node.clone() }];
                effects.extend(self.release_of(node));
                effects
            }
            Event::Created(_)
            | Event::Started
            | Event::SignalAsked { .. }
            | Event::CacheStored { .. }
            | Event::AttemptStarted { .. }
            | Event::JobReported { .. }
            | Event::BranchTaken { .. }
            | Event::InsideFailing { .. }
            | Event::AttemptFailed { .. }
            | Event::AttemptAborted { .. }
            | Event::LateResultIgnored { .. }
            | Event::NodeSkipped { .. }
            | Event::Failing { .. }
            | Event::Aborting { .. }
            | Event::Succeeded { .. }
            | Event::Failed { .. }
            | Event::Aborted
            | Event::Archived { .. } => Vec::new(),
        }
    }

    fn effects_of_inside(&self, event: &Event) -> Vec<Effect> {
        match event {
            Event::NodeStarted { node, .. } => match self.node(node) {
                Some(NodeState::Task(_)) => self.look_up(node),
                Some(NodeState::Gate { .. }) => self.begun(node),
                _ => Vec::new(),
            },
            Event::NodesMade { node, .. } | Event::InsideStarted { node } => self.begun(node),
            Event::AttemptMadeNodes { node, spec, .. } => {
                vec![Effect::CompileNodes { node: node.clone(), spec: spec.clone() }]
            }
            Event::ChildLaunched { node, child } => {
                vec![Effect::RunChild { node: node.clone(), child: child.clone() }]
            }
            Event::SignalSet { signal, .. } => {
                let pass = |place| Effect::PassGate { node: self.id_of(place) };
                self.gates_for(signal).map(pass).collect()
            }
            _ => Vec::new(),
        }
    }

    fn storing(&self, node: &NodeId) -> Vec<Effect> {
        match self.caching_of(node) {
            Some(Caching::Storing { .. }) => vec![Effect::StoreCache { node: node.clone() }],
            Some(Caching::Off | Caching::Asked | Caching::Waiting | Caching::Running { .. }) | None => {
                Vec::new()
            }
        }
    }

    fn after_items(&self, node: &NodeId) -> Vec<Effect> {
        match self.map_of(node) {
            Some(map) if map.is_complete() => vec![Effect::AssembleMap { node: node.clone() }],
            Some(_) | None => Vec::new(),
        }
    }

    /// Lists every effect asked for and not yet answered: what a restarted shell performs.
    pub fn outstanding(&self) -> Vec<Effect> {
        if self.phase.is_terminal() {
            return Vec::new();
        }
        let mut effects: Vec<_> = self.active.iter().flat_map(|place| self.outstanding_of(*place)).collect();
        if self.phase == ExecutionPhase::Succeeding {
            effects.push(Effect::ResolveOutputs);
        }
        effects
    }

    fn outstanding_of(&self, place: usize) -> Vec<Effect> {
        let node = self.id_of(place);
        match &self.nodes[place] {
            NodeState::Resolving => vec![Effect::ResolveInputs { node }],
            NodeState::Task(run) => outstanding_of_task(node, run),
            NodeState::Map(map) => vec![outstanding_of_map(node, map)],
            NodeState::Making(making) => {
                let mut effects = outstanding_of_cache(&node, &making.caching);
                effects.push(Effect::CompileNodes { node, spec: making.spec.clone() });
                effects
            }
            NodeState::Inside(inside) => {
                let mut effects = outstanding_of_cache(&node, &inside.caching);
                effects.extend(self.begun(&node));
                effects
            }
            NodeState::Gate { .. } => self.begun(&node),
            NodeState::Child(run) => {
                run.execution.clone().map(|child| Effect::RunChild { node, child }).into_iter().collect()
            }
            NodeState::Branch { .. } | NodeState::Waiting | NodeState::Ended { .. } => Vec::new(),
        }
    }

    fn caching_of(&self, node: &NodeId) -> Option<&Caching> {
        self.node(node)?.caching()
    }

    /// Answers what a gate waits for, and what a node wants that has nothing left inside.
    fn begun(&self, node: &NodeId) -> Vec<Effect> {
        let Some(place) = self.find(node) else { return Vec::new() };
        let node = node.clone();
        match &self.nodes[place] {
            NodeState::Gate { .. } if self.signal_for(place).is_some() => vec![Effect::PassGate { node }],
            NodeState::Gate { .. } => vec![Effect::Wait { node }],
            NodeState::Inside(_) if self.resolving_inside(place).is_some() => {
                vec![Effect::ResolveInside { node }]
            }
            _ => Vec::new(),
        }
    }

    /// Answers what is wanted when a node that has succeeded was the last inside another one.
    fn inside_completed_by(&self, node: &NodeId) -> Option<Effect> {
        if !self.plan.is_nested {
            return None;
        }
        let place = self.find(node)?;
        if self.branch_of(place).is_some() || self.is_failure_node(place) {
            return None;
        }
        let node = self.id_of(self.complete_inside(self.plan.nodes[place].scope)?);
        Some(Effect::ResolveInside { node })
    }

    fn look_up(&self, node: &NodeId) -> Vec<Effect> {
        match self.caching_of(node) {
            Some(Caching::Asked) => vec![Effect::LookUpCache { node: node.clone(), wait: false }],
            _ => Vec::new(),
        }
    }

    fn after_look_up(&self, node: &NodeId) -> Vec<Effect> {
        let node = node.clone();
        match self.caching_of(&node) {
            Some(Caching::Waiting) => vec![Effect::LookUpCache { node, wait: true }],
            Some(Caching::Running { key, reserved: true }) => {
                vec![Effect::HoldReservation { node, key: *key }]
            }
            _ => Vec::new(),
        }
    }

    /// Whether it holds one is for the shell to know: the state of a node that has ended does not say.
    fn release_of(&self, node: &NodeId) -> Vec<Effect> {
        let rule = self.find(node).and_then(|place| self.plan.nodes[place].cache.as_ref());
        match rule {
            Some(rule) if rule.serialize => vec![Effect::ReleaseReservation { node: node.clone() }],
            Some(_) | None => Vec::new(),
        }
    }
}

/// A try that has not begun.
fn run(node: &NodeId, attempt: Attempt, not_before: Option<Timestamp>, on_demand: bool) -> Effect {
    Effect::RunAttempt { node: node.clone(), attempt, not_before, started: false, on_demand }
}

fn outstanding_of_cache(node: &NodeId, caching: &Caching) -> Vec<Effect> {
    let mut effects = Vec::new();
    match caching {
        Caching::Asked => effects.push(Effect::LookUpCache { node: node.clone(), wait: false }),
        Caching::Waiting => effects.push(Effect::LookUpCache { node: node.clone(), wait: true }),
        Caching::Storing { .. } => effects.push(Effect::StoreCache { node: node.clone() }),
        Caching::Off | Caching::Running { .. } => {}
    }
    if let Caching::Running { key, reserved: true } | Caching::Storing { key, reserved: true, .. } = caching {
        effects.push(Effect::HoldReservation { node: node.clone(), key: *key });
    }
    effects
}

fn outstanding_of_task(node: NodeId, run: &TaskRun) -> Vec<Effect> {
    let mut effects = outstanding_of_cache(&node, &run.caching);
    if run.queued {
        let TaskRun { attempt, not_before, started, on_demand, .. } = *run;
        // What was moved was ready by then.
        let not_before = not_before.filter(|_| !on_demand);
        effects.push(Effect::RunAttempt { node, attempt, not_before, started, on_demand });
    }
    effects
}

fn outstanding_of_map(node: NodeId, map: &MapRun) -> Effect {
    if map.is_complete() { Effect::AssembleMap { node } } else { Effect::RunItems { node } }
}
