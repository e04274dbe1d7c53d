//! What is asked for of an output, after the question mark.

use crate::error::ApiError;
use crate::printed::Of;
use skein_model::event::ItemRange;
use std::str::FromStr;

/// How many last lines may be asked for at most.
const LINES_MAX: usize = 100_000;
/// What every address of an output understands.
const COMMON: [&str; 3] = ["from", "limit", "tail"];

/// A part of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The first byte.
    pub(super) from: u64,
    /// How many bytes at most.
    pub(super) limit: u64,
    /// The last lines instead: how many.
    pub(super) tail: Option<usize>,
    /// The try; none for the last one.
    pub(super) attempt: Option<u32>,
    /// Whose output.
    pub(super) of: Of,
}

impl Query {
    /// Takes a query apart in which the names in `more` may stand too.
    ///
    /// # Errors
    /// [`ApiError::InvalidArgument`] that names what is unknown or wrong, and what would be right.
    pub(super) fn parse(query: Option<&str>, more: &[&str]) -> Result<Self, ApiError> {
        let mut parsed = Self { from: 0, limit: u64::MAX, tail: None, attempt: None, of: Of::Attempt };
        let mut has_from = false;
        for (name, value) in pairs(query) {
            if !COMMON.contains(&name) && !more.contains(&name) {
                let known: Vec<&str> = more.iter().copied().chain(COMMON).collect();
                return Err(ApiError::invalid(format!("{name} is unknown; there are {}", known.join(", "))));
            }
            match name {
                "from" => (parsed.from, has_from) = (number("from", value)?, true),
                "limit" => parsed.limit = number("limit", value)?,
                "tail" => parsed.tail = Some(lines(value)?),
                "attempt" => parsed.attempt = Some(number("attempt", value)?),
                _ if parsed.of != Of::Attempt => {
                    return Err(ApiError::invalid("item and items are given, or one of them twice; say one"));
                }
                "item" => parsed.of = Of::Item(number("item", value)?),
                _ => parsed.of = Of::Range(range("items", value)?),
            }
        }
        if has_from && parsed.tail.is_some() {
            return Err(ApiError::invalid(
                "from and tail are given; say one: where to begin, or how many last lines",
            ));
        }
        Ok(parsed)
    }
}

/// Takes the one thing that a list may be asked for: `node`.
///
/// # Errors
/// As [`Query::parse`].
pub(in crate::http) fn only_node(query: Option<&str>) -> Result<Option<String>, ApiError> {
    let mut node = None;
    for (name, value) in pairs(query) {
        if name != "node" {
            return Err(ApiError::invalid(format!("{name} is unknown; there is node")));
        }
        skein_model::ids::check_name("node", value)?;
        node = Some(value.to_owned());
    }
    Ok(node)
}

/// Takes a query apart into names and values.
pub(in crate::http) fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

/// Takes a whole number.
///
/// # Errors
/// [`ApiError::InvalidArgument`] with the value, and what would be right.
pub(in crate::http) fn number<N: FromStr>(name: &str, value: &str) -> Result<N, ApiError> {
    let parsed = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
    parsed.ok_or_else(|| {
        ApiError::invalid(format!("{name} is {value:?}; it has to be a whole number from 0 on"))
    })
}

/// Takes a range of items, such as `0-10`.
///
/// # Errors
/// As [`number`].
pub(in crate::http) fn range(name: &str, value: &str) -> Result<ItemRange, ApiError> {
    let parts = value.split_once('-');
    let parsed = parts.and_then(|(start, end)| {
        Some(ItemRange { start: number(name, start).ok()?, end: number(name, end).ok()? })
    });
    parsed.filter(|range| !range.is_empty()).ok_or_else(|| {
        ApiError::invalid(format!(
            "{name} is {value:?}; it has to be the first item and the one after the last, such as 0-10"
        ))
    })
}

fn lines(value: &str) -> Result<usize, ApiError> {
    let lines = number("tail", value).ok().filter(|lines| (1..=LINES_MAX).contains(lines));
    lines.ok_or_else(|| {
        ApiError::invalid(format!("tail is {value:?}; it has to be a number of lines from 1 to {LINES_MAX}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_NODE: [&str; 3] = ["attempt", "item", "items"];

    #[test]
    fn a_query_names_a_part_of_an_output() {
        let all = Query { from: 0, limit: u64::MAX, tail: None, attempt: None, of: Of::Attempt };
        let parsed = |query| Query::parse(Some(query), &OF_NODE);
        assert_eq!(Query::parse(None, &[]), Ok(all.clone()));
        assert_eq!(parsed("from=7&limit=2"), Ok(Query { from: 7, limit: 2, ..all.clone() }));
        assert_eq!(parsed("tail=3&attempt=1"), Ok(Query { tail: Some(3), attempt: Some(1), ..all.clone() }));
        assert_eq!(parsed("item=5"), Ok(Query { of: Of::Item(5), ..all.clone() }));
        let range = Of::Range(ItemRange { start: 0, end: 10 });
        assert_eq!(parsed("items=0-10"), Ok(Query { of: range, ..all }));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let refused = |query| Query::parse(Some(query), &OF_NODE).expect_err("it is wrong").to_string();
        assert_eq!(refused("from=-1"), "from is \"-1\"; it has to be a whole number from 0 on");
        assert_eq!(refused("limit="), "limit is \"\"; it has to be a whole number from 0 on");
        assert_eq!(
            refused("attempt=4294967296"),
            "attempt is \"4294967296\"; it has to be a whole number from 0 on"
        );
        assert_eq!(refused("tail=0"), "tail is \"0\"; it has to be a number of lines from 1 to 100000");
        assert!(refused("items=5").contains("such as 0-10"));
        assert!(refused("items=5-5").contains("such as 0-10"));
        assert!(refused("item=1&items=0-2").contains("say one"));
        assert!(refused("from=1&tail=2").contains("say one"));
        assert_eq!(refused("node=n0"), "node is unknown; there are attempt, item, items, from, limit, tail");
    }
}
