//! What a connector's answer means. Pure.

use crate::failure;
use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin::{Resource, State, agent_error};
use skein_idl::flyteidl::core::task_execution::Phase;
use skein_idl::flyteidl::core::{LiteralMap, execution_error};
use skein_model::{Charge, Failure, JobPhase};

/// How many links to logs of one job are kept.
const LOGS_MAX: usize = 32;
/// How long one of them may be, in bytes; longer ones are left out.
const LOG_BYTES_MAX: usize = 4 * 1024;
/// How long custom info may be, in bytes; what is longer is left out. It stands in the journal at each change.
const CUSTOM_INFO_BYTES_MAX: usize = 64 * 1024;
/// How long the message of a job that goes on may be, in characters.
const MESSAGE_CHARS_MAX: usize = 1_024;

/// What a connector said of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) told: Told,
    pub(crate) state: JobState,
}

/// What is shown of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) message: String,
    pub(crate) logs: Vec<Bytes>,
    pub(crate) custom_info: Bytes,
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum JobState {
    /// It goes on.
    Open(JobPhase),
    /// It is done; its outputs, unless they are files.
    Succeeded(Option<LiteralMap>),
    /// It failed.
    Failed(Failure),
    /// What was said of it means nothing; why, in words.
    Garbage(String),
}

impl Answer {
    pub(crate) fn of(resource: Resource) -> Self {
        let told = Told::of(&resource);
        Self { told, state: state(resource) }
    }
}

impl Told {
    fn of(resource: &Resource) -> Self {
        let logs = resource.log_links.iter().map(|link| Bytes::from(link.encode_to_vec()));
        let info = resource.custom_info.as_ref().map(|info| Bytes::from(info.encode_to_vec()));
        Self {
            message: resource.message.chars().take(MESSAGE_CHARS_MAX).collect(),
            logs: logs.filter(|link| link.len() <= LOG_BYTES_MAX).take(LOGS_MAX).collect(),
            custom_info: info.filter(|info| info.len() <= CUSTOM_INFO_BYTES_MAX).unwrap_or_default(),
        }
    }
}

fn state(resource: Resource) -> JobState {
    let Ok(phase) = Phase::try_from(resource.phase) else {
        return JobState::Garbage(format!("phase {} does not exist", resource.phase));
    };
    match phase {
        Phase::Queued => JobState::Open(JobPhase::Queued),
        Phase::WaitingForResources => JobState::Open(JobPhase::WaitingForResources),
        Phase::Initializing => JobState::Open(JobPhase::Initializing),
        Phase::Running => JobState::Open(JobPhase::Running),
        Phase::Succeeded => JobState::Succeeded(resource.outputs),
        Phase::Failed => failed(&resource, false),
        Phase::RetryableFailed => failed(&resource, true),
        Phase::Aborted => {
            let message = format!("the job was aborted: {}", resource.message);
            JobState::Failed(failure::job(failure::TASK_FAILED, message, false, Charge::User))
        }
        Phase::Undefined => of_before(resource),
    }
}

/// Of a connector that knows no phases.
#[expect(deprecated, reason = "it knows nothing else")]
fn of_before(resource: Resource) -> JobState {
    match State::try_from(resource.state) {
        Ok(State::Pending) => JobState::Open(JobPhase::Queued),
        Ok(State::Running) => JobState::Open(JobPhase::Running),
        Ok(State::Succeeded) => JobState::Succeeded(resource.outputs),
        Ok(State::PermanentFailure) => failed(&resource, false),
        // It is the number 0, which is also what stands where nothing was said.
        Ok(State::RetryableFailure) if resource.message.is_empty() && resource.agent_error.is_none() => {
            JobState::Garbage("it has neither a phase nor a message".to_owned())
        }
        Ok(State::RetryableFailure) => failed(&resource, true),
        Err(_) => JobState::Garbage(format!("state {} does not exist", resource.state)),
    }
}

