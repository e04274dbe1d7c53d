//! Finds the Python that runs user code, and what it has.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest Python that flytekit 1.16 runs on.
const OLDEST: (u32, u32) = (3, 10);

/// A Python that can run user code.
#[derive(Debug, Clone)]
pub struct Python {
    /// The interpreter.
    pub path: PathBuf,
    /// Its version, such as `3.11.7`.
    pub version: String,
    /// flytekit's version.
    pub flytekit: String,
}

/// A Python that cannot.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// It cannot be started.
    #[error(
        "Python cannot be started as {path} ({source}); say --python PATH, or activate a virtual environment that has flytekit"
    )]
    NotThere {
        /// What was tried.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It is too old.
    #[error("{path} is Python {version}; flytekit needs {}.{} or newer: say --python PATH", OLDEST.0, OLDEST.1)]
    TooOld {
        /// The interpreter.
        path: String,
        /// Its version.
        version: String,
    },
    /// It has no flytekit.
    #[error(
        "{path} has no flytekit: run `{path} -m pip install flytekit`, or say --python PATH of one that has it"
    )]
    NoFlytekit {
        /// The interpreter.
        path: String,
    },
    /// It answered something else.
    #[error("{path} did not answer as a Python does: {answer}")]
    Strange {
        /// The interpreter.
        path: String,
        /// What it said.
        answer: String,
    },
}

/// Answers the version and flytekit's without importing it: that would take a second.
const ASK: &str = "\
import sys
from importlib import metadata
try:
    found = metadata.version('flytekit')
except metadata.PackageNotFoundError:
    found = ''
print('%d.%d.%d' % sys.version_info[:3], found, sep='\\n')
";

/// Finds the Python to use: the one given, the active virtual environment's, or `python3`.
///
/// # Errors
/// See [`PythonError`]; each says what to do.
pub fn find(given: Option<&Path>) -> Result<Python, PythonError> {
    let path = from_anywhere(given.map_or_else(default, Path::to_path_buf));
    let shown = path.display().to_string();
    let output = Command::new(&path)
        .args(["-c", ASK])
        .env_remove("PYTHONHOME")
        .output()
        .map_err(|source| PythonError::NotThere { path: shown.clone(), source })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines();
    let (Some(version), Some(flytekit), true) = (lines.next(), lines.next(), output.status.success()) else {
        let answer = String::from_utf8_lossy(&output.stderr).trim().chars().take(300).collect();
        return Err(PythonError::Strange { path: shown, answer });
    };
    if !is_new_enough(version) {
        return Err(PythonError::TooOld { path: shown, version: version.to_owned() });
    }
    if flytekit.is_empty() {
        return Err(PythonError::NoFlytekit { path: shown });
    }
    Ok(Python { path, version: version.to_owned(), flytekit: flytekit.to_owned() })
}

fn default() -> PathBuf {
    match std::env::var_os("VIRTUAL_ENV") {
        Some(environment) if !environment.is_empty() => PathBuf::from(environment).join("bin/python"),
        _ => PathBuf::from("python3"),
    }
}

/// Makes a path that is good in any working folder; a bare name is looked up as it is. Links stay: that of a virtual
/// environment says which environment it is.
fn from_anywhere(path: PathBuf) -> PathBuf {
    if path.components().count() > 1 { std::path::absolute(&path).unwrap_or(path) } else { path }
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_new_enough("3.11.7") && is_new_enough("3.10.0") && is_new_enough("4.0.0"));
        assert!(!is_new_enough("3.9.18") && !is_new_enough("2.7.18") && !is_new_enough("nonsense"));
    }

    #[test]
    fn a_path_is_good_in_any_working_folder_and_a_bare_name_is_looked_up() {
        assert!(from_anywhere(PathBuf::from(".venv/bin/python")).is_absolute());
        assert_eq!(from_anywhere(PathBuf::from("python3")), Path::new("python3"));
    }

    #[test]
    fn an_interpreter_that_is_not_there_is_named_with_what_to_do() {
        let error = find(Some(Path::new("/nowhere/python"))).expect_err("there is none");
        assert!(error.to_string().contains("/nowhere/python") && error.to_string().contains("--python PATH"));
    }
}
