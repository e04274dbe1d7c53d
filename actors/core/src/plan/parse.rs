//! Makes a plan of a compiled workflow.

use super::{FailurePolicy, MinSuccesses, NodeIndex, Plan, PlanNode, Target};
use skein_idl::flyteidl::core::{self, array_node, node, workflow_metadata};
use skein_model::cache::CacheRule;
use skein_model::interruptible::retries;
use skein_model::runnable::{is_pod, is_runnable};
use skein_model::{ActorEnvironment, Interruptible, NodeId, TaskResources, TaskSettings};
use std::collections::BTreeMap;
use std::time::Duration;

/// A compiled workflow that the engine cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A kind of node that has no state machine yet.
    #[error("node {node} is {kind}, which this version does not run yet")]
    Unsupported {
        /// The node.
        node: String,
        /// What it is.
        kind: &'static str,
    },
    /// A type of task that needs something this version does not have.
    #[error("task {task} of node {node} is of type {task_type}, which this version does not run yet")]
    UnsupportedTask {
        /// The node.
        node: String,
        /// The task's name.
        task: String,
        /// Its type.
        task_type: String,
    },
    /// Something is missing that the compiler puts there.
    #[error("the compiled workflow is not whole: {what}")]
    Incomplete {
        /// What is missing, and where.
        what: String,
    },
}

/// Whether a failure node was asked for as such; it has no place among upstream and downstream nodes.
const ALIASES: [&str; 2] = [NodeId::START, NodeId::END];

impl Plan {
    /// Makes a plan of a compiled workflow.
    ///
    /// # Errors
    /// [`PlanError`] when it has a node that cannot be run; nothing of it may be run then.
    pub fn parse(closure: core::CompiledWorkflowClosure) -> Result<Self, PlanError> {
        let template = closure
            .primary
            .and_then(|primary| primary.template)
            .ok_or_else(|| PlanError::Incomplete { what: "primary template".to_owned() })?;
        let tasks: Vec<_> = closure.tasks.into_iter().filter_map(|task| task.template).collect();
        let places = task_places(&tasks);
        let mut plan = Self { on_failure: failure_policy(template.metadata.as_ref()), ..Self::default() };
        let defaults = template.metadata_defaults;
        let mut edges = Vec::new();
        for node in template.nodes {
            if node.id == NodeId::END {
                plan.outputs = node.inputs;
            } else if node.id != NodeId::START {
                edges.push(plan.add(node, &places, &tasks, defaults.as_ref())?);
            }
        }
        plan.connect(&edges)?;
        if let Some(node) = template.failure_node {
            plan.add(node, &places, &tasks, defaults.as_ref())?;
            plan.failure_node = Some(plan.nodes.len() - 1);
        }
        plan.tasks = tasks;
        Ok(plan)
    }

    /// Adds a node and answers the ids of its upstream nodes.
    fn add(
        &mut self,
        node: core::Node,
        places: &BTreeMap<String, usize>,
        tasks: &[core::TaskTemplate],
        defaults: Option<&core::WorkflowMetadataDefaults>,
    ) -> Result<Vec<String>, PlanError> {
        let (target, sub_metadata) = target(&node, places)?;
        let task = &tasks[target.task()];
        check_runnable(&node.id, task, &target)?;
        let metadata = sub_metadata.or(node.metadata.as_ref());
        let id = NodeId::new(node.id.as_str());
        let retries = retries(metadata, task);
        let planned = PlanNode {
            id: id.clone(),
            attempts: retries.saturating_add(1),
            interruptible: Interruptible::of(metadata, task, defaults, retries),
            timeout: timeout(metadata, task),
            // They were checked at registration; of a task that was registered before there were such, none counts.
            settings: TaskSettings::of(task).unwrap_or_default(),
            actor: ActorEnvironment::of(task).unwrap_or_default(),
            cache: CacheRule::of(metadata, task),
            resources: TaskResources::of(task, overrides(&node), None).unwrap_or_default(),
            image: image(&node),
            inputs: node.inputs,
            upstream: Vec::new(),
            downstream: Vec::new(),
            target,
        };
        self.has_cache |= planned.cache.is_some();
        self.index.insert(id, self.nodes.len());
        self.nodes.push(planned);
        Ok(node.upstream_node_ids)
    }

    fn connect(&mut self, edges: &[Vec<String>]) -> Result<(), PlanError> {
        for (node, upstream) in edges.iter().enumerate() {
            let mut places: Vec<NodeIndex> = Vec::with_capacity(upstream.len());
            for id in upstream.iter().filter(|id| !ALIASES.contains(&id.as_str())) {
                places.push(self.find(&NodeId::new(id.as_str())).ok_or_else(|| PlanError::Incomplete {
                    what: format!("node {} waits for {id}, which is not there", self.nodes[node].id),
                })?);
            }
            places.sort_unstable();
            places.dedup();
            for place in &places {
                self.nodes[*place].downstream.push(node);
            }
            self.nodes[node].upstream = places;
        }
        Ok(())
    }
}

