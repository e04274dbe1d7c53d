//! What is registered, read from the log: a definition is the only record of its journal.

use crate::ports::Ports;
use prost::Message as _;
use skein_idl::flyteidl::{admin, core};
use skein_log::{BlobError, ReadError};
use skein_model::codec::{self, CodecError};
use skein_model::compile::LaunchPlanInterface;
use skein_model::{DataRef, EntityId, Head, JournalId, RegistryEvent};

/// A definition that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("what is registered cannot be read")]
    Proto(#[from] prost::DecodeError),
}

/// Answers where the compiled form of a definition is; none when there is no such definition.
pub(crate) async fn closure(ports: &Ports, id: &EntityId) -> Result<Option<DataRef>, RegistryError> {
    let records = ports.log.read(&JournalId::entity(id), Head::EMPTY).await?;
    let Some(first) = records.first() else { return Ok(None) };
    let events: Vec<RegistryEvent> = codec::decode(first.schema, &first.record.body)?;
    Ok(events.into_iter().find_map(|event| match event {
        RegistryEvent::Registered { closure, .. } => Some(closure),
        _ => None,
    }))
}

/// Answers a task; none when there is none.
pub(crate) async fn task(ports: &Ports, id: &EntityId) -> Result<Option<core::TaskTemplate>, RegistryError> {
    let Some(closure) = closure(ports, id).await? else { return Ok(None) };
    let closure = admin::TaskClosure::decode(ports.blobs.load(&closure).await?)?;
    Ok(closure.compiled_task.and_then(|task| task.template))
}

/// Answers what a launch plan takes and gives; none when there is none.
pub(crate) async fn launch_plan(
    ports: &Ports,
    id: &EntityId,
) -> Result<Option<LaunchPlanInterface>, RegistryError> {
    let Some(closure) = closure(ports, id).await? else { return Ok(None) };
    Ok(Some(LaunchPlanInterface::of(admin::LaunchPlan::decode(ports.blobs.load(&closure).await?)?)))
}
