//! Tells executions of their jobs, until it is stored.

use crate::config::Config;
use skein_log::{Inbox, SendError};
use skein_model::{Command, ExecutionId};

/// Whether a report was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is stored, or changes nothing.
    Yes,
    /// Nobody wants to know.
    No,
}

/// Sends a command until it is stored or refused.
pub(crate) async fn send(
    inbox: &dyn Inbox,
    config: &Config,
    execution: &ExecutionId,
    command: Command,
) -> Taken {
    let mut delay = config.report_delay_first;
    loop {
        match inbox.send(execution, command.clone()).await {
            Ok(()) => return Taken::Yes,
            Err(SendError::Refused(refusal)) => {
                tracing::debug!(%execution, ?refusal, "report refused");
                return Taken::No;
            }
            Err(error @ (SendError::Unanswered { .. } | SendError::Full)) => {
                tracing::debug!(%execution, %error, "report repeated");
            }
            Err(error) => tracing::warn!(%execution, %error, "report repeated"),
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(config.report_delay_max);
    }
}
