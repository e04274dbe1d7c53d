//! What a value of a filter means in its column.

use crate::error::ApiError;
use rusqlite::types::Value;
use skein_idl::flyteidl::{admin, core};
use skein_model::Timestamp;

/// What the values of a column are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// A point in time, in RFC 3339; stored as microseconds.
    Time,
    /// A span: seconds, or as Go writes it (`1h2m3.5s`); stored as microseconds.
    Duration,
    /// A phase of executions.
    ExecutionPhase,
    /// A phase of nodes.
    NodePhase,
    /// A phase of task executions.
    TaskPhase,
    /// How an execution came to be.
    Mode,
    /// Whether an execution is archived.
    ExecutionState,
    /// Whether a launch plan is active.
    LaunchPlanState,
    /// Whether a name is hidden.
    NamedEntityState,
    /// Whether a project is archived.
    ProjectState,
    /// Whose fault an error is.
    ErrorOrigin,
    /// What the cache did.
    CacheStatus,
    /// What kind of definition was launched.
    Resource,
}

impl Kind {
    /// Reads one value of a filter on `field`.
    pub(super) fn read(self, field: &str, value: &str) -> Result<Value, ApiError> {
        let wrong = |right: &str| {
            let shown: String = value.chars().take(64).collect();
            ApiError::invalid(format!("invalid value for filters: {field} is {shown:?}, {right} is needed"))
        };
        let number = |known: Option<i64>| {
            known
                .or_else(|| value.parse().ok())
                .map(Value::Integer)
                .ok_or_else(|| wrong("a name of the enum or its number"))
        };
        match self {
            Self::Text => Ok(Value::Text(value.to_owned())),
            Self::Integer => value.parse().map(Value::Integer).map_err(|_| wrong("a whole number")),
            Self::Time => {
                let time: prost_types::Timestamp =
                    value.parse().map_err(|_| wrong("a time such as 2026-01-31T12:00:00Z"))?;
                Ok(Value::Integer(Timestamp::from(&time).as_micros()))
            }
            Self::Duration => {
                span_micros(value).map(Value::Integer).ok_or_else(|| wrong("seconds or a span such as 1m30s"))
            }
            Self::ExecutionPhase => {
                number(core::workflow_execution::Phase::from_str_name(value).map(|phase| phase as i64))
            }
            Self::NodePhase => {
                number(core::node_execution::Phase::from_str_name(value).map(|phase| phase as i64))
            }
            Self::TaskPhase => {
                number(core::task_execution::Phase::from_str_name(value).map(|phase| phase as i64))
            }
            Self::Mode => {
                number(admin::execution_metadata::ExecutionMode::from_str_name(value).map(|mode| mode as i64))
            }
            Self::ExecutionState => {
                number(admin::ExecutionState::from_str_name(value).map(|state| state as i64))
            }
            Self::LaunchPlanState => {
                number(admin::LaunchPlanState::from_str_name(value).map(|state| state as i64))
            }
            Self::NamedEntityState => {
                number(admin::NamedEntityState::from_str_name(value).map(|state| state as i64))
            }
            Self::ProjectState => {
                number(admin::project::ProjectState::from_str_name(value).map(|state| state as i64))
            }
            Self::ErrorOrigin => {
                number(core::execution_error::ErrorKind::from_str_name(value).map(|kind| kind as i64))
            }
            Self::CacheStatus => {
                number(core::CatalogCacheStatus::from_str_name(value).map(|status| status as i64))
            }
            Self::Resource => number(core::ResourceType::from_str_name(value).map(|kind| kind as i64)),
        }
    }
}

/// Reads a span: plain seconds, or numbers with units one after the other.
fn span_micros(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return micros(seconds * 1e6);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "h" => 3_600e6,
            "m" => 60e6,
            "s" => 1e6,
            "ms" => 1e3,
            "us" | "µs" => 1.0,
            "ns" => 1e-3,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    micros(total)
}

fn micros(value: f64) -> Option<i64> {
    // Larger than any span that can be stored, or not a number at all.
    if !value.is_finite() || value.abs() > 9e18 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    Some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_seconds_or_written_as_go_writes_it() {
        assert_eq!(span_micros("10"), Some(10_000_000));
        assert_eq!(span_micros("1h2m3.5s"), Some(3_723_500_000));
        assert_eq!(span_micros("1500ms"), Some(1_500_000));
        for wrong in ["", "x", "10q", "s", "1.2.3s", "NaN", "inf", "1e300"] {
            assert_eq!(span_micros(wrong).unwrap_or(0), 0, "{wrong}");
        }
    }

    #[test]
    fn a_phase_is_a_name_or_a_number() {
        assert_eq!(Kind::ExecutionPhase.read("phase", "FAILED"), Ok(Value::Integer(6)));
        assert_eq!(Kind::ExecutionPhase.read("phase", "6"), Ok(Value::Integer(6)));
        assert!(Kind::ExecutionPhase.read("phase", "failed?").is_err());
        assert_eq!(Kind::Mode.read("mode", "MANUAL"), Ok(Value::Integer(0)));
        assert_eq!(Kind::ExecutionState.read("state", "EXECUTION_ACTIVE"), Ok(Value::Integer(0)));
    }

    #[test]
    fn a_time_is_in_rfc_3339() {
        assert_eq!(Kind::Time.read("created_at", "1970-01-01T00:00:01Z"), Ok(Value::Integer(1_000_000)));
        let error = Kind::Time.read("created_at", "yesterday").map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("invalid value for filters: created_at is \"yesterday\", a time such as 2026-01-31T12:00:00Z is needed".to_owned())
        );
    }
}
