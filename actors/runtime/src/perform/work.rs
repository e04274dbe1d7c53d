//! Makes work of a try or of items, and offers it.

use super::{Done, Wanted, announce, connectors, outcome};
use crate::dispatch;
use crate::map;
use crate::ports::Ports;
use crate::settings::{actor_of, resources_of, settings_of};
use bytes::Bytes;
use prost::Message as _;
use skein_core::render::{self, Places};
use skein_core::{Execution, NodeState, Plan};
use skein_idl::flyteidl::core::{self, task_template};
use skein_log::{BlobError, BlobStore, Stop};
use skein_model::command::Outcome;
use skein_model::envelope::TraceContext;
use skein_model::event::{Created, ItemRange};
use skein_model::job::POOL;
use skein_model::runnable::is_raw_container;
use skein_model::{
    Attempt, BlobRef, Charge, Command, ConnectorWork, DataRef, EntityId, EntityKind, Failure, FailureCause,
    Job, NodeId, PoolId, Timestamp, Work, WorkId, WorkKind, paths,
};
use std::sync::Arc;
use std::time::Duration;

/// A try of a task node, taken from an execution's state.
pub(super) struct Task {
    plan: Arc<Plan>,
    created: Arc<Created>,
    place: usize,
    attempt: Attempt,
    inputs: DataRef,
    not_before: Option<Timestamp>,
    started: bool,
    on_demand: bool,
    job: Option<Box<Job>>,
    trace: Option<TraceContext>,
}

impl Task {
    pub(super) fn of(execution: &Execution, wanted: &Wanted) -> Option<Self> {
        let created = execution.created()?;
        let place = execution.find(&wanted.node)?;
        let (inputs, job) = match execution.node(&wanted.node)? {
            NodeState::Task(run) => (run.inputs.clone(), run.job.clone()),
            _ => return None,
        };
        Some(Self {
            plan: Arc::clone(execution.plan()),
            created: Arc::clone(created),
            place,
            attempt: wanted.attempt,
            inputs,
            job,
            not_before: wanted.not_before,
            started: wanted.started,
            on_demand: wanted.on_demand,
            trace: wanted.trace,
        })
    }

    fn source(&self) -> Source<'_> {
        Source {
            plan: &self.plan,
            created: &self.created,
            place: self.place,
            attempt: self.attempt,
            on_demand: self.on_demand,
            trace: self.trace,
        }
    }

    fn of_connector(&self) -> ConnectorWork {
        let settings = &self.created.settings;
        ConnectorWork {
            job: self.job.as_deref().cloned(),
            was_started: self.started,
            attempts_max: self.plan.nodes[self.place].attempts,
            labels: settings.labels.clone(),
            annotations: settings.annotations.clone(),
        }
    }
}

/// What work is made of, whether of a try or of items.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) created: &'a Created,
    pub(crate) place: usize,
    pub(crate) attempt: Attempt,
    /// Whether it was moved from capacity that can be taken away.
    pub(crate) on_demand: bool,
    pub(crate) trace: Option<TraceContext>,
}

/// Items that are to be run together, with their inputs.
pub(crate) struct Chunk {
    pub(crate) range: ItemRange,
    pub(crate) of: u32,
    pub(crate) inputs: Bytes,
    /// After what time no further item begins.
    pub(crate) within: Option<Duration>,
}

/// Work that cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Render(#[from] render::RenderError),
}

/// Takes a try over that is out from before; says whether it is. Its result comes from whoever has it.
pub(super) fn adopt(ports: &Ports, task: &Task) -> bool {
    let Task { plan, created, place, attempt, .. } = task;
    let (execution, node) = (created.execution.clone(), plan.nodes[*place].id.clone());
    let id = WorkId { execution, node, attempt: *attempt, items: None };
    // What was moved before the end of another engine, and not taken back by it, is not to be waited for.
    if ports.dispatch.found_in(&id).is_some_and(|found| found != pool(ports, &task.source())) {
        return false;
    }
    let settings = settings_of(&ports.config, plan, *place, &created.execution);
    let actor = actor_of(plan, *place, &created.execution);
    let (settings, task) = ((&settings, actor.as_ref()), task_name(plan, *place));
    ports.ways_out().any(|way| way.adopt(&id, task, settings, dispatch::expected_micros()))
}

