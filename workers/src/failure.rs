//! What the user is told about an attempt that produced nothing.

use crate::child::Exit;
use crate::zygote::StartError;
use prost::Message;
use skein_idl::flyteidl::core::{ContainerError, ErrorDocument, container_error, execution_error};
use skein_model::resources::Resource;
use skein_model::{Charge, Failure, FailureCause, WorkId};
use std::time::Duration;

/// The longest message that is kept, in bytes. Messages stand in the journal, which is replayed whole.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;
/// The code of a process that ended badly; also how Kubernetes names the reason.
const ERROR: &str = "Error";

/// Takes a failure from what the SDK wrote down; none when that cannot be read.
pub(crate) fn from_documents<'a>(documents: impl IntoIterator<Item = &'a [u8]>) -> Option<Failure> {
    let mut errors = Vec::new();
    for document in documents {
        match ErrorDocument::decode(document) {
            Ok(ErrorDocument { error: Some(error) }) => errors.push(error),
            Ok(ErrorDocument { error: None }) | Err(_) => return Some(unreadable("error.pb")),
        }
    }
    // Of several workers of one attempt the first to fail is the cause.
    let earliest =
        |error: &ContainerError| error.timestamp.map(|at| (at.seconds, at.nanos)).unwrap_or_default();
    Some(from_error(errors.into_iter().min_by_key(earliest)?))
}

fn from_error(error: ContainerError) -> Failure {
    let recoverable = error.kind() == container_error::Kind::Recoverable;
    let (cause, charge) = match error.origin() {
        execution_error::ErrorKind::System => (FailureCause::SdkFault { recoverable }, Charge::System),
        execution_error::ErrorKind::User | execution_error::ErrorKind::Unknown => {
            (FailureCause::TaskRaised { recoverable }, Charge::User)
        }
    };
    Failure { code: error.code, message: shorten(error.message), cause, charge }
}

/// The process ended badly and wrote nothing down; none when it ended well.
pub(crate) fn from_exit(id: &WorkId, exit: Exit, tail: &str) -> Option<Failure> {
    let (code, cause, charge) = match exit {
        Exit::Code(0) => return None,
        // What a parent process makes of SIGKILL, in a shell and in the SDK's launcher.
        Exit::Code(code @ (137 | 247)) => (code, FailureCause::ExitCode(code), Charge::System),
        Exit::Code(code) => (code, FailureCause::ExitCode(code), Charge::User),
        Exit::Signal(9) => (137, FailureCause::Signal(9), Charge::System),
        Exit::Signal(signal) => (128_i32.saturating_add(signal), FailureCause::Signal(signal), Charge::User),
        Exit::Lost => return Some(lost()),
    };
    let name = format!("{}-{}-{}", id.execution.name, id.node, id.attempt);
    let message =
        format!("\r\n[{name}] terminated with exit code ({code}). Reason [{ERROR}]. Message: \n\n{tail}.");
    Some(Failure { code: ERROR.to_owned(), message: shorten(message), cause, charge })
}

fn lost() -> Failure {
    Failure {
        code: "Interrupted".to_owned(),
        message: "the interpreter ended together with everything it ran".to_owned(),
        cause: FailureCause::WorkerLost,
        charge: Charge::System,
    }
}

/// The worker of an actor environment that had the attempt is gone, or says nothing more; why, in words.
pub(crate) fn worker_lost(why: String) -> Failure {
    Failure { message: shorten(why), ..lost() }
}

/// A worker of an actor environment could not run the attempt, for this reason in its words.
pub(crate) fn by_worker(worker: &str, reason: &str, is_permanent: bool, is_systems: bool) -> Failure {
    let recoverable = !is_permanent;
    let (cause, charge) = match is_systems {
        true => (FailureCause::SdkFault { recoverable }, Charge::System),
        false => (FailureCause::TaskRaised { recoverable }, Charge::User),
    };
    let message = shorten(format!("worker {worker} could not run the task: {reason}"));
    Failure { code: ERROR.to_owned(), message, cause, charge }
}

/// The process ended well, but declared outputs are not there.
pub(crate) fn outputs_not_found(prefix: &str) -> Failure {
    Failure {
        code: "OutputsNotFound".to_owned(),
        message: format!(
            "the task declares outputs, but ended without {prefix}/outputs.pb and without an error"
        ),
        cause: FailureCause::OutputsNotFound,
        charge: Charge::User,
    }
}

