//! Environment variables that tasks, launch plans and executions bring along.

use crate::error::ApiError;
use skein_idl::flyteidl::core::KeyValuePair;

/// How much of a name is shown, in characters.
const SHOWN_CHARS: usize = 64;

/// Checks that variables are such as a process can have; `whose` names in words what brings them along.
///
/// # Errors
/// [`ApiError::InvalidArgument`] naming the first variable that is not, and what would be right.
pub(crate) fn check<'a>(
    whose: &str,
    variables: impl IntoIterator<Item = &'a KeyValuePair>,
) -> Result<(), ApiError> {
    for KeyValuePair { key, value } in variables {
        let name: String = key.chars().take(SHOWN_CHARS).collect();
        if key.is_empty() || key.contains(['=', '\0']) {
            return Err(ApiError::invalid(format!(
                "{whose} has a variable with the name {name:?}; a name must not be empty, and must hold neither = nor NUL"
            )));
        }
        if value.contains('\0') {
            return Err(ApiError::invalid(format!(
                "{whose} has a variable {name:?} whose value holds NUL, which no process can be given"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(key: &str, value: &str) -> Result<(), String> {
        let pair = KeyValuePair { key: key.to_owned(), value: value.to_owned() };
        check("the environment of task t", [&pair]).map_err(|error| error.to_string())
    }

    #[test]
    fn what_no_process_can_be_given_is_refused_with_task_and_variable() {
        assert_eq!(checked("PATH", "a=b:ü"), Ok(()));
        let right = "a name must not be empty, and must hold neither = nor NUL";
        for (key, shown) in [("", "\"\""), ("A=B", "\"A=B\""), ("A\0", "\"A\\0\"")] {
            let expected = format!("the environment of task t has a variable with the name {shown}; {right}");
            assert_eq!(checked(key, ""), Err(expected));
        }
        let refused = checked("A", "b\0").expect_err("it holds NUL");
        assert!(refused.contains("has a variable \"A\" whose value holds NUL"), "{refused}");
    }
}
