//! What a task says about how it is scheduled and in what processes it runs, in words that neither `flytekit` nor `union`
//! has. They stand in the object `skein` in the `custom` of its template, where the plugin `flytekitplugins-skein` puts
//! them, and under the same names in the rules of a server's configuration ([`crate::task_rules`]).
//!
//! Settings influence what is asked of the world, never what is recorded: no event holds them, and no fold reads them.
//! Whoever changes them in a file between two starts changes how things run from then on, and nothing that has happened.

mod error;
mod read;

pub use error::{CustomError, Right, SettingError};
pub use read::{Given, Whole};
pub(crate) use read::{known, text};

use crate::work::{Isolation, Life};
use prost_types::value::Kind;
use skein_idl::flyteidl::core::TaskTemplate;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The key in `custom` under which the settings stand.
pub const KEY: &str = "skein";
/// The most characters of a concurrency key.
pub const KEY_CHARS_MAX: usize = 63;
/// The priority of a task that says none.
pub const PRIORITY_DEFAULT: i32 = 0;
/// The weight of a task that says none.
pub const WEIGHT_DEFAULT: u32 = 1;

/// The fewest items of a chunk.
pub const CHUNK_ITEMS_MIN: Whole = Whole::new("chunk_items_min", 1, 1_000_000);
/// The most items of a chunk.
pub const CHUNK_ITEMS_MAX: Whole = Whole::new("chunk_items_max", 1, 1_000_000);
/// The priority.
pub const PRIORITY: Whole = Whole::new("priority", -100, 100);
/// The weight.
pub const WEIGHT: Whole = Whole::new("weight", 1, 1_000);
/// The most that run at once.
pub const CONCURRENCY_LIMIT: Whole = Whole::new("concurrency_limit", 1, 1_000_000);
/// The most processes on one machine.
pub const POOL_SIZE: Whole = Whole::new("pool_size", 1, 10_000);
/// The most attempts or chunks of one process.
pub const PROCESS_ATTEMPTS_MAX: Whole = Whole::new("process_attempts_max", 1, 1_000_000);
/// The longest life of one process, in seconds.
pub const PROCESS_SECONDS_MAX: Whole = Whole::new("process_seconds_max", 1, 31_536_000);
/// The most that one process may grow by, in MiB.
pub const PROCESS_GROWTH_MIB_MAX: Whole = Whole::new("process_growth_mib_max", 1, 1_048_576);

/// The longest wait of an attempt for its code to begin, in seconds.
pub const QUEUED_SECONDS_MAX: Whole = Whole::new("queued_seconds_max", 1, 31_536_000);
/// The longest time from a node's beginning to its end, in seconds.
pub const NODE_SECONDS_MAX: Whole = Whole::new("node_seconds_max", 1, 31_536_000);

/// The settings of one task; what is none is left to whoever has less right to say it, and in the end to Skein.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskSettings {
    /// How much of a process its attempts share.
    pub isolation: Option<Isolation>,
    /// The fewest items of a map that travel together while there are as many, from 1 to 1 000 000.
    pub chunk_items_min: Option<u32>,
    /// The most items of a map that travel together, from 1 to 1 000 000.
    pub chunk_items_max: Option<u32>,
    /// What goes first when not all can run: the larger, from -100 to 100; [`PRIORITY_DEFAULT`].
    pub priority: Option<i32>,
    /// The share among what competes with the same priority, from 1 to 1 000; [`WEIGHT_DEFAULT`].
    pub weight: Option<u32>,
    /// The name under which its attempts and items are counted together with those of other tasks, over all executions of
    /// a project and domain. None: they are counted by the task's own name there. Never without a limit.
    pub concurrency_key: Option<Arc<str>>,
    /// How many attempts and items of what is counted together run at once at most, from 1 to 1 000 000; none is no limit.
    pub concurrency_limit: Option<u32>,
    /// How many processes of one machine have the task at once at most, from 1 to 10 000; none is no limit.
    pub pool_size: Option<u32>,
    /// How many attempts or chunks a process runs before it is replaced, from 1 to 1 000 000.
    pub process_attempts_max: Option<u32>,
    /// The age in seconds at which a process is replaced, from 1 to 31 536 000.
    pub process_seconds_max: Option<u32>,
    /// By how many MiB its resident memory may grow after its first attempt or chunk before a process is replaced, from 1
    /// to 1 048 576.
    pub process_growth_mib_max: Option<u32>,
    /// How many seconds may pass from when an attempt could run until its code begins, before its node has timed out, from 1
    /// to 31 536 000; none is no limit. Items of a map are not held to it.
    pub queued_seconds_max: Option<u32>,
    /// How many seconds may pass from the time at which a node has all that it waits for to its end, waits and retries
    /// included, before it has timed out, from 1 to 31 536 000; none is no limit.
    pub node_seconds_max: Option<u32>,
}

impl TaskSettings {
    /// Every setting's name, in the order in which they are told to users.
    pub const NAMES: [&'static str; 13] = [
        read::ISOLATION,
        CHUNK_ITEMS_MIN.name,
        CHUNK_ITEMS_MAX.name,
        PRIORITY.name,
        WEIGHT.name,
        read::CONCURRENCY_KEY,
        CONCURRENCY_LIMIT.name,
        POOL_SIZE.name,
        PROCESS_ATTEMPTS_MAX.name,
        PROCESS_SECONDS_MAX.name,
        PROCESS_GROWTH_MIB_MAX.name,
        QUEUED_SECONDS_MAX.name,
        NODE_SECONDS_MAX.name,
    ];

