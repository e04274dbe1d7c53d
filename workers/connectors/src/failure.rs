//! What the user is told about an attempt that a connector did not do.

use crate::client::CallError;
use skein_model::{Charge, Failure, FailureCause};
use std::time::Duration;
use tonic::Code;

/// The longest message that is kept, in bytes. Messages stand in the journal, which is replayed whole.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// The code of a job that its connector calls failed, as the original has it.
pub(crate) const TASK_FAILED: &str = "TaskFailedWithError";

fn of(code: &str, message: String, cause: FailureCause, charge: Charge) -> Failure {
    Failure { code: code.to_owned(), message: shortened(message), cause, charge }
}

/// Cuts a text so that it can stand in the journal.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES_MAX {
        let mut at = MESSAGE_BYTES_MAX;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
        text.push_str(" […]");
    }
    text
}

/// The job failed, as its connector says.
pub(crate) fn job(code: &str, message: String, recoverable: bool, charge: Charge) -> Failure {
    let cause = match charge {
        Charge::System => FailureCause::SdkFault { recoverable },
        Charge::User | Charge::Interruption => FailureCause::TaskRaised { recoverable },
    };
    of(code, message, cause, charge)
}

/// The connector is at fault, and no job is left: trying again may help.
pub(crate) fn fault(code: &str, message: String) -> Failure {
    of(code, message, FailureCause::ConnectorFault, Charge::System)
}

/// The connector's answer is at fault in a way in which it would be again.
pub(crate) fn answer(message: String) -> Failure {
    of("ConnectorAnswerInvalid", message, FailureCause::SdkFault { recoverable: false }, Charge::System)
}

/// The task is at fault: what its job left as files is no outputs.
pub(crate) fn left(code: &str, message: String, cause: FailureCause) -> Failure {
    of(code, message, cause, Charge::User)
}

/// A job may exist, and another is not made.
pub(crate) fn unresolved(url: &str, why: &str) -> Failure {
    let message = format!(
        "connector {url} may have a job for this try, of which nothing more is known ({why}); it was not created again, \
         because then there could be two"
    );
    of("JobUnresolved", message, FailureCause::JobUnresolved, Charge::System)
}

/// The connector refused to make a job, or to do the task.
pub(crate) fn refused(url: &str, error: &CallError) -> Failure {
    let message = format!("connector {url} refused the task: {error}");
    match error {
        // What it says of the request is of the task, and it would say so again.
        CallError::Refused { code: Code::InvalidArgument | Code::FailedPrecondition, .. } => {
            job("ConnectorRefused", message, false, Charge::User)
        }
        _ => fault("ConnectorFailed", message),
    }
}

/// No connector does tasks of the type.
pub(crate) fn nobody(task: &str, task_type: &str, there: &str) -> Failure {
    let message = format!("task {task} is of type {task_type}, which no connector does; {there}");
    of("ConnectorNotFound", message, FailureCause::InvalidRequest, Charge::System)
}

/// It took longer than it may: in the words that a worker has for it.
pub(crate) fn timed_out(limit: Duration) -> Failure {
    let message = format!("task execution timeout [{}s] expired", limit.as_secs_f64());
    of("TimeoutExpired", message, FailureCause::TimedOut, Charge::User)
}

/// Something of this server was in the way.
pub(crate) fn not_started(error: &dyn std::fmt::Display) -> Failure {
    of(
        "StartFailed",
        format!("the job could not be made: {error}"),
        FailureCause::StartFailed,
        Charge::System,
    )
}
