//! What user code used of the machine over time, as objects in the blob store: what is in one.
//!
//! A worker looks at what it runs every [`TICK_MS`] and keeps what it saw as a series of steps, one object for each time that
//! a try runs ([`skein_model::paths::usage_object`]). The object is written anew while the try runs, and is complete when it
//! has ended. A step is a stretch of time with the most memory in it, the processor time of it, and the same for each
//! accelerator; in a map it names the item that ran at its end.
//!
//! However long a try runs, its series has [`STEPS_MAX`] steps at most: when they are full, neighbours become one, which
//! keeps the greater peak and all of the processor time ([`fold`]). So half an hour is kept at half a second, a day at about
//! half a minute, and a week at about five.
//!
//! An object is one LZ4 frame with a checksum; in it is a head (MessagePack with field names: what was asked for, which
//! accelerators there are, how many steps follow), its length before it, and the steps, column by column. A column has for
//! each step how much its number differs from the one before (zigzag), in seven bits a byte, the lowest first:
//!
//! ```text
//! ┌─────────┬─────────────┬──────┬───────┬──────┬────────┬──────────┬──────────┬─────────────────────────┐
//! │ form: 1 │ length: u32 │ head │ pause │ time │ item   │ memory   │ cpu time │ cpu peak │ each GPU:    │
//! │         │             │      │ ms    │ ms   │ and if │ bytes    │ µs       │ m. cores │ memory, busy │
//! └─────────┴─────────────┴──────┴───────┴──────┴────────┴──────────┴──────────┴─────────────────────────┘
//! ```
//!
//! A pause is the time between the end of the step before and the beginning of this one. *Item* is 0 for none, else twice the
//! item and two more, plus one when all of the step is its. *Busy* is 0 where nobody says, else one more than the percent.

mod columns;
mod fold;

pub use fold::{STEPS_MAX, by_item, of_item, thinned, used};

use bytes::Bytes;
use columns::{Columns, take};
use lz4_flex::frame::{FrameDecoder, FrameEncoder, FrameInfo};
use serde::{Deserialize, Serialize};
use skein_model::resources::Amounts;
use std::io::{Read as _, Write as _};

/// How often a worker looks, in milliseconds.
pub const TICK_MS: u64 = 500;
/// The most that an object has, in bytes.
pub const ENCODED_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most that an object has when it is unpacked, in bytes.
const DECODED_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most accelerators that one try has; a machine has eight or sixteen.
pub const GPUS_MAX: usize = 64;
const FORM: u8 = 1;

/// An accelerator that a try was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// By what its driver knows it.
    pub id: String,
    /// Its memory in bytes; none when nobody says.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// What was used of an accelerator in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuUse {
    /// The most memory, in bytes.
    pub memory_bytes: u64,
    /// How busy it was at most, in percent; none where nobody says.
    pub percent: Option<u8>,
}

/// What was used in a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// When it begins, in milliseconds since 1970.
    pub from_ms: u64,
    /// When it ends, as well; not before it begins.
    pub to_ms: u64,
    /// Of a map: the item that ran at its end; none when none did, or when several did and are one step by now.
    pub item: Option<u32>,
    /// Whether that item ran all of the time, so that the processor time is its own.
    pub is_whole: bool,
    /// The most memory, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in microseconds.
    pub cpu_micros: u64,
    /// The most processor time of a tick in it, in thousandths of a core.
    pub cpu_millis: u64,
    /// What was used of each accelerator, in the order of [`Series::gpus`].
    pub gpus: Vec<GpuUse>,
}

/// What one run of a try used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// What it asked for.
    pub requests: Amounts,
    /// What it gets at most.
    pub limits: Amounts,
    /// The accelerators that it was given.
    pub gpus: Vec<Gpu>,
    /// The steps, in the order of time; they do not overlap.
    pub steps: Vec<Step>,
    /// How long steps may become, in milliseconds, while the series grows; 0 when each is kept as it came.
    grain_ms: u64,
}

/// What precedes the steps of an object.
#[derive(Serialize, Deserialize)]
struct Head {
    began_ms: u64,
    requests: Amounts,
    limits: Amounts,
    gpus: Vec<Gpu>,
    steps: u32,
}

/// An object that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was used cannot be read: {0}")]
pub struct Damaged(String);

impl Damaged {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl Series {
    /// A series in which nothing was seen yet.
    pub const fn new(requests: Amounts, limits: Amounts, gpus: Vec<Gpu>) -> Self {
        Self { requests, limits, gpus, steps: Vec::new(), grain_ms: 0 }
    }

