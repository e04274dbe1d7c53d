//! What a worker is handed: everything that is needed to run one try, and nothing that has to be looked up.

use crate::actor::Actor;
use crate::data::{BlobRef, DataRef};
use crate::envelope::TraceContext;
use crate::event::ItemRange;
use crate::ids::{Attempt, EntityId, ExecutionId, NodeId, PoolId};
use crate::job::ConnectorWork;
use crate::resources::TaskResources;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// The form in which work is handed out and results come back: [`Work`] and [`crate::Command`] as they are written. Counted
/// up when one of them changes so that a program of before cannot read it; workers refuse a server of another form.
pub const PROTOCOL: u16 = 1;

/// The most items one map may have.
pub const MAP_ITEMS_MAX: u32 = 50_000_000;

/// Names one piece of work; a later offer with the same name replaces an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkId {
    /// The execution.
    pub execution: ExecutionId,
    /// The node.
    pub node: NodeId,
    /// The number of the try.
    pub attempt: Attempt,
    /// The items of a map that are run together; none for a task node.
    pub items: Option<ItemRange>,
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.execution, self.node, self.attempt)?;
        match self.items {
            Some(ItemRange { start, end }) => write!(f, "/{start}-{end}"),
            None => Ok(()),
        }
    }
}

/// One try of a task, or of a range of a map's items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Its name.
    pub id: WorkId,
    /// The pool whose workers can run it.
    pub pool: PoolId,
    /// The task's id.
    pub task: EntityId,
    /// The task's template, an encoded `TaskTemplate`; the same object for every work of one task.
    pub template: BlobRef,
    /// How it is run.
    pub kind: WorkKind,
    /// Of what waits for a worker, smaller goes first; 0 when nothing else of its execution runs.
    #[serde(default, skip_serializing_if = "is_first")]
    pub rank: u32,
    /// How much of a process it shares; what its task asks for, if it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// How long a process lives that it shares.
    #[serde(default, skip_serializing_if = "Life::is_unbounded")]
    pub life: Life,
    /// How many processes of one machine have its task at once at most; none is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes_max: Option<u32>,
    /// The actor environment whose processes run it, for a task of one. What the task says of processes does not count then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// What it asks for of the machine, with the defaults of its project and domain.
    #[serde(default, skip_serializing_if = "TaskResources::is_empty")]
    pub resources: TaskResources,
    /// The command line, rendered; starts with `pyflyte-execute`, `pyflyte-fast-execute`, the command of a program of its own
    /// ([`crate::runnable`]) or the user's own.
    pub args: Vec<String>,
    /// Environment variables, in the order in which they are set; a later one of the same name wins.
    pub env: Vec<(String, String)>,
    /// The inputs, an encoded `LiteralMap`. For items: the collections hold these items alone, in order, and the
    /// values that are bound whole are whole.
    pub inputs: DataRef,
    /// Where the command line says that the inputs are; the worker puts them there for user code.
    pub input_uri: String,
    /// The folder for outputs, `error.pb` and the deck of this try; ends without a slash.
    pub output_prefix: String,
    /// How long user code may run; none is no limit.
    pub timeout: Option<Duration>,
    /// The image that its node asks for; none is that of the task's template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Of a task that is a container of its own ([`crate::runnable::is_raw_container`]): the folder for the files that it
    /// gives, unique for the try, without a slash at its end. The rest of such a task's command line, its inputs, is
    /// rendered by the worker. None for every other task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_prefix: Option<String>,
    /// Of a task that a connector does: what it needs beside the rest. None for every other task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connector: Option<Box<ConnectorWork>>,
    /// The workflow that the task runs in.
    pub workflow: EntityId,
    /// The trace that the execution belongs to.
    pub trace: Option<TraceContext>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_first(rank: &u32) -> bool {
    *rank == 0
}

/// How much of a process an attempt shares with other attempts of its task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Isolation {
    /// Nothing: a new interpreter, as a container of its own would start one.
    Fresh,
    /// What is imported before it begins: a forked child.
    #[default]
    Fork,
    /// Everything: one process runs attempt after attempt, and what one leaves in modules is there for the next.
    Reuse,
}

impl Isolation {
    /// Every kind, with the word by which users name it.
    pub const ALL: [(&'static str, Self); 3] =
        [("fresh", Self::Fresh), ("fork", Self::Fork), ("reuse", Self::Reuse)];

    /// Answers the kind that `word` names; none when it names none.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(name, _)| *name == word).map(|(_, isolation)| isolation)
    }
}

/// How long a process lives that runs one attempt or chunk after another; what is none has no bound of the task's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// How many attempts or chunks it runs, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts_max: Option<u32>,
    /// How old it gets, in seconds, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_max: Option<u32>,
    /// By how many MiB its resident memory grows after its first attempt or chunk, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth_mib_max: Option<u32>,
}

impl Life {
    /// Says whether nothing bounds it.
    pub const fn is_unbounded(&self) -> bool {
        self.attempts_max.is_none() && self.seconds_max.is_none() && self.growth_mib_max.is_none()
    }
}

/// How a piece of work is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkKind {
    /// One try of a task node.
    Task,
    /// A range of items of a map.
    Items {
        /// The inputs that every item gets whole.
        bound: Vec<String>,
        /// How many items the whole map has.
        of: u32,
        /// After what time no further item begins, and those that have not begun go back; none is never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within: Option<Duration>,
    },
}
