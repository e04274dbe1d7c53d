//! The messages themselves; `workers/PROTOCOL.md` is the same in prose.

use crate::plain::Plain;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a zygote is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Control {
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

/// What a zygote says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    /// It can fork: versions by name, among them [`PROTOCOL`](crate::PROTOCOL).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<BTreeMap<String, String>>,
    /// A child was forked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked: Option<u64>,
    /// Its process id.
    pub pid: i32,
    /// A child has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exited: Option<u64>,
    /// Its exit code, or the signal's number, negative; none when it could not be forked.
    pub status: Option<i32>,
}

/// What every job says of the process that does it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
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
    /// The names of the variables that are this job's alone, because secrets are in them: they are taken out of the environment
    /// when the job has ended. A nest gets the names without the variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret: Vec<String>,
    /// The files to which the process writes `0` before it runs any of the user's code: the control groups that it is to be
    /// in. It may be in them already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl fmt::Debug for Setting {
    /// Prints of the environment the names alone: secrets are in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.env.keys().collect();
        let mut form = f.debug_struct("Setting");
        form.field("argv", &self.argv).field("env", &names).field("cwd", &self.cwd);
        form.field("path", &self.path).finish_non_exhaustive()
    }
}

/// The one job of a child that runs an attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptJob {
    /// How to run it.
    pub attempt: Setting,
    /// The folder in which it leaves its outputs.
    pub outputs: String,
    /// Where they are to be when the child has succeeded and nobody is left to be told: the folder in the blob store,
    /// when that is a local one.
    pub publish: Option<String>,
    /// How that folder is named in outputs.
    pub prefix: String,
    /// Whether an interpreter of its own is to run it, in the place of the child.
    pub fresh: bool,
    /// The room that its command runs in; none is the machine as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Room>,
}

/// A view of the machine's files that a command alone has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The folders of this machine that lie elsewhere in it: where each is, and where it is to be, both absolute.
    pub binds: Vec<(String, String)>,
    /// An empty folder of the attempt's own, in which the view is put together.
    pub staging: String,
}

/// The answer to it: user code begins to run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Started {
    /// True when it does.
    pub started: bool,
    /// Why there is no such room on this machine: nothing runs then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// An attempt for a child that has loaded its task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SingleJob {
    /// The attempt.
    pub single: Single,
}

/// One attempt among others in one child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Single {
    /// How to run it.
    #[serde(flatten)]
    pub setting: Setting,
    /// The folder in which it leaves its outputs.
    pub outputs: String,
    /// As for [`AttemptJob::publish`].
    pub publish: Option<String>,
    /// As for [`AttemptJob::prefix`].
    pub prefix: String,
    /// Its arguments, when the function is to be called directly.
    pub values: Option<BTreeMap<String, Plain>>,
    /// Its encoded inputs otherwise; none when they are in the file that the command line names.
    pub inputs: Option<Bytes>,
    /// Whether the child ends with it.
    pub once: bool,
    /// Its number in this child, which the answer repeats.
    pub job: u32,
}

/// What a child says of the end of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
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

/// The first job of a child that is to become a nest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NestJob {
    /// The task.
    pub nest: Load,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nested {
    /// Why the task is not to be forked from there; none in it when the child is a nest now.
    #[serde(default, deserialize_with = "told", skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Option<String>>,
    /// Why its function cannot be called directly; none when it can.
    pub slow: Option<String>,
    /// As for [`Told::ended`]: nothing else is said then.
    pub ended: Option<i32>,
}

/// The first job of a child that runs chunks or attempts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadJob {
    /// The task.
    pub load: Load,
}

/// A task whose chunks or attempts are to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Load {
    /// How to run it.
    #[serde(flatten)]
    pub setting: Setting,
    /// Whether it may be run without the SDK's entry point.
    pub dispatch: bool,
    /// Whether it may be called directly.
    pub plain: bool,
    /// The shapes of its inputs.
    pub inputs: BTreeMap<String, String>,
    /// The shape of its output; none when it has none.
    pub output: Option<String>,
}

/// The answer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Loaded {
    /// Why its function cannot be called directly; none in it when it can.
    #[serde(deserialize_with = "told", skip_serializing_if = "Option::is_none")]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChunkJob {
    /// The chunk.
    pub chunk: Chunk,
    /// How to run it: the child may have run chunks of other executions before.
    pub setting: Setting,
}

/// A range of items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chunk {
    /// The number of the first.
    pub start: u32,
    /// How many there are.
    pub count: u32,
    /// The command line.
    pub argv: Vec<String>,
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
    /// Of plain values, for each input that differs by item: one value for each item, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<BTreeMap<String, Vec<Plain>>>,
    /// Of plain values, the other inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<BTreeMap<String, Plain>>,
    /// Where values are not plain: the path of a file, an encoded `LiteralMap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// Of that file, the inputs that are the same for all items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// How many items in that file come before the first of the chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
    /// What a mark begins with that is written into the output where an item begins to print; its number and U+001E end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// What became of the items since the last such message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<i32>,
}

/// What a child says when it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As for [`Told::ended`].
    pub ended: i32,
}

/// Any job that a child with a task is given: the one that is there. A child that is asked for another says no more and ends.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Job {
    /// [`LoadJob`].
    pub load: Option<Load>,
    /// [`SingleJob`].
    pub single: Option<Single>,
    /// [`ChunkJob::chunk`].
    pub chunk: Option<Chunk>,
    /// [`ChunkJob::setting`].
    pub setting: Option<Setting>,
}
