//! A job that a connector keeps for an attempt: what is recorded of it, and what is handed on so that nobody makes it twice.

use crate::time::Timestamp;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::core::task_execution;
use std::collections::BTreeMap;

/// The pool of work that connectors do; no worker of a machine leases from it.
pub const POOL: &str = "connectors";
/// The longest resource meta that is kept, in bytes: it stands in the journal, and travels with every call.
pub const RESOURCE_META_BYTES_MAX: usize = 64 * 1024;

/// A job as far as its connector has told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The connector's address, such as `http://localhost:8000`.
    pub connector: String,
    /// The connector's own words for the job, at most [`RESOURCE_META_BYTES_MAX`]; none before it has made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_meta: Option<Bytes>,
    /// When it was made, or first asked for: a limit of time counts from here, also after a restart.
    pub since: Timestamp,
    /// How far it is.
    pub phase: JobPhase,
    /// What the connector says of that, or why it cannot be asked; may be empty.
    pub message: String,
    /// Where its logs are, each an encoded `TaskLog`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<Bytes>,
    /// What else there is to show, an encoded `google.protobuf.Struct`; empty for nothing.
    #[serde(default, skip_serializing_if = "Bytes::is_empty")]
    pub custom_info: Bytes,
}

/// How far a job is that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobPhase {
    /// Its connector cannot be asked at present.
    Unreachable,
    /// It waits for its turn.
    Queued,
    /// It waits for something to run on.
    WaitingForResources,
    /// It is about to run.
    Initializing,
    /// It runs.
    Running,
}

impl JobPhase {
    /// Answers the phase's number in `flyteidl.core.TaskExecution.Phase`; none when nothing is known that it could say.
    pub const fn as_proto(self) -> Option<task_execution::Phase> {
        use task_execution::Phase;
        match self {
            Self::Unreachable => None,
            Self::Queued => Some(Phase::Queued),
            Self::WaitingForResources => Some(Phase::WaitingForResources),
            Self::Initializing => Some(Phase::Initializing),
            Self::Running => Some(Phase::Running),
        }
    }
}

/// What work of a connector carries beyond that of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectorWork {
    /// The job as it was recorded last; none when nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Whether the connector may have been asked for the job before a restart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_started: bool,
    /// How often the task may be tried, at least 1; told to the connector.
    pub attempts_max: u32,
    /// Labels of the execution.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the execution.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
