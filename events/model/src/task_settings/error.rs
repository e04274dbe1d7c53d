//! What is wrong with a setting: its name, what it is, and what would be right.

use super::{KEY, KEY_CHARS_MAX};
use std::fmt;

/// Settings in a template that are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustomError {
    /// The settings are no object.
    #[error("custom.{KEY} has to be an object, but it is {found}")]
    NoObject {
        /// What it is.
        found: &'static str,
    },
    /// One of them is wrong.
    #[error("custom.{KEY}.{0}")]
    Setting(#[from] SettingError),
}

/// A setting that is none. Each message begins with the setting's name, so that whoever passes it on can say where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no such setting.
    #[error("{name} is unknown; there are {}", listed(known))]
    Unknown {
        /// Its name.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// It has a value that it cannot have.
    #[error("{name} is {found}; it has to be {right}")]
    Wrong {
        /// The setting's name.
        name: &'static str,
        /// What it is.
        found: String,
        /// What would be right.
        right: Right,
    },
    /// The least is more than the most.
    #[error("chunk_items_min is {min}, which is more than chunk_items_max, {max}")]
    Crossed {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// No process runs more than one attempt or item.
    #[error(
        "{name} is {value}, which goes with isolation \"reuse\" only: with {isolation:?} each attempt, and each item of a \
         map, has a process of its own"
    )]
    Alone {
        /// The setting's name.
        name: &'static str,
        /// Its value.
        value: u32,
        /// The isolation's word.
        isolation: &'static str,
    },
    /// It says what is counted together, but not how many of it there may be.
    #[error("concurrency_key is {key:?}, but there is no concurrency_limit; say how many may run at once")]
    KeyWithoutLimit {
        /// The key.
        key: String,
    },
}

/// What a setting has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// A word for an isolation.
    Isolation,
    /// A whole number within bounds, both of them good.
    Whole {
        /// The least.
        min: i32,
        /// The most.
        max: i32,
    },
    /// A key under which attempts are counted.
    Key,
    /// A pattern for names.
    Pattern,
    /// A name that other names are put together with.
    Name,
    /// The name of an image.
    Image,
    /// What is done about times of a schedule that were missed.
    CatchUp,
    /// A time zone.
    TimeZone,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Isolation => f.write_str("one of \"fresh\", \"fork\" and \"reuse\""),
            Self::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Key => write!(
                f,
                "a name of 1 to {KEY_CHARS_MAX} characters, such as letters, digits, dots, dashes and underscores; no slashes"
            ),
            Self::Name => {
                f.write_str("a name, such as letters, digits, dots, dashes and underscores; no slashes")
            }
            Self::Image => f.write_str("the name of an image, as a string"),
            Self::CatchUp => f.write_str("\"none\", \"last\", \"all\", or a whole number from 1 to 1000"),
            Self::TimeZone => f.write_str("a time zone of the IANA database, such as \"Europe/Berlin\""),
            Self::Pattern => f.write_str("a name, in which * stands for any characters"),
        }
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}
