//! Creates, gets, lists, relaunches, terminates and archives executions.

mod control;
mod create;
mod encoded;
mod launch;
mod read;
mod spans;
mod supported;

pub(crate) use control::{archive, send, terminate};
pub(crate) use create::{Launches, create, relaunch};
pub(crate) use encoded::{PATH as CREATE_PATH, serve as serve_create};
pub(crate) use read::{cut, data, error_to_proto, get, list};
pub(crate) use spans::metrics;

use crate::error::ApiError;
use crate::shared::{Shared, select_execution};
use crate::views::ExecutionRow;
use skein_model::ExecutionId;

/// Finds an execution.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn find(shared: &Shared, id: &ExecutionId) -> Result<ExecutionRow, ApiError> {
    let (condition, values) = select_execution(id);
    let tail = format!("FROM executions WHERE {condition}");
    let row: Option<ExecutionRow> = shared.views.find(&tail, &values).await?;
    row.ok_or_else(|| ApiError::no_execution(id))
}
