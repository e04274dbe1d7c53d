//! What is wrong with what a task asks for.

use super::Resource;
use crate::accelerators::AcceleratorError;
use crate::quantity::QuantityError;
use std::fmt;

/// Where an amount stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// What a task needs.
    Requests,
    /// What it gets at most.
    Limits,
    /// What it gets in a project and domain that does not ask.
    Defaults,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
            Self::Defaults => "defaults",
        })
    }
}

/// The least or the most that an amount may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// It is less than this.
    Least(
        /// The least.
        u64,
    ),
    /// It is more than this.
    Most(
        /// The most.
        u64,
    ),
}

/// Something that cannot be asked for. Each message names list, resource and value, and says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// A resource that there is not.
    #[error("{list} hold an unknown resource (number {number})")]
    Unknown {
        /// The list.
        list: List,
        /// Its number.
        number: i32,
    },
    /// Text that is no amount.
    #[error("{} of {list} is {text:?}, {source}", resource.name())]
    Malformed {
        /// The list.
        list: List,
        /// The resource.
        resource: Resource,
        /// The text.
        text: String,
        /// Why it is none.
        source: QuantityError,
    },
    /// Less than nothing.
    #[error("{} of {list} is {text}, less than nothing", resource.name())]
    Negative {
        /// The list.
        list: List,
        /// The resource.
        resource: Resource,
        /// The text.
        text: String,
    },
    /// A part of a GPU.
    #[error("GPU of {list} is {text}, a whole number is needed")]
    NotWhole {
        /// The list.
        list: List,
        /// The text.
        text: String,
    },
    /// No GPU.
    #[error("GPU of {list} is {text}; it has to be 1 or more, and a task that needs none leaves it out")]
    NoGpu {
        /// The list.
        list: List,
        /// The text.
        text: String,
    },
    /// An amount that nothing can run with, or that no machine has.
    #[error("{} of {list} is {text}, {}", resource.name(), bound(*resource, *bounds))]
    OutOfBounds {
        /// The list.
        list: List,
        /// The resource.
        resource: Resource,
        /// The text.
        text: String,
        /// Which bound it is beyond.
        bounds: Bound,
    },
    /// The same one twice.
    #[error("{list} hold {} more than once", resource.name())]
    Twice {
        /// The list.
        list: List,
        /// The resource.
        resource: Resource,
    },
    /// More is needed than is given at most.
    #[error("{} request {request} is greater than its limit {limit}", resource.name())]
    RequestOverLimit {
        /// The resource.
        resource: Resource,
        /// The request.
        request: String,
        /// The limit.
        limit: String,
    },
    /// Two numbers of GPUs.
    #[error("GPU request {request} and limit {limit} differ; for this resource they must be equal")]
    GpusDiffer {
        /// The request.
        request: u64,
        /// The limit.
        limit: u64,
    },
    /// GPUs that stand in the wrong list.
    #[error("GPU is {request} in requests and not in limits; say limits=Resources(gpu=\"{request}\")")]
    GpuWithoutLimit {
        /// The request.
        request: u64,
    },
    /// A kind of accelerator that there is not.
    #[error("accelerator: {0}")]
    Accelerator(#[from] AcceleratorError),
    /// A size of the volume in memory that is none.
    #[error("size_limit of shared_memory is {text:?}; it has to be a quantity above 0, such as 2Gi")]
    SharedMemory {
        /// The text.
        text: String,
    },
    /// A place of the volume in memory that is none.
    #[error("mount_path of shared_memory is {path:?}; it has to be an absolute path, such as /dev/shm")]
    MountPath {
        /// The path.
        path: String,
    },
    /// A default that no task could have.
    #[error("{} of defaults is {}, above the {} of limits", resource.name(), resource.shown(*default), resource.shown(*most))]
    DefaultOverLimit {
        /// The resource.
        resource: Resource,
        /// The default.
        default: u64,
        /// The most.
        most: u64,
    },
    /// More than project and domain allow.
    #[error(
        "{} of {list} is {}, and {} is the most that its project and domain allow",
        resource.name(),
        resource.shown(*amount),
        resource.shown(*most)
    )]
    OverQuota {
        /// The list.
        list: List,
        /// The resource.
        resource: Resource,
        /// What is asked for.
        amount: u64,
        /// The most.
        most: u64,
    },
}

fn bound(resource: Resource, bound: Bound) -> String {
    match (bound, resource) {
        (Bound::Most(most), _) => format!("more than any machine has; {} is the most", resource.shown(most)),
        (Bound::Least(least), Resource::Memory | Resource::Storage) => {
            format!("which is counted in bytes: {least} is the least, and Mi or Gi are what is mostly meant")
        }
        (Bound::Least(least), Resource::Cpu | Resource::Gpu) => {
            format!("less than can be given; {} is the least", resource.shown(least))
        }
    }
}
