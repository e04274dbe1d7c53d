//! Launches launch plans from within the engine: what a schedule or a node starts is an execution as any other.

use crate::ports::Ports;
use crate::registry::{self, RegistryError};
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_log::{AppendError, BlobError, ReadError};
use skein_model::codec::CodecError;
use skein_model::envelope::TraceContext;
use skein_model::event::Created;
use skein_model::launch::asked::{self, AskedError};
use skein_model::launch::{InputError, Launchable, Project, Refusal, Server, nothing_there};
use skein_model::{
    CauseId, DataRef, EntityId, EntityKind, Event, ExecutionId, Head, JournalId, Record, RegistryEvent, codec,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// What is to be launched.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// The name to take. Whoever launches the same again, after a crash or because two engines believe to own one journal,
    /// makes the same name again.
    pub(crate) execution: ExecutionId,
    /// The version of the launch plan.
    pub(crate) launch_plan: EntityId,
    /// The inputs, an encoded `LiteralMap`; defaults and fixed ones are added.
    pub(crate) inputs: Bytes,
    /// How it came to be: mode, time, parent, nesting.
    pub(crate) metadata: admin::ExecutionMetadata,
    /// What counts before what the launch plan says: labels, annotations, environment variables and so on, as a request of a
    /// user would say them. Its launch plan, inputs and metadata are not looked at.
    pub(crate) inherited: admin::ExecutionSpec,
    /// In whose name.
    pub(crate) principal: String,
    /// The trace that it belongs to.
    pub(crate) trace: Option<TraceContext>,
}

/// An execution that is there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Launched {
    /// Whether it came to be by this call; an earlier try of the same launch counts as well.
    pub(crate) is_new: bool,
}

/// An execution that did not come to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// There is no such version of a launch plan.
    #[error("launch plan {0} is not registered")]
    NoLaunchPlan(EntityId),
    /// The project of the execution takes no new work.
    #[error("project [{0}] is not active")]
    Archived(String),
    /// Inputs or resources that cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An input that stands where nothing is.
    #[error("{0}")]
    Offloaded(String),
    /// Something else has the name.
    #[error("execution {0} already exists, and is of another launch plan or has other inputs")]
    Taken(ExecutionId),
    /// The log did not take it.
    #[error("execution {execution} cannot be recorded")]
    Append {
        /// The execution.
        execution: ExecutionId,
        /// Why.
        #[source]
        source: AppendError,
    },
    /// A journal cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A value cannot be read or stored.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// What is stored is not what it should be.
    #[error("what is stored for the launch cannot be read")]
    Stored(#[from] prost::DecodeError),
    /// A record that cannot be read or written.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A definition whose stored form is not one.
    #[error("{0} is not stored as it should be")]
    Malformed(EntityId),
}

/// What to do about a launch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The user has to know; the same launch will fail again.
    User,
    /// Try again later.
    Passing,
    /// Something here is damaged; somebody has to look.
    System,
}

impl LaunchError {
    /// Says what to do about it.
    pub(crate) const fn fault(&self) -> Fault {
        match self {
            Self::NoLaunchPlan(_)
            | Self::Archived(_)
            | Self::Refused(_)
            | Self::Offloaded(_)
            | Self::Taken(_)
            | Self::Append { source: AppendError::TooLarge { .. }, .. }
            | Self::Codec(CodecError::TooLarge { .. }) => Fault::User,
            Self::Append { .. }
            | Self::Read(ReadError::Unavailable { .. })
            | Self::Blob(BlobError::Unavailable { .. } | BlobError::Full { .. }) => Fault::Passing,
            Self::Read(_) | Self::Blob(_) | Self::Stored(_) | Self::Codec(_) | Self::Malformed(_) => {
                Fault::System
            }
        }
    }
}

impl From<RegistryError> for LaunchError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Read(fault) => fault.into(),
            RegistryError::Blob(fault) => fault.into(),
            RegistryError::Codec(fault) => fault.into(),
            RegistryError::Proto(fault) => fault.into(),
        }
    }
}

