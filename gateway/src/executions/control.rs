//! Terminates and archives executions: through their owner, who alone writes their journals.

use super::find;
use crate::error::ApiError;
use crate::shared::{Shared, execution_id};
use skein_idl::flyteidl::admin;
use skein_log::{Refusal, SendError};
use skein_model::{Category, Command, ExecutionId};
use std::time::Duration;

/// How often a command is sent again when the owner does not know the execution yet.
const TRIES_MAX: u32 = 20;
/// How long is waited before it is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends an execution.
///
/// # Errors
/// [`ApiError::NotFound`], or [`ApiError::FailedPrecondition`] when it has ended.
pub(crate) async fn terminate(
    shared: &Shared,
    request: admin::ExecutionTerminateRequest,
) -> Result<admin::ExecutionTerminateResponse, ApiError> {
    let id = execution_id(request.id.as_ref())?;
    find(shared, &id).await?;
    let principal = shared.config.principal.clone();
    send(shared, &id, Command::Terminate { cause: request.cause, principal }).await?;
    Ok(admin::ExecutionTerminateResponse {})
}

/// Archives an execution, or brings it back.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none.
pub(crate) async fn archive(
    shared: &Shared,
    request: admin::ExecutionUpdateRequest,
) -> Result<admin::ExecutionUpdateResponse, ApiError> {
    let id = execution_id(request.id.as_ref())?;
    let archived = match admin::ExecutionState::try_from(request.state) {
        Ok(admin::ExecutionState::ExecutionActive) => false,
        Ok(admin::ExecutionState::ExecutionArchived) => true,
        Err(_) => {
            return Err(ApiError::invalid(format!(
                "state is {}, EXECUTION_ACTIVE (0) or EXECUTION_ARCHIVED (1) is needed",
                request.state
            )));
        }
    };
    find(shared, &id).await?;
    let principal = shared.config.principal.clone();
    send(shared, &id, Command::Archive { archived, principal }).await?;
    Ok(admin::ExecutionUpdateResponse {})
}

/// Sends a command to an execution that is there, and waits until its outcome can be read.
///
/// # Errors
/// What the execution refuses it with, or that its owner cannot be reached.
pub(crate) async fn send(shared: &Shared, id: &ExecutionId, command: Command) -> Result<(), ApiError> {
    let mut tries = 1;
    loop {
        match shared.inbox.send(id, command.clone()).await {
            Ok(()) => return shared.catch_up(Category::Execution).await,
            // It is in the log, so its owner is about to learn of it.
            Err(SendError::Refused(Refusal::NotFound)) if tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(SendError::Refused(Refusal::NotFound)) => {
                return Err(ApiError::Unavailable(format!(
                    "execution {id} has not been taken up yet; ask again"
                )));
            }
            Err(SendError::Refused(Refusal::FailedPrecondition(why))) => {
                return Err(ApiError::FailedPrecondition(why));
            }
            Err(SendError::Refused(Refusal::Invalid(why))) => return Err(ApiError::InvalidArgument(why)),
            Err(SendError::Unanswered { waited }) => {
                return Err(ApiError::Unavailable(format!(
                    "the owner of execution {id} did not answer within {waited:?}"
                )));
            }
            Err(SendError::Full) => {
                return Err(ApiError::Unavailable(
                    "there is no room for commands at present; ask again".to_owned(),
                ));
            }
            Err(other) => return Err(ApiError::internal("sending a command", &other)),
        }
    }
}
