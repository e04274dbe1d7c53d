//! A stream's messages in order, pushed by the server while they come.
//!
//! An ordered consumer of our own making: the client's tries for ever to come back, without a word, when nothing can be
//! created; here whoever reads is told, and reads pages meanwhile.

use super::api::Api;
use async_nats::jetstream::consumer::pull::{Config, Stream};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use bytes::Bytes;
use futures::StreamExt;
use std::time::Duration;

/// A silent server is noticed after two of these.
const HEARTBEAT: Duration = Duration::from_secs(2);
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PULL_MESSAGES: usize = 512;
/// How long a server keeps the consumer of a reader that is gone.
const INACTIVE: Duration = Duration::from_secs(30);

/// One message of a stream.
pub(super) struct Delivered {
    pub(super) subject: String,
    pub(super) sequence: u64,
    pub(super) payload: Bytes,
}

/// A consumer that lives as long as all is well.
pub(super) struct Feed {
    messages: Stream,
    count: u64,
}

impl Feed {
    /// Makes a consumer; fails while the servers' meta group has no majority.
    pub(super) async fn open(api: &Api, stream: &str, deliver_policy: DeliverPolicy) -> Result<Self, String> {
        let config = Config {
            deliver_policy,
            ack_policy: AckPolicy::None,
            inactive_threshold: INACTIVE,
            num_replicas: 1,
            memory_storage: true,
            ..Config::default()
        };
        let consumer =
            api.context.create_consumer_on_stream(config, stream).await.map_err(|error| error.to_string())?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .heartbeat(HEARTBEAT)
            .expires(PULL_EXPIRES)
            .messages()
            .await
            .map_err(|error| error.to_string())?;
        Ok(Self { messages, count: 0 })
    }

    /// Waits for the next message. After an error the feed is of no more use.
    pub(super) async fn next(&mut self) -> Result<Delivered, String> {
        let message =
            self.messages.next().await.ok_or("the consumer is gone")?.map_err(|error| error.to_string())?;
        let (place, count) = {
            let info = message.info().map_err(|error| error.to_string())?;
            (info.stream_sequence, info.consumer_sequence)
        };
        if count != self.count + 1 {
            return Err(format!("delivery {count} came after delivery {}", self.count));
        }
        self.count = count;
        let (message, _) = message.split();
        Ok(Delivered { subject: message.subject.to_string(), sequence: place, payload: message.payload })
    }
}
