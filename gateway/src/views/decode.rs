//! Makes of a record what the tables take: its events, and what they only name, read from the blob store.

use super::apply::{Decoded, LaunchFacts, Plan, PlanNode, PlanNodeKind};
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_log::{BlobError, BlobStore};
use skein_model::cache::CacheRule;
use skein_model::interruptible::retries;
use skein_model::nested::{self, Made, Tree};
use skein_model::{
    ActorEnvironment, BlobRef, Category, Event, Interruptible, NotificationEvent, RegistryEvent,
    TaskResources, TaskSettings, codec,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Plans that were read of late: many executions have the same.
#[derive(Default)]
pub(super) struct Plans(HashMap<BlobRef, Arc<Plan>>);

/// How many plans are remembered; beyond that all are forgotten, and read again when they are needed.
const PLANS_MAX: usize = 256;
/// How large a plan may be that is remembered, in bytes, encoded: beside reading a larger one, folding it counts more.
const PLAN_BYTES_MAX: u64 = 64 << 10;

impl Plans {
    async fn get(&mut self, blob: &BlobRef, blobs: &BlobStore) -> Result<Arc<Plan>, BlobError> {
        if let Some(plan) = self.0.get(blob) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(plan_of(&blobs.get_checked(blob).await?, None));
        if blob.size <= PLAN_BYTES_MAX {
            if self.0.len() >= PLANS_MAX {
                self.0.clear();
            }
            self.0.insert(blob.clone(), Arc::clone(&plan));
        }
        Ok(plan)
    }
}

/// Decodes a record. None for one that is none of ours to show, or cannot be read: that is reported and passed over.
pub(super) async fn decode(
    category: Category,
    envelope: &skein_model::Envelope,
    blobs: &BlobStore,
    plans: &mut Plans,
) -> Option<Decoded> {
    let decoded = match category {
        Category::Execution => decode_execution(envelope, blobs, plans).await,
        Category::Registry => decode_registry(envelope, blobs).await,
        Category::Notification => decode_notices(envelope),
        // These are asked, not followed.
        Category::Catalog | Category::Schedule => Ok(None),
    };
    decoded.unwrap_or_else(|error| {
        let version = envelope.version.0;
        tracing::error!(%error, journal = %envelope.journal, version, "a record is left out of the views");
        None
    })
}

async fn decode_execution(
    envelope: &skein_model::Envelope,
    blobs: &BlobStore,
    plans: &mut Plans,
) -> Result<Option<Decoded>, codec::CodecError> {
    let Some(id) = envelope.journal.as_execution() else { return Ok(None) };
    let events: Vec<Event> = codec::decode(envelope.schema, &envelope.record.body)?;
    let mut plan = Arc::default();
    if let Some(Event::Created(created)) = events.first() {
        match plans.get(&created.plan, blobs).await {
            Ok(known) => plan = known,
            Err(error) => tracing::error!(%error, execution = %id, "the plan of an execution cannot be read"),
        }
    }
    let mut made = Vec::new();
    for event in &events {
        let Event::NodesMade { node, attempt, plan, .. } = event else { continue };
        made.push(match blobs.get_checked(plan).await {
            Ok(closure) => plan_of(&closure, Some((node, *attempt))),
            Err(error) => {
                tracing::error!(%error, execution = %id, "the nodes that a task made cannot be read");
                Plan::default()
            }
        });
    }
    Ok(Some(Decoded::Execution { id, at: envelope.record.time, events, plan, made }))
}

fn decode_notices(envelope: &skein_model::Envelope) -> Result<Option<Decoded>, codec::CodecError> {
    let Some(execution) = envelope.journal.as_notices() else { return Ok(None) };
    let events: Vec<NotificationEvent> = codec::decode(envelope.schema, &envelope.record.body)?;
    Ok(Some(Decoded::Notices { execution, at: envelope.record.time, events }))
}

/// Answers the nodes of an encoded closure, at any depth, and what task each runs, and its policy; `made` is the node that made
/// them, and by which try, when a dynamic node did.
pub(crate) fn plan_of(closure: &[u8], made: Made<'_>) -> Plan {
    let closure = core::CompiledWorkflowClosure::decode(closure).unwrap_or_default();
    let tree = match nested::lay_out(&closure, made) {
        Ok(tree) => tree,
        Err(error) => {
            tracing::error!(%error, "a plan is left out of the views");
            return Plan::default();
        }
    };
    let templates = closure.tasks.iter().filter_map(|task| task.template.as_ref());
    let named = |template| Some(((template_key(template))?, template));
    let tasks: Tasks<'_> = templates.filter_map(named).collect();
    let root = tree.scopes.first().map(|root| root.template);
    let skips_end = root.and_then(|root| root.metadata.as_ref()).is_some_and(|metadata| {
        metadata.on_failure() == core::workflow_metadata::OnFailurePolicy::FailAfterExecutableNodesComplete
    });
    let defaults = root.and_then(|root| root.metadata_defaults.as_ref());
    let nodes = (0..tree.nodes.len()).filter_map(|place| plan_node(&tree, place, made, &tasks, defaults));
    Plan { nodes: nodes.collect(), skips_end }
}

/// Tasks by name and version.
type Tasks<'c> = BTreeMap<(&'c str, &'c str), &'c core::TaskTemplate>;

fn template_key(template: &core::TaskTemplate) -> Option<(&str, &str)> {
    template.id.as_ref().map(|id| (id.name.as_str(), id.version.as_str()))
}

fn plan_node(
    tree: &Tree<'_>,
    place: usize,
    made: Made<'_>,
    tasks: &Tasks<'_>,
    defaults: Option<&core::WorkflowMetadataDefaults>,
) -> Option<PlanNode> {
    let placed = &tree.nodes[place];
    let node = placed.node;
    let (kind, task_node, of_items) = kind_of(node)?;
    let scope = &tree.scopes[placed.scope];
    let task = task_node.and_then(|task_node| match task_node.reference.as_ref()? {
        core::task_node::Reference::ReferenceId(id) => Some(id.clone()),
    });
    let task = task.unwrap_or_default();
    let known = tasks.get(&(task.name.as_str(), task.version.as_str())).copied();
    let overrides = task_node.and_then(|task_node| task_node.overrides.as_ref());
    let resources = known.and_then(|template| TaskResources::of(template, overrides, None).ok());
    let metadata = of_items.or(node.metadata.as_ref());
    let nothing = core::TaskTemplate::default();
    let known = known.unwrap_or(&nothing);
    let retries = retries(metadata, known);
    let of_node = node.metadata.as_ref().and_then(|metadata| metadata.timeout);
    let of_task = known.metadata.as_ref().and_then(|metadata| metadata.timeout);
    let parent = placed.parent.map(|parent| tree.nodes[parent].id.clone());
    let parent = parent.or_else(|| made.map(|(node, _)| node.clone()));
    let id_of = |own: &String| {
        let found = scope.nodes.iter().find(|place| tree.nodes[**place].node.id == *own);
        found.map_or_else(|| own.clone(), |place| tree.nodes[*place].id.to_string())
    };
    // What runs inside a branch waits for that alone: what it takes, the branch has waited for.
    let is_case = placed.parent != scope.parent;
    let upstream = node.upstream_node_ids.iter().filter(|_| !is_case).map(id_of);
    Some(PlanNode {
        id: placed.id.to_string(),
        spec_id: node.id.clone(),
        parent: parent.map(|parent| parent.to_string()),
        kind,
        task_type: known.r#type.clone(),
        task,
        upstream: upstream.collect(),
        handles_failure: scope.failure_node == Some(place),
        timeout: positive(of_node).or_else(|| positive(of_task)),
        cache: CacheRule::of(metadata, known).map(|rule| rule.dataset),
        interruptible: Interruptible::of(metadata, known, defaults, retries),
        actor: ActorEnvironment::of(known).unwrap_or_default(),
        resources: resources.unwrap_or_default(),
        settings: TaskSettings::of(known).unwrap_or_default(),
    })
}

/// Answers what a node is, the task that it runs, and for a map the settings of its items.
fn kind_of(
    node: &core::Node,
) -> Option<(PlanNodeKind, Option<&core::TaskNode>, Option<&core::NodeMetadata>)> {
    use core::gate_node::Condition;
    use core::{node, workflow_node};
    Some(match node.target.as_ref()? {
        node::Target::TaskNode(task) => (PlanNodeKind::Task, Some(task), None),
        node::Target::ArrayNode(array) => {
            let inner = array.node.as_ref()?;
            let task = match inner.target.as_ref()? {
                node::Target::TaskNode(task) => Some(task),
                _ => None,
            };
            (PlanNodeKind::Map, task, inner.metadata.as_ref())
        }
        node::Target::WorkflowNode(inner) => match inner.reference.as_ref()? {
            workflow_node::Reference::LaunchplanRef(_) => (PlanNodeKind::Launch, None, None),
            workflow_node::Reference::SubWorkflowRef(_) => (PlanNodeKind::Workflow, None, None),
        },
        node::Target::BranchNode(_) => (PlanNodeKind::Branch, None, None),
        node::Target::GateNode(gate) => {
            let kind = match gate.condition.as_ref()? {
                Condition::Sleep(sleep) => {
                    PlanNodeKind::Sleep(Duration::try_from(sleep.duration?).unwrap_or_default())
                }
                Condition::Signal(signal) => PlanNodeKind::Signal(signal.signal_id.clone()),
                Condition::Approve(approve) => PlanNodeKind::Signal(approve.signal_id.clone()),
            };
            (kind, None, None)
        }
    })
}

/// Zero is no limit: the SDK sends it where nobody set one.
fn positive(timeout: Option<prost_types::Duration>) -> Option<Duration> {
    Duration::try_from(timeout?).ok().filter(|timeout| !timeout.is_zero())
}

async fn decode_registry(
    envelope: &skein_model::Envelope,
    blobs: &BlobStore,
) -> Result<Option<Decoded>, codec::CodecError> {
    let events: Vec<RegistryEvent> = codec::decode(envelope.schema, &envelope.record.body)?;
    let mut launch = None;
    if let Some(RegistryEvent::Registered { id, closure, .. }) = events.first()
        && id.kind == skein_model::EntityKind::LaunchPlan
    {
        match blobs.load(closure).await {
            Ok(bytes) => launch = admin::LaunchPlan::decode(bytes).ok().map(launch_facts),
            Err(error) => tracing::error!(%error, launch_plan = %id, "a launch plan cannot be read"),
        }
    }
    let key = envelope.journal.key().to_owned();
    Ok(Some(Decoded::Registry { key, at: envelope.record.time, events, launch }))
}

fn launch_facts(launch_plan: admin::LaunchPlan) -> LaunchFacts {
    use admin::schedule::ScheduleExpression;
    let spec = launch_plan.spec.unwrap_or_default();
    let schedule = spec.entity_metadata.and_then(|metadata| metadata.schedule);
    // The numbers of the original: none, cron, rate.
    let schedule_type = match schedule.and_then(|schedule| schedule.schedule_expression) {
        None => 0,
        Some(ScheduleExpression::CronExpression(_) | ScheduleExpression::CronSchedule(_)) => 1,
        Some(ScheduleExpression::Rate(_)) => 2,
    };
    LaunchFacts { workflow: spec.workflow_id.unwrap_or_default(), schedule_type }
}
