//! Shows where the time of an execution went, as a tree of spans.

use super::find;
use crate::error::ApiError;
use crate::listing::TASK_EXECUTIONS;
use crate::shared::{Shared, execution_id};
use crate::views::{AttemptRow, ExecutionRow, NodeRow, Reader as _};
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::core::{self, Span, span};
use skein_model::Timestamp;

/// Gets the spans of an execution, at most `depth` levels of them (unlimited when it is below 1).
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such execution.
pub(crate) async fn metrics(
    shared: &Shared,
    request: admin::WorkflowExecutionGetMetricsRequest,
) -> Result<admin::WorkflowExecutionGetMetricsResponse, ApiError> {
    let id = execution_id(request.id.as_ref())?;
    let execution = find(shared, &id).await?;
    let key = Value::Integer(execution.key);
    let read = move |tables: &rusqlite::Connection| {
        let tail = "FROM nodes WHERE execution = ? ORDER BY created_at, node_id";
        let mut nodes = Vec::new();
        for node in tables.all::<NodeRow>(tail, std::slice::from_ref(&key))? {
            let tail = format!(
                "FROM {} WHERE attempts.execution = ? AND attempts.node_id = ? ORDER BY attempts.attempt",
                TASK_EXECUTIONS.from()
            );
            let values = [key.clone(), Value::Text(node.node_id.clone())];
            let attempts = tables.all::<AttemptRow>(&tail, &values)?;
            nodes.push((node, attempts));
        }
        Ok(nodes)
    };
    let nodes = shared.views.read(read).await?;
    let depth = usize::try_from(request.depth).ok().filter(|depth| *depth > 0).unwrap_or(usize::MAX);
    let mut span = workflow_span(&execution, nodes);
    prune(&mut span, depth);
    Ok(admin::WorkflowExecutionGetMetricsResponse { span: Some(span) })
}

fn prune(span: &mut Span, depth: usize) {
    if depth <= 1 {
        span.spans.clear();
    }
    for inner in &mut span.spans {
        prune(inner, depth - 1);
    }
}

fn span(id: span::Id, from: Timestamp, to: Timestamp, spans: Vec<Span>) -> Span {
    Span { start_time: Some(from.into()), end_time: Some(to.into()), id: Some(id), spans }
}

fn operation(name: &str, from: Timestamp, to: Timestamp) -> Span {
    span(span::Id::OperationId(name.to_owned()), from, to, vec![])
}

fn workflow_span(execution: &ExecutionRow, nodes: Vec<(NodeRow, Vec<AttemptRow>)>) -> Span {
    let end = execution.ended_at.unwrap_or(execution.updated_at);
    let ran: Vec<(NodeRow, Vec<AttemptRow>)> =
        nodes.into_iter().filter(|(node, _)| node.started_at.is_some()).collect();
    let first = ran.iter().map(|(node, _)| node.created_at).min().unwrap_or(end);
    let last = ran.iter().map(|(node, _)| node.ended_at.unwrap_or(end)).max().unwrap_or(end);
    let mut spans = vec![operation("WORKFLOW_SETUP", execution.created_at, first)];
    spans.extend(ran.into_iter().map(|(node, attempts)| node_span(execution, &node, attempts, end)));
    spans.push(operation("WORKFLOW_TEARDOWN", last, end));
    span(span::Id::WorkflowId(execution.id.to_proto()), execution.created_at, end, spans)
}

fn node_span(execution: &ExecutionRow, node: &NodeRow, attempts: Vec<AttemptRow>, end: Timestamp) -> Span {
    let id = core::NodeExecutionIdentifier {
        node_id: node.node_id.clone(),
        execution_id: Some(execution.id.to_proto()),
    };
    let end = node.ended_at.unwrap_or(end);
    let first = attempts.first().map_or(end, |attempt| attempt.created_at);
    let last = attempts.last().and_then(|attempt| attempt.ended_at).unwrap_or(end);
    let mut spans = vec![operation("NODE_SETUP", node.created_at, first)];
    for attempt in attempts {
        let stop = attempt.ended_at.unwrap_or(end);
        let start = attempt.started_at.unwrap_or(stop);
        let task = core::TaskExecutionIdentifier {
            task_id: Some(attempt.task.to_proto()),
            node_execution_id: Some(id.clone()),
            retry_attempt: attempt.attempt,
        };
        let inner =
            vec![operation("TASK_SETUP", attempt.created_at, start), operation("TASK_RUNTIME", start, stop)];
        spans.push(span(span::Id::TaskId(task), attempt.created_at, stop, inner));
    }
    spans.push(operation("NODE_TEARDOWN", last, end));
    span(span::Id::NodeId(id), node.created_at, end, spans)
}
