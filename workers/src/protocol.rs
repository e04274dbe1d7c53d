//! The messages between this program, the zygote and its children; `PROTOCOL.md` is the same in prose.

use crate::config::FastPath;
use crate::plain::{Interface, Plain};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// What the zygote is told.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Control {
    /// Fork a child; its socket, log and progress page come along.
    Fork {
        /// The child's number.
        fork: u64,
    },
    /// Send a signal to a child's process group.
    Kill {
        /// The child's number.
        kill: u64,
        /// The signal's number.
        signal: i32,
    },
}

/// What the zygote says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Said {
    /// It has imported the SDK.
    pub ready: Option<Ready>,
    /// A child was forked.
    pub forked: Option<u64>,
    /// Its process id.
    pub pid: i32,
    /// A child has ended.
    pub exited: Option<u64>,
    /// Its exit code, or the signal's number, negative; none when it could not be forked.
    pub status: Option<i32>,
}

/// The version of these messages. Another one on the other side means files of another build.
pub(crate) const PROTOCOL: &str = "1";

/// What a zygote says first.
#[derive(Debug, Deserialize)]
pub(crate) struct Ready {
    /// The interpreter's version.
    pub python: String,
    /// The SDK's version.
    pub flytekit: String,
    /// The version of these messages.
    pub protocol: String,
}

/// What every job says of the process that does it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setting {
    /// The command line.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub cwd: String,
    /// What comes first on the module path.
    pub path: Vec<String>,
    /// What is taken off it: where the interpreter side of the worker lies.
    pub own: String,
}

/// The one job of a child that runs an attempt.
#[derive(Debug, Serialize)]
pub(crate) struct AttemptJob<'a> {
    /// How to run it.
    pub attempt: &'a Setting,
    /// The folder in which it leaves its outputs.
    pub outputs: &'a str,
    /// Where they are to be when the child has succeeded and nobody is left to be told: the folder in the blob store,
    /// when that is a local one.
    pub publish: Option<&'a str>,
    /// How that folder is named in outputs.
    pub prefix: &'a str,
    /// Whether an interpreter of its own is to run it, in the place of the child.
    pub fresh: bool,
}

/// The answer to it: user code begins to run.
#[derive(Debug, Deserialize)]
pub(crate) struct Started {
    /// Always true.
    #[serde(rename = "started")]
    _started: bool,
}

/// An attempt for a child that has loaded its task.
#[derive(Debug, Serialize)]
pub(crate) struct SingleJob<'a> {
    /// The attempt.
    pub single: Single<'a>,
}

/// One attempt among others in one child.
#[derive(Debug, Serialize)]
pub(crate) struct Single<'a> {
    /// How to run it.
    #[serde(flatten)]
    pub setting: &'a Setting,
    /// The folder in which it leaves its outputs.
    pub outputs: &'a str,
    /// As for [`AttemptJob::publish`].
    pub publish: Option<&'a str>,
    /// As for [`AttemptJob::prefix`].
    pub prefix: &'a str,
    /// Its arguments, when the function is to be called directly.
    pub values: Option<BTreeMap<String, Plain>>,
    /// Its encoded inputs otherwise; none when they are in the file that the command line names.
    pub inputs: Option<&'a Bytes>,
    /// Whether the child ends with it.
    pub once: bool,
    /// Its number in this child, which the answer repeats.
    pub job: u32,
}

/// What a child says of the end of an attempt.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// The number of the job that this answers.
    pub job: Option<u32>,
    /// The attempt has ended.
    #[serde(rename = "finished")]
    pub is_finished: bool,
    /// What the function returned, when that is all there is.
    pub value: Plain,
    /// Whether it is.
    #[serde(rename = "direct")]
    pub is_direct: bool,
    /// The encoded outputs, when they are all there is. Without them, and when `value` is not all, what the attempt
    /// produced is in its folder.
    pub outputs: Option<Bytes>,
    /// The process ends with this exit code, and no user code runs in it any more.
    pub ended: Option<i32>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            job: None,
            is_finished: false,
            value: Plain::Nothing,
            is_direct: false,
            outputs: None,
            ended: None,
        }
    }
}

/// The first job of a child that is to become a nest.
#[derive(Debug, Serialize)]
pub(crate) struct NestJob<'a> {
    /// The task.
    pub nest: Load<'a>,
}

/// The answer to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Nested {
    /// Why the task is not to be forked from there; none in it when the child is a nest now.
    #[serde(default, deserialize_with = "told")]
    pub obstacle: Option<Option<String>>,
    /// Why its function cannot be called directly; none when it can.
    pub slow: Option<String>,
    /// As for [`Told::ended`]: nothing else is said then.
    pub ended: Option<i32>,
}

