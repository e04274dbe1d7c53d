//! Work for workers: a work-queue stream with a subject for each piece, and a durable consumer for each pool.
//!
//! An offer expects its subject to be empty, so what is held is not offered twice. A lease is a delivery that is not
//! acknowledged yet. Withdrawing removes messages from the stream and tells workers on a plain subject; a worker that
//! misses that finds out when it extends, because the message is gone.

mod held;
mod list;
mod stop;
mod waiting;

use super::api::{Api, Published};
use super::names::hash;
use crate::{Lease, LeaseId, QueueError, Stop, TaskQueue};
use async_nats::Request;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::jetstream::{AckKind, Message};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use held::{Ended, Held, Holding};
use skein_model::{PoolId, Work, WorkId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use stop::Withdrawal;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// How long one request for work stands; its end is not seen outside.
const PULL_EXPIRES: Duration = Duration::from_secs(20);
/// A silent server is noticed after two of these.
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);
const WAIT_FIRST: Duration = Duration::from_millis(2);
const WAIT_MAX: Duration = Duration::from_millis(250);
/// How many pieces of work of one pool may be leased at once.
const LEASES_MAX: i64 = 1_000_000;

/// A task queue on a work-queue stream.
pub struct JetStreamQueue {
    api: Arc<Api>,
    held: Arc<Held>,
    pools: Mutex<HashMap<PoolId, PullConsumer>>,
    listener: tokio::task::AbortHandle,
}

impl Drop for JetStreamQueue {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl JetStreamQueue {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let held = Arc::new(Held::default());
        let listener = tokio::spawn(stop::listen(Arc::clone(&api), Arc::clone(&held))).abort_handle();
        Self { api, held, pools: Mutex::new(HashMap::new()), listener }
    }

    async fn pool(&self, pool: &PoolId) -> Result<PullConsumer, QueueError> {
        if let Some(consumer) = self.pools.lock().await.get(pool) {
            return Ok(consumer.clone());
        }
        let ttl = self.api.settings.lease_ttl;
        let config = Config {
            durable_name: Some(format!("pool-{}", hash(&pool.0))),
            filter_subject: self.api.names.pool_subjects(pool),
            ack_policy: AckPolicy::Explicit,
            // A worker counts from when it gets the work, which is later: its lease must not outlast the server's.
            ack_wait: ttl + ttl / 8,
            max_deliver: -1,
            max_ack_pending: LEASES_MAX,
            ..Config::default()
        };
        let stream = self.api.names.work_stream();
        let made = self.api.context.create_consumer_on_stream(config, stream).await.map_err(unavailable)?;
        self.pools.lock().await.insert(pool.clone(), made.clone());
        Ok(made)
    }

    /// Asks for one piece of work; none when there was none for a while.
    async fn pull(&self, pool: &PoolId) -> Result<Option<Message>, QueueError> {
        let consumer = self.pool(pool).await?;
        let pull = consumer.batch().max_messages(1).expires(PULL_EXPIRES).heartbeat(PULL_HEARTBEAT);
        let mut messages = pull.messages().await.map_err(unavailable)?;
        messages.next().await.transpose().map_err(unavailable)
    }

    /// Tells the stream what becomes of a delivery, and waits until it knows.
    async fn tell(&self, reply: &str, what: AckKind) -> Result<(), QueueError> {
        let request = Request::new().payload(what.into());
        self.api.client.send_request(reply.to_owned(), request).await.map_err(unavailable)?;
        Ok(())
    }

