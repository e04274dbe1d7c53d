//! What is read out of the tables.

mod progress;

pub(crate) use progress::{NodeProgressRow, ProgressRow, TryRow};

use super::blobs::decode_data;
use super::read::Row;
use rusqlite::types::Type;
use serde::{Deserialize, Serialize};
use skein_model::event::ItemRange;
use skein_model::{
    Attempt, CacheKey, CacheSource, DataRef, Dataset, EntityId, EntityKind, ExecutionId, Interruptible, Job,
    Notification, TaskResources, Timestamp, Used,
};
use std::collections::BTreeMap;

type Read<T> = Result<T, rusqlite::Error>;
type SqlRow<'r> = rusqlite::Row<'r>;

fn conversion(at: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(at, Type::Blob, Box::new(error))
}

fn data(row: &SqlRow<'_>, at: usize) -> Read<DataRef> {
    let column: Vec<u8> = row.get(at)?;
    decode_data(&column).map_err(|error| conversion(at, error))
}

fn optional_data(row: &SqlRow<'_>, at: usize) -> Read<Option<DataRef>> {
    let column: Option<Vec<u8>> = row.get(at)?;
    column.map(|column| decode_data(&column).map_err(|error| conversion(at, error))).transpose()
}

fn packed<T: serde::de::DeserializeOwned>(row: &SqlRow<'_>, at: usize) -> Read<T> {
    let column: Vec<u8> = row.get(at)?;
    rmp_serde::from_slice(&column).map_err(|error| conversion(at, error))
}

fn time(row: &SqlRow<'_>, at: usize) -> Read<Timestamp> {
    Ok(Timestamp::from_micros(row.get(at)?))
}

fn optional_time(row: &SqlRow<'_>, at: usize) -> Read<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_micros))
}

fn kind(row: &SqlRow<'_>, at: usize) -> Read<EntityKind> {
    let number: i32 = row.get(at)?;
    [EntityKind::Task, EntityKind::Workflow, EntityKind::LaunchPlan]
        .into_iter()
        .find(|kind| kind.as_proto() as i32 == number)
        .ok_or(rusqlite::Error::IntegralValueOutOfRange(at, number.into()))
}

fn entity(row: &SqlRow<'_>, kind: EntityKind, at: usize) -> Read<EntityId> {
    Ok(EntityId {
        kind,
        project: row.get(at)?,
        domain: row.get(at + 1)?,
        name: row.get(at + 2)?,
        version: row.get(at + 3)?,
    })
}

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorRow {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) kind: i32,
}

fn error(row: &SqlRow<'_>, at: usize) -> Read<Option<ErrorRow>> {
    let Some(code) = row.get::<_, Option<String>>(at)? else { return Ok(None) };
    Ok(Some(ErrorRow { code, message: row.get(at + 1)?, kind: row.get(at + 2)? }))
}

/// One version of a definition.
#[derive(Clone, Debug)]
pub(crate) struct EntityRow {
    pub(crate) id: EntityId,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) closure: DataRef,
    pub(crate) short_description: String,
    /// The rest of its documentation, encoded.
    pub(crate) docs: Option<DataRef>,
    pub(crate) is_active: bool,
}

impl Row for EntityRow {
    const COLUMNS: &'static str = "entities.kind, entities.project, entities.domain, entities.name, entities.version, \
        entities.created_at, entities.updated_at, entities.closure, entities.short_description, entities.state, \
        entities.docs";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            id: entity(row, kind(row, 0)?, 1)?,
            created_at: time(row, 5)?,
            updated_at: time(row, 6)?,
            closure: data(row, 7)?,
            short_description: row.get(8)?,
            is_active: row.get(9)?,
            docs: optional_data(row, 10)?,
        })
    }
}

/// One project.
#[derive(Clone, Debug)]
pub(crate) struct ProjectRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) state: i32,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Row for ProjectRow {
    const COLUMNS: &'static str =
        "projects.id, projects.name, projects.description, projects.state, projects.labels";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            description: row.get(2)?,
            state: row.get(3)?,
            labels: packed(row, 4)?,
        })
    }
}

