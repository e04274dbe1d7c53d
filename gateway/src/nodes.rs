//! Gets and lists the nodes of executions.

use crate::cache;
use crate::error::ApiError;
use crate::executions::{cut, error_to_proto};
use crate::listing::{Asked, NODES};
use crate::shared::{Shared, execution_id, proto_duration, select_execution};
use crate::values::{self, Pair, pair};
use crate::views::{ExecutionRow, NodeRow, Reader as _};
use rusqlite::types::Value;
use skein_idl::flyteidl::admin;
use skein_idl::flyteidl::admin::node_execution_closure::{OutputResult, TargetMetadata};
use skein_idl::flyteidl::core;
use skein_model::ids::check_name;
use skein_model::{Attempt, DataRef, ExecutionId, NodeId, NodePhase, paths};
use std::collections::BTreeMap;

/// Takes the id of a node of an execution from a request.
///
/// # Errors
/// [`ApiError::InvalidArgument`] for the first part that is missing or wrong.
pub(crate) fn node_id(id: Option<&core::NodeExecutionIdentifier>) -> Result<(ExecutionId, String), ApiError> {
    let id = id.ok_or_else(|| ApiError::missing("id"))?;
    let execution = execution_id(id.execution_id.as_ref())?;
    check_name("node_id", &id.node_id)?;
    Ok((execution, id.node_id.clone()))
}

/// Finds a node and its execution.
///
/// # Errors
/// [`ApiError::NotFound`] when either is not there.
pub(crate) async fn find(
    shared: &Shared,
    execution: &ExecutionId,
    node: &str,
) -> Result<(ExecutionRow, NodeRow), ApiError> {
    let (condition, values) = select_execution(execution);
    let tail = format!("FROM executions WHERE {condition}");
    let id = Value::Text(node.to_owned());
    let found = shared.views.read(move |tables| {
        let Some(execution) = tables.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let key = Value::Integer(execution.key);
        let node = tables.find::<NodeRow>("FROM nodes WHERE execution = ? AND node_id = ?", &[key, id])?;
        Ok(node.map(|node| (execution, node)))
    });
    found.await?.ok_or_else(|| ApiError::no_node(execution, node))
}

/// Gets a node.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::NodeExecutionGetRequest,
) -> Result<admin::NodeExecution, ApiError> {
    let (execution, node) = node_id(request.id.as_ref())?;
    let (execution, mut node) = find(shared, &execution, &node).await?;
    node.deck = deck(shared, &execution, &node).await?;
    let cached = cache::metadata(shared, &execution, &node).await?;
    Ok(to_proto(&execution, node, cached))
}

/// Lists the nodes of an execution, or the children of one of them.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::NodeExecutionListRequest,
) -> Result<admin::NodeExecutionList, ApiError> {
    let id = execution_id(request.workflow_execution_id.as_ref())?;
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let query = NODES.query(&asked, shared.config.limits.page_rows_max)?;
    let parent = request.unique_parent_id;
    let (condition, values) = select_execution(&id);
    let tail = format!("FROM executions WHERE {condition}");
    let found = shared.views.read(move |tables| {
        let Some(execution) = tables.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let key = Value::Integer(execution.key);
        let scope = if parent.is_empty() {
            ("nodes.execution = ? AND nodes.parent = ''", vec![key])
        } else {
            (
                "nodes.execution = ? AND nodes.parent = ? AND nodes.parent != ''",
                vec![key, Value::Text(parent)],
            )
        };
        Ok(Some((execution, NODES.page::<NodeRow>(tables, scope, &query)?)))
    });
    let Some((execution, page)) = found.await? else { return Ok(admin::NodeExecutionList::default()) };
    let mut cached = BTreeMap::new();
    for node in &page.rows {
        if let Some(metadata) = cache::metadata(shared, &execution, node).await? {
            cached.insert(node.node_id.clone(), metadata);
        }
    }
    let (node_executions, token) = page.fit(shared.config.limits.answer_bytes_max, |mut node| {
        if let Some(error) = &mut node.error {
            cut(&mut error.message);
        }
        let cached = cached.remove(&node.node_id);
        to_proto(&execution, node, cached)
    })?;
    Ok(admin::NodeExecutionList { node_executions, token })
}

