//! Why something failed, and who pays for it.

use serde::{Deserialize, Serialize};

/// Whose budget an ended attempt is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Charge {
    /// The task's own retries.
    User,
    /// The system's retries: nobody's fault in the workflow.
    System,
    /// The attempts on capacity that may be taken away.
    Interruption,
}

/// What was observed when an attempt ended without success: a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureCause {
    /// The SDK caught an exception and wrote it down; it says whether trying again can help.
    TaskRaised {
        /// Whether the SDK calls the error recoverable.
        recoverable: bool,
    },
    /// The SDK wrote down a fault that is not the user's (conversion, storage).
    SdkFault {
        /// Whether the SDK calls the error recoverable.
        recoverable: bool,
    },
    /// The process ended with this exit code and wrote no error.
    ExitCode(i32),
    /// The process was ended by this signal and wrote no error.
    Signal(i32),
    /// The process was killed because it used more memory than it had.
    OutOfMemory,
    /// The process ended well, but outputs that the task declares are not there.
    OutputsNotFound,
    /// What the task wrote cannot be read.
    OutputsUnreadable,
    /// The attempt ran longer than its limit.
    TimedOut,
    /// The worker vanished with the attempt.
    WorkerLost,
    /// The worker was told to stop and handed the attempt back.
    Interrupted,
    /// The worker could not start user code (archive, interpreter, folder).
    StartFailed,
    /// A connector could not be reached, broke off, or answered what means nothing; no job of it is left.
    ConnectorFault,
    /// A connector may have a job of which nothing more is known: making another could be one too many.
    JobUnresolved,
    /// The inputs could not be put together from what upstream nodes produced.
    InputsUnresolvable,
    /// A person, or the workflow itself, said no: an approval that was refused, a branch of which no case holds.
    Refused,
    /// The request cannot ever be run as asked (for example map inputs of different length).
    InvalidRequest,
}

/// An attempt, item, node or execution that failed: what the user is told, and what the engine goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The error code users see and match on, such as `USER:RuntimeError` or `OOMKilled`.
    pub code: String,
    /// The text users see.
    pub message: String,
    /// What was observed.
    pub cause: FailureCause,
    /// Whether the original calls this a user error; decides `ExecutionError.kind`.
    pub charge: Charge,
}

impl Failure {
    /// Says whether another attempt may go differently; how many there are is for the budgets to say.
    pub const fn is_retryable(&self) -> bool {
        match &self.cause {
            FailureCause::TaskRaised { recoverable } | FailureCause::SdkFault { recoverable } => *recoverable,
            FailureCause::ExitCode(_)
            | FailureCause::Signal(_)
            | FailureCause::OutOfMemory
            | FailureCause::OutputsNotFound
            | FailureCause::OutputsUnreadable
            | FailureCause::TimedOut
            | FailureCause::WorkerLost
            | FailureCause::Interrupted
            | FailureCause::StartFailed
            | FailureCause::ConnectorFault => true,
            FailureCause::JobUnresolved
            | FailureCause::InputsUnresolvable
            | FailureCause::Refused
            | FailureCause::InvalidRequest => false,
        }
    }
}
