//! Writes what an event of the registry changes.

use super::super::blobs::{encode, encode_data};
use super::LaunchFacts;
use rusqlite::{Transaction, params};
use skein_idl::flyteidl::admin;
use skein_model::{DataRef, EntityId, RegistryEvent, SecretId, SecretKind, Timestamp};

/// The name of what is made up for an execution of a single task begins with this.
pub(crate) const GENERATED_PREFIX: &str = ".flytegen.";

/// Writes one event of the registry; `key` names its journal.
///
/// # Errors
/// SQLite's.
pub(in super::super) fn apply_registry(
    tx: &Transaction<'_>,
    key: &str,
    at: Timestamp,
    event: &RegistryEvent,
    launch: Option<&LaunchFacts>,
) -> Result<(), rusqlite::Error> {
    let at = at.as_micros();
    match event {
        RegistryEvent::Registered { id, digest: _, closure, task_type, short_description, docs } => {
            let (launch, docs) = (launch.cloned().unwrap_or_default(), docs.as_ref());
            registered(tx, at, &Registered { id, closure, task_type, short_description, docs, launch })
        }
        RegistryEvent::Activated { version, principal: _ } => set_active(tx, key, at, Some(version)),
        RegistryEvent::Deactivated { version: _, principal: _ } => set_active(tx, key, at, None),
        RegistryEvent::NameUpdated { description, archived, principal: _ } => {
            name_updated(tx, key, at, description, *archived)
        }
        RegistryEvent::ProjectPut { project, name, description, archived, labels } => {
            let state = if *archived {
                admin::project::ProjectState::Archived
            } else {
                admin::project::ProjectState::Active
            };
            tx.prepare_cached(
                "INSERT INTO projects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT DO UPDATE SET name = ?2,
                    description = ?3, state = ?4, labels = ?5, updated_at = ?6",
            )?
            .execute(params![project, name, description, state as i32, encode(labels), at])?;
            Ok(())
        }
        RegistryEvent::AttributePut { domain, workflow, resource, value } => {
            let project = key.strip_prefix("project/").unwrap_or(key);
            match value {
                Some(value) => tx
                    .prepare_cached("INSERT OR REPLACE INTO attributes VALUES (?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![project, domain, workflow, resource, value.as_ref()])?,
                None => tx
                    .prepare_cached(
                        "DELETE FROM attributes WHERE project = ?1 AND domain = ?2 AND workflow = ?3 AND resource = ?4",
                    )?
                    .execute(params![project, domain, workflow, resource])?,
            };
            Ok(())
        }
        RegistryEvent::SecretPut { id, kind, created, sealed, principal: _ } => {
            secret_put(tx, id, *kind, created.as_micros(), &sealed.key)
        }
        RegistryEvent::SecretDeleted { id, principal: _ } => secret_deleted(tx, id),
        // For who encrypts and decrypts.
        RegistryEvent::SecretKeysUsed { keys: _ } => Ok(()),
    }
}

/// Notes that there is a secret; what it holds is nothing for tables, not even encrypted.
fn secret_put(
    tx: &Transaction<'_>,
    id: &SecretId,
    kind: SecretKind,
    created_at: i64,
    key: &str,
) -> Result<(), rusqlite::Error> {
    let SecretId { project, domain, name } = id;
    let is_image_pull = kind == SecretKind::ImagePull;
    tx.prepare_cached("INSERT OR REPLACE INTO secrets VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        domain,
        project,
        name,
        is_image_pull,
        created_at,
        key
    ])?;
    Ok(())
}

fn secret_deleted(tx: &Transaction<'_>, id: &SecretId) -> Result<(), rusqlite::Error> {
    let SecretId { project, domain, name } = id;
    tx.prepare_cached("DELETE FROM secrets WHERE domain = ?1 AND project = ?2 AND name = ?3")?
        .execute(params![domain, project, name])?;
    Ok(())
}

struct Registered<'e> {
    id: &'e EntityId,
    closure: &'e DataRef,
    task_type: &'e str,
    short_description: &'e str,
    docs: Option<&'e DataRef>,
    launch: LaunchFacts,
}

