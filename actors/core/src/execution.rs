//! What is true of an execution: the fold of its journal.

use crate::graph::Ready;
use crate::inside::{ScopeRun, Signal};
use crate::map_task::MapRun;
use crate::plan::{NodeIndex, Plan, ROOT, Target};
use crate::retry::Spent;
use skein_model::event::Created;
use skein_model::{
    Attempt, BlobRef, CacheKey, DataRef, ExecutionId, ExecutionPhase, Failure, Job, NodeId, NodePhase,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
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
    /// Nodes that wait for nothing but to be queued.
    pub(crate) ready: Ready,
    /// Nodes that are queued or running.
    pub(crate) active: BTreeSet<NodeIndex>,
    /// How many of the active nodes count against the parallelism limit.
    pub(crate) counted: usize,
    /// The workflow and those inside it, by their places in the plan.
    pub(crate) scopes: Vec<ScopeRun>,
    /// Signals that gates wait for or have waited for.
    pub(crate) signals: BTreeMap<String, Signal>,
    /// The nodes that tasks made, which the plan did not have before.
    pub(crate) made: BTreeMap<NodeId, NodeIndex>,
    /// Plans of nodes that tasks made, by where they are kept: whoever folds a journal brings them, see [`Execution::provide`].
    pub(crate) provided: Vec<(BlobRef, Arc<Plan>)>,
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
    /// Its task made nodes, and they are being read.
    Making(Box<Making>),
    /// Nodes inside it are under way.
    Inside(InsideRun),
    /// One of its cases is under way, or is about to be.
    Branch {
        /// What its conditions were asked of.
        inputs: DataRef,
        /// The node that runs.
        child: Option<NodeIndex>,
    },
    /// It waits for time to pass, or for a signal.
    Gate {
        /// Its inputs.
        inputs: DataRef,
    },
    /// An execution of its own is under way.
    Child(Box<ChildRun>),
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

/// A dynamic node whose task has made nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Making {
    /// The inputs of its task.
    pub inputs: DataRef,
    /// The number of the try that made them.
    pub attempt: Attempt,
    /// Where they are, an encoded `DynamicJobSpec`.
    pub spec: String,
    /// How far it is with the cache.
    pub caching: Caching,
}

/// A node that has others inside.
#[derive(Clone, Debug, PartialEq)]
pub struct InsideRun {
    /// Its inputs, which are those of the workflow inside.
    pub inputs: DataRef,
    /// The workflow inside, by its place in the plan.
    pub scope: usize,
    /// The number of the try that made it, for a dynamic node.
    pub attempt: Attempt,
    /// How far it is with the cache, for a dynamic node.
    pub caching: Caching,
}

/// A node that has an execution of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildRun {
    /// Its inputs, which are those of the execution.
    pub inputs: DataRef,
    /// The execution; none before it is named.
    pub execution: Option<ExecutionId>,
}

impl NodeState {
    /// Answers the task that is under way; none when none is.
    pub const fn task(&self) -> Option<&TaskRun> {
        if let Self::Task(run) = self { Some(run) } else { None }
    }

    /// Answers the map that is under way; none when none is.
    pub fn map(&self) -> Option<&MapRun> {
        if let Self::Map(run) = self { Some(run) } else { None }
    }

    /// Answers how far a task, or what it made, is with the cache; none for any other node.
    pub fn caching(&self) -> Option<&Caching> {
        match self {
            Self::Task(run) => Some(&run.caching),
            Self::Making(run) => Some(&run.caching),
            Self::Inside(run) => Some(&run.caching),
            Self::Waiting
            | Self::Resolving
            | Self::Map(_)
            | Self::Branch { .. }
            | Self::Gate { .. }
            | Self::Child(_)
            | Self::Ended { .. } => None,
        }
    }

    /// Answers the inputs and the number of the try that the cache is told of; none for a node that has nothing to do with it.
    pub fn tried(&self) -> Option<(&DataRef, Attempt)> {
        match self {
            Self::Task(run) => Some((&run.inputs, run.attempt)),
            Self::Making(run) => Some((&run.inputs, run.attempt)),
            Self::Inside(run) => Some((&run.inputs, run.attempt)),
            _ => None,
        }
    }

    /// Answers the outputs; none while there are none.
    pub const fn outputs(&self) -> Option<&DataRef> {
        if let Self::Ended { outputs, .. } = self { outputs.as_ref() } else { None }
    }

