//! Where things of an execution lie in the blob store, so that engine, workers and gateway agree without asking.
//!
//! Everything is derived from the execution's data prefix, which stands in [`crate::event::Created`].

use crate::event::ItemRange;
use crate::ids::{Attempt, ExecutionId, NodeId};

/// The folder of an execution under the store's root (which ends without a slash).
pub fn data_prefix(root: &str, execution: &ExecutionId) -> String {
    format!("{root}/metadata/{}-{}-{}", execution.project, execution.domain, execution.name)
}

/// The folder for large values of user code, when nobody chose another.
pub fn raw_prefix(root: &str, execution: &ExecutionId) -> String {
    format!("{root}/raw/{}-{}-{}", execution.project, execution.domain, execution.name)
}

/// The inputs of a node.
pub fn node_inputs(data_prefix: &str, node: &NodeId) -> String {
    format!("{data_prefix}/{node}/data/inputs.pb")
}

/// The folder of one try of a node.
pub fn attempt_prefix(data_prefix: &str, node: &NodeId, attempt: Attempt) -> String {
    format!("{data_prefix}/{node}/data/{attempt}")
}

/// The folder of one run of a range of a map's items.
pub fn items_prefix(data_prefix: &str, node: &NodeId, attempt: Attempt, items: ItemRange) -> String {
    format!("{data_prefix}/{node}/data/{attempt}/{}-{}", items.start, items.end)
}

/// The outputs of a try, in its folder.
pub fn outputs(prefix: &str) -> String {
    format!("{prefix}/outputs.pb")
}

/// The error that the SDK wrote down, in the folder of a try.
pub fn error(prefix: &str) -> String {
    format!("{prefix}/error.pb")
}

/// The deck, in the folder of a try.
pub fn deck(prefix: &str) -> String {
    format!("{prefix}/deck.html")
}

/// The folder of what a try printed, in the folder of the try: objects named by number, in order.
pub fn log_folder(prefix: &str) -> String {
    format!("{prefix}/log")
}

/// One part of what a try printed.
pub fn log_part(prefix: &str, number: u32) -> String {
    format!("{prefix}/log/{number:06}.txt")
}
