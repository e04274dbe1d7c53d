//! The work that a machine has leased: what its slots run, and what waits for a place of its task.
//!
//! Work whose task has as many processes as it may (`Work::processes_max`), or for which too few accelerators are free, waits here and holds no slot, so that the work of
//! other tasks runs meanwhile. It is not given back to the queue, which would hand it out again at once. Whenever a slot
//! looks for work, what waits and may begin comes before what is new. Nothing can wait for ever: work waits only while
//! others of its task run on this machine, and each of them gives its place up when it ends, however it ends; or while a
//! process is made for it (`ahead`), which ends too, one way or the other. When much
//! waits ([`WAITING_MAX`]), nothing new is leased before some of it begins.

use crate::gpus::Gpus;
use crate::places::{Place, Places};
use crate::stop::{Stop, Stopping};
use skein_log::{Lease, QueueError, TaskQueue};
use skein_model::{Work, WorkId};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How much work waits on a machine at most. Leases of what waits are extended, and others could run it.
const WAITING_MAX: usize = 256;

/// The leases of a machine.
pub(crate) struct Leases {
    places: Arc<Places>,
    /// The accelerators that are handed out; none when nobody hands them out.
    gpus: Option<Arc<Gpus>>,
    waiting: Mutex<VecDeque<Held>>,
    stops: Mutex<Vec<(WorkId, watch::Sender<Stopping>)>>,
}

/// A lease that is extended until this is dropped.
pub(crate) struct Held {
    pub lease: Lease,
    /// Where it is told to stop.
    pub stop: Stop,
    pub sender: watch::Sender<Stopping>,
    /// Extends the lease.
    pub keeper: JoinSet<()>,
}

/// A lease whose work may begin.
pub(crate) struct Ready {
    pub held: Held,
    pub place: Place,
}

impl Leases {
    pub(crate) fn new(places: Arc<Places>, gpus: Option<Arc<Gpus>>) -> Self {
        Self { places, gpus, waiting: Mutex::default(), stops: Mutex::default() }
    }

    /// Takes a lease in, and extends it from now on.
    pub(crate) fn add(&self, lease: Lease, queue: Arc<dyn TaskQueue>) {
        let (sender, stop) = Stop::new();
        let mut keeper = JoinSet::new();
        keeper.spawn(keep(queue, lease.clone(), sender.clone(), Arc::clone(&self.places)));
        let mut stops = lock(&self.stops);
        stops.retain(|(_, sender)| !sender.is_closed());
        stops.push((lease.work.id.clone(), sender.clone()));
        drop(stops);
        lock(&self.waiting).push_back(Held { lease, stop, sender, keeper });
    }

    /// Takes the work out that has waited longest of all that may begin, and that nothing `defers`. What was stopped while it
    /// waited may.
    pub(crate) fn ready(&self, defers: impl Fn(&Arc<Work>) -> bool) -> Option<Ready> {
        let mut waiting = lock(&self.waiting);
        for at in 0..waiting.len() {
            let held = &waiting[at];
            let place = if *held.sender.borrow() != Stopping::No {
                Some(Place::of_stopped())
            } else if defers(&held.lease.work) {
                None
            } else {
                self.place(&held.lease.work)
            };
            if let Some(place) = place {
                return waiting.remove(at).map(|held| Ready { held, place });
            }
        }
        None
    }

    /// Takes the work out that has waited longest of all that may begin and that somebody else `takes`: what `keep` answers is
    /// the place there.
    pub(crate) fn ready_for<T>(
        &self,
        takes: impl Fn(&Work) -> bool,
        keep: impl Fn(&Work) -> Option<T>,
    ) -> Option<(Ready, T)> {
        let mut waiting = lock(&self.waiting);
        for at in 0..waiting.len() {
            let work = &waiting[at].lease.work;
            // Before a place is taken: giving accelerators back would wake whoever looks here.
            if !takes(work) {
                continue;
            }
            let Some(place) = self.place(work) else { continue };
            match keep(work) {
                Some(kept) => {
                    return waiting.remove(at).map(|held| (Ready { held, place }, kept));
                }
                None => place.give_back(),
            }
        }
        None
    }

