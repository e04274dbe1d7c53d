//! Who does which tasks: said by the configuration, told by connectors, and remembered over a restart.

use crate::client::{CallError, Client};
use crate::config::Config;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::admin::Agent;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::ServedTypes;
use skein_model::served::{Category, Types, is_ours};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tonic::Code;

const FILE: &str = "types";
/// For how long an answer counts when somebody asks for a type that nobody is known to do: registrations may come by the hundred.
const FRESH: Duration = Duration::from_secs(1);
/// How many types are named to whoever asks for one that nobody does.
const NAMED_MAX: usize = 20;

/// One type, as it is remembered.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    name: String,
    version: Option<i32>,
    is_sync: Option<bool>,
}

/// Who there is.
pub(crate) struct Directory {
    clients: Vec<Client>,
    served: ServedTypes,
    file: PathBuf,
    /// When they were asked last, and what could not be had then.
    asked: Mutex<Option<(Instant, Vec<String>)>>,
}

/// Who does a task.
pub(crate) struct Found {
    pub(crate) client: Client,
    pub(crate) is_sync: bool,
}

/// Nobody is known to do a task.
pub(crate) struct Nobody {
    /// What there is, in words.
    pub(crate) there: String,
    /// Who could not be asked; somebody of them may do it.
    pub(crate) unasked: Vec<String>,
}

impl Directory {
    /// Begins with what the configuration says and what was told before a restart.
    ///
    /// # Errors
    /// What is wrong with an address.
    pub(crate) fn open(config: &Config) -> io::Result<Self> {
        let file = config.folder.join(FILE);
        let mut remembered = remembered(&file);
        let served = ServedTypes::default();
        let mut clients = Vec::new();
        for (number, connector) in config.connectors.iter().enumerate() {
            let mut types =
                remembered.remove(&connector.url).filter(|_| connector.discover).unwrap_or_default();
            add_said(&mut types, connector.types.iter());
            served.put(number, types);
            clients.push(Client::new(connector.clone()).map_err(io::Error::other)?);
        }
        Ok(Self { clients, served, file, asked: Mutex::default() })
    }

    pub(crate) fn served(&self) -> ServedTypes {
        self.served.clone()
    }

    /// Asks all connectors what they do, unless that was done just now; answers what could not be had, in words.
    pub(crate) async fn ask(&self) -> Vec<String> {
        let mut asked = self.asked.lock().await;
        if let Some((at, faults)) = &*asked
            && at.elapsed() < FRESH
        {
            return faults.clone();
        }
        let answers = join_all(self.clients.iter().map(ask)).await;
        let (mut faults, mut told) = (Vec::new(), BTreeMap::new());
        for (number, (client, answer)) in self.clients.iter().zip(answers).enumerate() {
            let url = &client.connector.url;
            match answer {
                Ok(None) => {}
                Ok(Some(mut types)) => {
                    let known = types.iter().map(|(of, is_sync)| Known {
                        name: of.name.clone(),
                        version: of.version,
                        is_sync: *is_sync,
                    });
                    told.insert(url.clone(), known.collect::<Vec<_>>());
                    add_said(&mut types, client.connector.types.iter());
                    self.served.put(number, types);
                }
                Err(error) => {
                    let is_news =
                        asked.as_ref().is_none_or(|(_, before)| !before.iter().any(|of| of.contains(url)));
                    if is_news {
                        tracing::warn!(connector = url, %error, "a connector cannot be asked what it does");
                    }
                    faults.push(format!("connector {url} could not be asked: {error}"));
                }
            }
        }
        self.remember(told).await;
        *asked = Some((Instant::now(), faults.clone()));
        faults
    }

    /// Answers who does a task; asks when nobody is known to.
    pub(crate) async fn find(&self, template: &TaskTemplate) -> Result<Found, Nobody> {
        if let Some(found) = self.known(template) {
            return Ok(found);
        }
        let unasked = self.ask().await;
        self.known(template).ok_or_else(|| Nobody { there: self.there(), unasked })
    }