    /// Reads the settings of a task; the defaults where its template has none.
    ///
    /// # Errors
    /// [`CustomError`], which names the setting, what it is, and what would be right.
    pub fn of(template: &TaskTemplate) -> Result<Self, CustomError> {
        let Some(value) = template.custom.as_ref().and_then(|custom| custom.fields.get(KEY)) else {
            return Ok(Self::default());
        };
        let Some(Kind::StructValue(given)) = &value.kind else {
            return Err(CustomError::NoObject { found: Given::from(value).kind() });
        };
        let given = given.fields.iter().map(|(name, value)| (name.clone(), Given::from(value))).collect();
        Ok(Self::read(&given)?)
    }

    /// Reads settings by their names.
    ///
    /// # Errors
    /// [`SettingError`] for a name that is none, a value that is none, and settings that contradict each other.
    pub fn read(given: &BTreeMap<String, Given>) -> Result<Self, SettingError> {
        read::known(given, &Self::NAMES)?;
        let settings = Self {
            isolation: read::isolation(given)?,
            chunk_items_min: CHUNK_ITEMS_MIN.count(given)?,
            chunk_items_max: CHUNK_ITEMS_MAX.count(given)?,
            priority: PRIORITY.read(given)?,
            weight: WEIGHT.count(given)?,
            concurrency_key: read::concurrency_key(given)?,
            concurrency_limit: CONCURRENCY_LIMIT.count(given)?,
            pool_size: POOL_SIZE.count(given)?,
            process_attempts_max: PROCESS_ATTEMPTS_MAX.count(given)?,
            process_seconds_max: PROCESS_SECONDS_MAX.count(given)?,
            process_growth_mib_max: PROCESS_GROWTH_MIB_MAX.count(given)?,
            queued_seconds_max: QUEUED_SECONDS_MAX.count(given)?,
            node_seconds_max: NODE_SECONDS_MAX.count(given)?,
        };
        settings.check()?;
        Ok(settings)
    }

    /// Looks for settings that contradict each other.
    ///
    /// # Errors
    /// [`SettingError`], which names them.
    pub fn check(&self) -> Result<(), SettingError> {
        if let (Some(min), Some(max)) = (self.chunk_items_min, self.chunk_items_max)
            && min > max
        {
            return Err(SettingError::Crossed { min, max });
        }
        if let Some(isolation) = self.alone()
            && let Some((name, value)) = self.of_shared_processes().next()
        {
            return Err(SettingError::Alone { name, value, isolation });
        }
        match &self.concurrency_key {
            Some(key) if self.concurrency_limit.is_none() => {
                Err(SettingError::KeyWithoutLimit { key: key.to_string() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Lays settings of someone who has more right over these, setting by setting: theirs where they say something, these
    /// elsewhere. Of these, what contradicts theirs is left out.
    #[must_use]
    pub fn overlaid(&self, by: &Self) -> Self {
        let mut under = self.clone();
        if by.alone().is_some() {
            under.share_nothing();
        }
        if under.alone().is_some() && by.of_shared_processes().next().is_some() {
            under.isolation = None;
        }
        under.chunk_items_min =
            under.chunk_items_min.filter(|min| by.chunk_items_max.is_none_or(|max| *min <= max));
        under.chunk_items_max =
            under.chunk_items_max.filter(|max| by.chunk_items_min.is_none_or(|min| *max >= min));
        Self {
            isolation: by.isolation.or(under.isolation),
            chunk_items_min: by.chunk_items_min.or(under.chunk_items_min),
            chunk_items_max: by.chunk_items_max.or(under.chunk_items_max),
            priority: by.priority.or(under.priority),
            weight: by.weight.or(under.weight),
            concurrency_key: by.concurrency_key.clone().or(under.concurrency_key),
            concurrency_limit: by.concurrency_limit.or(under.concurrency_limit),
            pool_size: by.pool_size.or(under.pool_size),
            process_attempts_max: by.process_attempts_max.or(under.process_attempts_max),
            process_seconds_max: by.process_seconds_max.or(under.process_seconds_max),
            process_growth_mib_max: by.process_growth_mib_max.or(under.process_growth_mib_max),
            queued_seconds_max: by.queued_seconds_max.or(under.queued_seconds_max),
            node_seconds_max: by.node_seconds_max.or(under.node_seconds_max),
        }
    }

    /// Says whether it limits a time that the engine has to watch.
    pub const fn is_timed(&self) -> bool {
        self.queued_seconds_max.is_some() || self.node_seconds_max.is_some()
    }

    /// Answers how long a process lives that runs one attempt or chunk of the task after another.
    pub const fn life(&self) -> Life {
        Life {
            attempts_max: self.process_attempts_max,
            seconds_max: self.process_seconds_max,
            growth_mib_max: self.process_growth_mib_max,
        }
    }

    /// Answers the word of an isolation with which no process runs more than one attempt or item.
    const fn alone(&self) -> Option<&'static str> {
        match self.isolation {
            Some(Isolation::Fresh) => Some("fresh"),
            Some(Isolation::Fork) => Some("fork"),
            Some(Isolation::Reuse) | None => None,
        }
    }

    /// The settings that mean something only where a process runs more than one attempt or item.
    fn of_shared_processes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        [
            (CHUNK_ITEMS_MIN, self.chunk_items_min),
            (CHUNK_ITEMS_MAX, self.chunk_items_max),
            (PROCESS_ATTEMPTS_MAX, self.process_attempts_max),
            (PROCESS_SECONDS_MAX, self.process_seconds_max),
            (PROCESS_GROWTH_MIB_MAX, self.process_growth_mib_max),
        ]
        .into_iter()
        .filter_map(|(setting, value)| Some((setting.name, value?)))
    }

    const fn share_nothing(&mut self) {
        self.chunk_items_min = None;
        self.chunk_items_max = None;
        self.process_attempts_max = None;
        self.process_seconds_max = None;
        self.process_growth_mib_max = None;
    }
}