    /// Answers how much waits.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.waiting).len()
    }

    /// Takes a place for `work`, and the accelerators that it asks for; none when one of them is not to be had at present.
    fn place(&self, work: &Work) -> Option<Place> {
        let place = self.places.take(work)?;
        let Some(gpus) = self.gpus.as_ref().filter(|_| work.resources.gpus() > 0) else { return Some(place) };
        // What can never be had is not waited for: whoever runs the work says so.
        if !gpus.could_give(&work.resources) {
            return Some(place);
        }
        let Some(grant) = gpus.take(work, &self.places) else {
            place.give_back();
            return None;
        };
        Some(place.with(grant))
    }

    /// Says whether nothing more is to be leased.
    pub(crate) fn is_full(&self) -> bool {
        lock(&self.waiting).len() >= WAITING_MAX
    }

    /// Tells when [`Leases::ready`] may answer otherwise than before.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.places.changes()
    }

    /// Has every slot look that waits for work.
    pub(crate) fn ring(&self) {
        self.places.ring();
    }

    /// Stops one piece of work, or all of it.
    pub(crate) fn stop(&self, only: Option<&WorkId>, stopping: Stopping) {
        for (work, sender) in lock(&self.stops).iter() {
            if only.is_none_or(|only| only == work) {
                sender.send_replace(stopping);
            }
        }
        self.places.ring();
    }

    /// Gives all back that has not begun.
    pub(crate) async fn give_back(&self, queue: &dyn TaskQueue) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for Held { lease, keeper, .. } in waiting {
            drop(keeper);
            if let Err(error) = queue.give_back(lease.id).await {
                tracing::debug!(%error, work = %lease.work.id, "work that waited goes back when its lease ends");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Extends a lease until it ends or this is dropped.
async fn keep(queue: Arc<dyn TaskQueue>, lease: Lease, stop: watch::Sender<Stopping>, places: Arc<Places>) {
    loop {
        tokio::time::sleep(lease.ttl / 3).await;
        match queue.extend(lease.id).await {
            Ok(()) => {}
            Err(QueueError::LeaseEnded) => {
                stop.send_replace(Stopping::Withdrawn);
                places.ring();
                return;
            }
            Err(error) => {
                tracing::debug!(%error, work = %lease.work.id, "the lease cannot be extended at present")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpus::Device;
    use skein_model::resources::Amounts;
    use skein_model::{Gpu, PoolId, TaskResources};

    #[test]
    fn work_that_waits_for_a_gpu_wakes_nobody_when_it_is_looked_at() {
        let gpu = Gpu { device: "nvidia-tesla-t4".to_owned(), part: None };
        let gpus = Gpus::new(vec![Device { gpu, id: "GPU-a".to_owned(), memory_bytes: None }]);
        let leases = Leases::new(Places::new(), Some(gpus));
        let limits = Amounts { gpus: Some(1), ..Amounts::default() };
        let work = Work {
            resources: TaskResources { limits, ..TaskResources::default() },
            processes_max: Some(2),
            ..skein_log::conformance::task_queue::work(&PoolId("p".to_owned()), "e", "n", 0)
        };
        let first = leases.place(&work).expect("the device is free");
        let mut changes = leases.changes();
        changes.mark_unchanged();
        assert!(leases.place(&work).is_none(), "there is one device");
        assert!(
            !changes.has_changed().expect("the places are there"),
            "or whoever looks would look again at once"
        );
        drop(first);
        assert!(changes.has_changed().expect("the places are there"), "now there is something to look at");
        assert!(leases.place(&work).is_some(), "and neither place nor device was lost");
    }
}
