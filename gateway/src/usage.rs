//! What tries and items used of their machine: over time, and at most. Put together from the series that workers leave while they
//! look at what runs ([`skein_log::usage`]).
//!
//! A try that ended before a worker looked at it has no series; what it asked for is told all the same.

mod read;

pub(crate) use read::{list, read};

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How many tries one list has at most; more are left out, and that is said.
pub const TRIES_MAX: usize = 500;

/// Which part of a series is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The time, in milliseconds since 1970.
    pub(crate) range: Range<u64>,
    /// How many points at most.
    pub(crate) points: usize,
}

/// What one try used, or a range of a map's items that ran together, or one item.
///
/// All lists are as long as [`Usage::to_ms`], and their elements belong to the same stretches of time. Where several stretches
/// have become one, the greatest value is told. What is none was not seen, or is not known to be the item's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The execution, as `project/domain/name`.
    pub execution: String,
    /// The node.
    pub node: String,
    /// The try, counted from 0.
    pub attempt: u32,
    /// The range of items that was asked for: the first, and the one after the last.
    #[serde(default)]
    pub items: Option<(u32, u32)>,
    /// The item that was asked for.
    #[serde(default)]
    pub item: Option<u32>,
    /// Whether nothing will be added.
    pub ended: bool,
    /// When each stretch begins, in milliseconds since 1970.
    pub from_ms: Vec<u64>,
    /// When each stretch ends, in milliseconds since 1970.
    pub to_ms: Vec<u64>,
    /// Memory.
    pub memory: Memory,
    /// Processor time.
    pub cpu: Cpu,
    /// Accelerators.
    pub gpu: Gpus,
    /// Of a range of items: what those used at most that were seen, in the order of the items.
    #[serde(default)]
    pub by_item: Vec<ItemUsed>,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The limit that its task declares.
    pub limit: Option<u64>,
    /// What its task requests.
    pub requested: Option<u64>,
    /// What is set aside for it: what it requests, or what it used at most if that is more.
    pub allocated: Option<u64>,
    /// The most that it used, of the whole try or item.
    pub peak: Option<u64>,
    /// What it used.
    pub used: Vec<u64>,
}

/// Processor time, in cores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The limit that its task declares.
    pub limit: Option<f64>,
    /// What is set aside for it: what its task requests.
    pub allocated: Option<f64>,
    /// The most that it used for about half a second.
    pub peak: Option<f64>,
    /// What it used in all, in seconds of one core.
    pub seconds: Option<f64>,
    /// What it used at most, for about half a second of the stretch.
    pub used: Vec<Option<f64>>,
    /// What it used on average.
    pub mean: Vec<Option<f64>>,
}

/// Accelerators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpus {
    /// How many are set aside for it.
    pub allocated: u64,
    /// How busy those are together, in percent of all that are set aside.
    pub used: Vec<Option<f64>>,
    /// Each of them.
    pub devices: Vec<Gpu>,
}

/// One accelerator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// By what its driver knows it.
    pub id: String,
    /// Its memory in bytes; none when nobody says.
    pub memory_limit: Option<u64>,
    /// The most of it that was used, in bytes.
    pub memory_peak: Option<u64>,
    /// How busy it was at most, in percent.
    pub peak: Option<u8>,
    /// How much of its memory was used, in bytes.
    pub memory_used: Vec<Option<u64>>,
    /// How busy it was, in percent.
    pub used: Vec<Option<u8>>,
}

/// What one item used at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemUsed {
    /// The item.
    pub item: u32,
    /// What it used.
    #[serde(flatten)]
    pub peaks: Peaks,
}

/// What was used, in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peaks {
    /// The most memory, in bytes.
    pub memory: u64,
    /// The most processor time for about half a second, in cores.
    pub cpu: f64,
    /// Processor time in all, in seconds of one core.
    pub cpu_seconds: f64,
    /// The most memory of one accelerator, in bytes.
    #[serde(default)]
    pub gpu_memory: Option<u64>,
    /// How busy the busiest accelerator was at most, in percent.
    #[serde(default)]
    pub gpu: Option<u8>,
}

/// What the tries of an execution used at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usages {
    /// The execution, as `project/domain/name`.
    pub execution: String,
    /// Whether the execution has ended, or the node that was asked for, so that nothing will be added.
    pub ended: bool,
    /// One for each try of a task that has begun, and for each range of a map's items that ran long enough to be looked at, at
    /// most [`TRIES_MAX`].
    pub tries: Vec<Tried>,
    /// How many more there are.
    pub left_out: usize,
}

/// What one try used at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The node.
    pub node: String,
    /// The try, counted from 0.
    pub attempt: u32,
    /// For a map: the first item, and the one after the last.
    #[serde(default)]
    pub items: Option<(u32, u32)>,
    /// Whether nothing will be added to it.
    pub ended: bool,
    /// The most memory that it may have, in bytes.
    pub memory_limit: Option<u64>,
    /// The most processor time that it may have, in cores.
    pub cpu_limit: Option<f64>,
    /// What it used; none when it was not looked at.
    pub peaks: Option<Peaks>,
}
