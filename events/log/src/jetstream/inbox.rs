//! Commands as requests: whoever owns a shard of executions answers on its subject.

use super::api::Api;
use super::names::shard_of;
use crate::{Delivery, Inbox, Mail, Refusal, SendError};
use async_nats::client::RequestErrorKind;
use async_nats::{Message, Request};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::select_all;
use serde::{Deserialize, Serialize};
use skein_model::{Category, Command, ExecutionId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

/// Owners of the same shards share what comes; by the log, only one of them can act on it.
const QUEUE_GROUP: &str = "owner";
/// How long a sender waits before it looks for an owner again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An inbox on request and reply.
pub struct JetStreamInbox {
    api: Arc<Api>,
    /// The shards that are received; none means all.
    shards: Option<Vec<u16>>,
    intake: Mutex<Option<Intake>>,
}

/// What has come in, and the task that lets it in.
struct Intake {
    mails: mpsc::Receiver<Mail>,
    task: AbortHandle,
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the owner answers.
#[derive(Serialize, Deserialize)]
enum Answer {
    Done,
    Refused(Refusal),
    Full,
    /// Nobody will say: the mail was dropped.
    Dropped,
}

impl JetStreamInbox {
    pub(super) fn new(api: Arc<Api>, shards: Option<Vec<u16>>) -> Self {
        Self { api, shards, intake: Mutex::new(None) }
    }

    async fn open(&self) -> Result<Intake, String> {
        let all = || (0..self.api.settings.shards(Category::Execution)).collect();
        let mut subscriptions = Vec::new();
        for shard in self.shards.clone().unwrap_or_else(all) {
            let subject = self.api.names.inbox_subject(shard);
            let subscription = self.api.client.queue_subscribe(subject, QUEUE_GROUP.to_owned()).await;
            subscriptions.push(subscription.map_err(|error| error.to_string())?);
        }
        self.api.client.flush().await.map_err(|error| error.to_string())?;
        let (sender, mails) = mpsc::channel(self.api.settings.inbox_max);
        let room = Arc::new(Semaphore::new(self.api.settings.inbox_max));
        let api = Arc::clone(&self.api);
        let task = tokio::spawn(async move {
            let mut requests = select_all(subscriptions);
            while let Some(request) = requests.next().await {
                let Some(reply) = request.reply.clone() else { continue };
                match admit(&request, &room) {
                    Ok((mail, answer, permit)) => {
                        tokio::spawn(answer_later(Arc::clone(&api), reply.to_string(), answer, permit));
                        // There are as many places as permits.
                        if sender.send(mail).await.is_err() {
                            return;
                        }
                    }
                    Err(answer) => say(&api, &reply, &answer).await,
                }
            }
        });
        Ok(Intake { mails, task: task.abort_handle() })
    }
}

type Admitted = (Mail, oneshot::Receiver<Result<(), Refusal>>, OwnedSemaphorePermit);

fn admit(request: &Message, room: &Arc<Semaphore>) -> Result<Admitted, Answer> {
    let permit = Arc::clone(room).try_acquire_owned().map_err(|_| Answer::Full)?;
    let (execution, command): (ExecutionId, Command) = rmp_serde::from_slice(&request.payload)
        .map_err(|error| Answer::Refused(Refusal::Invalid(format!("the command cannot be read: {error}"))))?;
    let (answer, answered) = oneshot::channel();
    Ok((Mail { execution, command, answer }, answered, permit))
}

async fn answer_later(
    api: Arc<Api>,
    reply: String,
    answer: oneshot::Receiver<Result<(), Refusal>>,
    permit: OwnedSemaphorePermit,
) {
    let answer = match answer.await {
        Ok(Ok(())) => Answer::Done,
        Ok(Err(refusal)) => Answer::Refused(refusal),
        Err(_) => Answer::Dropped,
    };
    drop(permit);
    say(&api, &reply, &answer).await;
}

async fn say(api: &Api, reply: &str, answer: &Answer) {
    let payload =
        rmp_serde::to_vec_named(answer).expect("an answer has no map with keys that are not strings");
    if let Err(error) = api.client.publish(reply.to_owned(), payload.into()).await {
        tracing::debug!(%error, "an answer cannot be sent; the sender will ask again");
    }
}

#[async_trait]
impl Inbox for JetStreamInbox {
    async fn send(&self, execution: &ExecutionId, command: Command) -> Result<(), SendError> {
        let started = Instant::now();
        let timeout = self.api.settings.answer_timeout;
        let unanswered = || SendError::Unanswered { waited: started.elapsed() };
        let shard = shard_of(&execution.to_string(), self.api.settings.shards(Category::Execution));
        let subject = self.api.names.inbox_subject(shard);
        let payload: Bytes = rmp_serde::to_vec_named(&(execution, &command))
            .map_err(|error| {
                SendError::Refused(Refusal::Invalid(format!("the command cannot be written: {error}")))
            })?
            .into();
        loop {
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() || !self.api.connected(started + timeout).await {
                return Err(unanswered());
            }
            let request = Request::new().payload(payload.clone()).timeout(Some(left));
            let reply = match self.api.client.send_request(subject.clone(), request).await {
                Ok(reply) => reply,
                // The owner may be starting: it did not get this.
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                    sleep(LOOK_AGAIN.min(left)).await;
                    continue;
                }
                Err(error) if error.kind() == RequestErrorKind::MaxPayloadExceeded => {
                    return Err(SendError::Refused(Refusal::Invalid(format!(
                        "the command is too large: {error}"
                    ))));
                }
                Err(_) => return Err(unanswered()),
            };
            return match rmp_serde::from_slice(&reply.payload) {
                Ok(Answer::Done) => Ok(()),
                Ok(Answer::Refused(refusal)) => Err(SendError::Refused(refusal)),
                Ok(Answer::Full) => Err(SendError::Full),
                Ok(Answer::Dropped) | Err(_) => Err(unanswered()),
            };
        }
    }

    async fn receive(&self) -> Option<Delivery> {
        let mut intake = self.intake.lock().await;
        if intake.is_none() {
            match self.open().await {
                Ok(opened) => *intake = Some(opened),
                Err(reason) => {
                    tracing::error!(reason, "the inbox cannot be opened");
                    return None;
                }
            }
        }
        intake.as_mut()?.mails.recv().await
    }
}
