//! The server's configuration file: TOML, with what this server says of tasks that do not say it themselves.
//!
//! Only reads; what a rule means and which counts stands in `skein_model::task_rules`.

use crate::args::Up;
use crate::connectors::{self, CONNECTORS};
use crate::notify::{self, NOTIFICATIONS};
use anyhow::{Context as _, bail};
use skein_connectors::Connector;
use skein_gateway::LogLink;
use skein_model::task_settings::{Given, SettingError};
use skein_model::{ExecutionRule, ExecutionRules, PoolId, ScheduleRule, ScheduleRules, TaskRule, TaskRules};
use skein_runtime::{InterruptiblePool, Notify};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The variable that names the file when no argument does.
const VARIABLE: &str = "SKEIN_CONFIG";
/// The file's rules for tasks.
const TASKS: &str = "tasks";
/// The file's rules for executions.
const EXECUTIONS: &str = "executions";
/// The file's rules for schedules.
const SCHEDULES: &str = "schedules";
/// What it says of capacity that can be taken away.
const INTERRUPTIBLE: &str = "interruptible";
const POOL: &str = "pool";
const WAIT_SECONDS_MAX: &str = "wait_seconds_max";
/// The longest wait that can be allowed, in seconds: a year.
const WAIT_SECONDS_MOST: i64 = 31_536_000;
/// What it says of logs: where they are kept beside ours, and how much of them is kept.
const LOGS: &str = "logs";
const LINKS: &str = "links";
const KEEP_MIB: &str = "keep_mib";
/// The most that can be kept of what one attempt prints, in MiB.
const KEEP_MIB_MAX: i64 = 1 << 20;

/// A configuration, and where it is from.
#[derive(Debug)]
pub struct Config {
    /// The file.
    pub path: PathBuf,
    /// What it says of tasks.
    pub rules: TaskRules,
    /// What it says of executions.
    pub execution_rules: ExecutionRules,
    /// What it says of schedules.
    pub schedule_rules: ScheduleRules,
    /// Where attempts run that may be interrupted, if that is elsewhere.
    pub interruptible: Option<InterruptiblePool>,
    /// Where logs are kept beside ours.
    pub log_links: Vec<LogLink>,
    /// How much is kept of what an attempt prints, in bytes; none for the default.
    pub log_bytes_max: Option<u64>,
    /// The connectors that there are.
    pub connectors: Vec<Connector>,
    /// Who is told of ends, and how.
    pub notify: Notify,
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
    parse(&path, &text).map(Some)
}

fn parse(path: &Path, text: &str) -> anyhow::Result<Config> {
    let file = path.display();
    let table: toml::Table =
        text.parse().with_context(|| format!("the configuration file {file} is not TOML"))?;
    let mut faults = Vec::new();
    let known = [TASKS, EXECUTIONS, SCHEDULES, INTERRUPTIBLE, LOGS, CONNECTORS, NOTIFICATIONS];
    let unknown = table.keys().filter(|key| !known.contains(&key.as_str()));
    faults.extend(unknown.map(|key| {
        format!(
            "{key} is unknown; there are {TASKS}, {EXECUTIONS}, {SCHEDULES}, {INTERRUPTIBLE}, {LOGS}, {CONNECTORS} and {NOTIFICATIONS}"
        )
    }));
    let rules = rules(&table, TASKS, TaskRule::read, &mut faults);
    let execution_rules = self::rules(&table, EXECUTIONS, ExecutionRule::read, &mut faults);
    let schedule_rules = self::rules(&table, SCHEDULES, ScheduleRule::read, &mut faults);
    let interruptible = interruptible(table.get(INTERRUPTIBLE), &mut faults);
    let connectors = connectors::read(table.get(CONNECTORS), &mut faults);
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let notify = notify::read(table.get(NOTIFICATIONS), folder, &mut faults);
    let logs = logs(table.get(LOGS), &mut faults);
    let (log_links, log_bytes_max) = (log_links(&logs, &mut faults), log_bytes_max(&logs, &mut faults));
    if !faults.is_empty() {
        bail!("the configuration file {file} is not right\n  {}", faults.join("\n  "));
    }
    Ok(Config {
        path: path.to_owned(),
        rules: TaskRules::new(rules),
        execution_rules: ExecutionRules::new(execution_rules),
        schedule_rules: ScheduleRules::new(schedule_rules),
        interruptible,
        log_links,
        log_bytes_max,
        connectors,
        notify,
    })
}

/// Takes the rules under `[[name]]`; what is wrong goes to `faults`.
fn rules<R>(
    table: &toml::Table,
    name: &str,
    read: fn(&BTreeMap<String, Given>) -> Result<R, SettingError>,
    faults: &mut Vec<String>,
) -> Vec<R> {
    let mut rules = Vec::new();
    match table.get(name) {
        None => {}
        Some(toml::Value::Array(given)) => {
            for (at, value) in given.iter().enumerate() {
                match rule(value, read) {
                    Ok(rule) => rules.push(rule),
                    Err(fault) => faults.push(format!("rule {} of [[{name}]]: {fault}", at + 1)),
                }
            }
        }
        Some(other) => faults
            .push(format!("{name} is {}; it has to be a list of tables, each under [[{name}]]", kind(other))),
    }
    rules
}

