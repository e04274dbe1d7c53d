//! What an execution is asked to do. Decided by the core, answered by events or by a rejection.

use crate::cache::{CacheFound, CacheKey};
use crate::data::{BlobRef, DataRef};
use crate::event::{CachedItems, FinishedChunk};
use crate::failure::Failure;
use crate::ids::{Attempt, CauseId, ExecutionId, NodeId};
use crate::job::Job;
use crate::time_limit::TimeLimit;
use crate::used::Used;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A request to one execution. It may come twice, late, or in another order than it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// Take up an execution that was just created.
    Start,
    /// The inputs of a node are put together.
    InputsResolved {
        /// The node.
        node: NodeId,
        /// The inputs, an encoded `LiteralMap`.
        inputs: DataRef,
        /// For a map: how many items there are.
        items: Option<u32>,
        /// For a branch: which of its nodes runs, counted as in [`crate::Event::BranchTaken`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        case: Option<u32>,
    },
    /// The inputs of a node cannot be put together.
    InputsFailed {
        /// The node.
        node: NodeId,
        /// Why.
        failure: Failure,
    },
    /// The outputs of the nodes inside a node are put together.
    InsideResolved {
        /// The node that they are inside of.
        node: NodeId,
        /// Its outputs, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// The outputs of the nodes inside a node cannot be put together.
    InsideFailed {
        /// The node that they are inside of.
        node: NodeId,
        /// Why.
        failure: Failure,
    },
    /// The nodes that a dynamic task made are compiled, and the execution was given them.
    NodesCompiled {
        /// The node.
        node: NodeId,
        /// They, an encoded `CompiledWorkflowClosure`.
        plan: BlobRef,
    },
    /// The nodes that a dynamic task made cannot be run.
    NodesRefused {
        /// The node.
        node: NodeId,
        /// Why.
        failure: Failure,
    },
    /// The execution that a node launched has ended, or cannot be launched.
    ChildEnded {
        /// The node.
        node: NodeId,
        /// The execution.
        child: ExecutionId,
        /// How.
        outcome: ChildOutcome,
    },
    /// An execution that a node launched asks whether the node still waits for it. Refused when it does not.
    ChildAsks {
        /// The node.
        node: NodeId,
        /// The execution.
        child: ExecutionId,
    },
    /// Give a signal its value, or another one.
    SetSignal {
        /// The signal, unique in the execution.
        signal: String,
        /// The value, an encoded `Literal`.
        value: Bytes,
        /// Who asks.
        principal: String,
    },
    /// The signal that a gate is for has its value.
    PassGate {
        /// The gate.
        node: NodeId,
    },
    /// The cache was asked for a node's outputs.
    CacheLookedUp {
        /// The node.
        node: NodeId,
        /// The key of its inputs; none when they cannot be read.
        key: Option<CacheKey>,
        /// What it answered.
        found: CacheFound,
    },
    /// A node's outputs were given to the cache.
    CacheStored {
        /// The node.
        node: NodeId,
        /// Why it did not take them; none when it did.
        failure: Option<String>,
    },
    /// The cache has the outputs of items of a map.
    ItemsCached {
        /// The node.
        node: NodeId,
        /// What it has.
        items: CachedItems,
    },
    /// User code of a try began to run.
    AttemptStarted {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// The worker that runs it.
        worker: String,
        /// Where there, in words, when that is not the worker's default environment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// A connector told of the job that it keeps for a try, or cannot be asked. Refused when the try is over: the job is nobody's.
    JobReported {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// All that is known of it by now.
        job: Box<Job>,
    },
    /// A try ended.
    AttemptFinished {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
        /// How.
        outcome: Outcome,
        /// When it began, unless that was told before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        began: Option<Began>,
        /// What it used of the machine, when it ran long enough to be looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        used: Option<Used>,
    },
    /// Items of a map ended.
    ItemsFinished {
        /// The node.
        node: NodeId,
        /// What became of them.
        chunk: FinishedChunk,
    },
    /// The outputs of a map are put together.
    MapAssembled {
        /// The node.
        node: NodeId,
        /// The outputs, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// The outputs of the execution are put together.
    OutputsResolved {
        /// The outputs, an encoded `LiteralMap`.
        outputs: DataRef,
    },
    /// The outputs of the execution cannot be put together.
    OutputsFailed {
        /// Why.
        failure: Failure,
    },
    /// Something has taken as long as it may. It names what that was, and changes nothing when that has ended meanwhile.
    TimeUp {
        /// What has.
        limit: TimeLimit,
        /// How long it may take.
        after: Duration,
    },
    /// End the execution.
    Terminate {
        /// Why, in the words of whoever asks.
        cause: String,
        /// Who asks.
        principal: String,
    },
    /// Archive the execution, or bring it back.
    Archive {
        /// Whether it is to be archived.
        archived: bool,
        /// Who asks.
        principal: String,
    },
}

impl Command {
    /// Answers a hash of the command, by which a record names what caused it.
    pub fn cause(&self) -> CauseId {
        let bytes =
            rmp_serde::to_vec_named(self).expect("a command has no map with keys that are not strings");
        CauseId(xxhash_rust::xxh3::xxh3_64(&bytes))
    }

    /// Answers its kind in words, as a trace shows it.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::InputsResolved { .. } => "inputs resolved",
            Self::InputsFailed { .. } => "inputs failed",
            Self::InsideResolved { .. } => "inside resolved",
            Self::InsideFailed { .. } => "inside failed",
            Self::NodesCompiled { .. } => "nodes compiled",
            Self::NodesRefused { .. } => "nodes refused",
            Self::ChildEnded { .. } => "child ended",
            Self::ChildAsks { .. } => "child asks",
            Self::SetSignal { .. } => "set signal",
            Self::PassGate { .. } => "pass gate",
            Self::CacheLookedUp { .. } => "cache looked up",
            Self::CacheStored { .. } => "cache stored",
            Self::ItemsCached { .. } => "items cached",
            Self::AttemptStarted { .. } => "attempt started",
            Self::JobReported { .. } => "job reported",
            Self::AttemptFinished { .. } => "attempt finished",
            Self::ItemsFinished { .. } => "items finished",
            Self::MapAssembled { .. } => "map assembled",
            Self::OutputsResolved { .. } => "outputs resolved",
            Self::OutputsFailed { .. } => "outputs failed",
            Self::TimeUp { .. } => "time up",
            Self::Terminate { .. } => "terminate",
            Self::Archive { .. } => "archive",
        }
    }
}

/// The beginning of a try that is told together with its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// The worker that ran it.
    pub worker: String,
    /// How long before its end it began, in microseconds.
    pub micros_ago: u64,
    /// Where there, in words, when that is not the worker's default environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// With outputs.
    Succeeded {
        /// The outputs, an encoded `LiteralMap`.
        outputs: DataRef,
        /// Where its deck is, if it left one.
        deck: Option<String>,
    },
    /// Without.
    Failed(Failure),
    /// With nodes that are to run in the place of outputs: a dynamic task.
    MadeNodes {
        /// Where they are, an encoded `DynamicJobSpec`.
        spec: String,
        /// Where its deck is, if it left one.
        deck: Option<String>,
    },
}

/// How an execution that a node launched ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ChildOutcome {
    /// With outputs, an encoded `LiteralMap`.
    Succeeded(DataRef),
    /// Without, or it was never launched.
    Failed(Failure),
    /// Somebody ended it, for this reason.
    Aborted(String),
}
