//! Reads the filter string of a list request: `func(field,value)` terms joined by `+`.
//!
//! Pure and total: every string gives filters or an error. What the fields mean is for the listings to say.

use std::str::FromStr;

/// The longest filter string, in bytes.
pub const FILTERS_BYTES_MAX: usize = 64 * 1024;
/// The most terms of one filter string.
pub const TERMS_MAX: usize = 64;
/// The most values of one term.
pub const VALUES_MAX: usize = 1_000;

/// One term of a filter string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What is asked of the field.
    pub function: Function,
    /// The field: a column, or `entity.column`.
    pub field: String,
    /// The values: exactly one, but for the two functions of membership.
    pub values: Vec<String>,
}

/// What a term asks of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
    /// `contains`
    Contains,
    /// `not_like`
    NotContains,
    /// `value_in`
    In,
    /// `value_not_in`
    NotIn,
}

impl FromStr for Function {
    type Err = FilterError;

    fn from_str(name: &str) -> Result<Self, FilterError> {
        Ok(match name {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "gt" => Self::Greater,
            "gte" => Self::GreaterOrEqual,
            "lt" => Self::Less,
            "lte" => Self::LessOrEqual,
            "contains" => Self::Contains,
            "not_like" => Self::NotContains,
            "value_in" => Self::In,
            "value_not_in" => Self::NotIn,
            _ => return Err(FilterError::Function(name.chars().take(64).collect())),
        })
    }
}

/// A filter string that is none. The texts are the original's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It does not have the form.
    #[error("invalid value for filters")]
    Form,
    /// A function that does not exist.
    #[error("unrecognized filter function: {0}")]
    Function(String),
    /// A value where several, or several where one belongs.
    #[error("invalid value for filters: {field} takes one value, {count} were given")]
    OneValue {
        /// The field.
        field: String,
        /// How many values there are.
        count: usize,
    },
    /// More than is read.
    #[error("invalid value for filters: more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most accepted.
        limit: usize,
    },
}

/// Reads a filter string; the empty string gives no filters.
///
/// # Errors
/// What is wrong with it.
pub fn parse(filters: &str) -> Result<Vec<Filter>, FilterError> {
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    if filters.len() > FILTERS_BYTES_MAX {
        return Err(FilterError::TooMany { what: "bytes", limit: FILTERS_BYTES_MAX });
    }
    let terms = split_terms(filters)?;
    if terms.len() > TERMS_MAX {
        return Err(FilterError::TooMany { what: "terms", limit: TERMS_MAX });
    }
    terms.into_iter().map(parse_term).collect()
}

/// Splits at each `+` that follows a closing parenthesis, so that a value may hold one.
fn split_terms(filters: &str) -> Result<Vec<&str>, FilterError> {
    let mut terms = Vec::new();
    let mut rest = filters;
    while let Some(end) = rest.find(")+") {
        terms.push(&rest[..=end]);
        rest = &rest[end + 2..];
    }
    if rest.is_empty() {
        return Err(FilterError::Form);
    }
    terms.push(rest);
    Ok(terms)
}

fn parse_term(term: &str) -> Result<Filter, FilterError> {
    let (name, rest) = term.split_once('(').ok_or(FilterError::Form)?;
    let inner = rest.strip_suffix(')').ok_or(FilterError::Form)?;
    let (field, value) = inner.split_once(',').ok_or(FilterError::Form)?;
    let value = value.strip_prefix(' ').unwrap_or(value);
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let is_word = |text: &str| !text.is_empty() && text.chars().all(word);
    if !is_word(name) || !is_word(field) || value.is_empty() {
        return Err(FilterError::Form);
    }
    let function: Function = name.parse()?;
    let values: Vec<String> = value.split(';').map(str::to_owned).collect();
    if values.len() > VALUES_MAX {
        return Err(FilterError::TooMany { what: "values", limit: VALUES_MAX });
    }
    let membership = matches!(function, Function::In | Function::NotIn);
    if !membership && values.len() != 1 {
        return Err(FilterError::OneValue { field: field.to_owned(), count: values.len() });
    }
    Ok(Filter { function, field: field.to_owned(), values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(function: Function, field: &str, values: &[&str]) -> Filter {
        Filter {
            function,
            field: field.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn no_string_is_no_filter() {
        assert_eq!(parse(""), Ok(vec![]));
    }

    #[test]
    fn terms_are_joined_by_plus() {
        assert_eq!(
            parse("eq(phase,RUNNING)+gte(created_at,2026-01-01T00:00:00+02:00)"),
            Ok(vec![
                filter(Function::Equal, "phase", &["RUNNING"]),
                filter(Function::GreaterOrEqual, "created_at", &["2026-01-01T00:00:00+02:00"]),
            ])
        );
    }

    #[test]
    fn one_space_after_the_comma_is_not_part_of_the_value() {
        assert_eq!(parse("eq(name, x)"), Ok(vec![filter(Function::Equal, "name", &["x"])]));
        assert_eq!(parse("eq(name,  x)"), Ok(vec![filter(Function::Equal, "name", &[" x"])]));
    }

    #[test]
    fn values_of_a_membership_are_separated_by_semicolons() {
        assert_eq!(
            parse("value_in(phase,FAILED;ABORTED)"),
            Ok(vec![filter(Function::In, "phase", &["FAILED", "ABORTED"])])
        );
    }

    #[test]
    fn a_comparison_takes_one_value() {
        let error = parse("eq(phase,FAILED;ABORTED)");
        assert_eq!(error, Err(FilterError::OneValue { field: "phase".to_owned(), count: 2 }));
    }

    #[test]
    fn a_field_may_name_a_joined_entity() {
        assert_eq!(
            parse("eq(workflow.name,a.b)"),
            Ok(vec![filter(Function::Equal, "workflow.name", &["a.b"])])
        );
    }

    #[test]
    fn what_does_not_have_the_form_is_refused() {
        for filters in [
            "x",
            "eq",
            "eq(",
            "eq)",
            "eq()",
            "eq(a)",
            "eq(a,)",
            "eq(,a)",
            "(a,b)",
            "eq(a,b)+",
            "+eq(a,b)",
            "eq(a b,c)",
            "eq(a,b",
        ] {
            assert_eq!(parse(filters), Err(FilterError::Form), "{filters}");
        }
    }

    #[test]
    fn an_unknown_function_is_named() {
        assert_eq!(
            parse("like(a,b)").map_err(|e| e.to_string()),
            Err("unrecognized filter function: like".to_owned())
        );
    }

    #[test]
    fn a_flood_of_terms_or_values_is_refused() {
        let terms = vec!["eq(a,b)"; TERMS_MAX + 1].join("+");
        assert!(matches!(parse(&terms), Err(FilterError::TooMany { what: "terms", .. })));
        let values = format!("value_in(a,{})", vec!["x"; VALUES_MAX + 1].join(";"));
        assert!(matches!(parse(&values), Err(FilterError::TooMany { what: "values", .. })));
        assert!(matches!(
            parse(&"x".repeat(FILTERS_BYTES_MAX + 1)),
            Err(FilterError::TooMany { what: "bytes", .. })
        ));
    }
}
