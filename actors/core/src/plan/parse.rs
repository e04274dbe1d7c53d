//! Makes a plan of a compiled workflow.

use super::{FailurePolicy, Gate, MinSuccesses, NodeIndex, Otherwise, Plan, PlanNode, Scope, Target};
use skein_idl::flyteidl::core::{self, array_node, if_else_block, node, workflow_metadata, workflow_node};
use skein_model::cache::CacheRule;
use skein_model::interruptible::retries;
use skein_model::nested::{self, Inside, LayoutError, Made, Placed, Tree};
use skein_model::runnable::{is_pod, is_runnable};
use skein_model::{
    ActorEnvironment, EntityId, EntityKind, Interruptible, NodeId, TaskResources, TaskSettings,
};
use std::collections::BTreeMap;
use std::sync::Arc;
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
    /// It cannot be laid out.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// The nodes of every workflow that have no place among upstream and downstream nodes.
const ALIASES: [&str; 2] = [NodeId::START, NodeId::END];

impl Plan {
    /// Makes a plan of a compiled workflow.
    ///
    /// # Errors
    /// [`PlanError`] when it has a node that cannot be run; nothing of it may be run then.
    pub fn parse(closure: core::CompiledWorkflowClosure) -> Result<Self, PlanError> {
        Self::parse_made(closure, None)
    }

    /// Makes a plan of nodes that a dynamic task made, named after its node and the try that made them.
    ///
    /// # Errors
    /// As [`Plan::parse`].
    pub fn parse_made(closure: core::CompiledWorkflowClosure, made: Made<'_>) -> Result<Self, PlanError> {
        let tree = nested::lay_out(&closure, made)?;
        let tasks: Vec<&core::TaskTemplate> =
            closure.tasks.iter().filter_map(|task| task.template.as_ref()).collect();
        let defaults = tree.scopes.first().and_then(|root| root.template.metadata_defaults);
        let reader = Reader { places: task_places(&tasks), tasks: &tasks, defaults };
        let mut plan = Self::default();
        for placed in &tree.nodes {
            let node = reader.node(placed)?;
            plan.has_cache |= node.cache.is_some();
            plan.nodes.push(Arc::new(node));
        }
        plan.index = Arc::new((0..).zip(&plan.nodes).map(|(place, node)| (node.id.clone(), place)).collect());
        plan.is_nested = plan.nodes.iter().any(|node| node.target.task().is_none());
        for scope in &tree.scopes {
            plan.connect(scope, &tree)?;
        }
        plan.tasks = tasks.into_iter().map(|task| Arc::new(task.clone())).collect();
        Ok(plan)
    }

    /// Adds a workflow whose nodes are there, and says which of those wait for which.
    fn connect(&mut self, of: &nested::Scope<'_>, tree: &Tree<'_>) -> Result<(), PlanError> {
        let own = |place: &NodeIndex| (tree.nodes[*place].node.id.clone(), *place);
        let names: BTreeMap<String, NodeIndex> = of.nodes.iter().map(own).collect();
        for place in of.nodes.iter().copied() {
            let node = tree.nodes[place].node;
            let mut upstream: Vec<NodeIndex> = Vec::with_capacity(node.upstream_node_ids.len());
            for id in node.upstream_node_ids.iter().filter(|id| !ALIASES.contains(&id.as_str())) {
                upstream.push(*names.get(id).ok_or_else(|| PlanError::Incomplete {
                    what: format!("node {} waits for {id}, which is not there", node.id),
                })?);
            }
            upstream.sort_unstable();
            upstream.dedup();
            for before in &upstream {
                self.node_mut(*before).downstream.push(place);
            }
            self.node_mut(place).upstream = upstream;
        }
        let end = of.template.nodes.iter().find(|node| node.id == NodeId::END);
        self.scopes.push(Arc::new(Scope {
            parent: of.parent,
            nodes: of.nodes.clone(),
            names,
            outputs: end.map(|end| end.inputs.clone()).unwrap_or_default(),
            inputs: of.template.interface.as_ref().and_then(|interface| interface.inputs.clone()),
            on_failure: failure_policy(of.template.metadata.as_ref()),
            failure_node: of.failure_node,
        }));
        Ok(())
    }

    fn node_mut(&mut self, place: NodeIndex) -> &mut PlanNode {
        Arc::make_mut(&mut self.nodes[place])
    }
}

/// What nodes are read with.
struct Reader<'a> {
    places: BTreeMap<String, usize>,
    tasks: &'a [&'a core::TaskTemplate],
    defaults: Option<core::WorkflowMetadataDefaults>,
}