/// Takes what is said of capacity that can be taken away; what is wrong goes to `faults`.
fn interruptible(given: Option<&toml::Value>, faults: &mut Vec<String>) -> Option<InterruptiblePool> {
    let table = match given? {
        toml::Value::Table(table) => table,
        other => {
            faults.push(format!("{INTERRUPTIBLE} is {}; it has to be a table", kind(other)));
            return None;
        }
    };
    let unknown = table.keys().filter(|key| ![POOL, WAIT_SECONDS_MAX].contains(&key.as_str()));
    faults.extend(
        unknown
            .map(|key| format!("{INTERRUPTIBLE}.{key} is unknown; there are {POOL} and {WAIT_SECONDS_MAX}")),
    );
    let found = |value: Option<&toml::Value>| {
        value.map_or_else(|| "not there".to_owned(), |value| format!("{value}"))
    };
    let is_good = |name: &&str| !name.is_empty() && *name != skein_runtime::Config::default().pool.0;
    let pool = table.get(POOL).and_then(toml::Value::as_str).filter(is_good);
    let pool = pool.map(|name| PoolId(name.to_owned()));
    if pool.is_none() {
        faults.push(format!(
            "{INTERRUPTIBLE}.{POOL} is {}; it has to be the name of a pool, as in skein worker --pool NAME, and not \"default\"",
            found(table.get(POOL))
        ));
    }
    let wait_max = table.get(WAIT_SECONDS_MAX).map(|given| {
        let seconds = given.as_integer().filter(|seconds| (1..=WAIT_SECONDS_MOST).contains(seconds));
        if seconds.is_none() {
            faults.push(format!(
                "{INTERRUPTIBLE}.{WAIT_SECONDS_MAX} is {given}; it has to be a whole number from 1 to {WAIT_SECONDS_MOST}"
            ));
        }
        Duration::from_secs(seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default())
    });
    Some(InterruptiblePool { pool: pool?, wait_max })
}

/// Takes what is said of logs; what is wrong goes to `faults`.
fn logs(logs: Option<&toml::Value>, faults: &mut Vec<String>) -> toml::Table {
    match logs {
        None => {}
        Some(toml::Value::Table(logs)) => {
            let unknown = logs.keys().filter(|key| ![LINKS, KEEP_MIB].contains(&key.as_str()));
            faults.extend(
                unknown.map(|key| format!("{LOGS}.{key} is unknown; there are {LINKS} and {KEEP_MIB}")),
            );
            return logs.clone();
        }
        Some(other) => faults.push(format!("{LOGS} is {}; it has to be a table", kind(other))),
    }
    toml::Table::new()
}

fn log_bytes_max(logs: &toml::Table, faults: &mut Vec<String>) -> Option<u64> {
    let given = logs.get(KEEP_MIB)?;
    let mib = given.as_integer().filter(|mib| (1..=KEEP_MIB_MAX).contains(mib));
    if mib.is_none() {
        faults.push(format!(
            "{LOGS}.{KEEP_MIB} is {given}; it has to be a whole number from 1 to {KEEP_MIB_MAX}"
        ));
    }
    mib.and_then(|mib| u64::try_from(mib).ok()).map(|mib| mib << 20)
}

/// Takes the links of `[[logs.links]]`.
fn log_links(logs: &toml::Table, faults: &mut Vec<String>) -> Vec<LogLink> {
    let given = match logs.get(LINKS) {
        None => return Vec::new(),
        Some(toml::Value::Array(given)) => given,
        Some(other) => {
            faults.push(format!(
                "{LOGS}.{LINKS} is {}; it has to be a list of tables, each under [[{LOGS}.{LINKS}]]",
                kind(other)
            ));
            return Vec::new();
        }
    };
    let mut read = Vec::new();
    for (at, value) in given.iter().enumerate() {
        match link(value) {
            Ok(link) => read.push(link),
            Err(fault) => faults.push(format!("link {} of [[{LOGS}.{LINKS}]]: {fault}", at + 1)),
        }
    }
    read
}

fn link(value: &toml::Value) -> Result<LogLink, String> {
    let toml::Value::Table(table) = value else {
        return Err(format!("it is {}; it has to be a table", kind(value)));
    };
    let text = |(key, value): (&String, &toml::Value)| match value {
        toml::Value::String(text) => Ok((key.clone(), text.clone())),
        other => Err(format!("{key} is {}; it has to be a string", kind(other))),
    };
    LogLink::read(&table.iter().map(text).collect::<Result<BTreeMap<_, _>, _>>()?)
}

