//! Limits of time that the engine watches. The time of one attempt, from the beginning of user code, is watched by its worker.

use crate::ids::{Attempt, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is limited: what a clock runs for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TimeLimit {
    /// The wait of an attempt for capacity that can be taken away; after it the attempt runs on demand.
    Interruptible {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
    },
    /// The wait of an attempt for a worker.
    Queued {
        /// The node.
        node: NodeId,
        /// The number of the try.
        attempt: Attempt,
    },
    /// The time of a node, from having all that it waits for to its end.
    Node {
        /// The node.
        node: NodeId,
    },
    /// The time of a node that runs no task, from having its inputs to its end, as its workflow says.
    Inside {
        /// The node.
        node: NodeId,
    },
    /// The time that a gate lets pass; after it the node has succeeded.
    Sleep {
        /// The node.
        node: NodeId,
    },
    /// The time of the execution, from its start to its end.
    Execution,
}

impl TimeLimit {
    /// Answers the node that it is of; none for that of the execution.
    pub const fn node(&self) -> Option<&NodeId> {
        match self {
            Self::Interruptible { node, .. }
            | Self::Queued { node, .. }
            | Self::Node { node }
            | Self::Inside { node }
            | Self::Sleep { node } => Some(node),
            Self::Execution => None,
        }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interruptible { node, attempt } => write!(f, "{node}/{attempt} for interruptible capacity"),
            Self::Queued { node, attempt } => write!(f, "{node}/{attempt} for a worker"),
            Self::Node { node } => write!(f, "node {node}"),
            Self::Inside { node } => write!(f, "what is inside node {node}"),
            Self::Sleep { node } => write!(f, "{node} to sleep"),
            Self::Execution => f.write_str("the execution"),
        }
    }
}
