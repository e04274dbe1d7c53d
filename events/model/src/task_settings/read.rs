//! Reads settings from values, wherever those came from.

use super::{KEY_CHARS_MAX, Right, SettingError};
use crate::ids::check_name;
use crate::work::Isolation;
use prost_types::Value;
use prost_types::value::Kind;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) const ISOLATION: &str = "isolation";
pub(super) const CONCURRENCY_KEY: &str = "concurrency_key";

/// The most characters of a value from outside that a message shows.
const SHOWN_CHARS_MAX: usize = 64;

/// A value that a setting was given, in a template or in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// None: as if the setting were not there.
    Nothing,
    /// A text.
    Text(String),
    /// A number, whole or not.
    Number(f64),
    /// Yes or no, which no setting is.
    Flag(bool),
    /// Something else that no setting is.
    Other(
        /// What it is, in words: "a list".
        &'static str,
    ),
}

impl Given {
    /// Says in words what it is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Text(_) => "a string",
            Self::Number(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::Other(kind) => kind,
        }
    }

    fn wrong(&self, name: &'static str, right: Right) -> SettingError {
        let found = match self {
            Self::Text(text) => format!("{:?}", shown(text)),
            Self::Number(number) => number.to_string(),
            Self::Flag(is_set) => is_set.to_string(),
            Self::Nothing | Self::Other(_) => self.kind().to_owned(),
        };
        SettingError::Wrong { name, found, right }
    }
}

impl From<&Value> for Given {
    fn from(value: &Value) -> Self {
        match &value.kind {
            Some(Kind::NullValue(_)) | None => Self::Nothing,
            Some(Kind::NumberValue(number)) => Self::Number(*number),
            Some(Kind::StringValue(text)) => Self::Text(text.clone()),
            Some(Kind::BoolValue(is_set)) => Self::Flag(*is_set),
            Some(Kind::StructValue(_)) => Self::Other("an object"),
            Some(Kind::ListValue(_)) => Self::Other("a list"),
        }
    }
}

/// A setting that is a whole number, with the least and the most that it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its name.
    pub name: &'static str,
    /// The least.
    pub min: i32,
    /// The most.
    pub max: i32,
}

impl Whole {
    pub(crate) const fn new(name: &'static str, min: i32, max: i32) -> Self {
        Self { name, min, max }
    }

    pub(crate) fn read(self, given: &BTreeMap<String, Given>) -> Result<Option<i32>, SettingError> {
        let Self { name, min, max } = self;
        match given.get(name) {
            None | Some(Given::Nothing) => Ok(None),
            Some(Given::Number(number))
                if number.fract() == 0.0 && (min.into()..=max.into()).contains(number) =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "whole, and between two of the type")]
                let number = *number as i32;
                Ok(Some(number))
            }
            Some(other) => Err(other.wrong(name, Right::Whole { min, max })),
        }
    }

    /// As [`Whole::count`], for one that has to be there.
    pub(crate) fn required(self, given: &BTreeMap<String, Given>) -> Result<u32, SettingError> {
        let Self { name, min, max } = self;
        self.count(given)?.ok_or_else(|| Given::Nothing.wrong(name, Right::Whole { min, max }))
    }

    /// As [`Whole::read`], for a setting that is never less than nothing.
    pub(crate) fn count(self, given: &BTreeMap<String, Given>) -> Result<Option<u32>, SettingError> {
        Ok(self.read(given)?.map(i32::unsigned_abs))
    }
}

/// Refuses names that are none.
pub(crate) fn known(given: &BTreeMap<String, Given>, names: &[&'static str]) -> Result<(), SettingError> {
    match given.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(SettingError::Unknown { name: shown(name), known: names.to_vec() }),
        None => Ok(()),
    }
}

/// Answers the text of a setting that `is_good`; none when it is not there.
pub(crate) fn text<'a>(
    given: &'a BTreeMap<String, Given>,
    name: &'static str,
    right: Right,
    is_good: impl FnOnce(&str) -> bool,
) -> Result<Option<&'a str>, SettingError> {
    match given.get(name) {
        None | Some(Given::Nothing) => Ok(None),
        Some(Given::Text(text)) if is_good(text) => Ok(Some(text)),
        Some(other) => Err(other.wrong(name, right)),
    }
}

pub(super) fn isolation(given: &BTreeMap<String, Given>) -> Result<Option<Isolation>, SettingError> {
    let word = text(given, ISOLATION, Right::Isolation, |word| Isolation::named(word).is_some())?;
    Ok(word.and_then(Isolation::named))
}

pub(super) fn concurrency_key(given: &BTreeMap<String, Given>) -> Result<Option<Arc<str>>, SettingError> {
    let is_good =
        |key: &str| check_name(CONCURRENCY_KEY, key).is_ok() && key.chars().count() <= KEY_CHARS_MAX;
    Ok(text(given, CONCURRENCY_KEY, Right::Key, is_good)?.map(Arc::from))
}

/// What comes from outside is shown as far as a message should be long.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
