//! Gets and lists executions and what they took and gave.

use super::find;
use crate::error::ApiError;
use crate::listing::{Asked, EXECUTIONS};
use crate::nodes::flyte_urls;
use crate::shared::{Shared, execution_id, proto_duration};
use crate::values::{self, Pair, pair};
use crate::views::{ErrorRow, ExecutionRow};
use prost::Message as _;
use rusqlite::types::Value;
use skein_idl::flyteidl::admin::{self, execution_closure::OutputResult};
use skein_idl::flyteidl::core;
use skein_model::ids::check_name;
use skein_model::{NodeId, Notification, Timestamp};

/// How many characters of an error's message a list shows.
pub(crate) const LISTED_MESSAGE_CHARS_MAX: usize = 100;

/// Gets an execution.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn get(
    shared: &Shared,
    request: admin::WorkflowExecutionGetRequest,
) -> Result<admin::Execution, ApiError> {
    let id = execution_id(request.id.as_ref())?;
    to_proto(find(shared, &id).await?)
}

/// Gets what an execution took and gave.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn data(
    shared: &Shared,
    request: admin::WorkflowExecutionGetDataRequest,
) -> Result<admin::WorkflowExecutionGetDataResponse, ApiError> {
    let id = execution_id(request.id.as_ref())?;
    let row = find(shared, &id).await?;
    let Pair { inputs, outputs, full_inputs, full_outputs } =
        pair(shared, &row.data_prefix, Some(&row.inputs), row.outputs.as_ref()).await?;
    Ok(admin::WorkflowExecutionGetDataResponse { outputs, inputs, full_inputs, full_outputs })
}

/// Lists executions: those that are not archived, unless a filter asks for a state.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::ResourceListRequest,
) -> Result<admin::ExecutionList, ApiError> {
    let id = request.id.as_ref().ok_or_else(|| ApiError::missing("id"))?;
    check_name("project", &id.project)?;
    check_name("domain", &id.domain)?;
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let query = EXECUTIONS.query(&asked, shared.config.limits.page_rows_max)?;
    let mut condition = "executions.project = ? AND executions.domain = ?".to_owned();
    let mut values = vec![Value::Text(id.project.clone()), Value::Text(id.domain.clone())];
    if !id.name.is_empty() {
        check_name("name", &id.name)?;
        condition.push_str(" AND executions.name = ?");
        values.push(Value::Text(id.name.clone()));
    }
    if !query.mentions("state") {
        condition.push_str(" AND executions.state = 0");
    }
    let mut page = shared
        .views
        .read(move |tables| EXECUTIONS.page::<ExecutionRow>(tables, (&condition, values), &query))
        .await?;
    let mut executions = Vec::new();
    for mut row in page.take() {
        if let Some(error) = &mut row.error {
            cut(&mut error.message);
        }
        executions.push(to_proto(row)?);
    }
    let (executions, token) = page.with(executions).fit_made(shared.config.limits.answer_bytes_max)?;
    Ok(admin::ExecutionList { executions, token })
}

/// Cuts a message to what a list shows.
pub(crate) fn cut(message: &mut String) {
    if let Some((end, _)) = message.char_indices().nth(LISTED_MESSAGE_CHARS_MAX) {
        message.truncate(end);
    }
}

/// How the SDK begins what it writes down of an exception.
const RAISED: &str = "Trace:";

/// Answers an error in its protobuf form. As in the original, what the SDK wrote down says when it happened, and what
/// others observed does not.
pub(crate) fn error_to_proto(error: ErrorRow, ended_at: Option<Timestamp>) -> core::ExecutionError {
    let timestamp = ended_at.filter(|_| error.message.starts_with(RAISED)).map(Into::into);
    let ErrorRow { code, message, kind } = error;
    core::ExecutionError { code, message, kind, timestamp, ..Default::default() }
}

fn to_proto(row: ExecutionRow) -> Result<admin::Execution, ApiError> {
    let spec = admin::ExecutionSpec::decode(row.spec.as_slice())?;
    let result = if let Some((cause, principal)) = row.abort {
        Some(OutputResult::AbortMetadata(admin::AbortMetadata { cause, principal }))
    } else if let Some(error) = row.error {
        Some(OutputResult::Error(error_to_proto(error, row.ended_at)))
    } else {
        row.outputs.as_ref().map(|outputs| {
            // What the execution gave is what its end node took, which has no outputs of its own.
            let address = flyte_urls(&row.id, NodeId::END, None, false).inputs;
            let data = Some(admin::literal_map_blob::Data::Uri(values::uri(outputs, address)));
            OutputResult::Outputs(admin::LiteralMapBlob { data })
        })
    };
    let state = if row.is_archived {
        admin::ExecutionState::ExecutionArchived
    } else {
        admin::ExecutionState::ExecutionActive
    };
    let duration = row.ended_at.map(|end| end.since(row.started_at.unwrap_or(row.created_at)));
    Ok(admin::Execution {
        id: Some(row.id.to_proto()),
        spec: Some(spec),
        closure: Some(admin::ExecutionClosure {
            output_result: result,
            phase: row.phase,
            started_at: row.started_at.map(Into::into),
            duration: duration.map(proto_duration),
            created_at: Some(row.created_at.into()),
            updated_at: Some(row.updated_at.into()),
            workflow_id: Some(row.workflow.to_proto()),
            notifications: row.notifications.iter().map(Notification::to_proto).collect(),
            state_change_details: Some(admin::ExecutionStateChangeDetails {
                state: state.into(),
                occurred_at: Some(row.state_at.into()),
                principal: row.state_principal,
            }),
            ..Default::default()
        }),
    })
}