fn failed(resource: &Resource, recoverable: bool) -> JobState {
    let message = format!("failed to run the job: {}", resource.message);
    let Some(error) = &resource.agent_error else {
        return JobState::Failed(failure::job(failure::TASK_FAILED, message, recoverable, Charge::User));
    };
    let code = if error.code.is_empty() { failure::TASK_FAILED } else { &error.code };
    let charge = match error.origin() {
        execution_error::ErrorKind::System => Charge::System,
        execution_error::ErrorKind::User | execution_error::ErrorKind::Unknown => Charge::User,
    };
    let recoverable = recoverable || error.kind() == agent_error::Kind::Recoverable;
    JobState::Failed(failure::job(code, message, recoverable, charge))
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::admin::AgentError;
    use skein_idl::flyteidl::core::TaskLog;
    use skein_model::FailureCause;

    fn at(phase: Phase) -> Resource {
        Resource { phase: phase.into(), message: "m".to_owned(), ..Resource::default() }
    }

    fn failure_of(resource: Resource) -> Failure {
        match Answer::of(resource).state {
            JobState::Failed(failure) => failure,
            other => panic!("{other:?} is no failure"),
        }
    }

    fn garbage_of(resource: Resource) -> String {
        match Answer::of(resource).state {
            JobState::Garbage(why) => why,
            other => panic!("{other:?} means something"),
        }
    }

    #[test]
    fn a_failure_is_the_tasks_own_and_tried_again_only_where_the_connector_calls_it_retryable() {
        let failure = failure_of(at(Phase::Failed));
        assert_eq!((failure.is_retryable(), failure.charge), (false, Charge::User));
        assert_eq!(
            (failure.code.as_str(), failure.message.as_str()),
            (failure::TASK_FAILED, "failed to run the job: m")
        );
        assert!(failure_of(at(Phase::RetryableFailed)).is_retryable());
        assert!(!failure_of(at(Phase::Aborted)).is_retryable());
    }

    #[test]
    fn what_the_connector_says_of_an_error_decides_code_budget_and_whether_it_is_tried_again() {
        let error = AgentError {
            code: "QuotaExceeded".to_owned(),
            kind: agent_error::Kind::Recoverable.into(),
            origin: execution_error::ErrorKind::System.into(),
        };
        let failure = failure_of(Resource { agent_error: Some(error), ..at(Phase::Failed) });
        assert_eq!((failure.code.as_str(), failure.charge), ("QuotaExceeded", Charge::System));
        assert_eq!(failure.cause, FailureCause::SdkFault { recoverable: true });
    }

    #[test]
    #[expect(deprecated, reason = "connectors of before say nothing else")]
    fn a_connector_that_knows_no_phases_is_understood() {
        let of =
            |state: State| Resource { state: state.into(), message: "m".to_owned(), ..Resource::default() };
        assert_eq!(Answer::of(of(State::Pending)).state, JobState::Open(JobPhase::Queued));
        assert_eq!(Answer::of(of(State::Running)).state, JobState::Open(JobPhase::Running));
        assert_eq!(Answer::of(of(State::Succeeded)).state, JobState::Succeeded(None));
        assert!(failure_of(of(State::RetryableFailure)).is_retryable());
        assert!(!failure_of(of(State::PermanentFailure)).is_retryable());
        assert!(garbage_of(Resource { state: 77, ..Resource::default() }).contains("77"));
    }

    #[test]
    fn a_phase_that_does_not_exist_and_no_phase_at_all_mean_nothing() {
        assert_eq!(garbage_of(Resource { phase: 99, ..Resource::default() }), "phase 99 does not exist");
        assert!(garbage_of(Resource::default()).contains("neither a phase nor a message"));
    }

    #[test]
    fn what_is_shown_of_a_job_is_bounded() {
        let link = |name: &str| TaskLog { name: name.to_owned(), ..TaskLog::default() };
        let resource = Resource {
            message: "ä".repeat(5_000),
            log_links: std::iter::once(link(&"x".repeat(10_000)))
                .chain((0..100).map(|_| link("y")))
                .collect(),
            ..at(Phase::Running)
        };
        let told = Told::of(&resource);
        assert_eq!((told.message.chars().count(), told.logs.len()), (MESSAGE_CHARS_MAX, LOGS_MAX));
        assert_eq!(told.logs[0], link("y").encode_to_vec());
    }
}
