//! Keys that expire, in a KV bucket: each write carries its time to live and the revision that it replaces.

use super::api::{Api, Published};
use super::names::token;
use crate::{LeaseError, LeaseStore, Revision};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How often a write is tried whose answer is neither yes nor no.
const TRIES_MAX: usize = 5;
/// Written by clients into the mark of a key that was given up.
const KV_OPERATION: &str = "KV-Operation";
/// Written by servers into the mark of a key that has expired.
const MARKER_REASON: &str = "Nats-Marker-Reason";

/// Leases in a bucket of their region.
pub struct JetStreamLeases {
    api: Arc<Api>,
    stream: String,
}

impl JetStreamLeases {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let stream = format!("KV_{}", api.names.lease_bucket());
        Self { api, stream }
    }

    fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{}", self.api.names.lease_bucket(), token(key))
    }

    async fn last(&self, key: &str) -> Result<Option<StreamMessage>, LeaseError> {
        let (last, _) = self.api.last(&self.stream, &self.subject(key)).await.map_err(unavailable)?;
        Ok(last)
    }

    /// Writes after `expected`; none when the key is at another revision.
    async fn write(
        &self,
        key: &str,
        expected: Revision,
        message: PublishMessage,
    ) -> Result<Option<Revision>, LeaseError> {
        let message = message.expected_last_subject_sequence(expected.0);
        for _ in 0..TRIES_MAX {
            match self.api.publish(&self.subject(key), message.clone()).await {
                Published::Stored(sequence) => return Ok(Some(Revision(sequence))),
                Published::Mismatch => {}
                Published::TooLarge(limit) => {
                    return Err(unavailable(format!("a value is limited to {limit} bytes")));
                }
                Published::Refused(reason) | Published::Unclear(reason) => return Err(unavailable(reason)),
            }
            // With replicas a mismatch may be spurious: nothing was written and the key is where it was.
            if self.last(key).await?.map_or(0, |last| last.sequence) != expected.0 {
                return Ok(None);
            }
        }
        Err(unavailable("the write was not taken, again and again".to_owned()))
    }
}

/// Servers count whole seconds.
fn lasting(value: Bytes, ttl: Duration) -> PublishMessage {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    PublishMessage::build().payload(value).ttl(Duration::from_secs(seconds.max(1)))
}

fn is_mark(message: &StreamMessage) -> bool {
    message.headers.get(KV_OPERATION).is_some() || message.headers.get(MARKER_REASON).is_some()
}

const fn unavailable(reason: String) -> LeaseError {
    LeaseError::Unavailable { reason }
}

#[async_trait]
impl LeaseStore for JetStreamLeases {
    async fn create(&self, key: &str, value: Bytes, ttl: Duration) -> Result<Revision, LeaseError> {
        for _ in 0..TRIES_MAX {
            let expected = match self.last(key).await? {
                Some(last) if !is_mark(&last) => return Err(LeaseError::Held { key: key.to_owned() }),
                Some(mark) => mark.sequence,
                None => 0,
            };
            // Where it fails, a mark may have expired between the two; or somebody was faster, which the next look shows.
            if let Some(revision) = self.write(key, Revision(expected), lasting(value.clone(), ttl)).await? {
                return Ok(revision);
            }
        }
        Err(LeaseError::Held { key: key.to_owned() })
    }

    async fn renew(
        &self,
        key: &str,
        revision: Revision,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Revision, LeaseError> {
        let written = self.write(key, revision, lasting(value, ttl)).await?;
        written.ok_or_else(|| LeaseError::Changed { key: key.to_owned() })
    }

    async fn release(&self, key: &str, revision: Revision) -> Result<(), LeaseError> {
        // The mark need not last: whoever creates the key next does not look for it.
        let mark = lasting(Bytes::new(), Duration::from_secs(1)).header(KV_OPERATION, "DEL");
        let written = self.write(key, revision, mark).await?;
        written.map(|_| ()).ok_or_else(|| LeaseError::Changed { key: key.to_owned() })
    }

    async fn get(&self, key: &str) -> Result<Option<(Revision, Bytes)>, LeaseError> {
        let last = self.last(key).await?.filter(|last| !is_mark(last));
        Ok(last.map(|last| (Revision(last.sequence), last.payload)))
    }
}
