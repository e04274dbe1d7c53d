//! The workflow as the engine sees it: nodes by number, those of its sub-workflows and branches among them, with what each
//! waits for and how it is run.

mod graft;
mod parse;

pub use parse::PlanError;

use skein_idl::flyteidl::core;
use skein_model::cache::CacheRule;
use skein_model::{ActorEnvironment, EntityId, Failure, Interruptible, NodeId, TaskResources, TaskSettings};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// A node of a plan, by its place in it.
pub type NodeIndex = usize;
/// A workflow of a plan, by its place in it.
pub type ScopeIndex = usize;

/// How many of the tasks that follow on a node are prepared for: as many as a few workers could begin with at once.
pub const FOLLOWS_MAX: usize = 4;

/// The workflow itself, among the workflows of a plan.
pub const ROOT: ScopeIndex = 0;

/// A workflow that can be run, or the reason why this one cannot.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// All nodes, at any depth; a node comes after the one that it is inside of.
    pub nodes: Vec<Arc<PlanNode>>,
    /// The workflow itself, and each sub-workflow as often as it is used.
    pub scopes: Vec<Arc<Scope>>,
    /// The tasks that nodes refer to.
    pub tasks: Vec<Arc<core::TaskTemplate>>,
    /// Whether any node's outputs are kept for others.
    pub has_cache: bool,
    /// Whether there are other nodes than tasks and maps of tasks, or nodes inside of nodes.
    pub is_nested: bool,
    /// Why it cannot be run at all; an execution of it fails with this at once.
    pub unrunnable: Option<Failure>,
    index: Arc<BTreeMap<NodeId, NodeIndex>>,
}

/// What a node has that runs no task.
static NO_TASK: LazyLock<core::TaskTemplate> = LazyLock::new(core::TaskTemplate::default);

impl Plan {
    /// Finds a node that was there before any task made others; see [`crate::Execution::find`] for those.
    pub(crate) fn find(&self, id: &NodeId) -> Option<NodeIndex> {
        self.index.get(id).copied()
    }

    /// Finds the node of a workflow that its bindings name.
    pub(crate) fn named(&self, scope: ScopeIndex, name: &str) -> Option<NodeIndex> {
        self.scopes[scope].names.get(name).copied()
    }

    /// Answers the task that a node runs, or runs for each item; an empty one when it runs none.
    pub fn template(&self, place: NodeIndex) -> &core::TaskTemplate {
        match self.nodes[place].target.task() {
            Some(task) => &self.tasks[task],
            None => &NO_TASK,
        }
    }

    /// Lists what waits for `node` and runs another task than that, one node for each task: what is worth preparing while
    /// `node` runs. At most [`FOLLOWS_MAX`].
    pub fn follows_with_other_tasks(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let task_of = |node: NodeIndex| self.nodes[node].target.task();
        let mut seen = vec![task_of(node)];
        let mut follows = Vec::new();
        for next in self.nodes[node].downstream.iter().copied() {
            let task = task_of(next);
            if follows.len() < FOLLOWS_MAX && task.is_some() && !seen.contains(&task) {
                seen.push(task);
                follows.push(next);
            }
        }
        follows
    }

    /// Says whether anything of it has a limit of time, or lets time pass, that stands in the workflow itself.
    pub fn is_timed(&self) -> bool {
        self.is_nested && self.nodes.iter().any(|node| node.is_timed())
    }

    /// A plan that cannot be run, for the reason given.
    pub fn unrunnable(failure: Failure) -> Self {
        Self { scopes: vec![Arc::default()], unrunnable: Some(failure), ..Self::default() }
    }
}

/// A workflow: the one that is run, or one in it.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The node that runs it; none for the workflow itself.
    pub parent: Option<NodeIndex>,
    /// The nodes of its normal way, in the order of the workflow, without its failure node.
    pub nodes: Vec<NodeIndex>,
    /// The same by the names that bindings have for them.
    pub names: BTreeMap<String, NodeIndex>,
    /// Where its outputs come from.
    pub outputs: Vec<core::Binding>,
    /// What it is given.
    pub inputs: Option<core::VariableMap>,
    /// What a failed node does to the others.
    pub on_failure: FailurePolicy,
    /// The node that runs when it fails.
    pub failure_node: Option<NodeIndex>,
}

/// One node.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// Its id in the execution.
    pub id: NodeId,
    /// The workflow that it is a node of.
    pub scope: ScopeIndex,
    /// The node that it is inside of.
    pub parent: Option<NodeIndex>,
    /// Where its inputs come from.
    pub inputs: Vec<core::Binding>,
    /// The nodes that must have succeeded before it starts.
    pub upstream: Vec<NodeIndex>,
    /// The nodes that wait for it.
    pub downstream: Vec<NodeIndex>,
    /// What runs.
    pub target: Target,
    /// How often it may be tried for reasons that lie in the task, at least 1.
    pub attempts: u32,
    /// How long one try may run; none is no limit.
    pub timeout: Option<Duration>,
    /// What the task says of how it is run.
    pub settings: TaskSettings,
    /// Which of its tries may run on capacity that can be taken away.
    pub interruptible: Interruptible,
    /// The actor environment whose processes run it, if it has one.
    pub actor: Option<ActorEnvironment>,
    /// How its outputs are kept for others, if they are.
    pub cache: Option<CacheRule>,
    /// What it asks for of a machine, before defaults.
    pub resources: TaskResources,
    /// The image that the node asks for in the place of its task's own.
    pub image: Option<String>,
}

