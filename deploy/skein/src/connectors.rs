//! Connectors: who there is, by the configuration file and the command line, and how they are put beside engine and gateway.

use crate::parts::Parts;
use anyhow::Context as _;
use skein_connectors::{Clock, Config, Connector, Connectors};
use skein_log::TaskQueue;
use skein_log::memory::MemoryQueue;
use skein_runtime::ToConnectors;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The file's part about connectors.
pub const CONNECTORS: &str = "connectors";
const URL: &str = "url";
const TYPES: &str = "types";
const DISCOVER: &str = "discover";
const CALL_TIMEOUT: &str = "call_timeout_s";
const SYNC_TIMEOUT: &str = "sync_timeout_s";
const GIVE_UP_AFTER: &str = "give_up_after_s";
const IDEMPOTENT: &str = "idempotent";
const KEYS: [&str; 7] = [URL, TYPES, DISCOVER, CALL_TIMEOUT, SYNC_TIMEOUT, GIVE_UP_AFTER, IDEMPOTENT];

const CALL_SECONDS: RangeInclusive<f64> = 0.1..=3_600.0;
const LONG_SECONDS: RangeInclusive<f64> = 1.0..=86_400.0;

/// How many jobs are out at once. Each costs some kilobytes here, and a call now and then.
const JOBS_MAX: usize = 10_000;
/// How long work is leased; it is extended while it is under way.
const LEASE: Duration = Duration::from_secs(30);
/// How long the start waits to hear what connectors do; who does not answer by then is asked again beside everything else.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// Takes what a configuration file says of connectors; what is wrong goes to `faults`.
pub fn read(given: Option<&toml::Value>, faults: &mut Vec<String>) -> Vec<Connector> {
    let given = match given {
        None => return Vec::new(),
        Some(toml::Value::Array(given)) => given,
        Some(_) => {
            faults.push(format!("{CONNECTORS} has to be a list of tables, each under [[{CONNECTORS}]]"));
            return Vec::new();
        }
    };
    let mut read: Vec<Connector> = Vec::new();
    for (at, value) in given.iter().enumerate() {
        let one = match value {
            toml::Value::Table(table) => connector(table),
            _ => Err("it has to be a table".to_owned()),
        };
        let is_new = |one: &Connector| read.iter().all(|other| other.url != one.url);
        match one {
            Ok(one) if is_new(&one) => read.push(one),
            Ok(one) => {
                faults.push(format!("connector {} of [[{CONNECTORS}]]: {} is there twice", at + 1, one.url))
            }
            Err(fault) => faults.push(format!("connector {} of [[{CONNECTORS}]]: {fault}", at + 1)),
        }
    }
    read
}

fn connector(table: &toml::Table) -> Result<Connector, String> {
    if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("{key} is unknown; there are {}", KEYS.join(", ")));
    }
    let url = match table.get(URL) {
        Some(toml::Value::String(url)) => url,
        Some(other) => return Err(format!("{URL} is {other}; it has to be a string")),
        None => {
            return Err(format!(
                "{URL} is missing; it is where the connector listens, such as http://localhost:8000"
            ));
        }
    };
    let mut connector = Connector::new(url).map_err(|fault| format!("{URL} {fault}"))?;
    match table.get(TYPES) {
        None => {}
        Some(toml::Value::Array(types)) => {
            for of in types {
                let name =
                    of.as_str().ok_or_else(|| format!("{TYPES} has {of}; it has to be a list of strings"))?;
                connector.add_type(name).map_err(|fault| format!("{TYPES}: {fault}"))?;
            }
        }
        Some(other) => {
            return Err(format!(
                "{TYPES} is {other}; it has to be a list of strings, such as [\"bigquery\"]"
            ));
        }
    }
    connector.discover = flag(table, DISCOVER, connector.discover)?;
    connector.is_idempotent = flag(table, IDEMPOTENT, connector.is_idempotent)?;
    connector.call_timeout = seconds(table, CALL_TIMEOUT, CALL_SECONDS, connector.call_timeout)?;
    connector.sync_timeout = seconds(table, SYNC_TIMEOUT, LONG_SECONDS, connector.sync_timeout)?;
    connector.give_up_after = seconds(table, GIVE_UP_AFTER, LONG_SECONDS, connector.give_up_after)?;
    if !connector.discover && connector.types.is_empty() {
        return Err(format!(
            "{DISCOVER} is false and {TYPES} is empty: nothing would ever go there; say its types"
        ));
    }
    Ok(connector)
}

fn flag(table: &toml::Table, key: &str, default: bool) -> Result<bool, String> {
    match table.get(key) {
        None => Ok(default),
        Some(toml::Value::Boolean(is_set)) => Ok(*is_set),
        Some(other) => Err(format!("{key} is {other}; it has to be true or false")),
    }
}