impl From<InputError> for LaunchError {
    fn from(error: InputError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<AskedError> for LaunchError {
    fn from(error: AskedError) -> Self {
        Self::Refused(error.into())
    }
}

/// What was launched before, by its id: a version of a definition never changes.
#[derive(Debug, Default)]
pub(crate) struct Launchables(Mutex<BTreeMap<EntityId, Arc<Launchable>>>);

/// How many are remembered; beyond that all are forgotten, and read again when they are needed.
const LAUNCHABLES_MAX: usize = 1_024;

impl Launchables {
    fn get(&self, id: &EntityId) -> Option<Arc<Launchable>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn put(&self, id: EntityId, launchable: Launchable) -> Arc<Launchable> {
        let launchable = Arc::new(launchable);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= LAUNCHABLES_MAX {
            known.clear();
        }
        known.insert(id, Arc::clone(&launchable));
        launchable
    }
}

/// Launches. When it answers, the execution is durable; the engine takes it up as it takes up any other.
///
/// # Errors
/// [`LaunchError`]; [`LaunchError::fault`] says what to do about it.
pub(crate) async fn launch(ports: &Ports, request: Launch) -> Result<Launched, LaunchError> {
    let Launch { execution, launch_plan, inputs, metadata, inherited, principal, trace } = request;
    let launchable = look_up(ports, &launch_plan).await?;
    let project = project(ports, &execution.project).await?;
    if project.is_archived() {
        return Err(LaunchError::Archived(execution.project));
    }
    let quota = project.quota(&execution.domain, &launchable.workflow.name)?;
    let server = Server {
        max_parallelism: ports.config.max_parallelism,
        offer: ports.config.offer.as_ref(),
        root: ports.blobs.root(),
        principal: &principal,
    };
    let spec = admin::ExecutionSpec { metadata: Some(metadata), ..inherited };
    let prepared = launchable.prepare(&execution, spec, inputs, quota, &server)?;
    for (name, uri) in prepared.offloaded()? {
        // What lies in another store is for the task to read.
        if ports.blobs.path_of(&uri).is_ok() && ports.blobs.size(&uri).await?.is_none() {
            return Err(LaunchError::Offloaded(nothing_there(&name, &uri)));
        }
    }
    let stored = ports.blobs.store(&prepared.inputs.uri, prepared.inputs.bytes.clone()).await?;
    let user_inputs = match &prepared.user_inputs {
        Some(given) => Some(ports.blobs.store(&given.uri, given.bytes.clone()).await?),
        None => None,
    };
    append(ports, &execution, prepared.created(stored, user_inputs), trace).await
}

async fn append(
    ports: &Ports,
    execution: &ExecutionId,
    created: Created,
    trace: Option<TraceContext>,
) -> Result<Launched, LaunchError> {
    let journal = JournalId::execution(execution);
    let body = codec::encode(&[Event::Created(Box::new(created.clone()))])?;
    let cause = CauseId(xxh3_64(&body));
    let record = Record { time: (ports.clock)(), cause, trace, closes: false, body };
    let fault = match ports.log.append(&journal, Head::EMPTY, record).await {
        Ok(_) => return Ok(Launched { is_new: true }),
        Err(fault @ (AppendError::Conflict { .. } | AppendError::Unknown { .. })) => fault,
        Err(source) => return Err(LaunchError::Append { execution: execution.clone(), source }),
    };
    let records = ports.log.read(&journal, Head::EMPTY).await?;
    let Some(first) = records.first() else {
        return Err(LaunchError::Append { execution: execution.clone(), source: fault });
    };
    let events: Vec<Event> = codec::decode(first.schema, &first.record.body)?;
    match events.first() {
        Some(Event::Created(there)) if is_same(there, &created) => Ok(Launched { is_new: false }),
        _ => Err(LaunchError::Taken(execution.clone())),
    }
}

/// Says whether an execution is of the same launch. What a server says of all may have changed since an earlier try.
fn is_same(there: &Created, wanted: &Created) -> bool {
    there.launched == wanted.launched
        && there.inputs == wanted.inputs
        && there.user_inputs == wanted.user_inputs
}

/// Finds a launch plan and what it runs.
///
/// # Errors
/// [`LaunchError::NoLaunchPlan`] when it is not registered, or what cannot be read.
pub(crate) async fn look_up(ports: &Ports, id: &EntityId) -> Result<Arc<Launchable>, LaunchError> {
    if let Some(known) = ports.launchables.get(id) {
        return Ok(known);
    }
    let closure = registry::closure(ports, id).await?.ok_or_else(|| LaunchError::NoLaunchPlan(id.clone()))?;
    let stored = admin::LaunchPlan::decode(ports.blobs.load(&closure).await?)?;
    let malformed = || LaunchError::Malformed(id.clone());
    let workflow = stored.spec.as_ref().and_then(|spec| spec.workflow_id.as_ref()).ok_or_else(malformed)?;
    let workflow = EntityId::parse(EntityKind::Workflow, workflow).map_err(|_| malformed())?;
    // A launch plan is registered after its workflow, and neither is ever removed.
    let Some(DataRef::Blob(plan)) = registry::closure(ports, &workflow).await? else {
        return Err(LaunchError::Malformed(workflow));
    };
    let closure = core::CompiledWorkflowClosure::decode(ports.blobs.get_checked(&plan).await?)?;
    let asked = asked::of(&closure, &ports.config.gpus)?;
    let launchable = Launchable::of_launch_plan(id.clone(), stored, workflow, plan, asked);
    Ok(ports.launchables.put(id.clone(), launchable))
}

/// Answers what a project says; of one that was never changed, nothing.
async fn project(ports: &Ports, name: &str) -> Result<Project, LaunchError> {
    let mut project = Project::default();
    for record in ports.log.read(&JournalId::project(name), Head::EMPTY).await? {
        let events: Vec<RegistryEvent> = codec::decode(record.schema, &record.record.body)?;
        events.iter().for_each(|event| project.apply(event));
    }
    Ok(project)
}

#[cfg(test)]
mod tests;