fn rule<R>(
    value: &toml::Value,
    read: fn(&BTreeMap<String, Given>) -> Result<R, SettingError>,
) -> Result<R, String> {
    let toml::Value::Table(table) = value else {
        return Err(format!("it is {}; it has to be a table", kind(value)));
    };
    let given = table.iter().map(|(name, value)| (name.clone(), given(value))).collect();
    read(&given).map_err(|fault| fault.to_string())
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

    fn parsed(text: &str) -> anyhow::Result<Config> {
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
        assert_eq!(parsed(text).expect("it is right").rules.len(), 2);
        assert!(parsed("").expect("it is right").rules.is_empty());
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
             server is unknown; there are tasks, executions, schedules, interruptible, logs, connectors and notifications\n  \
             rule 1 of [[tasks]]: priority is 1000; it has to be a whole number from -100 to 100\n  \
             rule 3 of [[tasks]]: isolation is true; it has to be one of \"fresh\", \"fork\" and \"reuse\""
        );
    }

    #[test]
    fn what_is_said_of_executions_and_of_capacity_that_can_be_taken_away_is_taken() {
        let text = "
            [interruptible]
            pool = 'spot'
            wait_seconds_max = 60
            [[executions]]
            domain = 'development'
            seconds_max = 5
        ";
        let config = parsed(text).expect("it is right");
        let pool = PoolId("spot".to_owned());
        let wait_max = Some(Duration::from_secs(60));
        assert_eq!(config.interruptible, Some(InterruptiblePool { pool, wait_max }));
        assert_eq!(config.execution_rules.len(), 1);
        let text = "
            interruptible.pool = 'default'
            interruptible.wait_seconds_max = 0
            interruptible.price = 1
            [[executions]]
            domain = 'development'
        ";
        assert_eq!(
            refused(text),
            "the configuration file skein.toml is not right\n  \
             rule 1 of [[executions]]: seconds_max is nothing; it has to be a whole number from 1 to 31536000\n  \
             interruptible.price is unknown; there are pool and wait_seconds_max\n  \
             interruptible.pool is \"default\"; it has to be the name of a pool, as in skein worker --pool NAME, and \
             not \"default\"\n  \
             interruptible.wait_seconds_max is 0; it has to be a whole number from 1 to 31536000"
        );
    }

    #[test]
    fn what_is_said_of_schedules_is_taken() {
        let text = "
            [[schedules]]
            catch_up = 'last'
            time_zone = 'Europe/Berlin'
            [[schedules]]
            name = 'etl.*'
            catch_up = 3
        ";
        assert_eq!(parsed(text).expect("it is right").schedule_rules.len(), 2);
        let text = "
            [[schedules]]
            catch_up = 0
            [[schedules]]
            time_zone = 'Mars/Base'
            [[schedules]]
            catchup = 'all'
        ";
        assert_eq!(
            refused(text),
            "the configuration file skein.toml is not right\n  \
             rule 1 of [[schedules]]: catch_up is \"0\"; it has to be \"none\", \"last\", \"all\", or a whole number \
             from 1 to 1000\n  \
             rule 2 of [[schedules]]: time_zone is \"Mars/Base\"; it has to be a time zone of the IANA database, such as \
             \"Europe/Berlin\"\n  \
             rule 3 of [[schedules]]: catchup is unknown; there are project, domain, name, catch_up and time_zone"
        );
    }

    #[test]
    fn links_to_logs_stand_beside_the_rules_and_what_is_wrong_with_one_is_told_with_the_rest() {
        let text = "
            [[logs.links]]
            provider = 'cloudwatch'
            region = 'eu-west-1'
            group = 'skein'
            [[logs.links]]
            name = 'Mine'
            uri = 'https://logs.example/{{ .executionName }}'
        ";
        assert_eq!(parsed(text).expect("it is right").log_links.len(), 2);
        let refused = refused(
            "
            [[logs.links]]
            name = 'Mine'
            uri = 'https://logs.example/{{ .podUID }}'
            [[logs.links]]
            name = 7
            [[tasks]]
            weight = 0
        ",
        );
        for expected in [
            "link 1 of [[logs.links]]: uri asks for podUID, which is unknown",
            "link 2 of [[logs.links]]: name is a number; it has to be a string",
            "rule 1 of [[tasks]]: weight",
        ] {
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let each = [
            ("[tasks]\nweight = 1", "tasks is a table; it has to be a list of tables, each under [[tasks]]"),
            ("logs = 1", "logs is a number; it has to be a table"),
            ("[logs]\nlinks = 'x'", "logs.links is a string; it has to be a list of tables"),
            ("[logs]\nlevel = 'x'", "logs.level is unknown; there are links and keep_mib"),
            ("[logs]\nkeep_mib = 0", "logs.keep_mib is 0; it has to be a whole number from 1 to 1048576"),
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