fn seconds(
    table: &toml::Table,
    key: &str,
    range: RangeInclusive<f64>,
    default: Duration,
) -> Result<Duration, String> {
    let Some(given) = table.get(key) else { return Ok(default) };
    let number = given.as_float().or_else(|| given.as_integer().map(|whole| whole as f64));
    let number = number.filter(|number| range.contains(number));
    let right = || {
        format!(
            "{key} is {given}; it has to be a number of seconds from {} to {}",
            range.start(),
            range.end()
        )
    };
    number.map(Duration::from_secs_f64).ok_or_else(right)
}

/// Adds the connectors that the command line names to those of the file.
///
/// # Errors
/// What is wrong with an address.
pub fn with_named(mut connectors: Vec<Connector>, named: &[String]) -> anyhow::Result<Vec<Connector>> {
    for url in named {
        let one = Connector::new(url).map_err(|fault| anyhow::anyhow!("--connector {fault}"))?;
        if connectors.iter().all(|other| other.url != one.url) {
            connectors.push(one);
        }
    }
    Ok(connectors)
}

/// Connectors that are called, and what the others have to know of them.
pub struct Running {
    pub connectors: Connectors,
    pub to_engine: ToConnectors,
    pub to_gateway: skein_gateway::Connectors,
}

/// Begins to call connectors. Their work is in memory whatever the log: the jobs are elsewhere, and which there are is in the
/// journals.
///
/// # Errors
/// When their folder cannot be used.
pub async fn start(
    connectors: Vec<Connector>,
    data: &Path,
    parts: &Parts,
    clock: Clock,
) -> anyhow::Result<Running> {
    let urls: Vec<_> = connectors.iter().map(|connector| connector.url.clone()).collect();
    let folder = data.join(CONNECTORS);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let queue: Arc<dyn TaskQueue> = Arc::new(MemoryQueue::new(LEASE));
    let config = Config::new(connectors, folder.clone(), clock);
    let running =
        Connectors::start(config, Arc::clone(&queue), Arc::clone(&parts.inbox), Arc::clone(&parts.blobs))
            .with_context(|| format!("the folder {} cannot be used", folder.display()))?;
    let (served, ask) = (running.served(), Arc::new(running.asks()));
    if !urls.is_empty() {
        // Whoever does not answer is told of in the log of the program.
        drop(tokio::time::timeout(FIRST_ANSWER, ask()).await);
    }
    Ok(Running {
        to_engine: ToConnectors { queue, served: served.clone(), jobs_max: JOBS_MAX },
        to_gateway: skein_gateway::Connectors { urls, served, ask },
        connectors: running,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Connector>, Vec<String>> {
        let table: toml::Table = text.parse().expect("it is TOML");
        let mut faults = Vec::new();
        let read = read(table.get(CONNECTORS), &mut faults);
        if faults.is_empty() { Ok(read) } else { Err(faults) }
    }

    #[test]
    fn a_connector_has_an_address_and_what_is_said_of_it() {
        let read = parsed(
            "[[connectors]]
            url = 'http://localhost:8000'
            [[connectors]]
            url = 'http://localhost:8001'
            types = ['bigquery', 'snowflake']
            discover = false
            call_timeout_s = 0.5
            give_up_after_s = 60
            idempotent = true",
        );
        let read = read.expect("it is right");
        assert_eq!(read[0], Connector::new("http://localhost:8000").expect("it is right"));
        assert_eq!(read[1].types.iter().map(String::as_str).collect::<Vec<_>>(), ["bigquery", "snowflake"]);
        assert_eq!(
            (read[1].call_timeout, read[1].give_up_after),
            (Duration::from_millis(500), Duration::from_secs(60))
        );
        assert!(read[1].is_idempotent && !read[1].discover);
    }

    #[test]
    fn what_is_wrong_is_told_with_connector_key_value_and_what_would_be_right() {
        let url = "url = 'http://a:1'";
        for (text, expected) in [
            ("connectors = 1", "connectors has to be a list of tables, each under [[connectors]]".to_owned()),
            ("[[connectors]]", "connector 1 of [[connectors]]: url is missing".to_owned()),
            ("[[connectors]]\nurl = 'a:1'", "url \"a:1\" is no address".to_owned()),
            (
                &format!("[[connectors]]\n{url}\nports = 1"),
                "ports is unknown; there are url, types".to_owned(),
            ),
            (
                &format!("[[connectors]]\n{url}\ntypes = ['python-task']"),
                "tasks of type python-task run here".to_owned(),
            ),
            (
                &format!("[[connectors]]\n{url}\ncall_timeout_s = 0"),
                "call_timeout_s is 0; it has to be a number of seconds from 0.1".to_owned(),
            ),
            (
                &format!("[[connectors]]\n{url}\nidempotent = 'yes'"),
                "idempotent is \"yes\"; it has to be true or false".to_owned(),
            ),
            (&format!("[[connectors]]\n{url}\ndiscover = false"), "nothing would ever go there".to_owned()),
            (
                &format!("[[connectors]]\n{url}\n[[connectors]]\n{url}"),
                "connector 2 of [[connectors]]: http://a:1 is there twice".to_owned(),
            ),
        ] {
            let refused = parsed(text).expect_err(text).join("\n");
            assert!(refused.contains(&expected), "{text}: {refused}");
        }
    }
}
