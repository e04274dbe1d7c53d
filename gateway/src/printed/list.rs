//! Lists the outputs of an execution.

use super::{Left, Log, Logs};
use crate::error::ApiError;
use crate::progress::{self, Kind, NodeProgress};
use crate::shared::{Shared, select_execution};
use crate::views::{AttemptRow, ChunkRow, ExecutionRow, Reader as _};
use rusqlite::types::Value;
use skein_model::{ExecutionId, NodeId, paths};
use std::collections::BTreeSet;

/// Lists the outputs of an execution, or of one node of it, or what else is left of its tries.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such execution or node.
pub(crate) async fn list(
    shared: &Shared,
    id: &ExecutionId,
    node: Option<&str>,
    left: Left,
) -> Result<Logs, ApiError> {
    let progress = progress::read(shared, id).await?;
    if let Some(node) = node.filter(|node| progress.nodes.iter().all(|known| known.id != *node)) {
        return Err(ApiError::no_node(id, node));
    }
    let nodes = progress.nodes.iter().filter(|known| node.is_none_or(|node| known.id == node));
    let begun: Vec<NodeProgress> = nodes.filter(|node| node.started.is_some()).cloned().collect();
    let names: Vec<String> = begun.iter().map(|node| node.id.clone()).collect();
    let (condition, values) = select_execution(id);
    let tail = format!("FROM executions WHERE {condition}");
    let found = shared.views.read(move |tables| {
        let Some(execution) = tables.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let attempts = format!(
            "FROM {} WHERE attempts.execution = ? AND attempts.node_id = ? ORDER BY attempts.attempt",
            crate::listing::TASK_EXECUTIONS.from()
        );
        let chunks = "FROM map_chunks WHERE execution = ? AND node_id = ?";
        let mut rows = Vec::new();
        for name in names {
            let of_node = [Value::Integer(execution.key), Value::Text(name)];
            let attempts = tables.all::<AttemptRow>(&attempts, &of_node)?;
            rows.push((attempts, tables.all::<ChunkRow>(chunks, &of_node)?));
        }
        Ok(Some((execution.data_prefix, rows)))
    });
    let (prefix, rows) = found.await?.ok_or_else(|| ApiError::no_execution(id))?;
    let mut logs = Vec::new();
    for (node, (attempts, chunks)) in begun.iter().zip(rows) {
        match node.kind {
            Kind::Task => logs.extend(of_task(node, &attempts)),
            Kind::Map => logs.extend(of_map(shared, &prefix, node, &chunks, left).await?),
        }
    }
    // One that has ended has nothing that is added, whatever its nodes say.
    let ended = progress.phase.is_terminal();
    logs.iter_mut().for_each(|log| log.ended |= ended);
    let is_over = |name| progress.nodes.iter().any(|known| known.id == name && known.phase.is_terminal());
    let ended = ended || node.is_some_and(is_over);
    Ok(Logs { execution: progress.execution, ended, logs })
}

fn of_task(node: &NodeProgress, attempts: &[AttemptRow]) -> impl Iterator<Item = Log> {
    attempts.iter().filter(|row| row.started_at.is_some()).map(|row| Log {
        node: node.id.clone(),
        attempt: row.attempt,
        items: None,
        ended: node.phase.is_terminal() || row.ended_at.is_some(),
    })
}

/// Which ranges of a map's items run is written down nowhere; those that have printed have left something.
async fn of_map(
    shared: &Shared,
    prefix: &str,
    node: &NodeProgress,
    chunks: &[ChunkRow],
    left: Left,
) -> Result<BTreeSet<Log>, ApiError> {
    let tries = paths::tries_folder(prefix, &NodeId::new(node.id.as_str()));
    let ended: BTreeSet<_> = chunks.iter().map(|chunk| (chunk.attempt, chunk.range)).collect();
    let owners = shared.blobs.list(&tries).await?.into_iter();
    let owners = owners.filter_map(|uri| match left.owner(&tries, &uri)? {
        (attempt, Some(range)) => Some((attempt.0, range)),
        (_, None) => None,
    });
    let log = |(attempt, range): (u32, skein_model::event::ItemRange)| Log {
        node: node.id.clone(),
        attempt,
        items: Some((range.start, range.end)),
        ended: node.phase.is_terminal() || ended.contains(&(attempt, range)),
    };
    Ok(owners.map(log).collect())
}