/// Gets what a node took and gave.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such node.
pub(crate) async fn data(
    shared: &Shared,
    request: admin::NodeExecutionGetDataRequest,
) -> Result<admin::NodeExecutionGetDataResponse, ApiError> {
    let (execution, node) = node_id(request.id.as_ref())?;
    let (execution, node) = find(shared, &execution, &node).await?;
    let (inputs, outputs) = taken_and_given(&execution, &node);
    let has_deck = deck(shared, &execution, &node).await?.is_some();
    let Pair { inputs, outputs, full_inputs, full_outputs } =
        pair(shared, &execution.data_prefix, inputs, outputs).await?;
    Ok(admin::NodeExecutionGetDataResponse {
        inputs,
        outputs,
        full_inputs,
        full_outputs,
        dynamic_workflow: dynamic_workflow_of(shared, &node).await?,
        flyte_urls: Some(flyte_urls(&execution.id, &node.node_id, None, has_deck)),
    })
}

/// Answers where the deck of a node is, if it has one: also while its task still runs, and where that has failed.
///
/// # Errors
/// When the blob store cannot be asked.
pub(crate) async fn deck(
    shared: &Shared,
    execution: &ExecutionRow,
    node: &NodeRow,
) -> Result<Option<String>, ApiError> {
    let has_succeeded = node.phase == NodePhase::Succeeded.as_proto() as i32;
    let Some(attempt) = node.last_attempt.filter(|_| node.deck.is_none() && !has_succeeded) else {
        return Ok(node.deck.clone());
    };
    let id = NodeId::new(node.node_id.as_str());
    let uri = paths::deck(&paths::attempt_prefix(&execution.data_prefix, &id, Attempt(attempt)));
    Ok(shared.blobs.size(&uri).await?.map(|_| uri))
}

/// Gets the workflow that a dynamic node made.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such node, or its task has made none.
pub(crate) async fn dynamic_workflow(
    shared: &Shared,
    request: admin::GetDynamicNodeWorkflowRequest,
) -> Result<admin::DynamicNodeWorkflowResponse, ApiError> {
    let (execution, node) = node_id(request.id.as_ref())?;
    let (_, node) = find(shared, &execution, &node).await?;
    let made = dynamic_workflow_of(shared, &node).await?;
    let compiled_workflow = made.and_then(|made| made.compiled_workflow);
    let Some(compiled_workflow) = compiled_workflow else {
        return Err(ApiError::NotFound("node does not contain dynamic workflow".to_owned()));
    };
    Ok(admin::DynamicNodeWorkflowResponse { compiled_workflow: Some(compiled_workflow) })
}

async fn dynamic_workflow_of(
    shared: &Shared,
    node: &NodeRow,
) -> Result<Option<admin::DynamicWorkflowNodeMetadata>, ApiError> {
    let Some(made) = &node.made else { return Ok(None) };
    let closure: core::CompiledWorkflowClosure = shared.load(&DataRef::Blob(made.plan.clone())).await?;
    let primary = closure.primary.as_ref().and_then(|primary| primary.template.as_ref());
    Ok(Some(admin::DynamicWorkflowNodeMetadata {
        id: primary.and_then(|template| template.id.clone()),
        compiled_workflow: Some(closure),
        dynamic_job_spec_uri: made.spec.clone(),
    }))
}

/// Lists the nodes that a try of a task made: those inside its node.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list_for_task(
    shared: &Shared,
    request: admin::NodeExecutionForTaskListRequest,
) -> Result<admin::NodeExecutionList, ApiError> {
    let task = request.task_execution_id.as_ref().ok_or_else(|| ApiError::missing("task_execution_id"))?;
    let (execution, node) = node_id(task.node_execution_id.as_ref())?;
    let (_, node) = find(shared, &execution, &node).await?;
    let made_by_it = node.made.is_some() && node.last_attempt == Some(task.retry_attempt);
    if !made_by_it {
        return Ok(admin::NodeExecutionList::default());
    }
    let request = admin::NodeExecutionListRequest {
        workflow_execution_id: Some(execution.to_proto()),
        limit: request.limit,
        token: request.token,
        filters: request.filters,
        sort_by: request.sort_by,
        unique_parent_id: node.node_id,
    };
    list(shared, request).await
}

/// Answers the addresses under which `GetData` finds what a node, or one of its attempts, took and gave.
pub(crate) fn flyte_urls(
    execution: &ExecutionId,
    node: &str,
    attempt: Option<u32>,
    has_deck: bool,
) -> admin::FlyteUrLs {
    let ExecutionId { project, domain, name } = execution;
    let attempt = attempt.map(|attempt| format!("/{attempt}")).unwrap_or_default();
    let url = |what: &str| format!("flyte://v1/{project}/{domain}/{name}/{node}{attempt}/{what}");
    admin::FlyteUrLs {
        inputs: url("i"),
        outputs: url("o"),
        deck: if has_deck { url("d") } else { String::new() },
    }
}