fn task_places(tasks: &[core::TaskTemplate]) -> BTreeMap<String, usize> {
    tasks.iter().enumerate().filter_map(|(place, task)| Some((key(task.id.as_ref()?), place))).collect()
}

fn key(id: &core::Identifier) -> String {
    format!("{}\0{}\0{}\0{}", id.project, id.domain, id.name, id.version)
}

fn failure_policy(metadata: Option<&core::WorkflowMetadata>) -> FailurePolicy {
    match metadata.map(core::WorkflowMetadata::on_failure) {
        Some(workflow_metadata::OnFailurePolicy::FailAfterExecutableNodesComplete) => {
            FailurePolicy::AfterExecutableNodes
        }
        Some(workflow_metadata::OnFailurePolicy::FailImmediately) | None => FailurePolicy::Immediately,
    }
}

/// Answers what a node runs and, for a map, the settings of its items.
fn target<'a>(
    node: &'a core::Node,
    places: &BTreeMap<String, usize>,
) -> Result<(Target, Option<&'a core::NodeMetadata>), PlanError> {
    let unsupported = |kind| PlanError::Unsupported { node: node.id.clone(), kind };
    match node.target.as_ref() {
        Some(node::Target::TaskNode(task)) => {
            Ok((Target::Task { task: task_place(node, task, places)? }, None))
        }
        Some(node::Target::ArrayNode(array)) => {
            let inner = array.node.as_deref().ok_or_else(|| PlanError::Incomplete {
                what: format!("map {} has no node to repeat", node.id),
            })?;
            let Some(node::Target::TaskNode(task)) = inner.target.as_ref() else {
                return Err(unsupported("a map over something other than a task"));
            };
            Ok((map_target(array, task_place(node, task, places)?), inner.metadata.as_ref()))
        }
        Some(node::Target::WorkflowNode(_)) => Err(unsupported("a sub-workflow or launch plan")),
        Some(node::Target::BranchNode(_)) => Err(unsupported("a branch")),
        Some(node::Target::GateNode(_)) => Err(unsupported("a gate")),
        None => Err(PlanError::Incomplete { what: format!("node {} has no target", node.id) }),
    }
}

/// Answers what a node says otherwise than its task.
fn overrides(node: &core::Node) -> Option<&core::TaskNodeOverrides> {
    let target = match node.target.as_ref()? {
        node::Target::ArrayNode(array) => array.node.as_ref()?.target.as_ref()?,
        other => other,
    };
    match target {
        node::Target::TaskNode(task) => task.overrides.as_ref(),
        _ => None,
    }
}

/// Answers the image that a node asks for in the place of its task's own.
fn image(node: &core::Node) -> Option<String> {
    let image = &overrides(node)?.container_image;
    (!image.is_empty()).then(|| image.clone())
}

fn task_place(
    node: &core::Node,
    task: &core::TaskNode,
    places: &BTreeMap<String, usize>,
) -> Result<usize, PlanError> {
    let core::task_node::Reference::ReferenceId(id) = task
        .reference
        .as_ref()
        .ok_or_else(|| PlanError::Incomplete { what: format!("node {} names no task", node.id) })?;
    places.get(&key(id)).copied().ok_or_else(|| PlanError::Incomplete {
        what: format!("node {} names task {}, which is not there", node.id, id.name),
    })
}

fn map_target(array: &core::ArrayNode, task: usize) -> Target {
    let concurrency = match array.parallelism_option {
        Some(array_node::ParallelismOption::Parallelism(limit)) if limit > 0 => Some(limit),
        Some(array_node::ParallelismOption::Parallelism(_)) | None => None,
    };
    let min_successes = match array.success_criteria {
        Some(array_node::SuccessCriteria::MinSuccesses(count)) => MinSuccesses::Count(count),
        Some(array_node::SuccessCriteria::MinSuccessRatio(ratio)) => MinSuccesses::Ratio(ratio),
        None => MinSuccesses::All,
    };
    Target::Map { task, concurrency, min_successes, bound: array.bound_inputs.clone() }
}

/// Refuses what neither workers nor connectors can do: a pod, and a map over what workers cannot do. Whether there is a
/// connector for the others shows when they run.
fn check_runnable(node: &str, task: &core::TaskTemplate, target: &Target) -> Result<(), PlanError> {
    let is_left_to_connectors = matches!(target, Target::Task { .. }) && !is_pod(task);
    if is_runnable(task) || is_left_to_connectors {
        return Ok(());
    }
    Err(PlanError::UnsupportedTask {
        node: node.to_owned(),
        task: task.id.as_ref().map(|id| id.name.clone()).unwrap_or_default(),
        task_type: task.r#type.clone(),
    })
}

fn timeout(metadata: Option<&core::NodeMetadata>, task: &core::TaskTemplate) -> Option<Duration> {
    let of_node = metadata.and_then(|m| m.timeout.as_ref());
    let of_task = || task.metadata.as_ref().and_then(|m| m.timeout.as_ref());
    let positive = |d: &prost_types::Duration| Duration::try_from(*d).ok().filter(|d| !d.is_zero());
    of_node.and_then(positive).or_else(|| of_task().and_then(positive))
}