/// Answers the pool that a try is offered to: that whose workers can be taken away, if there is one and it may, and was not
/// moved since.
fn pool(ports: &Ports, source: &Source<'_>) -> PoolId {
    let Source { plan, created, place, attempt, on_demand, .. } = *source;
    let launched = created.settings.interruptible;
    match &ports.config.interruptible {
        Some(of) if !on_demand && plan.nodes[place].interruptible.is(launched, attempt) => of.pool.clone(),
        Some(_) | None => ports.config.pool.clone(),
    }
}

/// Answers the name of the task of a node.
pub(crate) fn task_name(plan: &Plan, place: usize) -> &str {
    let template = plan.template(place);
    template.id.as_ref().map_or("", |id| id.name.as_str())
}

/// Waits until a try is due, and offers it; a try that has left its result before a restart is answered at once.
pub(super) async fn offer_attempt(ports: &Ports, task: &Task) -> Done {
    if let Some(at) = task.not_before {
        tokio::time::sleep(at.since((ports.clock)())).await;
    }
    let node = task.plan.nodes[task.place].id.clone();
    if task.on_demand {
        let execution = task.created.execution.clone();
        let id = WorkId { execution, node: node.clone(), attempt: task.attempt, items: None };
        if let Err(fault) = ports.dispatch.withdraw(Stop::Work(id)).await {
            return Done::Later(fault.to_string());
        }
    }
    let finished = |outcome| Command::AttemptFinished {
        node: node.clone(),
        attempt: task.attempt,
        outcome,
        began: None,
        used: None,
    };
    let template = task.plan.template(task.place);
    let way = match connectors::way_to(ports, template) {
        Ok(way) => way,
        Err(failure) => return Done::answer(finished(Outcome::Failed(failure))),
    };
    // What a connector has a job for is over when it says so.
    if task.started && task.job.is_none() {
        let prefix = paths::attempt_prefix(&task.created.data_prefix, &node, task.attempt);
        match outcome::left_behind(ports, &prefix).await {
            Ok(Some(outcome)) => return Done::answer(finished(outcome)),
            Ok(None) => {}
            Err(fault) => return Done::Later(fault.to_string()),
        }
    }
    let mut work = match of_task(ports, task).await {
        Ok(work) => work,
        Err(WorkError::Blob(fault)) => return Done::Later(fault.to_string()),
        Err(WorkError::Render(fault)) => {
            return Done::answer(finished(Outcome::Failed(bad_task(fault.to_string()))));
        }
    };
    let settings = settings_of(&ports.config, &task.plan, task.place, &task.created.execution);
    if let Some(to_connectors) = way {
        work.pool = PoolId(POOL.to_owned());
        work.connector = Some(Box::new(task.of_connector()));
        to_connectors.offer(work, &settings, dispatch::expected_micros()).await;
        return Done::Handed;
    }
    ports.dispatch.offer(work, &settings, dispatch::expected_micros()).await;
    announce::what_follows(ports, &task.source()).await;
    Done::Handed
}

