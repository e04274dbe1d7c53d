//! What user code used of the machine, in a few numbers: what stands in the journal of it. The course over time lies in the
//! blob store.

use serde::{Deserialize, Serialize};

/// What an attempt, an item or a range of items used, as far as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The most memory at a time, in bytes.
    pub memory_bytes: u64,
    /// Processor time in all, in microseconds.
    pub cpu_micros: u64,
    /// The most processor time in a second, in thousandths of a core.
    pub cpu_millis: u64,
    /// The most memory of one accelerator at a time, in bytes; none without an accelerator.
    #[serde(default)]
    pub gpu_memory_bytes: Option<u64>,
    /// How busy the busiest accelerator was at most, in percent; none where nobody says.
    #[serde(default)]
    pub gpu_percent: Option<u8>,
}

impl Used {
    /// Answers what both used that ran one after the other: the greater peaks, and all of the processor time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            cpu_micros: self.cpu_micros.saturating_add(other.cpu_micros),
            cpu_millis: self.cpu_millis.max(other.cpu_millis),
            gpu_memory_bytes: self.gpu_memory_bytes.max(other.gpu_memory_bytes),
            gpu_percent: self.gpu_percent.max(other.gpu_percent),
        }
    }
}
