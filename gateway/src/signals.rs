//! Signals: what gates wait for, and what somebody gives them (contract 1.7).

use crate::error::ApiError;
use crate::executions;
use crate::listing::{Asked, SIGNALS};
use crate::shared::{Shared, execution_id, select_execution};
use crate::views::{ExecutionRow, Reader as _, SignalRow};
use prost::Message as _;
use rusqlite::types::Value;
use skein_idl::flyteidl::{admin, core};
use skein_model::{Category, Command, ExecutionId};

/// The largest value of a signal, in bytes, encoded: it stands in the log.
const VALUE_BYTES_MAX: usize = 256 << 10;

/// Lists the signals that gates of an execution wait for or have waited for.
///
/// # Errors
/// What is wrong with the request.
pub(crate) async fn list(
    shared: &Shared,
    request: admin::SignalListRequest,
) -> Result<admin::SignalList, ApiError> {
    let id = execution_id(request.workflow_execution_id.as_ref())?;
    let asked = Asked {
        limit: request.limit,
        token: &request.token,
        filters: &request.filters,
        sort_by: request.sort_by.as_ref(),
    };
    let query = SIGNALS.query(&asked, shared.config.limits.page_rows_max)?;
    let (condition, values) = select_execution(&id);
    let tail = format!("FROM executions WHERE {condition}");
    let found = shared.views.read(move |tables| {
        let Some(execution) = tables.find::<ExecutionRow>(&tail, &values)? else { return Ok(None) };
        let scope = ("signals.execution = ?", vec![Value::Integer(execution.key)]);
        Ok(Some(SIGNALS.page::<SignalRow>(tables, scope, &query)?))
    });
    let page = found.await?.ok_or_else(|| ApiError::no_execution(&id))?;
    let (signals, token) = page.fit(shared.config.limits.answer_bytes_max, |row| to_proto(&id, row))?;
    Ok(admin::SignalList { signals, token })
}

fn to_proto(execution: &ExecutionId, row: SignalRow) -> admin::Signal {
    admin::Signal {
        id: Some(core::SignalIdentifier {
            signal_id: row.signal_id,
            execution_id: Some(execution.to_proto()),
        }),
        // What the log has is what was checked before it came there.
        r#type: core::LiteralType::decode(row.r#type.as_slice()).ok(),
        value: row.value.and_then(|value| core::Literal::decode(value.as_slice()).ok()),
    }
}

/// The original's words, which users know.
fn not_asked_for(execution: &ExecutionId, signal: &str) -> ApiError {
    let ExecutionId { project, domain, name } = execution;
    let signal: String = signal.chars().take(128).collect();
    ApiError::invalid(format!(
        "failed to validate that signal [{{{{{project} {domain} {name}}} {signal}}}] exists, err: [signal does not exist]"
    ))
}

/// Gives a signal its value, or another one. The same value again changes nothing.
///
/// # Errors
/// [`ApiError::InvalidArgument`] when no gate has asked for it yet, or the value is of another type;
/// [`ApiError::FailedPrecondition`] when the execution has ended.
pub(crate) async fn set(
    shared: &Shared,
    request: admin::SignalSetRequest,
) -> Result<admin::SignalSetResponse, ApiError> {
    let id = request.id.ok_or_else(|| ApiError::missing("id"))?;
    let execution = execution_id(id.execution_id.as_ref())?;
    if id.signal_id.is_empty() {
        return Err(ApiError::missing("signal_id"));
    }
    let value = request.value.ok_or_else(|| ApiError::missing("value"))?.encode_to_vec();
    if value.len() > VALUE_BYTES_MAX {
        return Err(ApiError::invalid(format!(
            "value of signal {} has {} bytes, the limit is {VALUE_BYTES_MAX}: give it a reference to something larger",
            id.signal_id,
            value.len()
        )));
    }
    let row = executions::find(shared, &execution).await?;
    shared.catch_up(Category::Execution).await?;
    let tail = "FROM signals WHERE execution = ? AND signal_id = ?";
    let key = [Value::Integer(row.key), Value::Text(id.signal_id.clone())];
    if shared.views.find::<SignalRow>(tail, &key).await?.is_none() {
        return Err(not_asked_for(&execution, &id.signal_id));
    }
    let principal = shared.config.principal.clone();
    let command = Command::SetSignal { signal: id.signal_id, value: value.into(), principal };
    executions::send(shared, &execution, command).await?;
    Ok(admin::SignalSetResponse {})
}
