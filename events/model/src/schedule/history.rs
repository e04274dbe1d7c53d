//! What has happened to a schedule: the ticks of one name of a launch plan, whichever of its versions was active.

use crate::codec::{self, CodecError};
use crate::envelope::Envelope;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::xxh3_128;

/// How many records a journal of ticks has at most; the next one begins a journal of its own. Who wants to know where a
/// schedule is reads the last two, however long it has been running.
pub const SEGMENT_TICKS_MAX: u64 = 256;

/// One thing that happened to a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScheduleEvent {
    /// A time of the schedule came: an execution is to be there for it.
    Ticked {
        /// The version that was active.
        version: String,
        /// The time.
        at: Timestamp,
        /// The name of the execution, see [`tick_name`].
        execution: String,
    },
    /// The execution of the tick before cannot be started, and will not be.
    Refused {
        /// The time of the tick.
        at: Timestamp,
        /// Why, as its user is told.
        reason: String,
    },
    /// Times that came while nobody was there, and get no execution.
    Skipped {
        /// The version that was active.
        version: String,
        /// What was skipped.
        skip: Skip,
    },
}

/// Times that get no execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// The first.
    pub first: Timestamp,
    /// The last; the same when it is one.
    pub last: Timestamp,
    /// How many they are, at most [`Skip::TICKS_MAX`]: that stands for as many or more.
    pub ticks: u32,
    /// What was to be done about times that were missed.
    pub catch_up: CatchUp,
}

impl Skip {
    /// How far skipped times are counted.
    pub const TICKS_MAX: u32 = 1_000;
}

/// What is done about times that came while nobody was there to start something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// Nothing: they are skipped.
    None,
    /// So many of the latest get their execution, the others are skipped. At least 1.
    Latest(u32),
    /// Each gets its execution, as the original does.
    #[default]
    All,
}

impl CatchUp {
    /// The most that can be asked to be caught up with by number.
    pub const LATEST_MAX: u32 = 1_000;

    /// Takes a word: `none`, `last`, `all`, or a whole number from 1 to 1 000.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "none" => Some(Self::None),
            "last" => Some(Self::Latest(1)),
            "all" => Some(Self::All),
            number => {
                let number = number.parse().ok()?;
                (1..=Self::LATEST_MAX).contains(&number).then_some(Self::Latest(number))
            }
        }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Latest(1) => f.write_str("last"),
            Self::Latest(number) => write!(f, "{number}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// The last tick of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastTick {
    /// The version that was active.
    pub version: String,
    /// Its time.
    pub at: Timestamp,
    /// The name of its execution.
    pub execution: String,
    /// Why there is none, if it cannot be started.
    pub refused: Option<String>,
}

/// Where a schedule is: a fold of its events, or of the last of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Its last tick.
    pub last: Option<LastTick>,
    /// What was skipped last.
    pub skipped: Option<Skip>,
}

impl History {
    /// Folds records, or the last of them.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Envelope>) -> Result<Self, CodecError> {
        let mut history = Self::default();
        for record in records {
            let events: Vec<ScheduleEvent> = codec::decode(record.schema, &record.record.body)?;
            events.iter().for_each(|event| history.apply(event));
        }
        Ok(history)
    }

    /// Takes what happened next.
    pub fn apply(&mut self, event: &ScheduleEvent) {
        match event {
            ScheduleEvent::Ticked { version, at, execution } => {
                let (version, execution) = (version.clone(), execution.clone());
                self.last = Some(LastTick { version, at: *at, execution, refused: None });
            }
            ScheduleEvent::Refused { at, reason } => {
                if let Some(last) = self.last.as_mut().filter(|last| last.at == *at) {
                    last.refused = Some(reason.clone());
                }
            }
            ScheduleEvent::Skipped { skip, .. } => self.skipped = Some(skip.clone()),
        }
    }

    /// Answers up to which time everything is decided; none when nothing is.
    pub fn decided(&self) -> Option<Timestamp> {
        let ticked = self.last.as_ref().map(|last| last.at);
        ticked.max(self.skipped.as_ref().map(|skip| skip.last))
    }

    /// Answers the tick whose execution may not be there yet: whoever was to start it may have died before.
    pub fn outstanding(&self) -> Option<&LastTick> {
        self.last.as_ref().filter(|last| last.refused.is_none())
    }
}

/// Answers the name of the execution of a tick: the same whoever makes it, and another for each launch plan and time.
pub fn tick_name(project: &str, domain: &str, launch_plan: &str, at: Timestamp) -> String {
    let of = format!("{project}/{domain}/{launch_plan}/{}", at.as_micros());
    let digest = format!("{:032x}", xxh3_128(of.as_bytes()));
    format!("f{}", &digest[..19])
}
