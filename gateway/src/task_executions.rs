//! Gets and lists the tries of a node's task; a map has one that shows all its items.

mod items;

use crate::error::ApiError;
use crate::executions::error_to_proto;
use crate::listing::{Asked, TASK_EXECUTIONS};
use crate::log_links::Try;
use crate::nodes::{deck, find as find_node, flyte_urls, node_id};
use crate::shared::{Shared, proto_duration, select_execution};
use crate::values::{self, Pair, pair};
use crate::views::{AttemptRow, ChunkRow, ExecutionRow, Reader as _};
use prost::Message as _;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin::{self, task_execution_closure::OutputResult};
use skein_idl::flyteidl::event::task_execution_metadata::InstanceClass;
use skein_idl::flyteidl::{core, event};
use skein_model::{DataRef, ExecutionId, Job, NodeId, Used};
use std::time::Duration;

/// What the original calls the plugin that runs maps.
const ARRAY_TASK_TYPE: &str = "container_array";

/// Lists the tries of a node's task.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::TaskExecutionListRequest,
) -> Result<admin::TaskExecutionList, ApiError> {
    let (execution, node) = node_id(request.node_execution_id.as_ref())?;
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let query = TASK_EXECUTIONS.query(&asked, shared.config.limits.page_rows_max)?;
    let (condition, values) = select_execution(&execution);
    let tail = format!("FROM executions WHERE {condition}");
    let id = Value::Text(node.clone());
    let found = shared.views.read(move |tables| {
        let Some(execution) = tables.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let key = Value::Integer(execution.key);
        let condition = "attempts.execution = ? AND attempts.node_id = ?";
        let page =
            TASK_EXECUTIONS.page::<AttemptRow>(tables, (condition, vec![key.clone(), id.clone()]), &query)?;
        let chunks = chunks(tables, key, id)?;
        Ok(Some((execution, page, chunks)))
    });
    let Some((execution, page, chunks)) = found.await? else {
        return Ok(admin::TaskExecutionList::default());
    };
    let node = NodeId::new(node);
    let (task_executions, token) = page.fit(shared.config.limits.answer_bytes_max, |attempt| {
        to_proto(shared, &execution, &node, attempt, &chunks)
    })?;
    Ok(admin::TaskExecutionList { task_executions, token })
}

fn chunks(tables: &rusqlite::Connection, execution: Value, node: Value) -> Result<Vec<ChunkRow>, ApiError> {
    let tail = "FROM map_chunks WHERE execution = ? AND node_id = ? ORDER BY first, attempt, last, ended_at";
    tables.all(tail, &[execution, node])
}

/// Gets one try.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::TaskExecutionGetRequest,
) -> Result<admin::TaskExecution, ApiError> {
    let (execution, node, attempt, chunks) = find(shared, request.id.as_ref()).await?;
    Ok(to_proto(shared, &execution, &node, attempt, &chunks))
}

/// Gets what one try took and gave.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn data(
    shared: &Shared,
    request: admin::TaskExecutionGetDataRequest,
) -> Result<admin::TaskExecutionGetDataResponse, ApiError> {
    let (execution, node, attempt, chunks) = find(shared, request.id.as_ref()).await?;
    let (_, node_row) = find_node(shared, &execution.id, node.as_str()).await?;
    let Pair { inputs, outputs, full_inputs, full_outputs } =
        pair(shared, &execution.data_prefix, handed_in(&attempt, &chunks), attempt.outputs.as_ref()).await?;
    let has_deck = deck(shared, &execution, &node_row).await?.is_some();
    let urls = flyte_urls(&execution.id, node.as_str(), Some(attempt.attempt), has_deck);
    Ok(admin::TaskExecutionGetDataResponse {
        inputs,
        outputs,
        full_inputs,
        full_outputs,
        flyte_urls: Some(urls),
    })
}

type Found = (ExecutionRow, NodeId, AttemptRow, Vec<ChunkRow>);