/// What the task wrote is not what the SDK writes.
pub(crate) fn unreadable(name: &str) -> Failure {
    Failure {
        code: "OutputsUnreadable".to_owned(),
        message: format!("{name} is not what the SDK writes: it cannot be decoded"),
        cause: FailureCause::OutputsUnreadable,
        charge: Charge::User,
    }
}

/// The process broke off or garbled what it has to tell the worker, and was ended for that; `why` in words.
pub(crate) fn foreign(why: &str) -> Failure {
    Failure {
        code: "ProcessUnusable".to_owned(),
        message: shorten(format!(
            "{why}, so it was ended. Code that closes files, or writes to files, which it did not open itself does this."
        )),
        cause: FailureCause::OutputsUnreadable,
        charge: Charge::User,
    }
}

/// The process has closed its connection, and goes on.
pub(crate) const CLOSED: &str = "the process closed its connection to the worker and went on";

/// What the process sent means nothing; `why` in words.
pub(crate) fn no_message(why: &dyn std::fmt::Display) -> String {
    format!("what the process sent is no message to the worker ({why})")
}

/// The task made a plan of further nodes instead of outputs.
pub(crate) fn dynamic() -> Failure {
    Failure {
        code: "DynamicNotSupported".to_owned(),
        message: "the task is @dynamic: it made a plan of further nodes, which this version does not run yet"
            .to_owned(),
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}

/// The kernel killed the attempt, or a process that it started, for want of memory; `failure` is how that looked from outside.
pub(crate) fn out_of_memory(limit: Option<u64>, failure: &Failure) -> Failure {
    let limit = limit.map_or_else(String::new, |limit| format!(" of {}", Resource::Memory.shown(limit)));
    let message =
        format!("it used more memory than its limit{limit}, and was killed for that: {}", failure.message);
    Failure {
        code: "OOMKilled".to_owned(),
        message: shorten(message),
        cause: FailureCause::OutOfMemory,
        charge: Charge::User,
    }
}

/// No attempt can ever have here what its task asks for.
pub(crate) fn unsatisfiable(why: &str) -> Failure {
    Failure {
        code: "ResourcesUnsatisfiable".to_owned(),
        ..invalid(format!("nothing here can ever run it: {why}"))
    }
}

/// The attempt ran too long.
pub(crate) fn timed_out(limit: Duration) -> Failure {
    Failure {
        code: "TimeoutExpired".to_owned(),
        message: format!("task execution timeout [{}] expired", duration(limit)),
        cause: FailureCause::TimedOut,
        charge: Charge::User,
    }
}

/// The worker was told to stop.
pub(crate) fn interrupted() -> Failure {
    Failure {
        code: "Interrupted".to_owned(),
        message: "the worker was told to stop and handed the attempt back".to_owned(),
        cause: FailureCause::Interrupted,
        charge: Charge::Interruption,
    }
}

/// User code could not be started.
pub(crate) fn not_started(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = error.source();
    }
    Failure {
        code: "StartFailed".to_owned(),
        message: shorten(message),
        cause: FailureCause::StartFailed,
        charge: Charge::System,
    }
}

/// A process for a task of a user's program could not be made. What the program is, and does when it is started, is charged to
/// the user; that it is slow, or that the machine has no room, is not.
pub(crate) fn program_not_started(error: &StartError) -> Failure {
    let failure = not_started(error);
    if error.is_the_programs() {
        return Failure { code: "ProgramUnusable".to_owned(), charge: Charge::User, ..failure };
    }
    failure
}

/// The work cannot ever be run as it was offered.
pub(crate) fn invalid(message: String) -> Failure {
    Failure {
        code: "InvalidRequest".to_owned(),
        message: shorten(message),
        cause: FailureCause::InvalidRequest,
        charge: Charge::User,
    }
}

/// The task says something of how it is run that can never be.
pub(crate) fn bad_task(message: String) -> Failure {
    Failure { code: "BadTaskSpecification".to_owned(), ..invalid(message) }
}

/// A file that is an input cannot be read.
pub(crate) fn input_not_found(message: String) -> Failure {
    Failure { code: "InputNotFound".to_owned(), ..invalid(message) }
}

/// A container ended well, but left no file for an output.
pub(crate) fn output_not_found(name: &str, place: &str) -> Failure {
    Failure {
        code: "OutputsNotFound".to_owned(),
        message: format!(
            "the task declares the output {name}, but its container ended without the file {place}"
        ),
        cause: FailureCause::OutputsNotFound,
        charge: Charge::User,
    }
}

