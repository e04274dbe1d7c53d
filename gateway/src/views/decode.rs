//! Makes of a record what the tables take: its events, and what they only name, read from the blob store.

use super::apply::{Decoded, LaunchFacts, Plan, PlanNode};
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_log::{BlobError, BlobStore};
use skein_model::cache::CacheRule;
use skein_model::interruptible::retries;
use skein_model::{
    ActorEnvironment, BlobRef, Category, Event, Interruptible, RegistryEvent, TaskResources, TaskSettings,
    codec,
};
use std::collections::HashMap;
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
        let plan = Arc::new(plan_of(&blobs.get_checked(blob).await?));
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
    Ok(Some(Decoded::Execution { id, at: envelope.record.time, events, plan }))
}

/// Answers the task nodes of an encoded closure and what task each runs, and its policy.
pub(crate) fn plan_of(closure: &[u8]) -> Plan {
    use core::{node, task_node};
    let closure = core::CompiledWorkflowClosure::decode(closure).unwrap_or_default();
    let templates = closure.tasks.into_iter().filter_map(|task| task.template);
    let named = |template: core::TaskTemplate| {
        let id = template.id.as_ref()?;
        Some(((id.name.clone(), id.version.clone()), template))
    };
    let tasks: std::collections::BTreeMap<(String, String), core::TaskTemplate> =
        templates.filter_map(named).collect();
    let template = closure.primary.and_then(|primary| primary.template).unwrap_or_default();
    let skips_end = template.metadata.as_ref().is_some_and(|metadata| {
        metadata.on_failure() == core::workflow_metadata::OnFailurePolicy::FailAfterExecutableNodesComplete
    });
    let failure = template.failure_node;
    let defaults = template.metadata_defaults;
    let nothing = core::TaskTemplate::default();
    let plan_node = |(node, handles_failure): (core::Node, bool)| {
        let (inner, of_items, is_array) = match node.target? {
            node::Target::ArrayNode(array) => {
                let inner = array.node?;
                (inner.target?, inner.metadata, true)
            }
            other => (other, None, false),
        };
        let node::Target::TaskNode(task_node) = inner else { return None };
        let task_node::Reference::ReferenceId(task) = task_node.reference?;
        let known = tasks.get(&(task.name.clone(), task.version.clone()));
        let overrides = task_node.overrides.as_ref();
        let resources = known.and_then(|template| TaskResources::of(template, overrides, None).ok());
        let metadata = of_items.as_ref().or(node.metadata.as_ref());
        let known = known.unwrap_or(&nothing);
        let cache = CacheRule::of(metadata, known).map(|rule| rule.dataset);
        let retries = retries(metadata, known);
        let interruptible = Interruptible::of(metadata, known, defaults.as_ref(), retries);
        let of_node = node.metadata.as_ref().and_then(|metadata| metadata.timeout);
        let of_task = known.metadata.as_ref().and_then(|metadata| metadata.timeout);
        let timeout = positive(of_node).or_else(|| positive(of_task));
        let (id, upstream, task_type) = (node.id, node.upstream_node_ids, known.r#type.clone());
        Some(PlanNode {
            id,
            is_array,
            task,
            task_type,
            upstream,
            handles_failure,
            timeout,
            cache,
            interruptible,
            actor: ActorEnvironment::of(known).unwrap_or_default(),
            resources: resources.unwrap_or_default(),
            settings: TaskSettings::of(known).unwrap_or_default(),
        })
    };
    let nodes = template.nodes.into_iter().map(|node| (node, false));
    let nodes = nodes.chain(failure.map(|node| (node, true))).filter_map(plan_node).collect();
    Plan { nodes, skips_end }
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
