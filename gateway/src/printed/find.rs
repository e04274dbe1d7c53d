//! Finds where an output lies, or what else is left of a try, and whether it is complete. A node that is not known is never looked for in the store.

use super::{Of, Wanted};
use crate::error::ApiError;
use crate::progress;
use crate::shared::{Shared, select_execution};
use crate::views::{AttemptRow, ChunkRow, ExecutionRow, NodeRow, Reader as _};
use rusqlite::types::Value;
use skein_model::event::ItemRange;
use skein_model::ids::check_name;
use skein_model::{Attempt, NodeId, TaskResources, Used, paths};

/// What of a try is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// What it printed.
    Printed,
    /// What it used of its machine.
    Used,
}

impl Left {
    /// Answers the folder of it, in the folder of a try.
    fn folder(self, prefix: &str) -> String {
        match self {
            Self::Printed => paths::log_folder(prefix),
            Self::Used => paths::usage_folder(prefix),
        }
    }

    /// Answers whose an object of it is; none for any other object in the folder of all tries.
    pub(crate) fn owner(self, tries: &str, uri: &str) -> Option<(Attempt, Option<ItemRange>)> {
        match self {
            Self::Printed => paths::log_owner(tries, uri),
            Self::Used => paths::usage_owner(tries, uri),
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Printed => "output",
            Self::Used => "use of the machine",
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing has run that could have printed, and it may still; why it has not, in words.
    NotBegun(String),
    /// An output.
    Log(Source),
}

/// Where an output lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// Of which attempt it is.
    pub(crate) attempt: u32,
    /// The folders of its objects, in their order.
    pub(crate) folders: Vec<String>,
    /// Only what this item printed.
    pub(crate) item: Option<u32>,
    /// Whether nothing will be added.
    pub(crate) has_ended: bool,
    /// What the journal says that it used; none of items, and where nobody looked.
    pub(crate) used: Option<Used>,
    /// What its task declares that it asks for.
    pub(crate) resources: Box<TaskResources>,
}

/// What the views have of a node.
struct Rows {
    left: Left,
    execution: ExecutionRow,
    node: NodeRow,
    attempts: Vec<AttemptRow>,
    chunks: Vec<ChunkRow>,
}

/// Finds an output. What the views say is read first, so that an output that has ended is whole.
///
/// # Errors
/// [`ApiError::NotFound`] for an execution, a node, an attempt or an item that is not there and will not be,
/// [`ApiError::InvalidArgument`] for items of a task, and for a map without items.
pub(crate) async fn find(shared: &Shared, wanted: &Wanted, left: Left) -> Result<Found, ApiError> {
    check_name("node", &wanted.node)?;
    let Some(rows) = rows(shared, wanted, left).await? else { return not_begun(shared, wanted).await };
    match (wanted.of, rows.node.is_array) {
        (Of::Attempt, false) => attempt(wanted, &rows),
        (Of::Range(items), true) => Ok(Found::Log(range(wanted, &rows, items))),
        (Of::Item(item), true) => items_log(shared, wanted, &rows, item).await.map(Found::Log),
        (Of::Attempt, true) => Err(ApiError::invalid(format!(
            "node {} is a map, whose {} is kept by items: say item=INDEX, or items=START-END as the list has them",
            wanted.node,
            left.words()
        ))),
        (Of::Range(_) | Of::Item(_), false) => {
            Err(ApiError::invalid(format!("node {} is no map: it has attempts, and no items", wanted.node)))
        }
    }
}

async fn rows(shared: &Shared, wanted: &Wanted, left: Left) -> Result<Option<Rows>, ApiError> {
    let (condition, values) = select_execution(&wanted.execution);
    let tail = format!("FROM executions WHERE {condition}");
    let id = Value::Text(wanted.node.clone());
    let is_map = !matches!(wanted.of, Of::Attempt);
    let found = shared.views.read(move |tables| {
        let snapshot = tables.unchecked_transaction()?;
        let Some(execution) = snapshot.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let of_node = [Value::Integer(execution.key), id];
        let node = snapshot.find::<NodeRow>("FROM nodes WHERE execution = ? AND node_id = ?", &of_node)?;
        let Some(node) = node else { return Ok(Some(None)) };
        let attempts = format!(
            "FROM {} WHERE attempts.execution = ? AND attempts.node_id = ? ORDER BY attempts.attempt",
            crate::listing::TASK_EXECUTIONS.from()
        );
        let attempts = snapshot.all::<AttemptRow>(&attempts, &of_node)?;
        let chunks =
            "FROM map_chunks WHERE execution = ? AND node_id = ? ORDER BY first, attempt, last, ended_at";
        let chunks = if is_map { snapshot.all::<ChunkRow>(chunks, &of_node)? } else { Vec::new() };
        Ok(Some(Some(Rows { left, execution, node, attempts, chunks })))
    });
    found.await?.ok_or_else(|| ApiError::no_execution(&wanted.execution))
}

/// Says of a node that the log has nothing of whether it is one of the workflow, and what it waits for.
async fn not_begun(shared: &Shared, wanted: &Wanted) -> Result<Found, ApiError> {
    let progress = progress::read(shared, &wanted.execution).await?;
    let node = progress.nodes.into_iter().find(|node| node.id == wanted.node);
    let node = node.ok_or_else(|| ApiError::no_node(&wanted.execution, &wanted.node))?;
    let why = node.reason.unwrap_or_else(|| node.phase.word().to_owned());
    if node.phase.is_terminal() {
        return Err(ApiError::NotFound(format!("node {} has not run: {why}", wanted.node)));
    }
    Ok(Found::NotBegun(format!("node {} has not begun: {why}", wanted.node)))
}

fn attempt(wanted: &Wanted, rows: &Rows) -> Result<Found, ApiError> {
    let node = &wanted.node;
    let has_ended = rows.has_ended();
    let Some(last) = rows.attempts.last() else {
        return if has_ended {
            Err(ApiError::NotFound(format!("node {node} has ended without an attempt")))
        } else {
            Ok(Found::NotBegun(format!("node {node} has not begun: its inputs are being put together")))
        };
    };
    let number = wanted.attempt.unwrap_or(last.attempt);
    let row = rows.attempts.iter().find(|row| row.attempt == number).ok_or_else(|| {
        ApiError::NotFound(format!(
            "node {node} has no attempt {number}; its last is attempt {} (they are counted from 0)",
            last.attempt
        ))
    })?;
    let prefix = rows.prefix(node, |data, node| paths::attempt_prefix(data, node, Attempt(number)));
    Ok(Found::Log(Source {
        attempt: number,
        folders: vec![rows.left.folder(&prefix)],
        item: None,
        has_ended: has_ended || row.ended_at.is_some(),
        used: row.used,
        resources: Box::new(row.resources.clone()),
    }))
}

fn range(wanted: &Wanted, rows: &Rows, items: ItemRange) -> Source {
    let number = wanted.attempt.unwrap_or_default();
    let prefix =
        rows.prefix(&wanted.node, |data, node| paths::items_prefix(data, node, Attempt(number), items));
    let has_ended =
        rows.has_ended() || rows.chunks.iter().any(|chunk| chunk.attempt == number && chunk.range == items);
    Source {
        attempt: number,
        folders: vec![rows.left.folder(&prefix)],
        item: None,
        has_ended,
        used: None,
        resources: Box::new(rows.resources()),
    }
}

async fn items_log(shared: &Shared, wanted: &Wanted, rows: &Rows, item: u32) -> Result<Source, ApiError> {
    let node = NodeId::new(wanted.node.as_str());
    let tries = paths::tries_folder(&rows.execution.data_prefix, &node);
    let holds = |range: ItemRange| (range.start..range.end).contains(&item);
    let mut ran: Vec<(Attempt, ItemRange)> = Vec::new();
    for uri in shared.blobs.list(&tries).await? {
        if let Some((attempt, Some(range))) = rows.left.owner(&tries, &uri)
            && holds(range)
            && ran.last() != Some(&(attempt, range))
        {
            ran.push((attempt, range));
        }
    }
    let ended = rows
        .chunks
        .iter()
        .filter(|chunk| holds(chunk.range) && !chunk.returned.iter().any(|range| holds(*range)));
    let ended: Vec<u32> = ended.map(|chunk| chunk.attempt).collect();
    let seen = ran.iter().map(|(attempt, _)| attempt.0).chain(ended.iter().copied());
    let last = seen.max().unwrap_or_default();
    let number = wanted.attempt.unwrap_or(last);
    if number > last || (rows.has_ended() && ran.is_empty() && ended.is_empty()) {
        return Err(ApiError::NotFound(format!(
            "item {item} of node {} has not run in attempt {number}, of which there is no {}",
            wanted.node,
            if rows.left == Left::Printed { "log" } else { "record" }
        )));
    }
    ran.retain(|(attempt, _)| attempt.0 == number);
    // What was handed back of a range runs later, in a part of it.
    ran.sort_by_key(|(_, range)| (std::cmp::Reverse(range.len()), range.start));
    let folder = |range| {
        rows.left.folder(&paths::items_prefix(&rows.execution.data_prefix, &node, Attempt(number), range))
    };
    Ok(Source {
        attempt: number,
        folders: ran.into_iter().map(|(_, range)| folder(range)).collect(),
        item: Some(item),
        has_ended: rows.has_ended() || ended.contains(&number),
        used: None,
        resources: Box::new(rows.resources()),
    })
}

impl Rows {
    fn has_ended(&self) -> bool {
        self.node.ended_at.is_some() || self.execution.ended_at.is_some()
    }

    /// What each item asks for.
    fn resources(&self) -> TaskResources {
        self.attempts.first().map(|row| row.resources.clone()).unwrap_or_default()
    }

    fn prefix(&self, node: &str, of: impl FnOnce(&str, &NodeId) -> String) -> String {
        of(&self.execution.data_prefix, &NodeId::new(node))
    }
}
