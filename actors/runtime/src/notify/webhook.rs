//! Posts notices to receivers of requests.

use super::settings::{Format, Receiver};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};
use skein_core::notify::{Outcome, text};
use skein_model::notification::{Ended, NoticeId};
use skein_model::{EntityId, EntityKind};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long a receiver may take to be reached.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How many bytes of an answer are read, to be told where it refuses.
const ANSWER_BYTES_MAX: usize = 512;
/// The header by which a receiver tells a notice that it has had before.
const ID_HEADER: &str = "skein-notice-id";

/// The clients, made when they are needed: who has no receivers loads no certificates.
#[derive(Default)]
pub(super) struct Clients {
    outside: OnceCell<Client>,
    /// Without a proxy, which would look for its own machine.
    local: OnceCell<Client>,
}

impl Clients {
    async fn to(&self, url: &Url) -> Result<&Client, reqwest::Error> {
        // A receiver that sends elsewhere is not the one that was named, and may not see its headers.
        let builder = || Client::builder().connect_timeout(CONNECT_MAX).redirect(redirect::Policy::none());
        if is_local(url) {
            return self.local.get_or_try_init(async || builder().no_proxy().build()).await;
        }
        self.outside.get_or_try_init(async || builder().build()).await
    }
}

pub(super) async fn send(
    clients: &Clients,
    receiver: &Receiver,
    id: &NoticeId,
    ended: &Ended,
    link: &str,
) -> Outcome {
    let url = match Url::parse(&receiver.url) {
        Ok(url) => url,
        Err(error) => return Outcome::Refused(format!("its url is none: {error}")),
    };
    let client = match clients.to(&url).await {
        Ok(client) => client,
        Err(error) => return Outcome::Passing(told(error)),
    };
    let body = match receiver.format {
        Format::Json => all(id, ended, link),
        Format::Slack => json!({ "text": text::slack(ended, link) }),
    };
    let mut request = client.post(url).header(ID_HEADER, id.to_string());
    for (name, value) in &receiver.headers {
        request = request.header(name, value);
    }
    let request = request.header("content-type", "application/json").body(body.to_string());
    match request.send().await {
        Ok(answer) => judged(answer).await,
        Err(error) if error.is_builder() => Outcome::Refused(told(error)),
        Err(error) => Outcome::Passing(told(error)),
    }
}

async fn judged(mut answer: Response) -> Outcome {
    let status = answer.status();
    if status.is_success() {
        return Outcome::Taken;
    }
    let mut said = Vec::new();
    while said.len() < ANSWER_BYTES_MAX
        && let Ok(Some(bytes)) = answer.chunk().await
    {
        said.extend_from_slice(&bytes[..bytes.len().min(ANSWER_BYTES_MAX - said.len())]);
    }
    let said = String::from_utf8_lossy(&said);
    let reason = format!("it answers {status}: {}", said.trim());
    let reason = reason.trim_end_matches([':', ' ']).to_owned();
    let may_pass = status.is_server_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS]
            .contains(&status);
    if may_pass { Outcome::Passing(reason) } else { Outcome::Refused(reason) }
}

/// Answers all that is told, by name.
fn all(id: &NoticeId, ended: &Ended, link: &str) -> Value {
    let Ended { execution, launched, workflow, code, message, .. } = ended;
    let named = |id: &EntityId| json!({ "name": id.name, "version": id.version });
    let error = (!code.is_empty()).then(|| json!({ "code": code, "message": message }));
    let is_task = launched.kind == EntityKind::Task;
    json!({
        "id": id.to_string(),
        "execution": { "project": execution.project, "domain": execution.domain, "name": execution.name },
        "phase": text::phase(ended),
        "launch_plan": (!is_task).then(|| named(launched)),
        "task": is_task.then(|| named(launched)),
        "workflow": named(workflow),
        "ended_at_us": ended.at.as_micros(),
        "error": error,
        "url": link,
        "text": text::subject(ended),
    })
}

/// Says what kept a request from an answer, without the address: it may be secret.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        said = format!("{said}: {cause}");
        source = cause.source();
    }
    said
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
