//! Reads the nodes that a dynamic task made, and compiles them as a workflow is compiled (contract 5.5).

use super::{Done, system_failure};
use crate::ports::Ports;
use crate::registry;
use prost::Message as _;
use skein_core::Execution;
use skein_idl::flyteidl::core::{self, DynamicJobSpec};
use skein_log::BlobError;
use skein_model::compile::{self, Known};
use skein_model::event::Created;
use skein_model::{BlobRef, Charge, Command, EntityId, EntityKind, Failure, FailureCause, NodeId};
use std::sync::Arc;

/// The largest spec that is read, in bytes.
const SPEC_BYTES_MAX: u64 = 1 << 30;

/// A dynamic node whose task has made nodes, taken from an execution's state.
pub(super) struct Wanted {
    node: NodeId,
    spec: String,
    created: Arc<Created>,
    /// What its task is to give.
    interface: Option<core::TypedInterface>,
}

impl Wanted {
    pub(super) fn of(execution: &Execution, node: NodeId, spec: String) -> Option<Self> {
        let place = execution.find(&node)?;
        let interface = execution.plan().template(place).interface.clone();
        Some(Self { node, spec, created: Arc::clone(execution.created()?), interface })
    }

    /// The workflow that the nodes make up.
    fn template(&self, spec: &DynamicJobSpec) -> core::WorkflowTemplate {
        let outputs = self.interface.as_ref().and_then(|interface| interface.outputs.clone());
        core::WorkflowTemplate {
            id: Some(self.id()),
            interface: Some(core::TypedInterface { inputs: None, outputs }),
            nodes: spec.nodes.clone(),
            outputs: spec.outputs.clone(),
            metadata: Some(core::WorkflowMetadata::default()),
            ..Default::default()
        }
    }

    fn id(&self) -> core::Identifier {
        let of = &self.created.execution;
        core::Identifier {
            resource_type: core::ResourceType::Workflow.into(),
            project: of.project.clone(),
            domain: of.domain.clone(),
            name: format!("dynamic_{}", self.node),
            version: of.name.clone(),
            ..Default::default()
        }
    }
}

/// Compiles the nodes, keeps what came out, and answers the execution.
pub(super) async fn compile_nodes(ports: &Ports, wanted: &Wanted) -> Done {
    let refused = |failure| Done::answer(Command::NodesRefused { node: wanted.node.clone(), failure });
    let closure = match compiled(ports, wanted).await {
        Ok(closure) => closure,
        Err(Fault::Later(reason)) => return Done::Later(reason),
        Err(Fault::Failed(failure)) => return refused(failure),
    };
    match keep(ports, &wanted.spec, closure).await {
        Ok(plan) => Done::answer(Command::NodesCompiled { node: wanted.node.clone(), plan }),
        Err(fault) => match Fault::from(fault) {
            Fault::Later(reason) => Done::Later(reason),
            Fault::Failed(failure) => refused(failure),
        },
    }
}

/// Why nodes cannot be had.
enum Fault {
    Later(String),
    Failed(Failure),
}

impl From<BlobError> for Fault {
    fn from(fault: BlobError) -> Self {
        match fault {
            BlobError::Unavailable { .. } | BlobError::Full { .. } => Self::Later(fault.to_string()),
            fault => Self::Failed(system_failure("ValueLost", fault.to_string())),
        }
    }
}

async fn compiled(ports: &Ports, wanted: &Wanted) -> Result<Vec<u8>, Fault> {
    let bytes = ports.blobs.get(&wanted.spec, SPEC_BYTES_MAX).await?;
    let unreadable =
        |fault: prost::DecodeError| not_buildable(format!("what the task made cannot be read: {fault}"));
    let spec = DynamicJobSpec::decode(bytes).map_err(|fault| Fault::Failed(unreadable(fault)))?;
    let template = wanted.template(&spec);
    let known = look_up(ports, &template, &spec).await?;
    let id = wanted.id();
    // 50 000 nodes take long enough to hold up everything else on this thread.
    let compiled = tokio::task::spawn_blocking(move || {
        compile::compile(&id, &template, &spec.subworkflows, &known).map(|closure| closure.encode_to_vec())
    });
    match compiled.await {
        Ok(Ok(closure)) => Ok(closure),
        Ok(Err(errors)) => Err(Fault::Failed(not_buildable(errors.to_string()))),
        Err(panic) => Err(Fault::Failed(system_failure("DynamicWorkflowBuildFailed", panic.to_string()))),
    }
}

fn not_buildable(message: String) -> Failure {
    Failure {
        code: "DynamicWorkflowBuildFailed".to_owned(),
        message,
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}

/// Looks up what the nodes refer to: tasks come along, all else is registered.
async fn look_up(
    ports: &Ports,
    template: &core::WorkflowTemplate,
    spec: &DynamicJobSpec,
) -> Result<Known, Fault> {
    let mut known = Known::default();
    for task in &spec.tasks {
        if let Some(id) = &task.id {
            known.tasks.insert(id.clone(), task.clone());
        }
    }
    let later = |fault: registry::RegistryError| match fault {
        registry::RegistryError::Blob(fault) => Fault::from(fault),
        fault => Fault::Later(fault.to_string()),
    };
    let references = compile::references(template, &spec.subworkflows);
    for id in references.tasks {
        // An id that cannot be one names nothing: the compiler says that it is not found.
        let Ok(entity) = EntityId::parse(EntityKind::Task, &id) else { continue };
        if !known.tasks.contains_key(&id)
            && let Some(template) = registry::task(ports, &entity).await.map_err(later)?
        {
            known.tasks.insert(id, template);
        }
    }
    for id in references.launch_plans {
        let Ok(entity) = EntityId::parse(EntityKind::LaunchPlan, &id) else { continue };
        if let Some(interface) = registry::launch_plan(ports, &entity).await.map_err(later)? {
            known.launch_plans.insert(id, interface);
        }
    }
    Ok(known)
}

/// Keeps a compiled workflow beside the spec that it was compiled from, under the name of its content.
async fn keep(ports: &Ports, spec: &str, closure: Vec<u8>) -> Result<BlobRef, BlobError> {
    let digest = xxhash_rust::xxh3::xxh3_64(&closure);
    let size = closure.len() as u64;
    let folder = spec.rsplit_once('/').map_or("", |(folder, _)| folder);
    let uri = format!("{folder}/compiled-{digest:016x}.pb");
    match ports.blobs.put_new(&uri, closure.into()).await {
        Ok(blob) => Ok(blob),
        Err(BlobError::Exists { uri }) => Ok(BlobRef { uri, size, digest }),
        Err(fault) => Err(fault),
    }
}