impl PlanNode {
    /// Says whether the engine watches a time of it that stands in the workflow: workers watch that of tasks.
    fn is_timed(&self) -> bool {
        match &self.target {
            Target::Task { .. } | Target::Map { .. } => false,
            Target::Gate(Gate::Sleep(_)) => true,
            Target::Workflow { .. } | Target::Branch { .. } | Target::Gate(_) | Target::Launch { .. } => {
                self.timeout.is_some()
            }
        }
    }
}

/// What a node runs.
#[derive(Clone, Debug)]
pub enum Target {
    /// One try after another of a task.
    Task {
        /// Its place in [`Plan::tasks`].
        task: usize,
    },
    /// A task over every item of a list.
    Map {
        /// Its place in [`Plan::tasks`].
        task: usize,
        /// How many items may run at once; none is no limit of its own.
        concurrency: Option<u32>,
        /// How many items have to succeed.
        min_successes: MinSuccesses,
        /// The inputs that each item gets whole.
        bound: Vec<String>,
        /// Whether all items run to their end when too many have failed already.
        run_all: bool,
    },
    /// The nodes of another workflow, as part of this execution.
    Workflow {
        /// Its place in [`Plan::scopes`].
        scope: ScopeIndex,
    },
    /// The first of its cases that holds.
    Branch {
        /// Conditions, each with the node that runs when it is the first to hold.
        cases: Vec<(core::BooleanExpression, NodeIndex)>,
        /// What becomes of it when none holds.
        otherwise: Otherwise,
    },
    /// Nothing: it waits.
    Gate(Gate),
    /// An execution of its own.
    Launch {
        /// The launch plan.
        launch_plan: EntityId,
    },
}

/// What becomes of a branch of which no case holds.
#[derive(Clone, Debug)]
pub enum Otherwise {
    /// This node runs.
    Node(NodeIndex),
    /// It fails with this.
    Fail(String),
}

/// What a gate waits for.
#[derive(Clone, Debug)]
pub enum Gate {
    /// This long.
    Sleep(Duration),
    /// A value, which becomes an output.
    Signal {
        /// The signal, unique in the execution.
        id: String,
        /// The type of the value.
        r#type: Box<core::LiteralType>,
        /// The name of the output.
        output: String,
    },
    /// That somebody says yes to its inputs, which become its outputs.
    Approve {
        /// The signal, unique in the execution.
        id: String,
    },
}

impl Target {
    /// Answers the place in [`Plan::tasks`] of the task that is run; none when none is.
    pub const fn task(&self) -> Option<usize> {
        match self {
            Self::Task { task } | Self::Map { task, .. } => Some(*task),
            Self::Workflow { .. } | Self::Branch { .. } | Self::Gate(_) | Self::Launch { .. } => None,
        }
    }

    /// Answers the node of a branch that is meant by a number: those of its cases in order, then the one for none of them.
    pub fn case(&self, case: u32) -> Option<NodeIndex> {
        let Self::Branch { cases, otherwise } = self else { return None };
        match (cases.get(case as usize), otherwise) {
            (Some((_, node)), _) => Some(*node),
            (None, Otherwise::Node(node)) if case as usize == cases.len() => Some(*node),
            (None, Otherwise::Node(_) | Otherwise::Fail(_)) => None,
        }
    }

    /// Says whether it counts among what may run at once: what waits or only has other nodes inside does not.
    pub const fn is_limited(&self) -> bool {
        match self {
            Self::Task { .. } | Self::Map { .. } | Self::Launch { .. } => true,
            Self::Workflow { .. } | Self::Branch { .. } | Self::Gate(_) => false,
        }
    }
}

/// How many items of a map have to succeed for the map to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MinSuccesses {
    /// Every one.
    All,
    /// This many.
    Count(u32),
    /// This part of them, from 0 to 1, rounded up.
    Ratio(f32),
}

impl MinSuccesses {
    /// Answers how many of `size` items have to succeed.
    pub fn of(self, size: u32) -> u32 {
        match self {
            Self::All => size,
            Self::Count(count) => count.min(size),
            Self::Ratio(ratio) => {
                // The shortest decimal that gives this f32 is what the user wrote: 0.8, not 0.800000012. A hair below the
                // product, so that 0.55 of 100 is 55 although the product is a little more.
                let ratio: f64 = ratio.clamp(0.0, 1.0).to_string().parse().unwrap_or(1.0);
                let exact = ratio * f64::from(size);
                let rounded = (exact * (1.0 - 1e-10)).ceil();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 0 and size, which is a u32"
                )]
                let count = rounded as u32;
                count.min(size)
            }
        }
    }
}

/// What a failed node does to the nodes that do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailurePolicy {
    /// They are stopped.
    #[default]
    Immediately,
    /// They run to their end first.
    AfterExecutableNodes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_of_items_is_rounded_up() {
        assert_eq!(MinSuccesses::Ratio(0.8).of(10), 8);
        assert_eq!(MinSuccesses::Ratio(0.75).of(10), 8);
        assert_eq!(MinSuccesses::Ratio(0.5).of(3), 2);
        assert_eq!(MinSuccesses::Ratio(1.0).of(1_000_000), 1_000_000);
        assert_eq!(MinSuccesses::Ratio(0.0).of(4), 0);
        assert_eq!(MinSuccesses::Ratio(0.3).of(0), 0);
    }
}
