//! Puts definitions into the registry, once for each id.

use crate::descriptions;
use crate::error::ApiError;
use crate::shared::Shared;
use crate::views::EntityRow;
use bytes::Bytes;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use skein_log::AppendError;
use skein_model::{
    Category, CauseId, DataRef, EntityId, EntityKind, Head, JournalId, Record, RegistryEvent, codec,
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// A definition that is to be registered.
pub(crate) struct Definition {
    pub(crate) id: EntityId,
    /// Its closure, encoded without anything that depends on when or where it is registered.
    pub(crate) closure: Bytes,
    /// What is compared when the id is there already: xxh3-128 of the form without what may change later.
    pub(crate) digest: u128,
    pub(crate) task_type: String,
    /// What its author says of it.
    pub(crate) docs: Option<admin::DescriptionEntity>,
    /// Whether the closure is to be an object of its own, whatever its size: others refer to it.
    pub(crate) as_object: bool,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is there now.
    New,
    /// The same was there already.
    Identical,
    /// Something else has the id.
    Different,
}

impl Outcome {
    /// Answers what the client is told; `kind` as in the messages of the original.
    ///
    /// # Errors
    /// Unless it is new.
    pub(crate) fn answer(self, kind: &str, id: &EntityId) -> Result<(), ApiError> {
        match self {
            Self::New => Ok(()),
            Self::Identical => {
                Err(ApiError::AlreadyExists(format!("{kind} with identical structure already exists")))
            }
            Self::Different => Err(ApiError::invalid(format!(
                "{} {kind} with different structure already exists. (Please register a new version of the {kind}):\n",
                id.name
            ))),
        }
    }
}

/// Registers a definition; when it answers, the definition (or the one that was first) can be read.
///
/// # Errors
/// When log or blob store do not take it.
pub(crate) async fn register(shared: &Shared, definition: Definition) -> Result<Outcome, ApiError> {
    let Definition { id, closure, digest, task_type, docs, as_object } = definition;
    // Named by its content: registering again writes the same object again, and no one sees the difference.
    let uri = shared.blobs.url(&format!("registry/{}/{:032x}.pb", id.kind.word(), xxh3_128(&closure)));
    let cause = CauseId(xxh3_64(&closure));
    let closure = if as_object {
        DataRef::Blob(shared.blobs.put(&uri, closure).await?)
    } else {
        shared.blobs.store(&uri, closure).await?
    };
    let short_description = docs.as_ref().map(|docs| docs.short_description.clone()).unwrap_or_default();
    let docs = descriptions::store(shared, docs).await?;
    let journal = JournalId::entity(&id);
    let event = RegistryEvent::Registered { id, digest, closure, task_type, short_description, docs };
    let body = codec::encode(&[event])?;
    let record =
        Record { time: shared.now(), cause, trace: skein_telemetry::trace::current(), closes: true, body };
    match shared.log.append(&journal, Head::EMPTY, record).await {
        Ok(appended) => {
            shared.views.wait_for(Category::Registry, appended.position).await?;
            Ok(Outcome::New)
        }
        Err(AppendError::Conflict { .. } | AppendError::Unknown { .. }) => {
            compare(shared, &journal, digest).await
        }
        Err(other) => Err(other.into()),
    }
}

/// Compares with what is registered: read from the log, because the views may not have it yet.
async fn compare(shared: &Shared, journal: &JournalId, digest: u128) -> Result<Outcome, ApiError> {
    let records = shared.log.read(journal, Head::EMPTY).await?;
    let Some(first) = records.first() else {
        return Err(ApiError::Unavailable("the log did not say whether it took the definition".to_owned()));
    };
    let events: Vec<RegistryEvent> = codec::decode(first.schema, &first.record.body)?;
    shared.catch_up(Category::Registry).await?;
    match events.first() {
        Some(RegistryEvent::Registered { digest: stored, .. }) if *stored == digest => Ok(Outcome::Identical),
        _ => Ok(Outcome::Different),
    }
}

/// Finds a definition.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(shared: &Shared, id: &EntityId) -> Result<EntityRow, ApiError> {
    find(shared, id).await?.ok_or_else(|| ApiError::no_entity(id))
}

/// Finds a definition, if it is there.
///
/// # Errors
/// When the views cannot be read.
pub(crate) async fn find(shared: &Shared, id: &EntityId) -> Result<Option<EntityRow>, ApiError> {
    let tail = "FROM entities WHERE kind = ? AND project = ? AND domain = ? AND name = ? AND version = ?";
    shared.views.find(tail, &key_values(id)).await
}

/// The columns of a definition's key.
fn key_values(id: &EntityId) -> [Value; 5] {
    let EntityId { kind, project, domain, name, version } = id;
    [
        kind_value(*kind),
        Value::Text(project.clone()),
        Value::Text(domain.clone()),
        Value::Text(name.clone()),
        Value::Text(version.clone()),
    ]
}

/// A kind as it stands in the tables.
pub(crate) fn kind_value(kind: EntityKind) -> Value {
    Value::Integer(kind.as_proto() as i64)
}