fn registered(tx: &Transaction<'_>, at: i64, registered: &Registered<'_>) -> Result<(), rusqlite::Error> {
    let Registered { id: EntityId { kind, project, domain, name, version }, closure, .. } = registered;
    let workflow = &registered.launch.workflow;
    let kind = kind.as_proto() as i32;
    tx.prepare_cached(
        "INSERT OR IGNORE INTO entities (kind, project, domain, name, version, created_at, updated_at, closure,
            task_type, short_description, schedule_type, workflow_project, workflow_domain, workflow_name,
            workflow_version, docs)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?
    .execute(params![
        kind,
        project,
        domain,
        name,
        version,
        at,
        encode_data(closure),
        registered.task_type,
        registered.short_description,
        registered.launch.schedule_type,
        workflow.project,
        workflow.domain,
        workflow.name,
        workflow.version,
        registered.docs.map(encode_data),
    ])?;
    name_known(tx, &(kind, project, domain, name), at)?;
    // Records of two journals may come in either order, so the activation may have been seen before.
    tx.prepare_cached(
        "UPDATE entities SET state = (version IS (SELECT active FROM named_entities
            WHERE kind = ?1 AND project = ?2 AND domain = ?3 AND name = ?4))
        WHERE kind = ?1 AND project = ?2 AND domain = ?3 AND name = ?4 AND version = ?5",
    )?
    .execute(params![kind, project, domain, name, version])?;
    Ok(())
}

type NameKey<'a> = (i32, &'a str, &'a str, &'a str);

fn name_known(tx: &Transaction<'_>, key: &NameKey<'_>, at: i64) -> Result<(), rusqlite::Error> {
    let (kind, project, domain, name) = key;
    let state = if name.starts_with(GENERATED_PREFIX) {
        admin::NamedEntityState::SystemGenerated
    } else {
        admin::NamedEntityState::NamedEntityActive
    };
    tx.prepare_cached(
        "INSERT OR IGNORE INTO named_entities (kind, project, domain, name, state, created_at, updated_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
    )?
    .execute(params![kind, project, domain, name, state as i32, at])?;
    Ok(())
}

/// The parts of the name of a journal that belongs to a name: kind, project, domain, name.
fn name_parts(key: &str) -> Option<NameKey<'_>> {
    use skein_model::EntityKind;
    let mut parts = key.splitn(4, '/');
    let word = parts.next()?;
    let kind = [EntityKind::Task, EntityKind::Workflow, EntityKind::LaunchPlan]
        .into_iter()
        .find(|kind| kind.word() == word)?;
    Some((kind.as_proto() as i32, parts.next()?, parts.next()?, parts.next()?))
}

fn set_active(tx: &Transaction<'_>, key: &str, at: i64, active: Option<&str>) -> Result<(), rusqlite::Error> {
    let Some(key) = name_parts(key) else { return Ok(()) };
    let active = active.unwrap_or_default();
    name_known(tx, &key, at)?;
    let (kind, project, domain, name) = key;
    tx.prepare_cached(
        "UPDATE named_entities SET active = ?5 WHERE kind = ?1 AND project = ?2 AND domain = ?3 AND name = ?4",
    )?
    .execute(params![kind, project, domain, name, active])?;
    tx.prepare_cached(
        "UPDATE entities SET state = (version IS ?5), updated_at = ?6
        WHERE kind = ?1 AND project = ?2 AND domain = ?3 AND name = ?4 AND state <> (version IS ?5)",
    )?
    .execute(params![kind, project, domain, name, active, at])?;
    Ok(())
}

fn name_updated(
    tx: &Transaction<'_>,
    key: &str,
    at: i64,
    description: &str,
    archived: bool,
) -> Result<(), rusqlite::Error> {
    let Some(key) = name_parts(key) else { return Ok(()) };
    let state = if archived {
        admin::NamedEntityState::NamedEntityArchived
    } else {
        admin::NamedEntityState::NamedEntityActive
    };
    name_known(tx, &key, at)?;
    let (kind, project, domain, name) = key;
    tx.prepare_cached(
        "UPDATE named_entities SET description = ?5, state = ?6, updated_at = ?7
        WHERE kind = ?1 AND project = ?2 AND domain = ?3 AND name = ?4",
    )?
    .execute(params![kind, project, domain, name, description, state as i32, at])?;
    Ok(())
}