async fn find(shared: &Shared, id: Option<&core::TaskExecutionIdentifier>) -> Result<Found, ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("id"))?;
    let (execution_id, node) = node_id(id.node_execution_id.as_ref())?;
    let (execution, _) = find_node(shared, &execution_id, &node).await?;
    let key = Value::Integer(execution.key);
    let number = Value::Integer(i64::from(id.retry_attempt));
    let text = Value::Text(node.clone());
    let tail = format!(
        "FROM {} WHERE attempts.execution = ? AND attempts.node_id = ? AND attempts.attempt = ?",
        TASK_EXECUTIONS.from()
    );
    let found = shared.views.read(move |tables| {
        let Some(attempt) = tables.find::<AttemptRow>(&tail, &[key.clone(), text.clone(), number])? else {
            return Ok(None);
        };
        Ok(Some((attempt, chunks(tables, key, text)?)))
    });
    let (attempt, chunks) = found.await?.ok_or_else(|| {
        ApiError::NotFound(format!(
            "missing entity of type task execution with identifier node_id:{node:?}  retry_attempt:{}  execution_id:{{{}}}",
            id.retry_attempt,
            crate::error::describe_execution(&execution_id)
        ))
    })?;
    Ok((execution, NodeId::new(node), attempt, chunks))
}

/// Says whether it is a map that had nothing to do: it has ended without having begun.
fn was_empty(attempt: &AttemptRow, chunks: &[ChunkRow]) -> bool {
    attempt.is_array && attempt.phase == core::task_execution::Phase::Succeeded as i32 && chunks.is_empty()
}

/// Answers the inputs of a try: none of one that never began.
fn handed_in<'a>(attempt: &'a AttemptRow, chunks: &[ChunkRow]) -> Option<&'a DataRef> {
    attempt.inputs.as_ref().filter(|_| !was_empty(attempt, chunks))
}

fn to_proto(
    shared: &Shared,
    execution: &ExecutionRow,
    node: &NodeId,
    attempt: AttemptRow,
    chunks: &[ChunkRow],
) -> admin::TaskExecution {
    let metadata = metadata(shared, execution, node, &attempt, chunks);
    let reasons = reasons(&attempt);
    let custom_info = attempt.job.as_ref().and_then(job_info).or_else(|| attempt.used.map(used_info));
    let logs = logs(shared, execution, node, &attempt);
    let urls = flyte_urls(&execution.id, node.as_str(), Some(attempt.attempt), false);
    let began = attempt.started_at.filter(|_| !was_empty(&attempt, chunks));
    let input_uri = handed_in(&attempt, chunks).map(|inputs| values::uri(inputs, urls.inputs));
    let result = match (attempt.error, &attempt.outputs) {
        (Some(error), _) => Some(OutputResult::Error(error_to_proto(error, attempt.ended_at))),
        (None, Some(outputs)) => Some(OutputResult::OutputUri(values::uri(outputs, urls.outputs))),
        (None, None) => None,
    };
    let duration = attempt.ended_at.zip(began).map(|(end, start)| end.since(start));
    admin::TaskExecution {
        id: Some(core::TaskExecutionIdentifier {
            task_id: Some(attempt.task.to_proto()),
            node_execution_id: Some(core::NodeExecutionIdentifier {
                node_id: node.as_str().to_owned(),
                execution_id: Some(execution.id.to_proto()),
            }),
            retry_attempt: attempt.attempt,
        }),
        input_uri: input_uri.unwrap_or_default(),
        closure: Some(admin::TaskExecutionClosure {
            output_result: result,
            phase: attempt.phase,
            logs,
            started_at: began.map(Into::into),
            duration: duration.map(proto_duration),
            created_at: Some(attempt.created_at.into()),
            updated_at: Some(attempt.updated_at.into()),
            reason: reasons.last().map(|reason| reason.message.clone()).unwrap_or_default(),
            task_type: if attempt.is_array { ARRAY_TASK_TYPE.to_owned() } else { attempt.task_type },
            metadata: Some(metadata),
            custom_info,
            event_version: 1,
            reasons,
            ..Default::default()
        }),
        is_parent: false,
    }
}

/// How the try was carried out; for a map, what became of its items.
fn metadata(
    shared: &Shared,
    execution: &ExecutionRow,
    node: &NodeId,
    attempt: &AttemptRow,
    chunks: &[ChunkRow],
) -> event::TaskExecutionMetadata {
    let class = match attempt.is_interruptible && attempt.moved.is_none() {
        true => InstanceClass::Interruptible,
        false => InstanceClass::Default,
    };
    if attempt.is_array {
        let base = log_base(shared, &execution.id, node);
        let keeps = attempt.is_cached;
        let links = items::Links {
            base,
            execution: &execution.id,
            node,
            keeps,
            attempt,
            others: &shared.config.log_links,
            now: shared.now(),
        };
        event::TaskExecutionMetadata {
            external_resources: links.resources(chunks, shared.config.limits.external_resources_max),
            plugin_identifier: "k8s-array".to_owned(),
            instance_class: class.into(),
            ..Default::default()
        }
    } else {
        event::TaskExecutionMetadata {
            generated_name: generated_name(execution, node, attempt),
            plugin_identifier: if attempt.job.is_some() { "connector" } else { "container" }.to_owned(),
            instance_class: class.into(),
            ..Default::default()
        }
    }
}

