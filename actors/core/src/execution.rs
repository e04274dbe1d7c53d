//! What is true of an execution: the fold of its journal.

use crate::map_task::MapRun;
use crate::plan::{NodeIndex, Plan};
use crate::retry::Spent;
use skein_model::event::Created;
use skein_model::{Attempt, CacheKey, DataRef, ExecutionPhase, Failure, Job, NodeId, NodePhase, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The state of one execution. Made of its plan, changed by [`Execution::apply`] alone.
#[derive(Clone, Debug)]
pub struct Execution {
    pub(crate) plan: Arc<Plan>,
    pub(crate) created: Option<Arc<Created>>,
    pub(crate) phase: ExecutionPhase,
    pub(crate) nodes: Vec<NodeState>,
    /// For each node, how many of its upstream nodes have not succeeded yet.
    pub(crate) waits_for: Vec<u32>,
    /// Nodes that wait for nothing but a place under the parallelism limit.
    pub(crate) ready: BTreeSet<NodeIndex>,
    /// Nodes that are queued or running.
    pub(crate) active: BTreeSet<NodeIndex>,
    /// How many nodes of the normal way have not ended.
    pub(crate) unfinished: usize,
    /// The failure that ends, or will end, the execution.
    pub(crate) failure: Option<Failure>,
    pub(crate) archived: bool,
}

/// The state of one node.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeState {
    /// Something before it is not done.
    Waiting,
    /// Its inputs are being put together.
    Resolving,
    /// A try of its task is under way, or waits for a worker.
    Task(TaskRun),
    /// Its items are under way, or wait for workers.
    Map(Box<MapRun>),
    /// Nothing more will happen to it.
    Ended {
        /// How it ended.
        phase: NodePhase,
        /// Its outputs, when it has some.
        outputs: Option<DataRef>,
        /// Tries that had not ended by themselves when the node did, and whose late results are still to be noted.
        open: Option<Attempt>,
    },
}

/// A task node that has its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskRun {
    /// Its inputs.
    pub inputs: DataRef,
    /// The number of the current try.
    pub attempt: Attempt,
    /// Whether the current try was asked for.
    pub queued: bool,
    /// Whether user code of the current try has begun to run.
    pub started: bool,
    /// The current try is not to be offered before this.
    pub not_before: Option<Timestamp>,
    /// Whether the current try was moved from capacity that can be taken away to what cannot.
    pub on_demand: bool,
    /// The job that a connector keeps for the current try, as it told of it last.
    pub job: Option<Box<Job>>,
    /// What the tries before it were charged to.
    pub spent: Spent,
    /// How far it is with the cache.
    pub caching: Caching,
}

/// How far a task node is with the cache.
#[derive(Clone, Debug, PartialEq)]
pub enum Caching {
    /// It has nothing to do with it, or no more.
    Off,
    /// The cache is asked whether it has the outputs.
    Asked,
    /// Somebody else computes them.
    Waiting,
    /// The cache does not have them, and is given them when they are there.
    Running {
        /// Under what key.
        key: CacheKey,
        /// Whether the node holds the key's reservation.
        reserved: bool,
    },
    /// The cache is given them.
    Storing {
        /// Under what key.
        key: CacheKey,
        /// They.
        outputs: DataRef,
        /// Whether the node holds the key's reservation.
        reserved: bool,
    },
}

impl Execution {
    /// An execution of `plan` of which nothing is recorded yet.
    pub fn new(plan: Arc<Plan>) -> Self {
        let waits_for = plan
            .nodes
            .iter()
            .map(|node| {
                u32::try_from(node.upstream.len()).expect("a node has fewer upstream nodes than 2^32")
            })
            .collect();
        Self {
            created: None,
            phase: ExecutionPhase::Queued,
            nodes: vec![NodeState::Waiting; plan.nodes.len()],
            waits_for,
            ready: BTreeSet::new(),
            active: BTreeSet::new(),
            unfinished: plan.main_nodes().count(),
            failure: None,
            archived: false,
            plan,
        }
    }

    /// Answers the phase.
    pub const fn phase(&self) -> ExecutionPhase {
        self.phase
    }

    /// Answers the plan it runs.
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Answers what was asked for; none before the first event.
    pub const fn created(&self) -> Option<&Arc<Created>> {
        self.created.as_ref()
    }

    /// Answers the state of a node; none when the plan has no such node.
    pub fn node(&self, id: &NodeId) -> Option<&NodeState> {
        self.nodes.get(self.plan.find(id)?)
    }

    /// Answers the outputs of a node that has succeeded.
    pub fn outputs_of(&self, id: &NodeId) -> Option<&DataRef> {
        match self.node(id)? {
            NodeState::Ended { outputs, .. } => outputs.as_ref(),
            NodeState::Waiting | NodeState::Resolving | NodeState::Task(_) | NodeState::Map(_) => None,
        }
    }

    /// Answers the map that a node runs; none when it does not run one now.
    pub fn map_of(&self, id: &NodeId) -> Option<&MapRun> {
        match self.node(id)? {
            NodeState::Map(map) => Some(map),
            NodeState::Waiting | NodeState::Resolving | NodeState::Task(_) | NodeState::Ended { .. } => None,
        }
    }

    /// Says whether a try of a node may run on capacity that can be taken away, by what node, task, workflow and launch say.
    pub fn is_interruptible(&self, place: NodeIndex, attempt: Attempt) -> bool {
        let launched = self.created.as_ref().and_then(|created| created.settings.interruptible);
        self.plan.nodes[place].interruptible.is(launched, attempt)
    }

    /// Answers the failure that ends, or will end, the execution.
    pub const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Names what differs between two states of one plan; empty when nothing does. Names alone: the values are the user's.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        // Taken apart, so that a new field stops here.
        let Self { plan, created, phase, nodes, waits_for, ready, active, unfinished, failure, archived } =
            self;
        let parts = [
            ("created", *created == other.created),
            ("phase", *phase == other.phase),
            ("waits for", *waits_for == other.waits_for),
            ("ready", *ready == other.ready),
            ("active", *active == other.active),
            ("unfinished", *unfinished == other.unfinished),
            ("failure", *failure == other.failure),
            ("archived", *archived == other.archived),
        ];
        let nodes = nodes.iter().zip(&other.nodes).zip(&plan.nodes);
        let nodes = nodes.filter(|((one, two), _)| one != two).map(|(_, node)| format!("node {}", node.id));
        let parts = parts.into_iter().filter(|(_, same)| !same).map(|(name, _)| name.to_owned());
        parts.chain(nodes).collect()
    }

    /// Answers what chance says of a try.
    pub(crate) fn draw(&self, node: &NodeId, attempt: Attempt) -> u64 {
        self.created.as_ref().map_or(0, |created| created.execution.draw(node, attempt))
    }

    pub(crate) fn id_of(&self, node: NodeIndex) -> NodeId {
        self.plan.nodes[node].id.clone()
    }

    pub(crate) fn is_failure_node(&self, node: NodeIndex) -> bool {
        self.plan.failure_node == Some(node)
    }
}
