//! What the actors reach the outside through.

use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::launch::Launchables;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::perform::announce::Announced;
use crate::perform::cache::Reservations;
use crate::plans::Plans;
use skein_catalog::Catalog;
use skein_log::{BlobStore, EventLog, Inbox};
use skein_model::{BlobRef, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Answers what time it is.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything the actors of one engine share.
pub(crate) struct Ports {
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn EventLog>,
    /// The way to executions: those that launch each other speak by it.
    pub(crate) inbox: Arc<dyn Inbox>,
    pub(crate) dispatch: Arc<Dispatch>,
    /// The same for what connectors do, which takes no room at the workers; none where there are none.
    pub(crate) to_connectors: Option<Arc<Dispatch>>,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) clock: Clock,
    pub(crate) plans: Plans,
    pub(crate) templates: Templates,
    pub(crate) launchables: Launchables,
    pub(crate) announced: Announced,
    pub(crate) metrics: Metrics,
    pub(crate) catalog: Catalog,
    pub(crate) reservations: Reservations,
    pub(crate) notifier: Notifier,
}

impl Ports {
    /// Lists everything through which work is handed out.
    pub(crate) fn ways_out(&self) -> impl Iterator<Item = &Arc<Dispatch>> {
        std::iter::once(&self.dispatch).chain(&self.to_connectors)
    }
}

/// The task templates that this engine has put into the blob store, by digest. Bounded: one that is forgotten is only
/// found to exist again.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    known: Mutex<BTreeMap<u64, BlobRef>>,
}

/// The most templates remembered.
const TEMPLATES_MAX: usize = 10_000;

impl Templates {
    pub(crate) fn get(&self, digest: u64) -> Option<BlobRef> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned()
    }

    pub(crate) fn insert(&self, digest: u64, blob: BlobRef) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= TEMPLATES_MAX {
            known.clear();
        }
        known.insert(digest, blob);
    }
}