/// A container left for an output what cannot be one.
pub(crate) fn bad_output(message: String) -> Failure {
    Failure {
        code: "OutputsUnreadable".to_owned(),
        message: shorten(message),
        cause: FailureCause::OutputsUnreadable,
        charge: Charge::User,
    }
}

/// A container wrote down why it failed.
pub(crate) fn container_said(message: String) -> Failure {
    Failure {
        code: "USER:ContainerError".to_owned(),
        message: shorten(message),
        cause: FailureCause::TaskRaised { recoverable: true },
        charge: Charge::User,
    }
}

/// A container was ended because it used more memory than it had.
pub(crate) fn container_out_of_memory(limit: Option<u64>) -> Failure {
    let message = match limit {
        Some(bytes) => {
            format!("the container used more memory than its limit of {bytes} bytes and was killed")
        }
        None => "the machine ran out of memory, and the container was killed".to_owned(),
    };
    Failure { code: "OOMKilled".to_owned(), message, cause: FailureCause::OutOfMemory, charge: Charge::User }
}

/// An image cannot be had.
pub(crate) fn image_pull(image: &str, why: &str) -> Failure {
    Failure {
        code: "ImagePullBackOff".to_owned(),
        message: shorten(format!("the image {image} is not on this machine and cannot be fetched: {why}")),
        cause: FailureCause::StartFailed,
        charge: Charge::User,
    }
}

/// An image cannot have that name.
pub(crate) fn image_name(image: &str, why: &str) -> Failure {
    Failure {
        code: "InvalidImageName".to_owned(),
        ..invalid(format!("the image {image:?} cannot be: {why}"))
    }
}

/// A container engine does not start what was asked for.
pub(crate) fn container_refused(image: &str, why: &str) -> Failure {
    Failure {
        code: "ContainerCannotRun".to_owned(),
        message: shorten(format!("a container of the image {image} cannot be started: {why}")),
        cause: FailureCause::StartFailed,
        charge: Charge::User,
    }
}

/// Nothing runs containers here.
pub(crate) fn no_containers(task: &str, why: &str) -> Failure {
    Failure {
        code: "ContainersUnavailable".to_owned(),
        ..invalid(format!("task {task} is a container, and containers are not run by this worker: {why}"))
    }
}

/// The machine does not let a command have a view of its files.
pub(crate) fn no_room(image: &str, why: &str) -> Failure {
    Failure {
        code: "ContainersUnavailable".to_owned(),
        ..invalid(format!(
            "the command of a container of {image} cannot be run on the worker's machine itself: {why}"
        ))
    }
}

/// A container engine does not answer.
pub(crate) fn engine(message: &str) -> Failure {
    Failure {
        code: "StartFailed".to_owned(),
        message: shorten(message.to_owned()),
        cause: FailureCause::StartFailed,
        charge: Charge::System,
    }
}

/// The program that has the task is not there, or is not the one that the task was registered from.
pub(crate) fn program(code: &str, message: String) -> Failure {
    Failure { code: code.to_owned(), ..invalid(message) }
}

/// A secret that the task asks for is not there, or cannot be given as it is asked for.
pub(crate) fn secret(code: &str, message: String) -> Failure {
    Failure { code: code.to_owned(), ..invalid(message) }
}

/// Writes a duration as Go does, because that is what users match on: `2s`, `1m30s`, `1.5s`.
fn duration(limit: Duration) -> String {
    let seconds = limit.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = (limit - Duration::from_secs(seconds - seconds % 60)).as_secs_f64();
    match (hours, minutes) {
        (0, 0) if limit < Duration::from_secs(1) => format!("{}ms", limit.as_secs_f64() * 1000.0),
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// Cuts a message in its middle: the beginning says where, the end says what.
fn shorten(message: String) -> String {
    if message.len() <= MESSAGE_BYTES_MAX {
        return message;
    }
    let head = message.floor_char_boundary(MESSAGE_BYTES_MAX / 4);
    let tail = message.ceil_char_boundary(message.len() - MESSAGE_BYTES_MAX / 4 * 3);
    format!("{}\n[… {} bytes …]\n{}", &message[..head], tail - head, &message[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_written_as_go_writes_it() {
        for (millis, text) in
            [(2_000, "2s"), (1_500, "1.5s"), (90_000, "1m30s"), (3_600_000, "1h0m0s"), (250, "250ms")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let long = format!("begin{}end", "é".repeat(MESSAGE_BYTES_MAX));
        let short = shorten(long);
        assert!(short.starts_with("begin") && short.ends_with("end") && short.len() < MESSAGE_BYTES_MAX + 64);
    }
}