fn bad_task(message: String) -> Failure {
    Failure {
        code: "BadTaskSpecification".to_owned(),
        message,
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}

async fn of_task(ports: &Ports, task: &Task) -> Result<Work, WorkError> {
    let mut work = of_nothing(ports, &task.source()).await?;
    work.inputs = task.inputs.clone();
    Ok(work)
}

/// Makes work of a try whose inputs are not known.
pub(super) async fn of_nothing(ports: &Ports, source: &Source<'_>) -> Result<Work, WorkError> {
    let node = &source.plan.nodes[source.place].id;
    let prefix = paths::attempt_prefix(&source.created.data_prefix, node, source.attempt);
    make(ports, source, WorkKind::Task, None, prefix).await
}

/// Makes work of some items of a map.
pub(crate) async fn of_items(ports: &Ports, source: &Source<'_>, chunk: Chunk) -> Result<Work, WorkError> {
    let node = &source.plan.nodes[source.place].id;
    let prefix = paths::items_prefix(&source.created.data_prefix, node, source.attempt, chunk.range);
    let kind = map::kind(source.plan, source.place, chunk.of, chunk.within);
    let mut work = make(ports, source, kind, Some(chunk.range), prefix).await?;
    work.inputs = DataRef::Inline(chunk.inputs);
    Ok(work)
}

async fn make(
    ports: &Ports,
    source: &Source<'_>,
    kind: WorkKind,
    items: Option<ItemRange>,
    prefix: String,
) -> Result<Work, WorkError> {
    let Source { plan, created, place, attempt, trace, .. } = *source;
    let node = &plan.nodes[place];
    let template = plan.template(place);
    let task = task_id(template);
    let places = places(&ports.blobs, created, &node.id, attempt, items, &prefix);
    let (args, env) = command(template);
    let is_container = is_raw_container(template);
    let args = if is_container {
        render::container_arguments(&args, &places)
    } else {
        render::arguments(&args, &places)?
    };
    let settings = settings_of(&ports.config, plan, place, &created.execution);
    Ok(Work {
        id: WorkId { execution: created.execution.clone(), node: node.id.clone(), attempt, items },
        pool: pool(ports, source),
        template: store_template(ports, template).await?,
        kind,
        rank: 0,
        isolation: settings.isolation,
        life: settings.life(),
        processes_max: settings.pool_size,
        actor: actor_of(plan, place, &created.execution),
        resources: resources_of(plan, place, created),
        args,
        env: render::environment(&env, created, &task, attempt),
        inputs: DataRef::empty(),
        input_uri: places.input,
        output_prefix: prefix,
        image: node.image.clone(),
        connector: None,
        raw_prefix: is_container.then_some(places.raw_output_prefix),
        timeout: node.timeout,
        workflow: created.workflow.clone(),
        task,
        trace,
    })
}

fn places(
    blobs: &BlobStore,
    created: &Created,
    node: &NodeId,
    attempt: Attempt,
    items: Option<ItemRange>,
    prefix: &str,
) -> Places {
    let input = paths::node_inputs(&created.data_prefix, node);
    let input_prefix = input.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let name = render::generated_name(&created.execution.name, node, attempt);
    let raw_prefix = blobs.native(&created.raw_prefix);
    let of_try = paths::try_raw_prefix(raw_prefix, node, attempt);
    let raw = match items {
        Some(ItemRange { start, end }) => format!("{of_try}/{start}-{end}"),
        None => of_try,
    };
    Places {
        input,
        input_prefix,
        output_prefix: prefix.to_owned(),
        raw_output_prefix: raw,
        checkpoint: paths::checkpoint(raw_prefix, node, attempt),
        prev_checkpoint: previous(attempt).map(|before| paths::checkpoint(raw_prefix, node, before)),
        retry_key: name,
        namespace: format!("{}-{}", created.execution.project, created.execution.domain),
    }
}

fn previous(attempt: Attempt) -> Option<Attempt> {
    attempt.0.checked_sub(1).map(Attempt)
}

/// Answers the command line and the environment of a task: what the SDK starts has its command line in the arguments alone, a
/// container of its own may have the beginning of it in the command.
fn command(template: &core::TaskTemplate) -> (Vec<String>, Vec<(String, String)>) {
    match &template.target {
        Some(task_template::Target::Container(container)) => {
            let env = container.env.iter().map(|pair| (pair.key.clone(), pair.value.clone())).collect();
            let before: &[String] = if is_raw_container(template) { &container.command } else { &[] };
            ([before, &container.args].concat(), env)
        }
        // A connector reads its own from the template.
        Some(task_template::Target::K8sPod(_) | task_template::Target::Sql(_)) | None => {
            (Vec::new(), Vec::new())
        }
    }
}

pub(super) fn task_id(template: &core::TaskTemplate) -> EntityId {
    let id = template.id.clone().unwrap_or_default();
    EntityId {
        kind: EntityKind::Task,
        project: id.project,
        domain: id.domain,
        name: id.name,
        version: id.version,
    }
}

/// Keeps the template where workers find it: one object for each content, written once.
async fn store_template(ports: &Ports, template: &core::TaskTemplate) -> Result<BlobRef, BlobError> {
    let bytes = Bytes::from(template.encode_to_vec());
    let digest = xxhash_rust::xxh3::xxh3_64(&bytes);
    let uri = ports.blobs.url(&format!("templates/{digest:016x}.pb"));
    if let Some(known) = ports.templates.get(digest) {
        return Ok(known);
    }
    let blob = match ports.blobs.put_new(&uri, bytes.clone()).await {
        Ok(blob) => blob,
        Err(BlobError::Exists { uri }) => BlobRef { uri, size: bytes.len() as u64, digest },
        Err(fault) => return Err(fault),
    };
    ports.templates.insert(digest, blob.clone());
    Ok(blob)
}
