//! The work that is leased: its leases are extended, and it is told to stop.

use skein_log::{Lease, LeaseId, QueueError, TaskQueue};
use skein_model::WorkId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Whether work is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// It is.
    No,
    /// Nobody wants it any more.
    Withdrawn,
    /// This process ends; the job goes on without it.
    Drained,
}

/// Where work hears that it is to stop.
pub(crate) type Stop = watch::Receiver<Stopping>;

/// All work that is leased, by its name: of one name there is never a second.
#[derive(Default)]
pub(crate) struct Leases {
    of: Mutex<BTreeMap<WorkId, Held>>,
}

struct Held {
    lease: LeaseId,
    stop: watch::Sender<Stopping>,
}

impl Leases {
    /// Takes a lease in; answers where its work hears that it is to stop. None when its work is under way already: its lease had
    /// ended while this process was held up, and goes on as this one.
    pub(crate) fn add(&self, lease: &Lease) -> Option<Stop> {
        let mut of = self.lock();
        if let Some(held) = of.get_mut(&lease.work.id) {
            held.lease = lease.id;
            return None;
        }
        let (sender, stop) = watch::channel(Stopping::No);
        of.insert(lease.work.id.clone(), Held { lease: lease.id, stop: sender });
        Some(stop)
    }

    /// Extends the lease of some work until it has ended.
    pub(crate) async fn keep(self: Arc<Self>, queue: Arc<dyn TaskQueue>, lease: Lease) {
        loop {
            tokio::time::sleep(lease.ttl / 3).await;
            let Some(id) = self.lock().get(&lease.work.id).map(|held| held.lease) else { return };
            match queue.extend(id).await {
                // Withdrawn it is told, and else it is leased again.
                Ok(()) | Err(QueueError::LeaseEnded) => {}
                Err(error) => {
                    tracing::debug!(%error, work = %lease.work.id, "the lease cannot be extended at present")
                }
            }
        }
    }

    /// Stops some work, or all of it.
    pub(crate) fn stop(&self, only: Option<&WorkId>, stopping: Stopping) {
        for (work, held) in &*self.lock() {
            if only.is_none_or(|only| only == work) {
                held.stop.send_replace(stopping);
            }
        }
    }

    /// Says whether some work is under way.
    pub(crate) fn has(&self, work: &WorkId) -> bool {
        self.lock().contains_key(work)
    }

    /// Lets some work go, and answers its lease.
    pub(crate) fn remove(&self, work: &WorkId) -> Option<LeaseId> {
        self.lock().remove(work).map(|held| held.lease)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkId, Held>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
