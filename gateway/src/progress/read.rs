//! Makes an execution's progress of what the views have of it.

use super::{Cause, Items, Kind, NodeProgress, Phase, Progress};
use crate::error::ApiError;
use crate::executions::cut;
use crate::shared::{Shared, select_execution};
use crate::views::{ErrorRow, NodeProgressRow, ProgressRow, Reader as _, TryRow, rate};
use rusqlite::types::Value;
use skein_idl::flyteidl::core::{node_execution, task_execution, workflow_execution};
use skein_model::{ExecutionId, Timestamp};
use std::collections::BTreeMap;

/// How many of the nodes before a node its reason names.
const NAMED_MAX: usize = 3;

/// Reads how far an execution is.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn read(shared: &Shared, id: &ExecutionId) -> Result<Progress, ApiError> {
    let (condition, values) = select_execution(id);
    let tail = format!("FROM executions WHERE {condition}");
    let found = shared.views.read(move |tables| {
        // Both are of the same moment, so that no node is behind its execution.
        let snapshot = tables.unchecked_transaction()?;
        let Some(execution) = snapshot.find::<ProgressRow>(&tail, &values)? else { return Ok(None) };
        let values = [Value::Integer(execution.key), Value::Integer(execution.plan)];
        let nodes = snapshot.all::<NodeProgressRow>(NodeProgressRow::TAIL, &values)?;
        Ok(Some((execution, nodes)))
    });
    let (execution, nodes) = found.await?.ok_or_else(|| ApiError::no_execution(id))?;
    Ok(progress(id, execution, nodes, shared.now()))
}

fn progress(
    id: &ExecutionId,
    execution: ProgressRow,
    nodes: Vec<NodeProgressRow>,
    now: Timestamp,
) -> Progress {
    let phase = execution_phase(execution.phase);
    let whole =
        Whole { phase, phases: nodes.iter().map(|row| (row.node_id.clone(), row.phase)).collect(), now };
    let begun = execution.started_at.unwrap_or(execution.created_at);
    let end = execution.ended_at.unwrap_or(now);
    let error = match execution.abort_cause {
        Some(message) => Some(Cause { code: "Aborted".to_owned(), message }),
        None => execution.error.map(|ErrorRow { code, message, .. }| Cause { code, message }),
    };
    Progress {
        execution: id.to_string(),
        phase,
        error,
        created: rfc3339(execution.created_at),
        started: execution.started_at.map(rfc3339),
        ended: execution.ended_at.map(rfc3339),
        seconds: rounded(end.since(begun).as_secs_f64()),
        nodes: nodes.into_iter().map(|row| whole.node(row)).collect(),
    }
}

/// What a node's progress needs to know of the others.
struct Whole {
    phase: Phase,
    phases: BTreeMap<String, Option<i32>>,
    now: Timestamp,
}

impl Whole {
    fn node(&self, row: NodeProgressRow) -> NodeProgress {
        let kind = if row.is_array { Kind::Map } else { Kind::Task };
        let phase = row.phase.map_or_else(|| self.phase_before(&row), node_phase);
        let attempts = match kind {
            Kind::Task => Some(row.last.as_ref().map_or(0, |last| last.attempt.saturating_add(1))),
            Kind::Map => None,
        };
        let items = row.last.as_ref().filter(|_| row.is_array).map(|last| items(last, phase));
        let end = row.ended_at.unwrap_or(self.now);
        let items_per_second = items.and_then(|items| per_second(&items, &row, phase, end));
        let seconds_left = items.zip(items_per_second).filter(|_| !phase.is_terminal());
        NodeProgress {
            reason: self.reason(&row, phase),
            id: row.node_id,
            kind,
            phase,
            error: row.error.map(|ErrorRow { code, mut message, .. }| {
                cut(&mut message);
                Cause { code, message }
            }),
            attempts,
            items,
            started: row.started_at.map(rfc3339),
            ended: row.ended_at.map(rfc3339),
            seconds: row.started_at.map(|started| rounded(end.since(started).as_secs_f64())),
            items_per_second: items_per_second.map(rounded),
            seconds_left: seconds_left.map(|(items, rate)| rounded(f64::from(items.waiting) / rate)),
        }
    }

    /// Answers where a node stands that the log says nothing of.
    fn phase_before(&self, row: &NodeProgressRow) -> Phase {
        match self.phase {
            // Its turn comes once everything else is stopped.
            Phase::Failing if row.handles_failure => Phase::Waiting,
            Phase::Waiting | Phase::Queued | Phase::Running => Phase::Waiting,
            Phase::Succeeding
            | Phase::Succeeded
            | Phase::Failing
            | Phase::Failed
            | Phase::Aborting
            | Phase::Aborted
            | Phase::Skipped
            | Phase::TimedOut
            | Phase::NotRun => Phase::NotRun,
        }
    }

