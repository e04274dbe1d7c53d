//! How far an execution is: what the log says of each node, counted exactly.
//!
//! A map's items are counted as they end. Which of the others a worker has in hands at this moment is written down
//! nowhere: the log has a chunk when it ends, so that handing it out costs no record. They are therefore one number,
//! [`Items::waiting`], and nothing here guesses how it divides.

mod follow;
mod read;

pub(crate) use follow::{Update, Watched, watch};
pub(crate) use read::{read, rfc3339, rounded};

use serde::{Deserialize, Serialize};

/// How far an execution is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The execution, as `project/domain/name`.
    pub execution: String,
    /// Where it stands.
    pub phase: Phase,
    /// Why it fails or failed, or who ended it with which words.
    pub error: Option<Cause>,
    /// When it was asked for, by RFC 3339 in UTC.
    pub created: String,
    /// When it was taken up.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// How long it has run, or ran, in seconds.
    pub seconds: f64,
    /// Its nodes, in the order of the workflow.
    pub nodes: Vec<NodeProgress>,
}

/// How far a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// The node, such as `n0`.
    pub id: String,
    /// What it runs.
    pub kind: Kind,
    /// Where it stands.
    pub phase: Phase,
    /// What it waits for, where that is known.
    pub reason: Option<String>,
    /// Why it failed; a long message is cut.
    pub error: Option<Cause>,
    /// How many tries of its task there have been, one that waits for a worker included; none for a map.
    pub attempts: Option<u32>,
    /// Its items; none for a task, and for a map that has not begun.
    pub items: Option<Items>,
    /// When it had its inputs, by RFC 3339 in UTC.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// How long it has run, or ran, in seconds; none before it began.
    pub seconds: Option<f64>,
    /// How many items a second ended in the last half minute, or since the map began where none did, or in all once it
    /// has ended.
    pub items_per_second: Option<f64>,
    /// How long the items that wait will take at this rate, in seconds; none where there is no rate yet.
    pub seconds_left: Option<f64>,
}

/// What became of the items of a map. `total` is always `succeeded + failed + waiting + aborted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// How many there are.
    pub total: u32,
    /// How many have outputs.
    pub succeeded: u32,
    /// How many have failed for good.
    pub failed: u32,
    /// How many have not ended: they wait for a worker, or run, or wait to be tried again.
    pub waiting: u32,
    /// How many will never end, because their map ended before them.
    pub aborted: u32,
    /// How many tries beyond the first were asked for, over all items.
    pub retried: u64,
    /// How many of those with outputs the cache had.
    pub cached: u32,
}

impl Items {
    /// Answers how many items have ended, one way or the other.
    pub const fn ended(&self) -> u32 {
        self.succeeded.saturating_add(self.failed)
    }
}

/// Why something ended as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The error's code, or `Aborted`.
    pub code: String,
    /// The error's message, or the words of whoever ended it.
    pub message: String,
}

/// What a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// One task.
    Task,
    /// A task over each item of a list.
    Map,
}

impl Kind {
    /// Answers the word that stands for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Map => "map",
        }
    }
}

/// Where an execution or a node stands: Flyte's words, and two for nodes that the log does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// A node that has not begun, and still may.
    Waiting,
    /// Recorded, nothing started.
    Queued,
    /// Under way.
    Running,
    /// An execution whose outputs are put together.
    Succeeding,
    /// Done, outputs are there.
    Succeeded,
    /// An execution that a failure ends, and that is being stopped.
    Failing,
    /// Ended by a failure.
    Failed,
    /// An execution that somebody ended, and that is being stopped.
    Aborting,
    /// Ended from outside.
    Aborted,
    /// A node that will never run, because one before it failed.
    Skipped,
    /// Ended by a time limit.
    TimedOut,
    /// A node that has not begun, and never will.
    NotRun,
}

impl Phase {
    /// Says whether nothing can follow.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Waiting
            | Self::Queued
            | Self::Running
            | Self::Succeeding
            | Self::Failing
            | Self::Aborting => false,
            Self::Succeeded
            | Self::Failed
            | Self::Aborted
            | Self::Skipped
            | Self::TimedOut
            | Self::NotRun => true,
        }
    }

    /// Answers the word that stands for it in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "WAITING",
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Succeeding => "SUCCEEDING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failing => "FAILING",
            Self::Failed => "FAILED",
            Self::Aborting => "ABORTING",
            Self::Aborted => "ABORTED",
            Self::Skipped => "SKIPPED",
            Self::TimedOut => "TIMED_OUT",
            Self::NotRun => "NOT_RUN",
        }
    }
}
