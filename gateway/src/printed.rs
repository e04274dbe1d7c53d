//! What user code printed, put together from the objects that workers leave while it is printed.
//!
//! A log is bytes, counted from 0: those of an attempt, of a range of a map's items that ran together, or of one item. A
//! position stays what it is while more comes, so whoever was cut off goes on from where it was.

mod find;
mod list;
mod read;

pub(crate) use find::{Found, Left, Source, find};
pub(crate) use list::list;
pub(crate) use read::Reader;

use serde::{Deserialize, Serialize};
use skein_model::ExecutionId;
use skein_model::event::ItemRange;

/// The output that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) execution: ExecutionId,
    pub(crate) node: String,
    /// The try, counted from 0; none for the last one.
    pub(crate) attempt: Option<u32>,
    pub(crate) of: Of,
}

/// Whose output of a node is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// The attempt's, of a task.
    Attempt,
    /// That of items of a map that ran together, and of what their process did beside them.
    Range(ItemRange),
    /// That of one item of a map.
    Item(u32),
}

/// The outputs of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// The execution, as `project/domain/name`.
    pub execution: String,
    /// Whether the execution has ended, or the node that was asked for, so that nothing will be added.
    pub ended: bool,
    /// One for each try of a task that has begun, and for each range of a map's items that has printed something; in the
    /// order of the nodes, of the tries, and of the items.
    pub logs: Vec<Log>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Log {
    /// The node.
    pub node: String,
    /// The try, counted from 0.
    pub attempt: u32,
    /// For a map: the first item, and the one after the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<(u32, u32)>,
    /// Whether nothing will be added to it.
    pub ended: bool,
}