    async fn is_there(&self, sequence: u64) -> Result<bool, QueueError> {
        let stream = self.api.stream(&self.api.names.work_stream()).await.map_err(unavailable)?;
        match stream.raw_message_builder().sequence(sequence).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Waits until a message that was acknowledged is out of the stream. With replicas that takes a moment longer, in
    /// which an offer of the same work would be taken for one that is held.
    async fn gone(&self, sequence: u64) -> Result<(), QueueError> {
        let deadline = Instant::now() + self.api.settings.patience;
        let mut wait = WAIT_FIRST;
        while self.is_there(sequence).await? {
            if Instant::now() >= deadline {
                return Err(unavailable("work that is done stays in the stream"));
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
        Ok(())
    }
}

fn unavailable(error: impl ToString) -> QueueError {
    QueueError::Unavailable { reason: error.to_string() }
}

#[async_trait]
impl TaskQueue for JetStreamQueue {
    async fn offer(&self, work: Work) -> Result<(), QueueError> {
        let deadline = Instant::now() + self.api.settings.patience;
        let subject = self.api.names.work_subject(&work.pool, &work.id);
        let payload: Bytes = rmp_serde::to_vec_named(&work).map_err(unavailable)?.into();
        let message = PublishMessage::build().payload(payload).expected_last_subject_sequence(0);
        let mut wait = WAIT_FIRST;
        loop {
            if !self.api.connected(deadline).await {
                return Err(unavailable("no server is connected"));
            }
            let reason = match self.api.publish(&subject, message.clone()).await {
                Published::Stored(_) => return Ok(()),
                // Held already, by an earlier try perhaps; or a spurious answer, which the next look shows.
                Published::Mismatch => match self.api.last(&self.api.names.work_stream(), &subject).await {
                    Ok((Some(_), _)) => return Ok(()),
                    Ok((None, _)) => "the offer was not taken, again and again".to_owned(),
                    Err(reason) => reason,
                },
                Published::TooLarge(limit) => {
                    return Err(unavailable(format!("work {} is over the limit of {limit} bytes", work.id)));
                }
                Published::Refused(reason) => return Err(unavailable(reason)),
                Published::Unclear(reason) => reason,
            };
            if Instant::now() >= deadline {
                return Err(unavailable(reason));
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAIT_MAX);
        }
    }

    async fn lease(&self, pool: &PoolId, worker: &str) -> Result<Lease, QueueError> {
        let mut well = Instant::now();
        loop {
            let message = match self.pull(pool).await {
                Ok(message) => message,
                Err(error) => {
                    // The consumer may be gone with its server; the next one is asked for anew.
                    self.pools.lock().await.remove(pool);
                    if well.elapsed() > self.api.settings.patience {
                        return Err(error);
                    }
                    sleep(WAIT_MAX).await;
                    continue;
                }
            };
            well = Instant::now();
            let Some((holding, reply)) = message.and_then(|message| Holding::of(&message, worker)) else {
                continue;
            };
            let ttl = self.api.settings.lease_ttl;
            if let Some(id) = self.held.take(holding, well + ttl) {
                return Ok(Lease { id, work: self.held.work(id).ok_or(QueueError::LeaseEnded)?, ttl });
            }
            // Withdrawn on its way here.
            self.tell(&reply, AckKind::Ack).await?;
        }
    }

    async fn extend(&self, lease: LeaseId) -> Result<(), QueueError> {
        let now = Instant::now();
        let (reply, sequence) = self.held.live(lease, now).ok_or(QueueError::LeaseEnded)?;
        self.tell(&reply, AckKind::Progress).await?;
        if !self.is_there(sequence).await? {
            self.held.withdraw(lease);
            return Err(QueueError::LeaseEnded);
        }
        if self.held.extend(lease, now + self.api.settings.lease_ttl) {
            Ok(())
        } else {
            Err(QueueError::LeaseEnded)
        }
    }

    async fn complete(&self, lease: LeaseId) -> Result<(), QueueError> {
        let Ended { reply, sequence, in_time } =
            self.held.end(lease, Instant::now()).ok_or(QueueError::LeaseEnded)?;
        // Also when it is late: its result is stored, so nobody needs to run it again.
        self.tell(&reply, AckKind::Ack).await?;
        self.gone(sequence).await?;
        if in_time { Ok(()) } else { Err(QueueError::LeaseEnded) }
    }

    async fn give_back(&self, lease: LeaseId) -> Result<(), QueueError> {
        match self.held.end(lease, Instant::now()) {
            Some(Ended { reply, in_time: true, .. }) => self.tell(&reply, AckKind::Nak(None)).await,
            Some(Ended { in_time: false, .. }) | None => Err(QueueError::LeaseEnded),
        }
    }

    async fn withdraw(&self, stop: Stop) -> Result<(), QueueError> {
        let name = self.api.names.work_stream();
        let stream = self.api.context.get_stream(name).await.map_err(unavailable)?;
        let up_to = stream.cached_info().state.last_sequence;
        let filter = match &stop {
            Stop::Execution(execution) => self.api.names.work_filter(execution, None, None),
            Stop::Node(execution, node) => self.api.names.work_filter(execution, Some(node), None),
            Stop::Work(id) => self.api.names.work_filter(&id.execution, Some(&id.node), Some(id)),
        };
        stream.purge().filter(filter).sequence(up_to + 1).await.map_err(unavailable)?;
        let withdrawal = Withdrawal { stop, up_to };
        stop::announce(&self.api, &withdrawal).await.map_err(unavailable)?;
        self.held.apply(&withdrawal);
        Ok(())
    }

    async fn withdrawn(&self, worker: &str) -> Result<WorkId, QueueError> {
        Ok(self.held.withdrawn(worker).await)
    }

    async fn announce(&self, work: Work) -> Result<(), QueueError> {
        let payload: Bytes = rmp_serde::to_vec_named(&work).map_err(unavailable)?.into();
        let subject = self.api.names.announce_subject(&work.pool);
        self.api.client.publish(subject, payload).await.map_err(unavailable)
    }

    async fn announcements(&self, pool: &PoolId) -> Result<BoxStream<'static, Arc<Work>>, QueueError> {
        let subject = self.api.names.announce_subject(pool);
        let heard = self.api.client.subscribe(subject).await.map_err(unavailable)?;
        // Whoever is told of one that comes later is told of all that follow.
        self.api.client.flush().await.map_err(unavailable)?;
        let works = heard.filter_map(async |message| match rmp_serde::from_slice(&message.payload) {
            Ok(work) => Some(Arc::new(work)),
            Err(error) => {
                tracing::debug!(%error, "an announcement cannot be read");
                None
            }
        });
        Ok(works.boxed())
    }

    async fn held(&self, pool: &PoolId) -> Result<Vec<WorkId>, QueueError> {
        list::held(&self.api, pool).await.map_err(unavailable)
    }

    async fn waiting(&self, pool: &PoolId) -> Result<usize, QueueError> {
        let mut consumer = self.pool(pool).await?;
        waiting::count(&mut consumer).await.map_err(unavailable)
    }
}
