//! What has happened to an execution. The state of an execution is a fold of these and of nothing else.

use crate::cache::{CacheFound, CacheKey};
use crate::data::{BlobRef, DataRef};
use crate::failure::Failure;
use crate::ids::{Attempt, EntityId, ExecutionId, NodeId};
use crate::job::Job;
use crate::notification::Notification;
use crate::resources::Quota;
use crate::time::Timestamp;
use crate::used::Used;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One thing that happened. When it happened stands on the record that holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Somebody asked for the execution; always the first event of a journal, written by the
    /// gateway, or by the engine for what it launches itself.
    Created(Box<Created>),
    /// The engine took it up.
    Started,
    /// Upstream nodes are done; the node's inputs are asked for.
    NodeQueued {
        /// The node.
        node: NodeId,
    },
    /// The node has its inputs.
    NodeStarted {
        /// The node.
        node: NodeId,
        /// Its inputs, an encoded `LiteralMap`.
        inputs: DataRef,
    },
    /// The cache was asked for the node's outputs, or is waited for.
    CacheLookedUp {
        /// The node.
        node: NodeId,
        /// The key of its inputs; none when there is none because they cannot be read.
        key: Option<CacheKey>,
        /// What it answered.
        found: CacheFound,
    },
    /// A try of the node's task waits for a worker.
    AttemptQueued {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// Not to be offered before this; none when at once.
        not_before: Option<Timestamp>,
    },
    /// A try that waited for capacity that can be taken away is asked for on demand.
    AttemptMoved {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// Why, in words.
        reason: String,
    },
    /// User code of a try began to run.
    AttemptStarted {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// The worker that runs it.
        worker: String,
        /// How long before this was recorded it began, in microseconds: a short try is recorded when it has ended.
        #[serde(default, skip_serializing_if = "is_zero")]
        micros_ago: u64,
        /// Where its worker runs it, in words, when that is not the worker's default environment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// A connector told of the job that it keeps for a try, or cannot be asked.
    JobReported {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// All that is known of it by now.
        job: Box<Job>,
    },
    /// A try produced outputs.
    AttemptSucceeded {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// Its outputs, an encoded `LiteralMap`.
        outputs: DataRef,
        /// Where its deck is, if it left one.
        deck: Option<String>,
        /// What it used of the machine, when it ran long enough to be looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<Used>,
    },
    /// A try ended without outputs.
    AttemptFailed {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// Why.
        failure: Failure,
        /// What it used of the machine, when it ran long enough to be looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<Used>,
    },
    /// A try was given up because its node or execution ended otherwise.
    AttemptAborted {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
    },
    /// A result came for a try that had ended before: noted once, and without effect.
    LateResultIgnored {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
    },
    /// The node is a map over this many items; all of them wait for workers.
    MapStarted {
        /// The node.
        node: NodeId,
        /// How many items, at most [`crate::work::MAP_ITEMS_MAX`].
        size: u32,
    },
    /// Items of a map ended, one way or the other.
    ItemsFinished {
        /// The node.
        node: NodeId,
        /// What became of them.
        chunk: FinishedChunk,
        /// Which of the items that failed are tried again, in ascending order; the others have failed for good.
        again: Vec<u32>,
    },
    /// The cache has the outputs of items of a map.
    ItemsCached {
        /// The node.
        node: NodeId,
        /// What it has.
        items: CachedItems,
    },
    /// The nodes of the workflow that a node runs can begin.
    InsideStarted {
        /// The node.
        node: NodeId,
    },
    /// The nodes inside a node are done.
    InsideSucceeded {
        /// The node that they are inside of.
        node: NodeId,
        /// The number of the try that made them; 0 for a sub-workflow.
        attempt: Attempt,
        /// What they give, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// A branch runs one of its nodes.
    BranchTaken {
        /// The branch.
        node: NodeId,
        /// Which of its nodes: those of its cases in order, then the one for none of them.
        case: u32,
    },
    /// A try of a dynamic task ended with nodes in the place of outputs; what they are is being read.
    AttemptMadeNodes {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// Where they are, an encoded `DynamicJobSpec`.
        spec: String,
        /// Where its deck is, if it left one.
        deck: Option<String>,
        /// What it used of the machine, when it ran long enough to be looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<Used>,
    },
    /// The nodes that a dynamic task made are part of the execution, as children of its node.
    NodesMade {
        /// The node.
        node: NodeId,
        /// The number of the try that made them.
        attempt: Attempt,
        /// Where they were made, an encoded `DynamicJobSpec`.
        spec: String,
        /// They, compiled: an encoded `CompiledWorkflowClosure`.
        plan: BlobRef,
    },
    /// The nodes inside a node have failed; what runs of them is being stopped, and the node that handles it follows.
    InsideFailing {
        /// The node that they are inside of.
        node: NodeId,
        /// The failure.
        failure: Failure,
    },
    /// A gate waits for a signal, which can be set from now on.
    SignalAsked {
        /// The gate.
        node: NodeId,
        /// The signal, unique in the execution.
        signal: String,
        /// The type of its value, an encoded `LiteralType`.
        r#type: Bytes,
    },
    /// A launch plan node has an execution of its own.
    ChildLaunched {
        /// The node.
        node: NodeId,
        /// The execution.
        child: ExecutionId,
    },
    /// Somebody gave a signal its value, or another one.
    SignalSet {
        /// The signal, unique in the execution.
        signal: String,
        /// The value, an encoded `Literal`.
        value: Bytes,
        /// Who.
        principal: String,
    },
    /// The node's outputs were given to the cache.
    CacheStored {
        /// The node.
        node: NodeId,
        /// Why it did not take them; none when it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
    },
    /// The node is done.
    NodeSucceeded {
        /// The node.
        node: NodeId,
        /// Its outputs, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// The node ended by a failure.
    NodeFailed {
        /// The node.
        node: NodeId,
        /// Why, as the user is told.
        failure: Failure,
    },
    /// The node ran out of time.
    NodeTimedOut {
        /// The node.
        node: NodeId,
        /// Which limit, as the user is told.
        failure: Failure,
    },
    /// The node was stopped because something else ended the execution.
    NodeAborted {
        /// The node.
        node: NodeId,
        /// What ended it.
        reason: String,
    },
    /// The node will never run, because one before it failed.
    NodeSkipped {
        /// The node.
        node: NodeId,
    },
    /// A node's failure ends the execution; what runs is being stopped.
    Failing {
        /// The failure.
        failure: Failure,
    },
    /// Somebody ended the execution; what runs is being stopped.
    Aborting {
        /// Why, in their words.
        cause: String,
        /// Who.
        principal: String,
    },
    /// Every node is done; the outputs are asked for.
    Succeeding,
    /// The execution is done.
    Succeeded {
        /// Its outputs, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// The execution ended by a failure.
    Failed {
        /// The failure, as the user is told.
        failure: Failure,
    },
    /// The execution was ended by somebody.
    Aborted,
    /// Somebody archived the execution or brought it back.
    Archived {
        /// Whether it is archived now.
        archived: bool,
        /// Who.
        principal: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_not(flag: &bool) -> bool {
    !*flag
}

/// What was asked for when an execution was created, complete: the engine needs nothing else to run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The execution.
    pub execution: ExecutionId,
    /// What was launched: a launch plan, or a task.
    pub launched: EntityId,
    /// The workflow that runs; a made-up one for a task.
    pub workflow: EntityId,
    /// Its compiled closure, an encoded `CompiledWorkflowClosure`.
    pub plan: BlobRef,
    /// All inputs, defaults and fixed ones included, an encoded `LiteralMap`.
    pub inputs: DataRef,
    /// The inputs as the user gave them: what a relaunch starts from.
    pub user_inputs: DataRef,
    /// The request's `ExecutionSpec`, encoded, without its inputs; what `GetExecution` shows.
    pub spec: Bytes,
    /// The settings in force after merging request, launch plan and defaults.
    pub settings: Settings,
    /// Where the engine keeps what it writes for this execution; ends without a slash.
    pub data_prefix: String,
    /// Under which user code puts large values; ends without a slash.
    pub raw_prefix: String,
    /// Who asked.
    pub principal: String,
    /// The node that it is the execution of, when one launched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentNode>,
}

/// The node of another execution that launched an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentNode {
    /// The other execution.
    pub execution: ExecutionId,
    /// The node.
    pub node: NodeId,
}

/// Settings of an execution that the engine goes by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How many nodes may run at once; 0 is no limit.
    pub max_parallelism: u32,
    /// Overrides the workflow's own setting when given.
    pub interruptible: Option<bool>,
    /// Run again what the cache has.
    pub overwrite_cache: bool,
    /// Environment variables for every attempt.
    pub envs: BTreeMap<String, String>,
    /// Labels, which are searchable as tags too.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Tags.
    pub tags: Vec<String>,
    /// What project and domain said of resources when it was created.
    #[serde(default, skip_serializing_if = "Quota::is_empty")]
    pub quota: Quota,
    /// Who is told when it ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
    /// Whether nobody is told, neither those nor whom the server's settings name.
    #[serde(default, skip_serializing_if = "is_not")]
    pub tells_nobody: bool,
}

/// Items `start..end` of a map, in input order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemRange {
    /// The first item.
    pub start: u32,
    /// The item after the last.
    pub end: u32,
}

impl ItemRange {
    /// Answers how many items there are.
    pub const fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Says whether there are none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

/// What became of a range of items that were run together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishedChunk {
    /// The items; those not among `failures` or `returned` succeeded.
    pub range: ItemRange,
    /// The number of the try, the same for all items of a chunk.
    pub attempt: Attempt,
    /// The outputs of the items that succeeded, in order: an encoded `LiteralMap` whose every value is a collection
    /// with one element for each of them. Empty when none succeeded or nothing is declared.
    pub outputs: DataRef,
    /// The items that failed, in ascending order.
    pub failures: Vec<ItemFailure>,
    /// Items that were not run and are to be offered again, in ascending order of range.
    pub returned: Vec<ItemRange>,
    /// How long user code of the whole range ran, in microseconds.
    pub micros: u64,
    /// The worker that ran it.
    pub worker: String,
    /// What all of it used of the machine, when it ran long enough to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<Used>,
}

impl FinishedChunk {
    /// Answers how many of the items succeeded.
    pub fn succeeded(&self) -> u32 {
        let returned: u32 = self.returned.iter().map(|range| range.len()).sum();
        let failed = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        self.range.len().saturating_sub(returned).saturating_sub(failed)
    }
}

/// Outputs of items that need not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CachedItems {
    /// The items that were looked up.
    pub range: ItemRange,
    /// Those among them that the cache does not have, in ascending order.
    pub absent: Vec<u32>,
    /// The outputs of the others, in order: an encoded `LiteralMap` whose every value is a collection with one element for each.
    pub outputs: DataRef,
}

/// One item that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// Its position in the inputs.
    pub index: u32,
    /// Why.
    pub failure: Failure,
}
