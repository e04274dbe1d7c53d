//! The contract of the way in to an execution: commands go to whoever owns its journal.

use async_trait::async_trait;
use skein_model::{Command, ExecutionId};
use std::time::Duration;
use tokio::sync::oneshot;

/// What the owner of an execution says of a command once it is dealt with.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    /// There is no such execution.
    NotFound,
    /// The execution's state does not allow it; in words a client can be told.
    FailedPrecondition(String),
    /// What it says cannot be right; in words a client can be told.
    Invalid(String),
}

/// A command that was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The owner refused it. Sending it again will not help.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// Nobody answered in time: it may have been taken. Send it again; commands may come twice.
    #[error("no owner answered within {waited:?}")]
    Unanswered {
        /// How long an answer was waited for.
        waited: Duration,
    },
    /// There is no room at present. Send it again later.
    #[error("the inbox is full")]
    Full,
}

/// One command on its way, with the means to answer its sender.
#[derive(Debug)]
pub struct Mail {
    /// For whom.
    pub execution: ExecutionId,
    /// What.
    pub command: Command,
    /// Answers the sender; dropping it unanswered makes the sender try again.
    pub answer: oneshot::Sender<Result<(), Refusal>>,
}

/// What the owner takes out.
pub type Delivery = Mail;

/// Takes commands to the owner of an execution. Delivers at least once when the sender repeats, in no fixed order.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Sends `command` and waits until the owner has made its outcome durable (or found it without effect).
    ///
    /// # Errors
    /// See [`SendError`]; whoever must not lose the command repeats it unless it was refused.
    async fn send(&self, execution: &ExecutionId, command: Command) -> Result<(), SendError>;

    /// Takes the next command out; none when the inbox is closed. Only owners call this.
    async fn receive(&self) -> Option<Delivery>;
}
