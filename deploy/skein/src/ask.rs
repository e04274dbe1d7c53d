//! Asks a server over HTTP, mostly about an execution.

use crate::address::Server;
use anyhow::{Context as _, anyhow};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::{Deserialize, Serialize};
use skein_model::ExecutionId;
use std::time::Duration;

/// How long a server may take to be there.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long nothing may come: a server that is watched says something every few seconds.
const SILENCE_MAX: Duration = Duration::from_secs(30);

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A question to one server.
pub struct Question {
    client: Client,
    /// Where it began, such as the address of an execution.
    root: Url,
    url: Url,
    /// The server, and who named it.
    pub server: String,
}

/// Why a request was not served.
pub enum Refusal {
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

impl Question {
    /// Prepares to ask for what stands at `what` below the execution's own address.
    ///
    /// # Errors
    /// When the server's address is none.
    pub fn of(server: &Server, execution: &ExecutionId, what: &[&str]) -> anyhow::Result<Self> {
        let ExecutionId { project, domain, name } = execution;
        Ok(Self::at(server, &["executions", project, domain, name], &[])?.about(what, &[]))
    }

    /// Prepares to ask for what stands at `path` below the address of the interface, narrowed by the pairs of `query`.
    ///
    /// # Errors
    /// When the server's address is none.
    pub fn at(server: &Server, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Self> {
        let Server { url, named_by } = server;
        let shown = format!("{url} (named by {named_by})");
        let mut url = Url::parse(url).with_context(|| format!("{shown} is no address of a server"))?;
        url.path_segments_mut()
            .map_err(|()| anyhow!("{shown} is no address of a server"))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut client = Client::builder().connect_timeout(CONNECT_MAX).read_timeout(SILENCE_MAX);
        if is_local(&url) {
            // A proxy would look for its own machine.
            client = client.no_proxy();
        }
        let client = client.build().context("the HTTP client cannot be made")?;
        Ok(Self { client, root: url.clone(), url, server: shown })
    }

    /// Prepares to ask the same server for something else: what stands at `what` below where this question began (the address
    /// of its execution), and what is asked of it.
    pub fn about(&self, what: &[&str], asked: &[(&str, String)]) -> Self {
        let mut url = self.root.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.extend(what);
        }
        if !asked.is_empty() {
            url.query_pairs_mut().extend_pairs(asked);
        }
        Self { client: self.client.clone(), root: self.root.clone(), url, server: self.server.clone() }
    }

    /// Asks once, and answers the JSON in one line.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn json(&self) -> Result<String, Refusal> {
        text(self.ask(JSON).await?).await
    }

    /// Asks for it to be taken away, and answers what the server says of that, JSON in one line.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn delete(&self) -> Result<String, Refusal> {
        text(self.answered(self.client.delete(self.url.clone())).await?).await
    }

    /// Has the server do what is asked for, and answers the JSON in one line.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn order(&self) -> Result<String, Refusal> {
        let order = self.client.post(self.url.clone()).header(CONTENT_TYPE, JSON);
        text(self.answered(order).await?).await
    }

    /// Tells the server something, and answers what it says of that, JSON in one line.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn say(&self, what: &impl Serialize) -> Result<String, Refusal> {
        let body = serde_json::to_vec(what).context("what is said is no JSON").map_err(Refusal::Final)?;
        let order = self.client.post(self.url.clone()).header(CONTENT_TYPE, JSON).body(body);
        text(self.answered(order).await?).await
    }

    /// Asks for what `accept` names.
    ///
    /// # Errors
    /// When the server does not answer, or refuses.
    pub async fn ask(&self, accept: HeaderValue) -> Result<Response, Refusal> {
        self.answered(self.client.get(self.url.clone()).header(ACCEPT, accept)).await
    }

    async fn answered(&self, request: RequestBuilder) -> Result<Response, Refusal> {
        let answer = request.send().await.map_err(|error| {
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
}

async fn text(answer: Response) -> Result<String, Refusal> {
    let json = answer.text().await.context("the answer breaks off").map_err(Refusal::Passing)?;
    Ok(json.trim_end().to_owned())
}

/// Takes what a server says in JSON.
///
/// # Errors
/// When it is something else.
pub fn read<T: for<'de> Deserialize<'de>>(json: &str) -> anyhow::Result<T> {
    serde_json::from_str(json).context("the server says what this version of skein does not understand")
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
