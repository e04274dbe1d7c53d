//! What a connection to NATS is told, and how it can fail to come up.

use skein_model::Category;
use std::time::Duration;

/// How the log is laid out in JetStream and how long its answers are waited for.
///
/// Layout (region, epoch, shards) is the same for every process of a region; a process that disagrees with what
/// stands there is refused by [`super::connect`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region whose journals these are: 1 to 32 letters, digits and dashes. Part of every stream and subject.
    pub region: String,
    /// Which life of the region this is, counted up by a failover; part of the names of log streams, so that a late
    /// writer of an earlier one writes where nobody reads. Default 0.
    pub epoch: u32,
    /// Into how many streams the registry is split, from 1. Never changes within an epoch. Default 1.
    pub registry_shards: u16,
    /// Into how many streams executions are split, from 1. Never changes within an epoch. Default 16: a stream is
    /// best kept below a million subjects.
    pub execution_shards: u16,
    /// How many servers hold each stream: 1, 3 or 5. Default 3.
    pub replicas: usize,
    /// The most bytes that one log stream takes; appends are refused beyond. Default -1: no limit.
    pub stream_bytes_max: i64,
    /// How long connecting may take, setup of streams included. Default 20 s.
    pub connect_timeout: Duration,
    /// How long one answer of a server is waited for; at least 1 s is sensible. Default 2 s.
    pub request_timeout: Duration,
    /// How long an append, a read or a follower tries on while servers fail. Default 30 s: an election after the death
    /// of a stream's leader takes 7 to 9 s, a restart of all servers up to 19 s.
    pub patience: Duration,
    /// How long the sender of a command waits for its owner. Default 10 s.
    pub answer_timeout: Duration,
    /// How many commands an inbox holds that are not answered yet; more are refused as full. Default 1024.
    pub inbox_max: usize,
    /// How long work is leased. At least 1 s. Default 30 s.
    pub lease_ttl: Duration,
}

impl Settings {
    /// Makes the settings of a region, everything else as documented.
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            epoch: 0,
            registry_shards: 1,
            execution_shards: 16,
            replicas: 3,
            stream_bytes_max: -1,
            connect_timeout: Duration::from_secs(20),
            request_timeout: Duration::from_secs(2),
            patience: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(10),
            inbox_max: 1024,
            lease_ttl: Duration::from_secs(30),
        }
    }

    /// Answers how many shards a category has.
    pub const fn shards(&self, category: Category) -> u16 {
        match category {
            Category::Registry => self.registry_shards,
            Category::Execution => self.execution_shards,
            Category::Catalog | Category::Notification | Category::Schedule => 1,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConnectError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.region.is_empty() || self.region.len() > 32 || !self.region.chars().all(fits) {
            return Err(ConnectError::Region { region: self.region.clone() });
        }
        let numbers = [
            ("registry_shards", usize::from(self.registry_shards)),
            ("execution_shards", usize::from(self.execution_shards)),
            ("replicas", self.replicas),
            ("inbox_max", self.inbox_max),
        ];
        match numbers.into_iter().find(|(_, value)| *value == 0) {
            Some((setting, _)) => Err(ConnectError::Zero { setting }),
            None => Ok(()),
        }
    }
}

/// A connection that did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A region's name that cannot be part of a subject.
    #[error("region {region:?} is not a name of 1 to 32 letters, digits and dashes")]
    Region {
        /// The name.
        region: String,
    },
    /// A setting that must not be 0.
    #[error("setting {setting} is 0, it must be at least 1")]
    Zero {
        /// The setting.
        setting: &'static str,
    },
    /// No server can be reached.
    #[error("no NATS server can be reached at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The server is reached, but a stream can neither be found nor made.
    #[error("stream {stream} cannot be set up: {reason}")]
    Setup {
        /// The stream.
        stream: String,
        /// Why.
        reason: String,
    },
    /// There is a stream of that name which is laid out otherwise.
    #[error("stream {stream} has {what} {found}, the settings say {wanted}")]
    Layout {
        /// The stream.
        stream: String,
        /// Which part of its layout.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
}
