//! The few requests to JetStream that everything here is made of, and what their answers mean.

use super::names::Names;
use super::settings::{ConnectError, Settings};
use super::wire::Token;
use async_nats::connection::State;
use async_nats::jetstream::context::{Context, ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind, Stream};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions};
use std::error::Error as _;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many publishes may wait for their answers at once; more wait their turn.
const PUBLISHES_MAX: usize = 16 * 1024;
/// How often a connection that is down is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A connection and what is needed to use it.
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) context: Context,
    pub(super) names: Names,
    pub(super) settings: Settings,
    writer: u64,
    calls: AtomicU64,
}

/// What became of a publish.
pub(super) enum Published {
    /// It is durable, at this sequence.
    Stored(u64),
    /// The subject's last message is another one than expected. Not proof of anything: it may be an earlier try.
    Mismatch,
    /// Larger than the server takes, in bytes. It was not sent.
    TooLarge(usize),
    /// The server says why it does not store it.
    Refused(String),
    /// It may be stored, now or later.
    Unclear(String),
}

/// Who answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The stream's leader: all that is acknowledged is seen.
    Leader,
    /// Any server that has the stream: it may lag behind.
    Replica,
}

impl Api {
    pub(super) async fn connect(url: &str, settings: Settings) -> Result<Self, ConnectError> {
        let servers: Vec<&str> = url.split(',').map(str::trim).collect();
        let client = ConnectOptions::new()
            .name("skein")
            .connection_timeout(settings.request_timeout)
            .request_timeout(Some(settings.request_timeout))
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|tries| {
                Duration::from_millis(50 * u64::try_from(tries.min(20)).unwrap_or(20))
            })
            .connect(servers)
            .await
            .map_err(|source| ConnectError::Unreachable { url: url.to_owned(), source })?;
        let context = ContextBuilder::new()
            .timeout(settings.request_timeout)
            .ack_timeout(settings.request_timeout)
            .max_ack_inflight(PUBLISHES_MAX)
            .build(client.clone());
        let names = Names::new(&settings.region, settings.epoch);
        Ok(Self {
            client,
            context,
            names,
            settings,
            writer: RandomState::new().hash_one(0),
            calls: AtomicU64::new(0),
        })
    }

    /// Names a call of `append` for ever.
    pub(super) fn token(&self) -> Token {
        Token(self.writer, self.calls.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until there is a connection: what is sent without one is kept by the client and sent later.
    pub(super) async fn connected(&self, deadline: Instant) -> bool {
        while self.client.connection_state() != State::Connected {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK_AGAIN).await;
        }
        true
    }

    pub(super) async fn stream(&self, stream: &str) -> Result<Stream<()>, String> {
        self.context.get_stream_no_info(stream).await.map_err(|error| error.to_string())
    }

    /// Publishes to a stream's subject and waits for the answer.
    pub(super) async fn publish(&self, subject: &str, message: PublishMessage) -> Published {
        let sent = match self.context.send_publish(subject.to_owned(), message).await {
            Ok(sent) => sent.await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(ack) => Published::Stored(ack.sequence),
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &PublishError) -> Published {
        match error.kind() {
            PublishErrorKind::WrongLastSequence => Published::Mismatch,
            PublishErrorKind::MaxPayloadExceeded => Published::TooLarge(self.client.max_payload()),
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::StreamNotFound
            | PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe => Published::Unclear(error.to_string()),
            PublishErrorKind::Other => {
                match error.source().and_then(|source| source.downcast_ref::<jetstream::Error>()) {
                    Some(answer) => refusal(answer, self.client.max_payload()),
                    None => Published::Unclear(error.to_string()),
                }
            }
        }
    }

    /// Reads a subject's last message: from the leader, or from any replica when that one does not answer.
    pub(super) async fn last(
        &self,
        stream: &str,
        subject: &str,
    ) -> Result<(Option<StreamMessage>, Source), String> {
        let handle = self.stream(stream).await?;
        match handle.raw_message_builder().last_by_subject(subject).send().await {
            Ok(message) => return Ok((Some(message), Source::Leader)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                return Ok((None, Source::Leader));
            }
            Err(error) => tracing::debug!(stream, %error, "the leader cannot be read"),
        }
        match handle.direct_get_builder().last_by_subject(subject).send().await {
            Ok(message) => Ok((Some(message), Source::Replica)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok((None, Source::Replica)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads a subject's first message at or after `sequence`, in the same way.
    pub(super) async fn next(
        &self,
        stream: &str,
        subject: &str,
        sequence: u64,
    ) -> Result<(Option<StreamMessage>, Source), String> {
        let handle = self.stream(stream).await?;
        match handle.raw_message_builder().sequence(sequence).next_by_subject(subject).send().await {
            Ok(message) => return Ok((Some(message), Source::Leader)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                return Ok((None, Source::Leader));
            }
            Err(error) => tracing::debug!(stream, %error, "the leader cannot be read"),
        }
        match handle.direct_get_builder().sequence(sequence).next_by_subject(subject).send().await {
            Ok(message) => Ok((Some(message), Source::Replica)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok((None, Source::Replica)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What it means that JetStream answered with an error instead of a sequence.
fn refusal(answer: &jetstream::Error, limit: usize) -> Published {
    match answer.error_code() {
        // Three replicas: two writers at once, or a write right after the last one's answer. No number comes with it.
        ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => Published::Mismatch,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Published::TooLarge(limit),
        // No room.
        ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => Published::Refused(answer.to_string()),
        // Sealed streams, missing headers, wrong streams: trying again cannot help. The 500s are servers in trouble.
        _ if answer.code() < 500 => Published::Refused(answer.to_string()),
        _ => Published::Unclear(answer.to_string()),
    }
}