impl Reader<'_> {
    fn node(&self, placed: &Placed<'_>) -> Result<PlanNode, PlanError> {
        let (node, nothing) = (placed.node, core::TaskTemplate::default());
        let (target, sub_metadata) = self.target(placed)?;
        let task = target.task().map_or(&nothing, |task| self.tasks[task]);
        if target.task().is_some() {
            check_runnable(&node.id, task, &target)?;
        }
        let metadata = sub_metadata.or(node.metadata.as_ref());
        let retries = if target.task().is_some() { retries(metadata, task) } else { 0 };
        Ok(PlanNode {
            id: placed.id.clone(),
            scope: placed.scope,
            parent: placed.parent,
            attempts: retries.saturating_add(1),
            interruptible: Interruptible::of(metadata, task, self.defaults.as_ref(), retries),
            timeout: timeout(metadata, task),
            // They were checked at registration; of a task that was registered before there were such, none counts.
            settings: TaskSettings::of(task).unwrap_or_default(),
            actor: ActorEnvironment::of(task).unwrap_or_default(),
            cache: target.task().and_then(|_| CacheRule::of(metadata, task)),
            resources: TaskResources::of(task, overrides(node), None).unwrap_or_default(),
            image: image(node),
            inputs: node.inputs.clone(),
            upstream: Vec::new(),
            downstream: Vec::new(),
            target,
        })
    }

    /// Answers what a node runs and, for a map, the settings of its items.
    fn target<'n>(&self, placed: &Placed<'n>) -> Result<(Target, Option<&'n core::NodeMetadata>), PlanError> {
        let node = placed.node;
        Ok(match node.target.as_ref() {
            Some(node::Target::TaskNode(task)) => (Target::Task { task: self.task_place(node, task)? }, None),
            Some(node::Target::ArrayNode(array)) => {
                let inner = array.node.as_deref().ok_or_else(|| PlanError::Incomplete {
                    what: format!("map {} has no node to repeat", node.id),
                })?;
                let Some(node::Target::TaskNode(task)) = inner.target.as_ref() else {
                    let kind = "a map over something other than a task";
                    return Err(PlanError::Unsupported { node: node.id.clone(), kind });
                };
                (map_target(array, self.task_place(node, task)?), inner.metadata.as_ref())
            }
            Some(node::Target::WorkflowNode(inner)) => (workflow_target(node, inner, &placed.inside)?, None),
            Some(node::Target::BranchNode(branch)) => {
                let Inside::Cases(children) = &placed.inside else {
                    return Err(incomplete(node, "is a branch that was not laid out"));
                };
                (branch_target(node, branch, children)?, None)
            }
            Some(node::Target::GateNode(gate)) => (Target::Gate(gate_of(node, gate)?), None),
            None => return Err(incomplete(node, "has no target")),
        })
    }

    fn task_place(&self, node: &core::Node, task: &core::TaskNode) -> Result<usize, PlanError> {
        let core::task_node::Reference::ReferenceId(id) =
            task.reference.as_ref().ok_or_else(|| incomplete(node, "names no task"))?;
        let what = format!("names task {}, which is not there", id.name);
        self.places.get(&key(id)).copied().ok_or_else(|| incomplete(node, &what))
    }
}

fn incomplete(node: &core::Node, what: &str) -> PlanError {
    PlanError::Incomplete { what: format!("node {} {what}", node.id) }
}

fn task_places(tasks: &[&core::TaskTemplate]) -> BTreeMap<String, usize> {
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

fn workflow_target(
    node: &core::Node,
    inner: &core::WorkflowNode,
    inside: &Inside,
) -> Result<Target, PlanError> {
    match (&inner.reference, inside) {
        (Some(workflow_node::Reference::SubWorkflowRef(_)), Inside::Scope(scope)) => {
            Ok(Target::Workflow { scope: *scope })
        }
        (Some(workflow_node::Reference::LaunchplanRef(id)), _) => {
            let launch_plan = EntityId::parse(EntityKind::LaunchPlan, id)
                .map_err(|fault| incomplete(node, &format!("names a launch plan that is none: {fault}")))?;
            Ok(Target::Launch { launch_plan })
        }
        _ => Err(incomplete(node, "names no workflow")),
    }
}

fn branch_target(
    node: &core::Node,
    branch: &core::BranchNode,
    children: &[usize],
) -> Result<Target, PlanError> {
    let blocks = branch.if_else.as_deref().ok_or_else(|| incomplete(node, "has no condition"))?;
    let mut children = children.iter().copied();
    let mut cases = Vec::new();
    for block in blocks.case.iter().map(AsRef::as_ref).chain(&blocks.other) {
        let condition =
            block.condition.clone().ok_or_else(|| incomplete(node, "has a case without a condition"))?;
        let child = block.then_node.as_ref().and_then(|_| children.next());
        cases.push((condition, child.ok_or_else(|| incomplete(node, "has a case without a node"))?));
    }
    let otherwise = match (&blocks.default, children.next()) {
        (Some(if_else_block::Default::ElseNode(_)), Some(child)) => Otherwise::Node(child),
        (Some(if_else_block::Default::Error(error)), _) => Otherwise::Fail(error.message.clone()),
        _ => Otherwise::Fail("no case holds, and there is none for that".to_owned()),
    };
    Ok(Target::Branch { cases, otherwise })
}

fn gate_of(node: &core::Node, gate: &core::GateNode) -> Result<Gate, PlanError> {
    use core::gate_node::Condition;
    match &gate.condition {
        Some(Condition::Sleep(sleep)) => {
            let duration = sleep.duration.and_then(|duration| Duration::try_from(duration).ok());
            Ok(Gate::Sleep(duration.unwrap_or_default()))
        }
        Some(Condition::Signal(signal)) => {
            let of =
                signal.r#type.clone().ok_or_else(|| incomplete(node, "waits for a value without a type"))?;
            let (id, output) = (signal.signal_id.clone(), signal.output_variable_name.clone());
            Ok(Gate::Signal { id, r#type: Box::new(of), output })
        }
        Some(Condition::Approve(approve)) => Ok(Gate::Approve { id: approve.signal_id.clone() }),
        None => Err(incomplete(node, "is a gate that waits for nothing")),
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
    let bound = array.bound_inputs.clone();
    Target::Map { task, concurrency, min_successes, bound, run_all: array.run_all_sub_nodes }
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
