//! The contract of a small store of keys that expire: who owns a shard, who runs a data folder.
//!
//! A lease is a hint. Safety rests on the log, which refuses whoever is not at the head.

use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// A state of one key; changes with every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// A write that was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// The key is held.
    #[error("{key} is held")]
    Held {
        /// The key.
        key: String,
    },
    /// The key is at another revision, or gone.
    #[error("{key} has changed")]
    Changed {
        /// The key.
        key: String,
    },
    /// The store cannot be reached; the write may have been done.
    #[error("the lease store cannot be reached: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// Keys with an owner and a time to live.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// Takes a key that nobody holds, for `ttl`.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when someone does.
    async fn create(&self, key: &str, value: Bytes, ttl: Duration) -> Result<Revision, LeaseError>;

    /// Writes a key that is at `revision`, and makes it last `ttl` from now.
    ///
    /// # Errors
    /// [`LeaseError::Changed`] when it is not.
    async fn renew(
        &self,
        key: &str,
        revision: Revision,
        value: Bytes,
        ttl: Duration,
    ) -> Result<Revision, LeaseError>;

    /// Gives a key up that is at `revision`.
    ///
    /// # Errors
    /// [`LeaseError::Changed`] when it is not.
    async fn release(&self, key: &str, revision: Revision) -> Result<(), LeaseError>;

    /// Answers who holds a key; none when nobody does.
    ///
    /// # Errors
    /// [`LeaseError::Unavailable`].
    async fn get(&self, key: &str) -> Result<Option<(Revision, Bytes)>, LeaseError>;
}