/// What the try used of its machine, for whoever shows what plugins say.
fn used_info(used: Used) -> prost_types::Struct {
    use prost_types::value::Kind;
    let number = |value: f64| prost_types::Value { kind: Some(Kind::NumberValue(value)) };
    #[expect(clippy::cast_precision_loss, reason = "what is shown needs no more than 52 bits")]
    let whole = |value: u64| number(value as f64);
    let all = [
        ("peakMemoryBytes", Some(whole(used.memory_bytes))),
        ("cpuSeconds", Some(number(Duration::from_micros(used.cpu_micros).as_secs_f64()))),
        ("peakCpuCores", Some(number(Duration::from_millis(used.cpu_millis).as_secs_f64()))),
        ("peakGpuMemoryBytes", used.gpu_memory_bytes.map(whole)),
        ("peakGpuPercent", used.gpu_percent.map(|percent| number(percent.into()))),
    ];
    let fields = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let used = prost_types::Struct { fields };
    let used = prost_types::Value { kind: Some(Kind::StructValue(used)) };
    prost_types::Struct { fields: [("used".to_owned(), used)].into() }
}

/// Why the try is where it is, step by step.
fn reasons(attempt: &AttemptRow) -> Vec<admin::Reason> {
    let reason =
        |at: skein_model::Timestamp, message: String| admin::Reason { occurred_at: Some(at.into()), message };
    if attempt.is_array {
        return vec![reason(attempt.created_at, "items submitted to the workers' queue".to_owned())];
    }
    let mut reasons = vec![reason(attempt.created_at, "task submitted to the workers' queue".to_owned())];
    if let Some((at, why)) = &attempt.moved {
        reasons.push(reason(*at, format!("asked for on demand: {why}")));
    }
    if let Some(started) = attempt.started_at {
        // What the worker says nothing of runs where everything does that no image is mapped for.
        if attempt.job.is_some() {
            reasons.push(reason(started, format!("handed to {}", attempt.worker)));
            return reasons;
        }
        let place = if attempt.place.is_empty() { "its default environment" } else { &attempt.place };
        reasons.push(reason(started, format!("started on worker {}, in {place}", attempt.worker)));
    }
    reasons
}

/// What a connector says of its job beside its phase.
fn job_info(job: &Job) -> Option<prost_types::Struct> {
    (!job.custom_info.is_empty()).then(|| prost_types::Struct::decode(job.custom_info.clone()).ok()).flatten()
}

fn generated_name(execution: &ExecutionRow, node: &NodeId, attempt: &AttemptRow) -> String {
    format!("{}-{node}-{}", execution.id.name, attempt.attempt)
}

/// Where the try's logs are: with us, and where the configuration says. Those of a map are its items'.
fn logs(
    shared: &Shared,
    execution: &ExecutionRow,
    node: &NodeId,
    attempt: &AttemptRow,
) -> Vec<core::TaskLog> {
    let Some(started) = attempt.started_at.filter(|_| !attempt.is_array) else { return Vec::new() };
    let own = core::TaskLog {
        uri: format!("{}/{}", log_base(shared, &execution.id, node), attempt.attempt),
        name: "Task Logs".to_owned(),
        ..Default::default()
    };
    let run = Try {
        execution: &execution.id,
        node: node.as_str(),
        task: &attempt.task,
        attempt: attempt.attempt,
        generated_name: &generated_name(execution, node, attempt),
        started,
        ended: attempt.ended_at.unwrap_or_else(|| shared.now()),
    };
    let others = shared.config.log_links.iter().map(|link| link.of(&run, ""));
    match &attempt.job {
        // What it prints is nowhere here.
        Some(job) => job.logs.iter().filter_map(|link| core::TaskLog::decode(link.clone()).ok()).collect(),
        None => std::iter::once(own).chain(others).collect(),
    }
}

/// The address under which the logs of a node's tries are served.
fn log_base(shared: &Shared, execution: &ExecutionId, node: &NodeId) -> String {
    let ExecutionId { project, domain, name } = execution;
    format!("{}/logs/{project}/{domain}/{name}/{node}", shared.config.public_url)
}
