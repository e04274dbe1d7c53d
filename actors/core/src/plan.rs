//! The workflow as the engine sees it: nodes by number, with what each waits for and how it is run.

mod parse;

pub use parse::PlanError;

use skein_idl::flyteidl::core;
use skein_model::cache::CacheRule;
use skein_model::{ActorEnvironment, Failure, Interruptible, NodeId, TaskResources, TaskSettings};
use std::collections::BTreeMap;
use std::time::Duration;

/// A node of a plan, by its place in it.
pub type NodeIndex = usize;

/// How many of the tasks that follow on a node are prepared for: as many as a few workers could begin with at once.
pub const FOLLOWS_MAX: usize = 4;

/// A workflow that can be run, or the reason why this one cannot.
#[derive(Debug, Default)]
pub struct Plan {
    /// The nodes that user code or children stand behind, in the order of the workflow; the failure node last.
    pub nodes: Vec<PlanNode>,
    /// The tasks that nodes refer to.
    pub tasks: Vec<core::TaskTemplate>,
    /// Where the execution's outputs come from.
    pub outputs: Vec<core::Binding>,
    /// What a failed node does to the others.
    pub on_failure: FailurePolicy,
    /// The node that runs when the execution fails.
    pub failure_node: Option<NodeIndex>,
    /// Whether any node's outputs are kept for others.
    pub has_cache: bool,
    /// Why it cannot be run at all; an execution of it fails with this at once.
    pub unrunnable: Option<Failure>,
    index: BTreeMap<NodeId, NodeIndex>,
}

impl Plan {
    /// Finds a node.
    pub fn find(&self, id: &NodeId) -> Option<NodeIndex> {
        self.index.get(id).copied()
    }

    /// Answers the nodes that make up the workflow's normal way, without the failure node.
    pub fn main_nodes(&self) -> impl Iterator<Item = NodeIndex> + '_ {
        (0..self.nodes.len()).filter(|node| Some(*node) != self.failure_node)
    }

    /// Lists what waits for `node` and runs another task than that, one node for each task: what is worth preparing while
    /// `node` runs. At most [`FOLLOWS_MAX`].
    pub fn follows_with_other_tasks(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let task_of = |node: NodeIndex| self.nodes[node].target.task();
        let mut seen = vec![task_of(node)];
        let mut follows = Vec::new();
        for next in self.nodes[node].downstream.iter().copied() {
            if follows.len() < FOLLOWS_MAX && !seen.contains(&task_of(next)) {
                seen.push(task_of(next));
                follows.push(next);
            }
        }
        follows
    }

    /// A plan that cannot be run, for the reason given.
    pub fn unrunnable(failure: Failure) -> Self {
        Self { unrunnable: Some(failure), ..Self::default() }
    }
}

/// One node.
#[derive(Debug)]
pub struct PlanNode {
    /// Its id in the execution.
    pub id: NodeId,
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

/// What a node runs.
#[derive(Debug)]
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
    },
}

impl Target {
    /// Answers the task's place in [`Plan::tasks`].
    pub const fn task(&self) -> usize {
        match self {
            Self::Task { task } | Self::Map { task, .. } => *task,
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