    fn known(&self, template: &TaskTemplate) -> Option<Found> {
        let server = self.served.server(&template.r#type, template.task_type_version)?;
        let client = self.clients.get(server.connector)?.clone();
        Some(Found { client, is_sync: server.is_sync.unwrap_or_default() })
    }

    /// Answers the connector at an address, if it is still among those that are configured.
    pub(crate) fn at(&self, url: &str) -> Option<Client> {
        self.clients.iter().find(|client| client.connector.url == url).cloned()
    }

    /// Says what there is.
    pub(crate) fn there(&self) -> String {
        if self.clients.is_empty() {
            return "there is no connector here".to_owned();
        }
        let urls: Vec<_> = self.clients.iter().map(|client| client.connector.url.as_str()).collect();
        let mut names = self.served.names();
        names.truncate(NAMED_MAX);
        let names = if names.is_empty() { "no type that is known".to_owned() } else { names.join(", ") };
        format!("the connectors here ({}) do {names}", urls.join(", "))
    }

    /// Keeps what was told, beside what others told before. Nothing depends on it but what can be registered and where work
    /// goes while a connector is away.
    async fn remember(&self, told: BTreeMap<String, Vec<Known>>) {
        if told.is_empty() {
            return;
        }
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut all = read(&file);
            all.extend(told);
            let bytes = rmp_serde::to_vec_named(&all).map_err(io::Error::other)?;
            let folder = file.parent().map(PathBuf::from).unwrap_or_default();
            let mut new = tempfile::NamedTempFile::new_in(folder)?;
            new.write_all(&bytes)?;
            new.persist(&file)?;
            Ok::<_, io::Error>(())
        });
        if let Err(error) = written.await.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "what connectors do cannot be remembered");
        }
    }
}

/// Asks one what it does; none when it is not to be asked.
async fn ask(client: &Client) -> Result<Option<Types>, CallError> {
    if !client.connector.discover {
        return Ok(None);
    }
    match client.list().await {
        Ok(answer) => Ok(Some(types(&answer.agents))),
        // It has no such service, and its types are said.
        Err(CallError::Refused { code: Code::Unimplemented, .. }) if !client.connector.types.is_empty() => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[expect(deprecated, reason = "connectors of before say nothing else")]
fn types(agents: &[Agent]) -> Types {
    let mut types = Types::new();
    for agent in agents {
        let of_before =
            agent.supported_task_types.iter().filter(|_| agent.supported_task_categories.is_empty());
        let of_before = of_before.map(|name| Category { name: name.clone(), version: None });
        let categories = agent.supported_task_categories.iter();
        let categories = categories.map(|of| Category { name: of.name.clone(), version: Some(of.version) });
        for category in categories.chain(of_before).filter(|of| !is_ours(&of.name)) {
            types.entry(category).or_insert(Some(agent.is_sync));
        }
    }
    types
}

/// Adds types that are said, for every version; whether they are done within one call is as their connector says of any.
fn add_said<'a>(types: &mut Types, said: impl Iterator<Item = &'a String>) {
    for name in said {
        let is_sync = types.iter().find(|(of, _)| of.name == *name).and_then(|(_, is_sync)| *is_sync);
        types.entry(Category { name: name.clone(), version: None }).or_insert(is_sync);
    }
}

fn remembered(file: &std::path::Path) -> BTreeMap<String, Types> {
    let types = |known: Vec<Known>| {
        let one = |Known { name, version, is_sync }| (Category { name, version }, is_sync);
        known.into_iter().map(one).collect()
    };
    read(file).into_iter().map(|(url, known)| (url, types(known))).collect()
}

fn read(file: &std::path::Path) -> BTreeMap<String, Vec<Known>> {
    match std::fs::read(file) {
        Ok(bytes) => rmp_serde::from_slice(&bytes).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::admin::TaskCategory;

    #[test]
    #[expect(deprecated, reason = "connectors of before say nothing else")]
    fn a_connector_says_its_types_with_versions_and_one_of_before_without() {
        let agents = [
            Agent {
                supported_task_categories: vec![TaskCategory { name: "a".to_owned(), version: 2 }],
                supported_task_types: vec!["a".to_owned()],
                is_sync: true,
                ..Agent::default()
            },
            Agent {
                supported_task_types: vec!["b".to_owned(), "python-task".to_owned()],
                ..Agent::default()
            },
        ];
        let mut types = types(&agents);
        add_said(&mut types, ["a".to_owned(), "c".to_owned()].iter());
        let listed: Vec<_> = types.iter().map(|(of, sync)| (of.name.as_str(), of.version, *sync)).collect();
        assert_eq!(
            listed,
            [
                ("a", None, Some(true)),
                ("a", Some(2), Some(true)),
                ("b", None, Some(false)),
                ("c", None, None)
            ]
        );
    }
}
