//! How a task says that it failed.

use prost::Message as _;
use skein_idl::flyteidl::core::{ContainerError, ErrorDocument, container_error, execution_error};
use std::error::Error as StdError;
use std::fmt;
use std::time::SystemTime;

const FAILED: &str = "USER:Error";
const RECOVERABLE: &str = "USER:Recoverable";
const PANICKED: &str = "USER:Panic";
const WRONG_INPUT: &str = "USER:WrongInput";
const ABSENT: &str = "USER:TaskNotFound";

/// What a task that fails answers. Any error of another kind becomes one by `?`, with the messages of all its causes.
///
/// It is no [`std::error::Error`] itself, so that every such error can become one.
///
/// ```
/// use skein_task::{Error, Result};
///
/// fn parse(text: String) -> Result<i64> {
///     if text.is_empty() {
///         return Err(Error::recoverable("there is nothing yet"));
///     }
///     Ok(text.trim().parse()?)
/// }
///
/// assert!(parse(String::new()).is_err_and(|error| error.is_recoverable()));
/// assert_eq!(parse("x".to_owned()).unwrap_err().message(), "invalid digit found in string");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: String,
    message: String,
    is_recoverable: bool,
}

/// What a task that may fail answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure that would only repeat itself: the task is not tried again. Its code is `USER:Error`.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::of(FAILED, message.to_string(), false)
    }

    /// A failure that may not come again: the task is tried as often as its retries allow. Its code is
    /// `USER:Recoverable`.
    pub fn recoverable(message: impl fmt::Display) -> Self {
        Self::of(RECOVERABLE, message.to_string(), true)
    }

    /// Gives it a code of its own, by which programs tell errors apart.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Answers its code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Answers what it says.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Says whether trying again may help.
    pub const fn is_recoverable(&self) -> bool {
        self.is_recoverable
    }

    pub(crate) fn panicked(message: String) -> Self {
        Self::of(PANICKED, message, false)
    }

    pub(crate) fn wrong_input(message: String) -> Self {
        Self::of(WRONG_INPUT, message, false)
    }

    pub(crate) fn absent(message: String) -> Self {
        Self::of(ABSENT, message, false)
    }

    fn of(code: &str, message: String, is_recoverable: bool) -> Self {
        Self { code: code.to_owned(), message, is_recoverable }
    }

    /// Encodes it as the SDK writes errors down.
    pub(crate) fn to_document(&self) -> Vec<u8> {
        let kind = if self.is_recoverable {
            container_error::Kind::Recoverable
        } else {
            container_error::Kind::NonRecoverable
        };
        let error = ContainerError {
            code: self.code.clone(),
            message: self.message.clone(),
            kind: kind.into(),
            origin: execution_error::ErrorKind::User.into(),
            timestamp: Some(SystemTime::now().into()),
            ..ContainerError::default()
        };
        ErrorDocument { error: Some(error) }.encode_to_vec()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl<E: StdError> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::of(FAILED, message, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_another_kind_tells_its_causes_once_each() {
        #[derive(Debug)]
        struct Outer(std::num::ParseIntError);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("line 3 is no number")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(Outer("x".parse::<i64>().expect_err("it is none")));
        assert_eq!(error.message(), "line 3 is no number: invalid digit found in string");
        assert_eq!((error.code(), error.is_recoverable()), ("USER:Error", false));
    }

    #[test]
    fn an_error_is_written_down_as_the_sdk_does() {
        let bytes = Error::recoverable("later").with_code("USER:Busy").to_document();
        let error =
            ErrorDocument::decode(bytes.as_slice()).expect("it was encoded").error.expect("it is there");
        assert_eq!((error.code.as_str(), error.message.as_str()), ("USER:Busy", "later"));
        assert_eq!(error.kind(), container_error::Kind::Recoverable);
        assert_eq!(error.origin(), execution_error::ErrorKind::User);
    }
}