    /// Encodes it as an object.
    pub fn encode(&self) -> Vec<u8> {
        let began_ms = self.steps.first().map_or(0, |step| step.from_ms);
        let head = Head {
            began_ms,
            requests: self.requests,
            limits: self.limits,
            gpus: self.gpus.clone(),
            steps: u32::try_from(self.steps.len()).expect("a series has a bound far below"),
        };
        let head = rmp_serde::to_vec_named(&head).expect("numbers and strings have a MessagePack form");
        let mut plain = vec![FORM];
        plain.extend_from_slice(&u32::try_from(head.len()).expect("a head is small").to_le_bytes());
        plain.extend_from_slice(&head);
        columns::write(&self.steps, began_ms, self.gpus.len(), &mut plain);
        let info = FrameInfo::new().content_checksum(true);
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(&plain).expect("a vector takes everything");
        encoder.finish().expect("a vector takes everything")
    }

    /// Decodes an object.
    ///
    /// # Errors
    /// [`Damaged`] when it is not what was written.
    pub fn decode(object: &Bytes) -> Result<Self, Damaged> {
        let mut plain = Vec::new();
        let mut decoder = FrameDecoder::new(&**object).take(DECODED_BYTES_MAX);
        decoder.read_to_end(&mut plain).map_err(|error| Damaged::new(error.to_string()))?;
        let mut rest = plain.as_slice();
        let form = take(&mut rest, 1)?[0];
        if form != FORM {
            return Err(Damaged::new(format!("it is of form {form}, and {FORM} is known")));
        }
        let length = take(&mut rest, 4)?;
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        let head = take(&mut rest, length)?;
        let head: Head = rmp_serde::from_slice(head).map_err(|error| Damaged::new(error.to_string()))?;
        let Head { began_ms, requests, limits, gpus, steps } = head;
        let count = steps as usize;
        if count > STEPS_MAX || gpus.len() > GPUS_MAX {
            return Err(Damaged::new(format!("it has {count} steps and {} accelerators", gpus.len())));
        }
        let steps = Columns::new(rest, count).steps(began_ms, gpus.len())?;
        Ok(Self { requests, limits, gpus, steps, grain_ms: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gpu_use() -> impl Strategy<Value = GpuUse> {
        (any::<u64>(), proptest::option::of(0..=100_u8))
            .prop_map(|(memory_bytes, percent)| GpuUse { memory_bytes, percent })
    }

    fn series() -> impl Strategy<Value = Series> {
        let step = (
            (0..100_000_u64, 0..100_000_u64, proptest::option::of(any::<u32>()), any::<bool>()),
            (any::<u64>(), any::<u64>(), any::<u64>()),
            proptest::collection::vec(gpu_use(), 2),
        );
        (proptest::collection::vec(step, 0..60), 0..3_usize, 0..(1_u64 << 50)).prop_map(
            |(steps, gpus, began)| {
                let mut series = Series::new(Amounts::default(), Amounts::default(), Vec::new());
                series.limits.memory_bytes = Some(7);
                let gpu = |id: usize| Gpu { id: id.to_string(), memory_bytes: Some(80 << 30) };
                series.gpus = (0..gpus).map(gpu).collect();
                let mut at = began;
                for ((pause, time, item, is_whole), (memory_bytes, cpu_micros, cpu_millis), used) in steps {
                    let (from_ms, to_ms) = (at + pause, at + pause + time);
                    at = to_ms;
                    let gpus = used.into_iter().take(gpus).collect();
                    series.steps.push(Step {
                        from_ms,
                        to_ms,
                        item,
                        is_whole,
                        memory_bytes,
                        cpu_micros,
                        cpu_millis,
                        gpus,
                    });
                }
                series
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(series in series()) {
            let object = Bytes::from(series.encode());
            prop_assert_eq!(Series::decode(&object), Ok(series));
        }

        #[test]
        fn what_was_not_written_so_is_refused_and_never_trusted_with_memory(
            series in series(), at in any::<prop::sample::Index>(), bits in 1..=255_u8,
        ) {
            let object = series.encode();
            let at = at.index(object.len());
            let cut = Bytes::copy_from_slice(&object[..at]);
            let mut bad = object;
            bad[at] ^= bits;
            // What is not seen changes nothing: some bits of a frame's head mean nothing here, and its end has no steps.
            for object in [cut, bad.into()] {
                if let Ok(read) = Series::decode(&object) {
                    prop_assert_eq!(&read, &series);
                }
            }
        }
    }

    #[test]
    fn an_hour_of_a_quiet_task_has_two_bytes_a_step_and_less() {
        let mut series = Series::default();
        for tick in 0..3_600_u64 {
            series.steps.push(Step {
                from_ms: tick * 1_000,
                to_ms: (tick + 1) * 1_000,
                is_whole: true,
                memory_bytes: (90 << 20) + (tick % 7) * 4096,
                cpu_micros: 10_000,
                cpu_millis: 10,
                ..Step::default()
            });
        }
        let bytes = series.encode().len();
        assert!(bytes < 2 * 3_600, "{bytes} bytes");
    }
}
