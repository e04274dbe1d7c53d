//! Asks a server how far an execution is.

use super::Received;
use super::address::Server;
use super::events::{Event, Events};
use anyhow::{Context as _, anyhow};
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Client, Response, Url};
use serde::Deserialize;
use skein_gateway::progress::Progress;
use skein_model::ExecutionId;
use std::collections::VecDeque;
use std::time::Duration;

/// How long a server may take to be there.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long nothing may come: a server that watches says something every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long is waited before a server that was lost is asked again, and how often.
const RETRY: Duration = Duration::from_secs(1);
const RETRIES_MAX: u32 = 60;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// What comes next.
pub enum Next {
    /// A newer state, and its JSON.
    Progress(Progress, String),
    /// The server is gone for now, and why; it is asked again.
    Lost(String),
}

/// One execution on one server.
pub struct Source {
    client: Client,
    url: Url,
    server: String,
    stream: Option<Response>,
    events: Events,
    received: VecDeque<Event>,
    retries: u32,
}

/// Why a request was not served.
enum Refusal {
    /// The server says that it cannot be: asking again will not help.
    Final(anyhow::Error),
    /// It may be served later.
    Passing(anyhow::Error),
}

impl From<Refusal> for anyhow::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Final(error) | Refusal::Passing(error) => error,
        }
    }
}

/// What a server answers that refuses.
#[derive(Deserialize)]
struct Refused {
    error: Why,
}

#[derive(Deserialize)]
struct Why {
    message: String,
}

impl Source {
    /// Prepares to ask.
    ///
    /// # Errors
    /// When the server's address is none.
    pub fn of(server: &Server, execution: &ExecutionId) -> anyhow::Result<Self> {
        let Server { url, named_by } = server;
        let shown = format!("{url} (named by {named_by})");
        let mut url = Url::parse(url).with_context(|| format!("{shown} is no address of a server"))?;
        let ExecutionId { project, domain, name } = execution;
        url.path_segments_mut()
            .map_err(|()| anyhow!("{shown} is no address of a server"))?
            .pop_if_empty()
            .extend(["api", "v1", "executions", project, domain, name, "progress"]);
        let mut client = Client::builder().connect_timeout(CONNECT_MAX).read_timeout(SILENCE_MAX);
        if is_local(&url) {
            // A proxy would look for its own machine.
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().context("the HTTP client cannot be made")?,
            url,
            server: shown,
            stream: None,
            events: Events::default(),
            received: VecDeque::new(),
            retries: 0,
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn now(&self) -> anyhow::Result<Received> {
        let answer = self.ask(JSON).await?;
        let json = answer.text().await.context("the answer breaks off")?;
        let json = json.trim_end().to_owned();
        Ok((read(&json)?, json))
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// As [`Source::now`].
    pub async fn open(&mut self) -> Result<(), anyhow::Error> {
        Ok(self.connect().await?)
    }

    async fn connect(&mut self) -> Result<(), Refusal> {
        self.events = Events::default();
        self.received.clear();
        self.stream = Some(self.ask(EVENT_STREAM).await?);
        Ok(())
    }

    async fn ask(&self, accept: HeaderValue) -> Result<Response, Refusal> {
        let answer = self.client.get(self.url.clone()).header(ACCEPT, accept).send().await;
        let answer = answer.map_err(|error| {
            let text = format!(
                "no server answers at {}; start one with `skein up`, or say --server URL",
                self.server
            );
            Refusal::Passing(anyhow::Error::new(error).context(text))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = answer.text().await.unwrap_or_default();
        let why = match serde_json::from_str::<Refused>(&body) {
            Ok(refused) => anyhow!("{} refuses: {}", self.server, refused.error.message),
            // Something else listens there, or a Skein that does not have this yet.
            Err(_) => {
                anyhow!("{} answers {status} to {}, and not as a Skein does", self.server, self.url.path())
            }
        };
        Err(if status.is_server_error() { Refusal::Passing(why) } else { Refusal::Final(why) })
    }

    /// Waits for what comes next. A server that is gone is asked again; that is told once.
    ///
    /// # Errors
    /// When the server refuses, says what cannot be understood, or stays away.
    pub async fn next(&mut self) -> anyhow::Result<Next> {
        loop {
            while let Some(event) = self.received.pop_front() {
                if event.name == "progress" {
                    self.retries = 0;
                    return Ok(Next::Progress(read(&event.data)?, event.data));
                }
            }
            let Err(why) = self.receive().await else { continue };
            let Refusal::Passing(why) = why else { return Err(why.into()) };
            self.stream = None;
            self.retries += 1;
            if self.retries > RETRIES_MAX {
                return Err(why.context(format!("{} was asked {RETRIES_MAX} times in vain", self.server)));
            }
            if self.retries == 1 {
                return Ok(Next::Lost(format!("{} is gone ({why:#}); asking again", self.server)));
            }
        }
    }

    /// Takes what the server says next; connects again first, after a while, where that is needed.
    async fn receive(&mut self) -> Result<(), Refusal> {
        let Some(stream) = &mut self.stream else {
            tokio::time::sleep(RETRY).await;
            return self.connect().await;
        };
        let bytes = stream.chunk().await.map_err(|error| Refusal::Passing(error.into()))?;
        let bytes = bytes.ok_or_else(|| Refusal::Passing(anyhow!("it has ended the watch")))?;
        let events = self.events.take(&bytes).map_err(|error| Refusal::Final(error.into()))?;
        self.received.extend(events);
        Ok(())
    }
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read(json: &str) -> anyhow::Result<Progress> {
    serde_json::from_str(json).context("the server says what this version of skein does not understand")
}
