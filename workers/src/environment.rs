//! What user code finds in its environment.

use crate::config::Config;
use crate::zygote::Origin;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// The variable that says which virtual environment is active.
const ACTIVE: &str = "VIRTUAL_ENV";

/// Answers the variables of this process that user code gets, with the interpreter's own programs first on the path.
pub(crate) fn passed(config: &Config, origin: &Origin) -> Vec<(String, OsString)> {
    let mut passed: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| config.env_passed.iter().any(|pattern| matches(pattern, name)))
        .filter(|(name, _)| !config.env_added.iter().any(|(added, _)| added == name))
        .collect();
    passed.extend(config.env_added.iter().map(|(name, value)| (name.clone(), value.into())));
    let interpreter = match origin {
        Origin::Python { interpreter, .. } => interpreter,
        Origin::Program { .. } => &config.interpreter,
    };
    if let Some(programs) = interpreter.parent().filter(|folder| folder.is_absolute()) {
        let rest = passed.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let all = std::iter::once(programs.to_path_buf())
            .chain(rest.iter().flat_map(std::env::split_paths).filter(|folder| folder != programs));
        if let Ok(path) = std::env::join_paths(all) {
            passed.retain(|(name, _)| name != "PATH");
            passed.push(("PATH".to_owned(), path));
        }
        if *interpreter != config.interpreter {
            // That of the shell is another one.
            passed.retain(|(name, _)| name != ACTIVE);
            let folder = programs.parent().filter(|folder| folder.join("pyvenv.cfg").is_file());
            passed.extend(folder.map(|folder| (ACTIVE.to_owned(), folder.as_os_str().to_owned())));
        }
    }
    passed
}

/// Answers of the same variables those that are text.
pub(crate) fn base(config: &Config, origin: &Origin) -> BTreeMap<String, String> {
    passed(config, origin)
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.into_string().ok()?)))
        .collect()
}

/// Answers the whole environment of a container: what the work says, and nothing of this process.
pub(crate) fn of_container(env: &[(String, String)]) -> BTreeMap<String, String> {
    env.iter().cloned().collect()
}

/// Answers the whole environment of one piece of work: what is passed on ([`base`]), then what the work says.
pub(crate) fn of_work(
    base: &BTreeMap<String, String>,
    env: &[(String, String)],
    code: Option<&Path>,
    temporary: &Path,
) -> BTreeMap<String, String> {
    let mut all = base.clone();
    all.insert("TMPDIR".to_owned(), temporary.display().to_string());
    all.extend(env.iter().cloned());
    if let Some(code) = code {
        let before = all.get("PYTHONPATH").map(|path| format!("{path}:")).unwrap_or_default();
        all.insert("PYTHONPATH".to_owned(), format!("{before}{}", code.display()));
    }
    all
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
