//! What a task says about how it is run, in words that neither `flytekit` nor `union` has: the object `skein` in the
//! `custom` of its template, which the plugin `flytekitplugins-skein` puts there.

use crate::work::Isolation;
use prost_types::value::Kind;
use prost_types::{Struct, Value};
use skein_idl::flyteidl::core::TaskTemplate;

/// The key in `custom` under which the settings stand.
pub const KEY: &str = "skein";
/// The most items that a chunk may be asked to have.
pub const CHUNK_ITEMS_MAX: u32 = 1_000_000;

/// The settings of one task; what is none is left to Skein.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskSettings {
    /// How much of a process its attempts share.
    pub isolation: Option<Isolation>,
    /// The fewest items of a map that travel together while there are as many, from 1 to [`CHUNK_ITEMS_MAX`].
    pub chunk_items_min: Option<u32>,
    /// The most items of a map that travel together, from 1 to [`CHUNK_ITEMS_MAX`].
    pub chunk_items_max: Option<u32>,
}

/// A setting that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// The settings are no object.
    #[error("custom.{KEY} has to be an object, but it is {found}")]
    NoObject {
        /// What it is.
        found: &'static str,
    },
    /// There is no such setting.
    #[error("custom.{KEY}.{name} is unknown; there are isolation, chunk_items_min and chunk_items_max")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// The isolation is none.
    #[error("custom.{KEY}.isolation is {found}; it has to be one of \"fresh\", \"fork\" and \"reuse\"")]
    Isolation {
        /// What it is.
        found: String,
    },
    /// A number of items is none.
    #[error("custom.{KEY}.{name} is {found}; it has to be a whole number from 1 to {CHUNK_ITEMS_MAX}")]
    Items {
        /// The setting's name.
        name: &'static str,
        /// What it is.
        found: String,
    },
    /// The least is more than the most.
    #[error("custom.{KEY}.chunk_items_min is {min}, which is more than chunk_items_max, {max}")]
    Crossed {
        /// The least.
        min: u32,
        /// The most.
        max: u32,
    },
    /// Forked items travel alone.
    #[error(
        "custom.{KEY} asks for isolation {isolation:?}, with which each item of a map runs in a process of its own; \
         chunk_items_min and chunk_items_max go with \"reuse\" only"
    )]
    Alone {
        /// The isolation's word.
        isolation: &'static str,
    },
}

const MIN: &str = "chunk_items_min";
const MAX: &str = "chunk_items_max";

impl TaskSettings {
    /// Reads the settings of a task; the defaults where its template has none.
    ///
    /// # Errors
    /// [`SettingError`], which names the setting, what it is, and what would be right.
    pub fn of(template: &TaskTemplate) -> Result<Self, SettingError> {
        let Some(value) = template.custom.as_ref().and_then(|custom| custom.fields.get(KEY)) else {
            return Ok(Self::default());
        };
        let Some(Kind::StructValue(given)) = &value.kind else {
            return Err(SettingError::NoObject { found: kind_of(value) });
        };
        if let Some(name) = given.fields.keys().find(|name| !["isolation", MIN, MAX].contains(&name.as_str()))
        {
            return Err(SettingError::Unknown { name: shown(name) });
        }
        let settings = Self {
            isolation: isolation(given)?,
            chunk_items_min: items(given, MIN)?,
            chunk_items_max: items(given, MAX)?,
        };
        settings.checked()
    }

    fn checked(self) -> Result<Self, SettingError> {
        if let (Some(min), Some(max)) = (self.chunk_items_min, self.chunk_items_max)
            && min > max
        {
            return Err(SettingError::Crossed { min, max });
        }
        let alone = match self.isolation {
            Some(Isolation::Fresh) => Some("fresh"),
            Some(Isolation::Fork) => Some("fork"),
            Some(Isolation::Reuse) | None => None,
        };
        match alone.filter(|_| self.chunk_items_min.is_some() || self.chunk_items_max.is_some()) {
            Some(isolation) => Err(SettingError::Alone { isolation }),
            None => Ok(self),
        }
    }
}

fn isolation(given: &Struct) -> Result<Option<Isolation>, SettingError> {
    let Some(value) = given.fields.get("isolation") else { return Ok(None) };
    match &value.kind {
        Some(Kind::NullValue(_)) | None => Ok(None),
        Some(Kind::StringValue(word)) => match Isolation::named(word) {
            Some(isolation) => Ok(Some(isolation)),
            None => Err(SettingError::Isolation { found: format!("{:?}", shown(word)) }),
        },
        Some(Kind::NumberValue(_) | Kind::BoolValue(_) | Kind::StructValue(_) | Kind::ListValue(_)) => {
            Err(SettingError::Isolation { found: kind_of(value).to_owned() })
        }
    }
}

fn items(given: &Struct, name: &'static str) -> Result<Option<u32>, SettingError> {
    let Some(value) = given.fields.get(name) else { return Ok(None) };
    match &value.kind {
        Some(Kind::NullValue(_)) | None => Ok(None),
        Some(Kind::NumberValue(number)) => match whole(*number) {
            Some(count) => Ok(Some(count)),
            None => Err(SettingError::Items { name, found: number.to_string() }),
        },
        Some(Kind::StringValue(_) | Kind::BoolValue(_) | Kind::StructValue(_) | Kind::ListValue(_)) => {
            Err(SettingError::Items { name, found: kind_of(value).to_owned() })
        }
    }
}

fn whole(number: f64) -> Option<u32> {
    let is_good = number.fract() == 0.0 && (1.0..=f64::from(CHUNK_ITEMS_MAX)).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, and from 1 to 10^6")]
    is_good.then_some(number as u32)
}

fn kind_of(value: &Value) -> &'static str {
    match &value.kind {
        Some(Kind::NullValue(_)) | None => "nothing",
        Some(Kind::NumberValue(_)) => "a number",
        Some(Kind::StringValue(_)) => "a string",
        Some(Kind::BoolValue(_)) => "true or false",
        Some(Kind::StructValue(_)) => "an object",
        Some(Kind::ListValue(_)) => "a list",
    }
}

/// What comes from outside is shown as far as a message should be long.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