/// Answers what a node took and gave, as far as it has; the start node hands out the inputs of the execution, and what
/// the end node takes are the outputs of the execution, not its own.
fn taken_and_given<'r>(
    execution: &'r ExecutionRow,
    node: &'r NodeRow,
) -> (Option<&'r DataRef>, Option<&'r DataRef>) {
    if node.node_id == NodeId::START {
        return (None, Some(&execution.inputs));
    }
    match node.edge.as_str() {
        NodeId::START => (None, node.outputs.as_ref()),
        NodeId::END => (node.inputs.as_ref(), None),
        _ => (node.inputs.as_ref(), node.outputs.as_ref()),
    }
}

/// Adds where the last try leaves its checkpoint; a map's items have each their own. What has made nodes is not tried again,
/// and of a node that was stopped the original tells nothing of this.
fn with_checkpoint(
    execution: &ExecutionRow,
    node: &NodeRow,
    cached: Option<admin::TaskNodeMetadata>,
) -> Option<admin::TaskNodeMetadata> {
    let Some(attempt) = node.last_attempt else { return cached };
    if node.phase == NodePhase::Aborted.as_proto() as i32 {
        return cached;
    }
    if node.made.is_some() {
        return Some(cached.unwrap_or_default());
    }
    let id = NodeId::new(node.node_id.as_str());
    let checkpoint_uri = paths::checkpoint(&execution.raw_prefix, &id, Attempt(attempt));
    Some(admin::TaskNodeMetadata { checkpoint_uri, ..cached.unwrap_or_default() })
}

/// Says whether a node has let time pass and nothing else, so that it gives nothing.
fn only_waited(node: &NodeRow, task: Option<&admin::TaskNodeMetadata>, outputs: &DataRef) -> bool {
    let is_gate = task.is_none() && !node.is_parent && !node.is_array && node.edge.is_empty();
    is_gate && node.child.is_none() && *outputs == DataRef::empty()
}

/// Says whether a node failed by what it was given, before anything of it began, as a branch does of which no case holds.
fn never_began(node: &NodeRow) -> bool {
    node.last_attempt.is_none() && node.error.is_some() && node.started_at == node.ended_at
}

fn to_proto(
    execution: &ExecutionRow,
    node: NodeRow,
    cached: Option<admin::TaskNodeMetadata>,
) -> admin::NodeExecution {
    let metadata = with_checkpoint(execution, &node, cached);
    let urls = flyte_urls(&execution.id, &node.node_id, None, false);
    let (inputs, outputs) = taken_and_given(execution, &node);
    let outputs = outputs.filter(|outputs| !only_waited(&node, metadata.as_ref(), outputs));
    let input_uri = inputs.map(|inputs| values::uri(inputs, urls.inputs)).unwrap_or_default();
    let output_uri = outputs.map(|outputs| values::uri(outputs, urls.outputs));
    let started_at = node.started_at.filter(|_| !never_began(&node));
    let result = match node.error {
        Some(error) => Some(OutputResult::Error(error_to_proto(error, node.ended_at))),
        None => output_uri.map(OutputResult::OutputUri),
    };
    let dynamic_job_spec_uri = node.made.as_ref().map(|made| made.spec.clone()).unwrap_or_default();
    let target_metadata = match &node.child {
        Some(child) => Some(TargetMetadata::WorkflowNodeMetadata(admin::WorkflowNodeMetadata {
            execution_id: Some(child.to_proto()),
        })),
        None => metadata.map(TargetMetadata::TaskNodeMetadata),
    };
    let duration = node.ended_at.zip(started_at).map(|(end, start)| proto_duration(end.since(start)));
    admin::NodeExecution {
        id: Some(core::NodeExecutionIdentifier {
            node_id: node.node_id.clone(),
            execution_id: Some(execution.id.to_proto()),
        }),
        input_uri,
        closure: Some(admin::NodeExecutionClosure {
            output_result: result,
            phase: node.phase,
            started_at: started_at.map(Into::into),
            duration,
            created_at: Some(node.created_at.into()),
            updated_at: Some(node.updated_at.into()),
            deck_uri: node.deck.unwrap_or_default(),
            target_metadata,
            dynamic_job_spec_uri,
        }),
        metadata: Some(admin::NodeExecutionMetaData {
            spec_node_id: node.spec_id,
            is_array: node.is_array,
            is_parent_node: node.is_parent,
            is_dynamic: node.made.is_some(),
            // A parent has one try, whose children these are.
            retry_group: if node.parent.is_empty() { String::new() } else { "0".to_owned() },
            ..Default::default()
        }),
    }
}
