//! What is read to say how far an execution is: narrow rows, because all nodes are read at once, again and again.

use super::{ErrorRow, Read, SqlRow, error, optional_time, packed, time};
use crate::views::Pace;
use crate::views::read::Row;
use skein_model::Timestamp;

/// An execution, as far as its progress goes.
#[derive(Clone, Debug)]
pub(crate) struct ProgressRow {
    pub(crate) key: i64,
    pub(crate) plan: i64,
    pub(crate) phase: i32,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) error: Option<ErrorRow>,
    pub(crate) abort_cause: Option<String>,
}

impl Row for ProgressRow {
    const COLUMNS: &'static str = "executions.key, executions.plan_digest, executions.phase, executions.created_at, \
        executions.started_at, executions.ended_at, executions.error_code, executions.error_message, \
        executions.error_kind, executions.abort_cause";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            key: row.get(0)?,
            plan: row.get(1)?,
            phase: row.get(2)?,
            created_at: time(row, 3)?,
            started_at: optional_time(row, 4)?,
            ended_at: optional_time(row, 5)?,
            error: error(row, 6)?,
            abort_cause: row.get(9)?,
        })
    }
}

/// A node of an execution's plan, whether it has begun or not.
#[derive(Clone, Debug)]
pub(crate) struct NodeProgressRow {
    pub(crate) node_id: String,
    pub(crate) is_array: bool,
    pub(crate) upstream: Vec<String>,
    pub(crate) handles_failure: bool,
    /// None before it is queued.
    pub(crate) phase: Option<i32>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) error: Option<ErrorRow>,
    /// Its newest try, if it has one.
    pub(crate) last: Option<TryRow>,
}

/// A try of a node's task, or the only one of a map, as far as progress goes.
#[derive(Clone, Debug)]
pub(crate) struct TryRow {
    pub(crate) attempt: u32,
    pub(crate) phase: i32,
    pub(crate) not_before: Option<Timestamp>,
    /// How many items the map has; 0 for a task.
    pub(crate) size: u32,
    pub(crate) succeeded: u32,
    pub(crate) failed: u32,
    pub(crate) retried: u64,
    pub(crate) cached: u32,
    pub(crate) pace: Pace,
}

impl NodeProgressRow {
    /// What is selected from; takes the key of the execution, then its plan. Every part is found by its key.
    pub(crate) const TAIL: &'static str = "FROM plan_nodes \
        LEFT JOIN nodes ON nodes.execution = ?1 AND nodes.node_id = plan_nodes.node_id \
        LEFT JOIN attempts ON attempts.execution = ?1 AND attempts.node_id = plan_nodes.node_id AND attempts.attempt = \
            (SELECT max(tries.attempt) FROM attempts AS tries \
            WHERE tries.execution = ?1 AND tries.node_id = plan_nodes.node_id) \
        WHERE plan_nodes.plan IN (?2, -?1) ORDER BY plan_nodes.place";
}

impl Row for NodeProgressRow {
    const COLUMNS: &'static str = "plan_nodes.node_id, plan_nodes.is_array, plan_nodes.upstream, \
        plan_nodes.handles_failure, nodes.phase, nodes.started_at, nodes.ended_at, nodes.error_code, \
        nodes.error_message, nodes.error_kind, attempts.attempt, attempts.phase, attempts.not_before, attempts.size, \
        attempts.succeeded, attempts.failed, attempts.retried, attempts.pace, attempts.cached";

    fn read(row: &SqlRow<'_>) -> Read<Self> {
        Ok(Self {
            node_id: row.get(0)?,
            is_array: row.get(1)?,
            upstream: packed(row, 2)?,
            handles_failure: row.get(3)?,
            phase: row.get(4)?,
            started_at: optional_time(row, 5)?,
            ended_at: optional_time(row, 6)?,
            error: error(row, 7)?,
            last: last(row, 10)?,
        })
    }
}

fn last(row: &SqlRow<'_>, at: usize) -> Read<Option<TryRow>> {
    let Some(attempt) = row.get::<_, Option<u32>>(at)? else { return Ok(None) };
    let has_pace = row.get::<_, Option<Vec<u8>>>(at + 7)?.is_some();
    Ok(Some(TryRow {
        attempt,
        phase: row.get(at + 1)?,
        not_before: optional_time(row, at + 2)?,
        size: row.get(at + 3)?,
        succeeded: row.get(at + 4)?,
        failed: row.get(at + 5)?,
        retried: row.get::<_, i64>(at + 6)?.unsigned_abs(),
        cached: row.get(at + 8)?,
        pace: if has_pace { packed(row, at + 7)? } else { Pace::default() },
    }))
}
