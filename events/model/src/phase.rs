//! Phases of executions, nodes and attempts, in Flyte's words.

use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::core::{node_execution, workflow_execution};

/// Where an execution stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ExecutionPhase {
    /// Recorded, nothing started.
    #[default]
    Queued,
    /// Nodes run or are about to.
    Running,
    /// Every node succeeded; the outputs are put together.
    Succeeding,
    /// A node failed; what runs is stopped, and a failure node may run.
    Failing,
    /// Somebody terminated it; what runs is stopped.
    Aborting,
    /// Done, outputs are there.
    Succeeded,
    /// Ended by a failure.
    Failed,
    /// Ended by somebody.
    Aborted,
    /// Ended by its deadline.
    TimedOut,
}

impl ExecutionPhase {
    /// Says whether nothing can follow.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted | Self::TimedOut)
    }

    /// Answers the phase's number in `flyteidl.core.WorkflowExecution.Phase`.
    pub const fn as_proto(self) -> workflow_execution::Phase {
        use workflow_execution::Phase;
        match self {
            Self::Queued => Phase::Queued,
            Self::Running => Phase::Running,
            Self::Succeeding => Phase::Succeeding,
            Self::Failing => Phase::Failing,
            Self::Aborting => Phase::Aborting,
            Self::Succeeded => Phase::Succeeded,
            Self::Failed => Phase::Failed,
            Self::Aborted => Phase::Aborted,
            Self::TimedOut => Phase::TimedOut,
        }
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NodePhase {
    /// Its upstream nodes are done; its inputs are being put together.
    Queued,
    /// It has inputs and an attempt (or items) under way or waiting for a worker.
    Running,
    /// Its task is done, and the nodes that it made are under way.
    DynamicRunning,
    /// Done, outputs are there.
    Succeeded,
    /// Done: its outputs are those that an earlier execution had.
    Recovered,
    /// Ended by a failure.
    Failed,
    /// Stopped because something else ended the execution.
    Aborted,
    /// Never to run, because a node before it failed.
    Skipped,
    /// Ended by a time limit.
    TimedOut,
}

impl NodePhase {
    /// Says whether nothing can follow.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::DynamicRunning)
    }

    /// Answers the phase's number in `flyteidl.core.NodeExecution.Phase`.
    pub const fn as_proto(self) -> node_execution::Phase {
        use node_execution::Phase;
        match self {
            Self::Queued => Phase::Queued,
            Self::Running => Phase::Running,
            Self::DynamicRunning => Phase::DynamicRunning,
            Self::Succeeded => Phase::Succeeded,
            Self::Recovered => Phase::Recovered,
            Self::Failed => Phase::Failed,
            Self::Aborted => Phase::Aborted,
            Self::Skipped => Phase::Skipped,
            Self::TimedOut => Phase::TimedOut,
        }
    }
}
