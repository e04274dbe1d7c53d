//! The log, the inbox, the task queue and the leases on NATS JetStream.
//!
//! A journal is a subject, a record a message; the server refuses a message whose writer does not know the subject's
//! last one. What an answer leaves open is settled by reading the subject back, never by a dedupe window or a lease.
//!
//! What holds only if the servers are run so: three replicas and `sync_interval: always`. With fewer or with the
//! default interval, an acknowledged record survives the death of processes but not of machines.
//!
//! # Never
//!
//! - It never takes an error for proof that nothing was written.
//! - It never makes a durable consumer for a journal: a server makes 15 of them in a second.

mod api;
mod append;
mod deliver;
mod follow;
mod inbox;
mod lease;
mod log;
mod names;
mod page;
mod queue;
mod settings;
mod setup;
mod wire;

pub use inbox::JetStreamInbox;
pub use lease::JetStreamLeases;
pub use log::JetStreamLog;
pub use queue::JetStreamQueue;
pub use settings::{ConnectError, Settings};

use api::Api;
use std::sync::Arc;

/// A connection to the NATS servers of a region, whose streams are there.
#[derive(Clone)]
pub struct JetStream {
    api: Arc<Api>,
}

/// Connects to the servers at `url` (several are separated by commas) and makes the streams that are missing.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(url: &str, settings: Settings) -> Result<JetStream, ConnectError> {
    settings.check()?;
    let api = Arc::new(Api::connect(url, settings).await?);
    setup::streams(&api).await?;
    Ok(JetStream { api })
}

/// Connects to the servers at `url` and changes nothing there: for looking into a log that others keep. Reading a
/// stream that is missing fails.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect_to_existing(url: &str, settings: Settings) -> Result<JetStream, ConnectError> {
    settings.check()?;
    Ok(JetStream { api: Arc::new(Api::connect(url, settings).await?) })
}

impl JetStream {
    /// Answers the journals.
    pub fn log(&self) -> JetStreamLog {
        JetStreamLog::new(Arc::clone(&self.api))
    }

    /// Answers the way in to executions, with everything addressed to this region for whoever receives.
    pub fn inbox(&self) -> JetStreamInbox {
        JetStreamInbox::new(Arc::clone(&self.api), None)
    }

    /// Answers the way in to executions, with what is addressed to `shards` for whoever receives.
    pub fn inbox_of(&self, shards: Vec<u16>) -> JetStreamInbox {
        JetStreamInbox::new(Arc::clone(&self.api), Some(shards))
    }

    /// Answers the way out to workers.
    pub fn queue(&self) -> JetStreamQueue {
        JetStreamQueue::new(Arc::clone(&self.api))
    }

    /// Answers the keys that expire.
    pub fn leases(&self) -> JetStreamLeases {
        JetStreamLeases::new(Arc::clone(&self.api))
    }
}
