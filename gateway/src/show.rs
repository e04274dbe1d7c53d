//! An execution as it was at any moment, from its journal alone: neither views nor blobs are asked, so that it can be seen as
//! long as the journal is there.
//!
//! A node that has not begun stands in the plan and not in the journal, and is not shown.

use crate::error::ApiError;
use crate::progress::{Items, rfc3339};
use crate::shared::Shared;
use crate::views::Tree;
use serde::{Deserialize, Serialize};
use skein_model::{Event, ExecutionId, Head, JournalId, Timestamp, codec};

/// How many characters of a message are shown.
pub const MESSAGE_CHARS_MAX: usize = 1_024;

/// An execution as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The execution, as `project/domain/name`.
    pub execution: String,
    /// The last record of its journal that is looked at, from 1.
    pub version: u64,
    /// How many records the journal has.
    pub versions: u64,
    /// When that record was written, by RFC 3339 in UTC.
    pub at: String,
    /// What was launched, and in which version.
    pub launched: String,
    /// The workflow, and its version.
    pub workflow: String,
    /// Where it stood, in Flyte's words.
    pub phase: String,
    /// Why it failed, or who ended it with which words.
    pub error: Option<ShownError>,
    /// When it was asked for.
    pub created: String,
    /// When it was taken up.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// Its nodes that had begun: each before those inside of it, and otherwise in the order in which they began.
    pub nodes: Vec<ShownNode>,
}

/// A node that had begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownNode {
    /// The node, such as `n0`; of one inside another, with that one's name before it.
    pub id: String,
    /// The node that it is inside of.
    pub parent: Option<String>,
    /// How deep it is, from 0.
    pub depth: usize,
    /// Where it stood, in Flyte's words.
    pub phase: String,
    /// Why it failed or was stopped.
    pub error: Option<ShownError>,
    /// When what it waits for was there.
    pub queued: String,
    /// When it had its inputs.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// Its items, when it is a map. `waiting` are all that had not ended.
    pub items: Option<Items>,
    /// The tries of its task, in order; none of a map.
    pub attempts: Vec<ShownAttempt>,
}

/// A try of a node's task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownAttempt {
    /// Its number, from 0.
    pub attempt: u32,
    /// Where it stood, in Flyte's words.
    pub phase: String,
    /// Which worker ran it, if one did.
    pub worker: Option<String>,
    /// When it was asked for.
    pub queued: String,
    /// When its code began.
    pub started: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// Why it failed.
    pub error: Option<ShownError>,
}

/// Why something ended as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownError {
    /// The error's code.
    pub code: String,
    /// The end of the error's message, at most [`MESSAGE_CHARS_MAX`] characters: a traceback says last what it is about.
    pub message: String,
}

/// A moment of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// With the last record.
    Last,
    /// With this record of the journal, from 1.
    Version(u64),
    /// With the last record that was written by then.
    Time(Timestamp),
}

impl Moment {
    /// Reads a moment as users write it.
    ///
    /// # Errors
    /// [`ApiError::InvalidArgument`] for what is neither version nor time.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, ApiError> {
        let Some(text) = text else { return Ok(Self::Last) };
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        let time = text.parse::<prost_types::Timestamp>().ok().filter(|_| text.contains([':', 'T', '-']));
        time.map(|time| Self::Time(Timestamp::from(&time))).ok_or_else(|| {
            ApiError::invalid(format!(
                "at is {text:?}; it has to be a version of the journal, such as 12, or a time by RFC 3339, such as \
                 2026-11-27T12:30:00Z"
            ))
        })
    }
}

/// Shows an execution as it was.
///
/// # Errors
/// [`ApiError::NotFound`] when there is none, [`ApiError::InvalidArgument`] for a moment that its journal does not have.
pub(crate) async fn read(shared: &Shared, id: &ExecutionId, moment: Moment) -> Result<Shown, ApiError> {
    let tree = fold(shared, id, moment).await?;
    tree.shown(id).ok_or_else(|| ApiError::no_execution(id))
}

/// Folds the journal of an execution up to a moment.
///
/// # Errors
/// As [`read`].
pub(crate) async fn fold(shared: &Shared, id: &ExecutionId, moment: Moment) -> Result<Tree, ApiError> {
    let records = shared.log.read(&JournalId::execution(id), Head::EMPTY).await?;
    let first = records.first().ok_or_else(|| ApiError::no_execution(id))?;
    let versions = records.len() as u64;
    match moment {
        Moment::Version(version) if version == 0 || version > versions => {
            return Err(ApiError::invalid(format!(
                "at is version {version}; the journal of {id} has versions 1 to {versions}"
            )));
        }
        Moment::Time(at) if at < first.record.time => {
            return Err(ApiError::invalid(format!(
                "at is {}; the journal of {id} begins at {}",
                rfc3339(at),
                rfc3339(first.record.time)
            )));
        }
        Moment::Last | Moment::Version(_) | Moment::Time(_) => {}
    }
    let mut tree = Tree::new(versions);
    for envelope in &records {
        let is_within = match moment {
            Moment::Last => true,
            Moment::Version(version) => envelope.version.0 <= version,
            // The first is not after it; a clock that stepped back does not hide what came before a later record.
            Moment::Time(at) => envelope.record.time <= at,
        };
        if !is_within {
            break;
        }
        let events: Vec<Event> = codec::decode(envelope.schema, &envelope.record.body)?;
        tree.record(envelope.version, envelope.record.time);
        events.iter().for_each(|event| tree.apply(event, envelope.record.time));
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_version_or_a_time() {
        assert_eq!(Moment::read(None), Ok(Moment::Last));
        assert_eq!(Moment::read(Some("12")), Ok(Moment::Version(12)));
        let time = Moment::Time(Timestamp::from_micros(1_500_000));
        assert_eq!(Moment::read(Some("1970-01-01T00:00:01.5Z")), Ok(time));
        for wrong in ["", "yesterday", "-1", "1.5", "2026-13-01T00:00:00Z"] {
            let error = Moment::read(Some(wrong)).expect_err(wrong).to_string();
            assert!(error.starts_with(&format!("at is {wrong:?}; it has to be a version")), "{error}");
        }
    }
}