    /// Says whether nothing more will happen to it.
    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
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
        let mut execution = Self {
            created: None,
            phase: ExecutionPhase::Queued,
            nodes: Vec::with_capacity(plan.nodes.len()),
            waits_for: Vec::with_capacity(plan.nodes.len()),
            ready: Ready::default(),
            active: BTreeSet::new(),
            counted: 0,
            scopes: Vec::with_capacity(plan.scopes.len()),
            signals: BTreeMap::new(),
            made: BTreeMap::new(),
            provided: Vec::new(),
            archived: false,
            plan,
        };
        execution.take_in_plan();
        execution
    }

    /// Makes room for the nodes and workflows of the plan that are new.
    pub(crate) fn take_in_plan(&mut self) {
        let Self { plan, nodes, waits_for, scopes, .. } = self;
        for node in plan.nodes.iter().skip(nodes.len()) {
            let upstream = u32::try_from(node.upstream.len());
            waits_for.push(upstream.expect("a node has fewer upstream nodes than 2^32"));
            nodes.push(NodeState::Waiting);
        }
        for scope in plan.scopes.iter().skip(scopes.len()) {
            scopes.push(ScopeRun { unfinished: scope.nodes.len(), failure: None });
        }
    }

    /// Brings the plan of nodes that a task made, under the name that an event or a command has for it. Whoever folds such an
    /// event, or sends such a command, brings it first.
    pub fn provide(&mut self, made: BlobRef, plan: Arc<Plan>) {
        if self.provided.iter().all(|(known, _)| *known != made) {
            self.provided.push((made, plan));
        }
    }

    /// Finds a node, whether the workflow has it or a task made it.
    pub fn find(&self, id: &NodeId) -> Option<NodeIndex> {
        self.plan.find(id).or_else(|| self.made.get(id).copied())
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
        self.nodes.get(self.find(id)?)
    }

    /// Answers the state of a node by its place in the plan.
    pub fn at(&self, place: NodeIndex) -> &NodeState {
        &self.nodes[place]
    }

    /// Answers the outputs of a node that has succeeded.
    pub fn outputs_of(&self, id: &NodeId) -> Option<&DataRef> {
        self.node(id)?.outputs()
    }

    /// Answers the map that a node runs; none when it does not run one now.
    pub fn map_of(&self, id: &NodeId) -> Option<&MapRun> {
        self.node(id)?.map()
    }

    /// Says whether a try of a node may run on capacity that can be taken away, by what node, task, workflow and launch say.
    pub fn is_interruptible(&self, place: NodeIndex, attempt: Attempt) -> bool {
        let launched = self.created.as_ref().and_then(|created| created.settings.interruptible);
        self.plan.nodes[place].interruptible.is(launched, attempt)
    }

    /// Answers the failure that ends, or will end, the execution.
    pub fn failure(&self) -> Option<&Failure> {
        self.scopes[ROOT].failure.as_ref()
    }

    /// Names what differs between two states of one plan; empty when nothing does. Names alone: the values are the user's.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        // Taken apart, so that a new field stops here.
        let Self { plan, created, phase, nodes, waits_for, ready, active, .. } = self;
        let Self { counted, scopes, signals, made, provided: _, archived, .. } = self;
        let parts = [
            ("created", *created == other.created),
            ("phase", *phase == other.phase),
            ("waits for", *waits_for == other.waits_for),
            ("ready", *ready == other.ready),
            ("active", *active == other.active),
            ("counted", *counted == other.counted),
            ("scopes", *scopes == other.scopes),
            ("signals", *signals == other.signals),
            ("made", *made == other.made),
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

    /// Says whether a node handles the failure of the workflow that it is in.
    pub(crate) fn is_failure_node(&self, node: NodeIndex) -> bool {
        self.plan.scopes[self.plan.nodes[node].scope].failure_node == Some(node)
    }

    /// Puts a node into another state.
    pub(crate) fn set(&mut self, place: NodeIndex, state: NodeState) {
        self.counted -= usize::from(self.is_counted(place));
        self.nodes[place] = state;
        self.counted += usize::from(self.is_counted(place));
    }

    /// Says whether a node counts against the parallelism limit as it is.
    pub(crate) fn is_counted(&self, place: NodeIndex) -> bool {
        match &self.nodes[place] {
            NodeState::Resolving => self.plan.nodes[place].target.is_limited(),
            NodeState::Task(_) | NodeState::Map(_) | NodeState::Making(_) | NodeState::Child(_) => true,
            NodeState::Waiting
            | NodeState::Inside(_)
            | NodeState::Branch { .. }
            | NodeState::Gate { .. }
            | NodeState::Ended { .. } => false,
        }
    }

    /// Says whether a node is a map.
    pub fn is_map(&self, place: NodeIndex) -> bool {
        matches!(self.plan.nodes[place].target, Target::Map { .. })
    }
}
