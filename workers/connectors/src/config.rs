//! Settings: each with its unit, its range, its default, and why that.

use crate::backoff::Pace;
use skein_model::Timestamp;
use skein_model::served::is_ours;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Endpoint;

/// Answers what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How connectors are called.
#[derive(Clone)]
pub struct Config {
    /// Who there is; of several that do a type the first counts. Default: nobody, and then every task that only a connector
    /// could do fails.
    pub connectors: Vec<Connector>,
    /// A folder of this server alone, made if it is not there: notes of the jobs that are out, and what connectors said they do.
    pub folder: PathBuf,
    /// The name under which work is leased. Default: `connectors`.
    pub worker: String,
    /// How often jobs are asked after. Default: see [`Pace`].
    pub pace: Pace,
    /// How often connectors are asked what they do. Default: 30 s; a type that nobody is known to do is asked for at once.
    pub discover_every: Duration,
    /// How long after the start a noted job whose work has not come is asked about: whether its execution still wants it.
    /// Default: 10 s.
    pub orphans_after: Duration,
    /// How long the first repetition of a report that was not answered waits; doubles up to `report_delay_max`. Default: 50 ms.
    pub report_delay_first: Duration,
    /// How long a repetition of a report waits at most. Default: 5 s.
    pub report_delay_max: Duration,
    /// What time it is.
    pub clock: Clock,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("connectors", &self.connectors).finish_non_exhaustive()
    }
}

impl Config {
    /// Makes a configuration with the defaults.
    pub fn new(connectors: Vec<Connector>, folder: PathBuf, clock: Clock) -> Self {
        Self {
            connectors,
            folder,
            worker: "connectors".to_owned(),
            pace: Pace::default(),
            discover_every: Duration::from_secs(30),
            orphans_after: Duration::from_secs(10),
            report_delay_first: Duration::from_millis(50),
            report_delay_max: Duration::from_secs(5),
            clock,
        }
    }
}

/// One connector, or a service that has several of them behind one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Its address: `http://HOST:PORT`.
    pub url: String,
    /// Types that it does whatever it says, so that tasks of them can be registered while it is away. Default: none.
    pub types: BTreeSet<String>,
    /// Whether it is asked what it does. Default: yes.
    pub discover: bool,
    /// How long one call may take. 100 ms to 1 h; default 30 s.
    pub call_timeout: Duration,
    /// How long a task that is done within one call may take, unless it says itself. 1 s to 24 h; default 10 min.
    pub sync_timeout: Duration,
    /// For how long it is tried again when it cannot be reached or errs, before an attempt fails. 1 s to 24 h; default 10 min,
    /// as long as a service takes to be moved or rolled out.
    pub give_up_after: Duration,
    /// Whether it makes one job of one task execution id, however often it is asked. Default: no.
    pub is_idempotent: bool,
}

impl Connector {
    /// Makes one with the defaults.
    ///
    /// # Errors
    /// What is wrong with the address, and what would be right.
    pub fn new(url: &str) -> Result<Self, String> {
        let right = "it has to be http://HOST:PORT, such as http://localhost:8000";
        let url = url.trim_end_matches('/');
        if url.starts_with("https://") {
            return Err(format!("{url:?} asks for TLS, which connectors are not called with; {right}"));
        }
        let uri: tonic::codegen::http::Uri =
            url.parse().map_err(|error| format!("{url:?} is no address ({error}); {right}"))?;
        let is_plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        if !is_plain || uri.host().is_none_or(str::is_empty) || uri.port_u16().is_none() {
            return Err(format!("{url:?} is no address of a connector; {right}"));
        }
        Endpoint::from_shared(url.to_owned()).map_err(|error| format!("{url:?}: {error}; {right}"))?;
        Ok(Self {
            url: url.to_owned(),
            types: BTreeSet::new(),
            discover: true,
            call_timeout: Duration::from_secs(30),
            sync_timeout: Duration::from_secs(600),
            give_up_after: Duration::from_secs(600),
            is_idempotent: false,
        })
    }

    /// Has it do a type whatever it says.
    ///
    /// # Errors
    /// What is wrong with the type.
    pub fn add_type(&mut self, name: &str) -> Result<(), String> {
        if name.is_empty() || name.chars().any(|of| of.is_whitespace() || of.is_control()) {
            return Err(format!("{name:?} is no type of tasks; it has to be one word, such as bigquery"));
        }
        if is_ours(name) {
            return Err(format!("tasks of type {name} run here; no connector can do them"));
        }
        self.types.insert(name.to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        let read = |url| Connector::new(url).map(|connector| connector.url);
        assert_eq!(read("http://localhost:8000/"), Ok("http://localhost:8000".to_owned()));
        assert_eq!(read("http://[::1]:8000"), Ok("http://[::1]:8000".to_owned()));
        for wrong in
            ["", "localhost:8000", "http://localhost", "http://:8000", "http://a:8000/x", "ftp://a:1"]
        {
            let refused = read(wrong).expect_err(wrong);
            assert!(
                refused.contains("http://HOST:PORT") && refused.contains(&format!("{wrong:?}")),
                "{refused}"
            );
        }
        assert!(read("https://a:1").expect_err("TLS").contains("TLS"));
    }

    #[test]
    fn a_type_that_runs_here_is_no_connectors() {
        let mut connector = Connector::new("http://a:1").expect("it is right");
        assert_eq!(connector.add_type("bigquery"), Ok(()));
        assert!(connector.add_type("python-task").expect_err("it runs here").contains("python-task"));
        assert!(connector.add_type("a b").is_err() && connector.add_type("").is_err());
    }
}