/// One execution.
#[derive(Clone, Debug)]
pub(crate) struct ExecutionRow {
    pub(crate) key: i64,
    pub(crate) id: ExecutionId,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) phase: i32,
    pub(crate) is_archived: bool,
    pub(crate) state_at: Timestamp,
    pub(crate) state_principal: String,
    pub(crate) workflow: EntityId,
    pub(crate) error: Option<ErrorRow>,
    pub(crate) abort: Option<(String, String)>,
    pub(crate) spec: Vec<u8>,
    pub(crate) inputs: DataRef,
    pub(crate) user_inputs: DataRef,
    pub(crate) outputs: Option<DataRef>,
    pub(crate) data_prefix: String,
    pub(crate) raw_prefix: String,
    /// Who is told when it ends.
    pub(crate) notifications: Vec<Notification>,
}

impl Row for ExecutionRow {
    const COLUMNS: &'static str = "executions.key, executions.project, executions.domain, executions.name, \
        executions.created_at, executions.updated_at, executions.started_at, executions.ended_at, executions.phase, \
        executions.state, executions.state_at, executions.state_principal, executions.workflow_project, executions.workflow_domain, \
        executions.workflow_name, executions.workflow_version, executions.error_code, executions.error_message, \
        executions.error_kind, executions.abort_cause, executions.abort_principal, executions.spec, \
        executions.inputs, executions.user_inputs, executions.outputs, executions.data_prefix, \
        executions.raw_prefix, executions.notifications";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        let cause: Option<String> = row.get(19)?;
        let by: Option<String> = row.get(20)?;
        Ok(Self {
            key: row.get(0)?,
            id: ExecutionId { project: row.get(1)?, domain: row.get(2)?, name: row.get(3)? },
            created_at: time(row, 4)?,
            updated_at: time(row, 5)?,
            started_at: optional_time(row, 6)?,
            ended_at: optional_time(row, 7)?,
            phase: row.get(8)?,
            is_archived: row.get(9)?,
            state_at: time(row, 10)?,
            state_principal: row.get(11)?,
            workflow: entity(row, EntityKind::Workflow, 12)?,
            error: error(row, 16)?,
            abort: cause.map(|cause| (cause, by.unwrap_or_default())),
            spec: row.get(21)?,
            inputs: data(row, 22)?,
            user_inputs: data(row, 23)?,
            outputs: optional_data(row, 24)?,
            data_prefix: row.get(25)?,
            raw_prefix: row.get(26)?,
            notifications: packed(row, 27)?,
        })
    }
}

/// One node of an execution.
#[derive(Clone, Debug)]
pub(crate) struct NodeRow {
    pub(crate) node_id: String,
    /// Its id in the workflow that it is a node of.
    pub(crate) spec_id: String,
    /// [`NodeId::START`] or [`NodeId::END`] when it is such a node of a workflow; else empty.
    pub(crate) edge: String,
    /// The node that it is inside of; empty when it is one of the execution's own.
    pub(crate) parent: String,
    /// Whether nodes inside of it have begun.
    pub(crate) is_parent: bool,
    /// The nodes that its task made.
    pub(crate) made: Option<super::fold::MadeNodes>,
    /// The execution that it launched.
    pub(crate) child: Option<ExecutionId>,
    pub(crate) phase: i32,
    pub(crate) is_array: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) error: Option<ErrorRow>,
    pub(crate) inputs: Option<DataRef>,
    pub(crate) outputs: Option<DataRef>,
    pub(crate) deck: Option<String>,
    /// A number of `CatalogCacheStatus`.
    pub(crate) cache_status: i32,
    /// Its entry in the cache, if its outputs are kept there.
    pub(crate) cache: Option<CacheRow>,
    /// The version of its task.
    pub(crate) task_version: String,
    /// The number of its last try; none before it has one, and for a map.
    pub(crate) last_attempt: Option<u32>,
}

/// A node's entry in the cache.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CacheRow {
    pub(crate) dataset: Dataset,
    /// None before it is looked up, and for a map, whose items have entries of their own.
    pub(crate) entry: Option<CacheEntry>,
}

/// What the tables keep of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CacheEntry {
    pub(crate) key: CacheKey,
    /// Whose outputs it holds; none for the node's own.
    pub(crate) source: Option<CacheSource>,
    /// The node's own try that made it.
    pub(crate) attempt: u32,
}

