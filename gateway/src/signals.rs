//! Signals: what gates wait for, and what somebody gives them (contract 1.7).

mod text;

use crate::error::ApiError;
use crate::executions;
use crate::listing::{Asked, SIGNALS};
use crate::shared::{Shared, execution_id, select_execution};
use crate::views::{ExecutionRow, Reader as _, SignalRow};
use prost::Message as _;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::{admin, core};
use skein_model::{Category, Command, ExecutionId, types};

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
    find(shared, &execution, &id.signal_id).await?;
    let principal = shared.config.principal.clone();
    let command = Command::SetSignal { signal: id.signal_id, value: value.into(), principal };
    executions::send(shared, &execution, command).await?;
    Ok(admin::SignalSetResponse {})
}

/// Finds a signal that a gate waits for or has waited for.
async fn find(shared: &Shared, execution: &ExecutionId, signal: &str) -> Result<SignalRow, ApiError> {
    let row = executions::find(shared, execution).await?;
    shared.catch_up(Category::Execution).await?;
    let tail = "FROM signals WHERE execution = ? AND signal_id = ?";
    let key = [Value::Integer(row.key), Value::Text(signal.to_owned())];
    let found = shared.views.find::<SignalRow>(tail, &key).await?;
    found.ok_or_else(|| not_asked_for(execution, signal))
}

/// The signals of an execution, in words.
#[derive(Debug, Serialize, Deserialize)]
pub struct Signals {
    /// Each signal that a gate waits for or has waited for.
    pub signals: Vec<Signal>,
}

/// A signal, in words.
#[derive(Debug, Serialize, Deserialize)]
pub struct Signal {
    /// Its name.
    pub id: String,
    /// The type of its value, such as `simple:INTEGER`.
    pub r#type: String,
    /// Its value as it could be given; none while it has none.
    pub value: Option<serde_json::Value>,
    /// A value that it could be given; none where none can be written.
    pub example: Option<serde_json::Value>,
}

/// A value that somebody gives a signal, as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// The text: of lists and maps JSON, of all else the plain value.
    pub value: String,
}

/// Lists the signals of an execution, at most as many as one page has.
///
/// # Errors
/// [`ApiError::NotFound`] when there is no such execution.
pub(crate) async fn all(shared: &Shared, execution: &ExecutionId) -> Result<Signals, ApiError> {
    let limit = shared.config.limits.page_rows_max;
    let workflow_execution_id = Some(execution.to_proto());
    let request = admin::SignalListRequest { workflow_execution_id, limit, ..Default::default() };
    let listed = list(shared, request).await?;
    Ok(Signals { signals: listed.signals.into_iter().map(in_words).collect() })
}

/// Gives a signal the value that a text says, by the type that the signal has.
///
/// # Errors
/// Those of [`set`], and what is wrong with the text.
pub(crate) async fn set_text(
    shared: &Shared,
    execution: &ExecutionId,
    signal: &str,
    given: &Given,
) -> Result<Signal, ApiError> {
    if given.value.len() > VALUE_BYTES_MAX {
        let bytes = given.value.len();
        let message = format!("value of signal {signal} has {bytes} bytes, the limit is {VALUE_BYTES_MAX}");
        return Err(ApiError::invalid(message));
    }
    let mut asked = to_proto(execution, find(shared, execution, signal).await?);
    let declared = asked.r#type.clone().unwrap_or_default();
    let value = text::read(&given.value, &declared)
        .map_err(|fault| ApiError::invalid(format!("signal {signal}: {fault}")))?;
    asked.value = Some(value);
    let request = admin::SignalSetRequest { id: asked.id.clone(), value: asked.value.clone() };
    set(shared, request).await?;
    Ok(in_words(asked))
}

fn in_words(signal: admin::Signal) -> Signal {
    let declared = signal.r#type.unwrap_or_default();
    Signal {
        id: signal.id.map(|id| id.signal_id).unwrap_or_default(),
        r#type: types::describe(&declared),
        value: signal.value.as_ref().map(text::write),
        example: text::example(&declared, 0),
    }
}
