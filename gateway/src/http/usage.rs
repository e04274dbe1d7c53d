//! What tries and items used of their machine, over time.

use super::json::{JSON, RefusedInJson, execution_of, path_of};
use super::logs::query::{number, only_node, pairs, range};
use crate::error::ApiError;
use crate::printed::{Of, Wanted};
use crate::shared::Shared;
use crate::usage::{self, Part};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use skein_model::ExecutionId;
use std::sync::Arc;

/// How many points are answered where nobody says: more than a chart has pixels to show them apart.
const POINTS: usize = 500;
/// How many points may be asked for at most: as many as a series has.
const POINTS_MAX: usize = skein_log::usage::STEPS_MAX;
const KNOWN: [&str; 6] = ["attempt", "item", "items", "from", "to", "points"];

/// What each try of an execution used at most.
pub(super) async fn of_execution(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, RefusedInJson> {
    let id = execution_of(path)?;
    let node = only_node(query.as_deref())?;
    answer(&usage::list(&shared, &id, node.as_deref()).await?)
}

/// What a try of a node used over time: its last, or what the query names.
pub(super) async fn of_node(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, String, String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, RefusedInJson> {
    let (project, domain, name, node) = path_of(path)?;
    let execution = ExecutionId::parse(&project, &domain, &name).map_err(ApiError::from)?;
    let Query { attempt, of, part } = Query::parse(query.as_deref())?;
    let wanted = Wanted { execution, node, attempt, of };
    answer(&usage::read(&shared, &wanted, &part).await?)
}

fn answer<T: Serialize>(said: &T) -> Result<Response, RefusedInJson> {
    let json = serde_json::to_string(said)
        .map_err(|error| ApiError::internal("what an execution used as JSON", &error))?;
    Ok(([(header::CONTENT_TYPE, JSON)], json + "\n").into_response())
}

/// What is asked for, after the question mark.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Query {
    attempt: Option<u32>,
    of: Of,
    part: Part,
}

impl Query {
    fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let part = Part { range: 0..u64::MAX, points: POINTS };
        let mut parsed = Self { attempt: None, of: Of::Attempt, part };
        for (name, value) in pairs(query) {
            match name {
                "attempt" => parsed.attempt = Some(number("attempt", value)?),
                "from" => parsed.part.range.start = number("from", value)?,
                "to" => parsed.part.range.end = number("to", value)?,
                "points" => parsed.part.points = points(value)?,
                "item" | "items" if parsed.of != Of::Attempt => {
                    return Err(ApiError::invalid("item and items are given, or one of them twice; say one"));
                }
                "item" => parsed.of = Of::Item(number("item", value)?),
                "items" => parsed.of = Of::Range(range("items", value)?),
                _ => {
                    return Err(ApiError::invalid(format!(
                        "{name} is unknown; there are {}",
                        KNOWN.join(", ")
                    )));
                }
            }
        }
        let (from, to) = (parsed.part.range.start, parsed.part.range.end);
        if from >= to {
            return Err(ApiError::invalid(format!(
                "from is {from} and to is {to}; from has to be before to, both in milliseconds since 1970"
            )));
        }
        Ok(parsed)
    }
}

fn points(value: &str) -> Result<usize, ApiError> {
    let points = number("points", value).ok().filter(|points| (1..=POINTS_MAX).contains(points));
    points.ok_or_else(|| {
        ApiError::invalid(format!("points is {value:?}; it has to be a whole number from 1 to {POINTS_MAX}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::event::ItemRange;

    #[test]
    fn a_query_names_a_try_an_item_and_a_part_of_the_time() {
        let all = Part { range: 0..u64::MAX, points: POINTS };
        let of = |of, attempt, part| Ok(Query { attempt, of, part });
        assert_eq!(Query::parse(None), of(Of::Attempt, None, all.clone()));
        assert_eq!(Query::parse(Some("attempt=1&item=7")), of(Of::Item(7), Some(1), all.clone()));
        let range = Of::Range(ItemRange { start: 0, end: 10 });
        assert_eq!(Query::parse(Some("items=0-10")), of(range, None, all));
        let part = Part { range: 5..9, points: 20 };
        assert_eq!(Query::parse(Some("from=5&to=9&points=20")), of(Of::Attempt, None, part));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let refused = |query: &str| Query::parse(Some(query)).expect_err("it is wrong").to_string();
        for points in ["0", "4097", "x", ""] {
            let said = format!("points is {points:?}; it has to be a whole number from 1 to 4096");
            assert_eq!(refused(&format!("points={points}")), said);
        }
        assert!(refused("from=9&to=9").contains("from has to be before to"));
        assert_eq!(refused("from=-1"), "from is \"-1\"; it has to be a whole number from 0 on");
        assert!(refused("item=1&items=0-2").contains("say one"));
        assert_eq!(refused("tail=1"), "tail is unknown; there are attempt, item, items, from, to, points");
    }
}