fn cache(row: &SqlRow<'_>, at: usize) -> Read<Option<CacheRow>> {
    let is_there = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<Vec<u8>>>(at)?.is_some());
    if !is_there(at + 1)? {
        return Ok(None);
    }
    let entry = if is_there(at)? { Some(packed(row, at)?) } else { None };
    Ok(Some(CacheRow { entry, dataset: packed(row, at + 1)? }))
}

impl Row for NodeRow {
    const COLUMNS: &'static str = "nodes.node_id, nodes.phase, \
        coalesce((SELECT is_array FROM executions JOIN plan_nodes ON plan_nodes.plan IN (plan_digest, -key) \
            WHERE key = nodes.execution AND plan_nodes.node_id = nodes.node_id), 0), nodes.created_at, nodes.updated_at, \
        nodes.started_at, nodes.ended_at, nodes.error_code, nodes.error_message, nodes.error_kind, nodes.inputs, \
        nodes.outputs, nodes.deck, nodes.cache_status, nodes.cache, \
        (SELECT plan_nodes.cache FROM executions JOIN plan_nodes ON plan_nodes.plan IN (plan_digest, -key) \
            WHERE key = nodes.execution AND plan_nodes.node_id = nodes.node_id), \
        coalesce((SELECT plan_nodes.task_version FROM executions JOIN plan_nodes ON plan_nodes.plan IN (plan_digest, -key) \
            WHERE key = nodes.execution AND plan_nodes.node_id = nodes.node_id), ''), \
        (SELECT max(attempt) FROM attempts \
            WHERE attempts.execution = nodes.execution AND attempts.node_id = nodes.node_id AND attempts.is_array = 0), \
        (SELECT plan_nodes.spec_id FROM executions JOIN plan_nodes ON plan_nodes.plan IN (plan_digest, -key) \
            WHERE key = nodes.execution AND plan_nodes.node_id = nodes.node_id), \
        nodes.edge, nodes.parent, EXISTS (SELECT 1 FROM nodes AS inner WHERE inner.execution = nodes.execution \
            AND inner.parent = nodes.node_id AND inner.parent != ''), nodes.made, nodes.child";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            node_id: row.get(0)?,
            phase: row.get(1)?,
            is_array: row.get(2)?,
            created_at: time(row, 3)?,
            updated_at: time(row, 4)?,
            started_at: optional_time(row, 5)?,
            ended_at: optional_time(row, 6)?,
            error: error(row, 7)?,
            inputs: optional_data(row, 10)?,
            outputs: optional_data(row, 11)?,
            deck: row.get(12)?,
            cache_status: row.get(13)?,
            cache: cache(row, 14)?,
            task_version: row.get(16)?,
            last_attempt: row.get(17)?,
            spec_id: spec_id(row, 18)?,
            edge: row.get(19)?,
            parent: row.get(20)?,
            is_parent: row.get(21)?,
            made: packed_if_any(row, 22)?,
            child: packed_if_any(row, 23)?,
        })
    }
}

/// Answers the id of a node in its workflow: the plan has it, but for start and end nodes.
fn spec_id(row: &SqlRow<'_>, at: usize) -> Read<String> {
    match row.get(at)? {
        Some(id) => Ok(id),
        None => row.get(at + 1),
    }
}

/// One try of a node's task; the only one of a map.
#[derive(Clone, Debug)]
pub(crate) struct AttemptRow {
    pub(crate) attempt: u32,
    pub(crate) phase: i32,
    pub(crate) is_array: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) error: Option<ErrorRow>,
    /// The inputs of its node, which all its tries share.
    pub(crate) inputs: Option<DataRef>,
    /// Its outputs; those of a map are its node's.
    pub(crate) outputs: Option<DataRef>,
    pub(crate) worker: String,
    /// Where its worker ran it, in words; empty for the worker's default environment.
    pub(crate) place: String,
    /// The job that a connector keeps for it.
    pub(crate) job: Option<Job>,
    pub(crate) task: EntityId,
    pub(crate) task_type: String,
    /// Whether its outputs are kept for others.
    pub(crate) is_cached: bool,
    /// Whether it may run on capacity that can be taken away.
    pub(crate) is_interruptible: bool,
    /// When and why it was asked for on demand nevertheless, if it was.
    pub(crate) moved: Option<(Timestamp, String)>,
    /// What it used of its machine; none when it ended before anybody looked, or has not ended.
    pub(crate) used: Option<Used>,
    /// What its task declares that it asks for, without what project and domain say.
    pub(crate) resources: TaskResources,
}