    fn reason(&self, row: &NodeProgressRow, phase: Phase) -> Option<String> {
        match phase {
            Phase::Waiting if row.handles_failure => Some("runs only if the execution fails".to_owned()),
            Phase::Waiting => Some(self.reason_before(row)),
            Phase::Queued => Some("its inputs are being put together".to_owned()),
            Phase::Running => row.last.as_ref().and_then(|last| self.reason_of_try(last)),
            Phase::NotRun
                if row.handles_failure && matches!(self.phase, Phase::Succeeding | Phase::Succeeded) =>
            {
                Some("the execution did not fail".to_owned())
            }
            Phase::NotRun => Some("the execution ended before its turn came".to_owned()),
            Phase::Succeeding
            | Phase::Succeeded
            | Phase::Failing
            | Phase::Failed
            | Phase::Aborting
            | Phase::Aborted
            | Phase::Skipped
            | Phase::TimedOut => None,
        }
    }

    fn reason_before(&self, row: &NodeProgressRow) -> String {
        let is_done = |node: &str| {
            let phase = self.phases.get(node).copied().flatten();
            phase == Some(node_execution::Phase::Succeeded as i32)
        };
        let before: Vec<&str> =
            row.upstream.iter().map(String::as_str).filter(|node| !is_done(node)).collect();
        if before.is_empty() {
            return match self.phase {
                Phase::Queued => "the execution is not taken up yet".to_owned(),
                _ => "as many nodes run as may run at once".to_owned(),
            };
        }
        let named = before[..before.len().min(NAMED_MAX)].join(", ");
        match before.len().saturating_sub(NAMED_MAX) {
            0 => format!("waits for {named}"),
            more => format!("waits for {named} and {more} more"),
        }
    }

    /// Answers why a try does not run. A start is recorded when it is some milliseconds old.
    fn reason_of_try(&self, last: &TryRow) -> Option<String> {
        if last.phase != task_execution::Phase::Queued as i32 {
            return None;
        }
        match last.not_before.filter(|at| *at > self.now) {
            Some(at) => Some(format!("tried again at {}", rfc3339(at))),
            None => Some("waits for a worker".to_owned()),
        }
    }
}

fn items(last: &TryRow, phase: Phase) -> Items {
    let TryRow { size, succeeded, failed, retried, cached, .. } = *last;
    let rest = size.saturating_sub(succeeded).saturating_sub(failed);
    let (waiting, aborted) = if phase.is_terminal() { (0, rest) } else { (rest, 0) };
    Items { total: size, succeeded, failed, waiting, aborted, retried, cached }
}

fn per_second(items: &Items, row: &NodeProgressRow, phase: Phase, end: Timestamp) -> Option<f64> {
    let started = row.started_at?;
    let whole = rate(u64::from(items.ended()), started, end);
    if phase.is_terminal() {
        return whole;
    }
    row.last.as_ref().and_then(|last| last.pace.per_second(started, end)).or(whole)
}

fn execution_phase(number: i32) -> Phase {
    use workflow_execution::Phase as Proto;
    match Proto::try_from(number).unwrap_or(Proto::Undefined) {
        Proto::Undefined | Proto::Queued => Phase::Queued,
        Proto::Running => Phase::Running,
        Proto::Succeeding => Phase::Succeeding,
        Proto::Succeeded => Phase::Succeeded,
        Proto::Failing => Phase::Failing,
        Proto::Failed => Phase::Failed,
        Proto::Aborted => Phase::Aborted,
        Proto::TimedOut => Phase::TimedOut,
        Proto::Aborting => Phase::Aborting,
    }
}

fn node_phase(number: i32) -> Phase {
    use node_execution::Phase as Proto;
    match Proto::try_from(number).unwrap_or(Proto::Undefined) {
        Proto::Undefined | Proto::Queued => Phase::Queued,
        Proto::Running | Proto::DynamicRunning => Phase::Running,
        Proto::Succeeded | Proto::Recovered => Phase::Succeeded,
        Proto::Failing => Phase::Failing,
        Proto::Failed => Phase::Failed,
        Proto::Aborted => Phase::Aborted,
        Proto::Skipped => Phase::Skipped,
        Proto::TimedOut => Phase::TimedOut,
    }
}

/// Writes a time by RFC 3339 in UTC.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    prost_types::Timestamp::from(at).to_string()
}

/// Rounds seconds, or a rate. Three digits are more than a person reads, and a record's time has no more to say.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
