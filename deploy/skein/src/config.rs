//! The server's configuration file: TOML, with what this server says of tasks that do not say it themselves.
//!
//! Only reads; what a rule means and which counts stands in `skein_model::task_rules`.

use crate::args::Up;
use anyhow::{Context as _, bail};
use skein_model::task_settings::Given;
use skein_model::{TaskRule, TaskRules};
use std::path::{Path, PathBuf};

/// The variable that names the file when no argument does.
const VARIABLE: &str = "SKEIN_CONFIG";
/// The one key of the file: its rules.
const TASKS: &str = "tasks";

/// A configuration, and where it is from.
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What it says of tasks.
    pub rules: TaskRules,
}

/// Reads the file that `--config` or `SKEIN_CONFIG` names; none when neither does.
///
/// # Errors
/// When it cannot be read or something in it is wrong; the text names the file and everything that is, each with rule,
/// key, value, and what would be right.
pub fn read(up: &Up) -> anyhow::Result<Option<Config>> {
    let named = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let Some(path) = up.config.clone().or_else(named) else { return Ok(None) };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
    let rules = parse(&path, &text)?;
    Ok(Some(Config { path, rules }))
}

fn parse(path: &Path, text: &str) -> anyhow::Result<TaskRules> {
    let file = path.display();
    let table: toml::Table =
        text.parse().with_context(|| format!("the configuration file {file} is not TOML"))?;
    let mut faults = Vec::new();
    faults.extend(
        table.keys().filter(|key| *key != TASKS).map(|key| format!("{key} is unknown; there is {TASKS}")),
    );
    let mut rules = Vec::new();
    match table.get(TASKS) {
        None => {}
        Some(toml::Value::Array(given)) => {
            for (at, value) in given.iter().enumerate() {
                match rule(value) {
                    Ok(rule) => rules.push(rule),
                    Err(fault) => faults.push(format!("rule {} of [[{TASKS}]]: {fault}", at + 1)),
                }
            }
        }
        Some(other) => faults.push(format!(
            "{TASKS} is {}; it has to be a list of tables, each under [[{TASKS}]]",
            kind(other)
        )),
    }
    if !faults.is_empty() {
        bail!("the configuration file {file} is not right\n  {}", faults.join("\n  "));
    }
    Ok(TaskRules::new(rules))
}

fn rule(value: &toml::Value) -> Result<TaskRule, String> {
    let toml::Value::Table(table) = value else {
        return Err(format!("it is {}; it has to be a table", kind(value)));
    };
    let given = table.iter().map(|(name, value)| (name.clone(), given(value))).collect();
    TaskRule::read(&given).map_err(|fault| fault.to_string())
}

fn given(value: &toml::Value) -> Given {
    match value {
        toml::Value::String(text) => Given::Text(text.clone()),
        // What is too large for the number is too large for every setting.
        toml::Value::Integer(number) => Given::Number(*number as f64),
        toml::Value::Float(number) => Given::Number(*number),
        toml::Value::Boolean(is_set) => Given::Flag(*is_set),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => Given::Other(kind(value)),
    }
}

const fn kind(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "a string",
        toml::Value::Integer(_) | toml::Value::Float(_) => "a number",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a time",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> anyhow::Result<TaskRules> {
        parse(Path::new("skein.toml"), text)
    }

    fn refused(text: &str) -> String {
        format!("{:#}", parsed(text).expect_err("it is wrong"))
    }

    #[test]
    fn rules_stand_in_the_file_in_their_order() {
        let text = "
            [[tasks]]
            project = 'flytesnacks'
            domain = 'production'
            name = 'etl.*'
            isolation = 'reuse'
            priority = 10

            [[tasks]]
            name = '*'
            weight = 2
        ";
        assert_eq!(parsed(text).expect("it is right").len(), 2);
        assert!(parsed("").expect("it is right").is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_file_rule_key_value_and_what_would_be_right() {
        let text = "
            [[tasks]]
            priority = 1000
            [[tasks]]
            weight = 1
            [[tasks]]
            isolation = true
            [server]
            port = 1
        ";
        assert_eq!(
            refused(text),
            "the configuration file skein.toml is not right\n  \
             server is unknown; there is tasks\n  \
             rule 1 of [[tasks]]: priority is 1000; it has to be a whole number from -100 to 100\n  \
             rule 3 of [[tasks]]: isolation is true; it has to be one of \"fresh\", \"fork\" and \"reuse\""
        );
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let each = [
            ("[tasks]\nweight = 1", "tasks is a table; it has to be a list of tables, each under [[tasks]]"),
            ("tasks = [1]", "rule 1 of [[tasks]]: it is a number; it has to be a table"),
            ("[[tasks]]\nname = ['a']", "rule 1 of [[tasks]]: name is a list; it has to be a name"),
            (
                "[[tasks]]\nwieght = 1",
                "rule 1 of [[tasks]]: wieght is unknown; there are project, domain, name,",
            ),
            (
                "[[tasks]]\nweight = 5000000000",
                "weight is 5000000000; it has to be a whole number from 1 to 1000",
            ),
        ];
        for (text, expected) in each {
            let refused = refused(text);
            assert!(refused.contains(expected), "{refused}");
        }
        let refused = refused("[[tasks]]\nweight = ");
        assert!(refused.contains("skein.toml is not TOML") && refused.contains("line 2"), "{refused}");
    }
}