/// The first job of a child that runs chunks or attempts.
#[derive(Debug, Serialize)]
pub(crate) struct LoadJob<'a> {
    /// The task.
    pub load: Load<'a>,
}

/// A task whose chunks or attempts are to come.
#[derive(Debug, Serialize)]
pub(crate) struct Load<'a> {
    /// How to run it.
    #[serde(flatten)]
    pub setting: &'a Setting,
    /// Whether it may be run without the SDK's entry point.
    pub dispatch: bool,
    /// Whether it may be called directly.
    pub plain: bool,
    /// The shapes of its inputs.
    pub inputs: BTreeMap<&'a str, String>,
    /// The shape of its output; none when it has none.
    pub output: Option<String>,
}

impl<'a> Load<'a> {
    /// A task that may be called directly if `plain` is what it gets and gives, as far as `path` allows.
    pub(crate) fn of(setting: &'a Setting, plain: Option<&'a Interface>, path: FastPath) -> Self {
        let dispatch = path == FastPath::On;
        let plain = plain.filter(|_| dispatch);
        let shapes = |interface: &'a Interface| {
            interface.inputs.iter().map(|(name, shape)| (name.as_str(), shape.to_string())).collect()
        };
        Self {
            setting,
            dispatch,
            plain: plain.is_some(),
            inputs: plain.map_or_else(BTreeMap::new, shapes),
            output: plain.and_then(|interface| interface.output.as_ref()).map(|(_, shape)| shape.to_string()),
        }
    }
}

/// The answer to it.
#[derive(Debug, Deserialize)]
pub(crate) struct Loaded {
    /// Why its function cannot be called directly; none in it when it can.
    #[serde(default, deserialize_with = "told")]
    pub loaded: Option<Option<String>>,
    /// Its process id.
    pub pid: Option<u32>,
    /// As for [`Told::ended`]: nothing else is said then.
    pub ended: Option<i32>,
}

/// Tells what is said to be nothing from what is not said.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// A chunk for a child that has loaded its task.
#[derive(Debug, Serialize)]
pub(crate) struct ChunkJob<'a> {
    /// The chunk.
    pub chunk: Chunk<'a>,
    /// How to run it: the child may have run chunks of other executions before.
    pub setting: Setting,
}

/// A range of items.
#[derive(Debug, Serialize)]
pub(crate) struct Chunk<'a> {
    /// The number of the first.
    pub start: u32,
    /// How many there are.
    pub count: u32,
    /// The command line.
    pub argv: &'a [String],
    /// Variables that are this chunk's alone.
    pub env: BTreeMap<String, String>,
    /// The working folder.
    pub cwd: String,
    /// A folder for what the SDK writes for the chunk as a whole.
    pub outputs: String,
    /// How many bytes of errors are reported before the rest is given back.
    pub budget: usize,
    /// Its number in this child, which each answer repeats.
    pub job: u32,
    /// After how many seconds no further item begins; none is never.
    pub within: Option<f64>,
    /// What the items get.
    #[serde(flatten)]
    pub inputs: ChunkInputs,
}

/// What the items of a chunk get.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ChunkInputs {
    /// Plain values: the function is called directly.
    Plain {
        /// For each input that differs by item: one value for each item, in order.
        columns: BTreeMap<String, Vec<Plain>>,
        /// The other inputs.
        bound: BTreeMap<String, Plain>,
    },
    /// A file: the SDK's dispatch runs.
    File {
        /// Its path: an encoded `LiteralMap`.
        inputs: String,
        /// The inputs that are the same for all items.
        names: Vec<String>,
        /// How many items in the file come before the first of the chunk.
        skip: u32,
    },
}

/// What became of the items since the last such message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Part {
    /// The number of the job that this answers.
    pub job: Option<u32>,
    /// The results of those that succeeded and are in none of the other lists, in order.
    pub values: Vec<Plain>,
    /// Items whose outputs the SDK wrote, as encoded literals by name.
    pub literals: Vec<(u32, BTreeMap<String, Bytes>)>,
    /// Items that left no outputs: an encoded `ErrorDocument` if there is one, and the names of other files.
    pub failed: Vec<(u32, Option<Bytes>, Vec<String>)>,
    /// The item after the last that was run; a message without it is of another kind.
    pub upto: Option<u32>,
    /// Whether nothing follows.
    pub done: bool,
    /// How long all items of the chunk ran; with the last message.
    pub micros: u64,
    /// As for [`Told::ended`]: nothing else is said then.
    pub ended: Option<i32>,
}