fn job(row: &SqlRow<'_>, at: usize) -> Read<Option<Job>> {
    let stored: Option<Vec<u8>> = row.get(at)?;
    stored.map(|stored| rmp_serde::from_slice(&stored).map_err(|error| conversion(at, error))).transpose()
}

fn interruptible(row: &SqlRow<'_>, at: usize) -> Read<bool> {
    let stored: Option<Vec<u8>> = row.get(at)?;
    let Some(stored) = stored else { return Ok(false) };
    let of: Interruptible = rmp_serde::from_slice(&stored).map_err(|error| conversion(at, error))?;
    Ok(of.is(row.get(at + 1)?, Attempt(row.get(0)?)))
}

fn packed_if_any<T: for<'de> Deserialize<'de>>(row: &SqlRow<'_>, at: usize) -> Read<Option<T>> {
    let stored: Option<Vec<u8>> = row.get(at)?;
    stored.map(|packed| rmp_serde::from_slice(&packed).map_err(|error| conversion(at, error))).transpose()
}

impl Row for AttemptRow {
    const COLUMNS: &'static str = "attempts.attempt, attempts.phase, attempts.is_array, attempts.created_at, \
        attempts.updated_at, attempts.started_at, attempts.ended_at, attempts.error_code, attempts.error_message, \
        attempts.error_kind, nodes.inputs, CASE attempts.is_array WHEN 0 THEN attempts.outputs ELSE nodes.outputs END, \
        attempts.worker, coalesce(plan_nodes.task_project, ''), coalesce(plan_nodes.task_domain, ''), \
        coalesce(plan_nodes.task_name, ''), coalesce(plan_nodes.task_version, ''), \
        coalesce(plan_nodes.task_type, ''), plan_nodes.cache IS NOT NULL, \
        plan_nodes.interruptible, \
        (SELECT executions.interruptible FROM executions WHERE executions.key = attempts.execution), attempts.place, \
        attempts.moved, attempts.moved_at, attempts.job, attempts.used, plan_nodes.resources";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            attempt: row.get(0)?,
            phase: row.get(1)?,
            is_array: row.get(2)?,
            created_at: time(row, 3)?,
            updated_at: time(row, 4)?,
            started_at: optional_time(row, 5)?,
            ended_at: optional_time(row, 6)?,
            error: error(row, 7)?,
            inputs: optional_data(row, 10)?,
            outputs: optional_data(row, 11)?,
            worker: row.get(12)?,
            task: entity(row, EntityKind::Task, 13)?,
            task_type: row.get(17)?,
            is_cached: row.get(18)?,
            is_interruptible: interruptible(row, 19)?,
            place: row.get(21)?,
            moved: match optional_time(row, 23)? {
                Some(at) => Some((at, row.get(22)?)),
                None => None,
            },
            job: job(row, 24)?,
            used: packed_if_any(row, 25)?,
            resources: packed_if_any(row, 26)?.unwrap_or_default(),
        })
    }
}

/// A signal of an execution.
#[derive(Clone, Debug)]
pub(crate) struct SignalRow {
    pub(crate) signal_id: String,
    /// The type of its value, encoded.
    pub(crate) r#type: Vec<u8>,
    /// Its value, encoded; none while nobody has set it.
    pub(crate) value: Option<Vec<u8>>,
}

impl Row for SignalRow {
    const COLUMNS: &'static str = "signals.signal_id, signals.type, signals.value";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self { signal_id: row.get(0)?, r#type: row.get(1)?, value: row.get(2)? })
    }
}

/// What became of a range of a map's items.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChunkRow {
    pub(crate) range: ItemRange,
    pub(crate) attempt: u32,
    pub(crate) failures: Vec<u32>,
    pub(crate) returned: Vec<ItemRange>,
    /// Whether the cache had them, so that nothing ran.
    pub(crate) cached: bool,
}

impl Row for ChunkRow {
    const COLUMNS: &'static str = "map_chunks.first, map_chunks.last, map_chunks.attempt, map_chunks.failures, map_chunks.returned, \
        map_chunks.cached";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            range: ItemRange { start: row.get(0)?, end: row.get(1)? },
            attempt: row.get(2)?,
            failures: packed(row, 3)?,
            returned: packed(row, 4)?,
            cached: row.get(5)?,
        })
    }
}
