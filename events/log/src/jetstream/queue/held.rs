//! The leases that this process holds.

use super::stop::Withdrawal;
use crate::LeaseId;
use async_nats::jetstream::Message;
use skein_model::{Work, WorkId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How many withdrawals are remembered for work that is on its way here.
const WITHDRAWALS_MAX: usize = 1024;

/// A piece of work as it was delivered.
pub(super) struct Holding {
    work: Arc<Work>,
    worker: String,
    /// Where the stream is told what becomes of it.
    reply: String,
    sequence: u64,
}

impl Holding {
    /// Reads a delivery; none, said aloud, when it is no work. It stays in the stream for a program that knows better.
    pub(super) fn of(message: &Message, worker: &str) -> Option<(Self, String)> {
        let reply = message.reply.as_ref()?.to_string();
        let sequence = message.info().ok()?.stream_sequence;
        let work: Work = match rmp_serde::from_slice(&message.payload) {
            Ok(work) => work,
            Err(error) => {
                tracing::error!(sequence, %error, "an offer cannot be read");
                return None;
            }
        };
        let holding =
            Self { work: Arc::new(work), worker: worker.to_owned(), reply: reply.clone(), sequence };
        Some((holding, reply))
    }

    fn is_meant(&self, withdrawal: &Withdrawal) -> bool {
        self.sequence <= withdrawal.up_to && withdrawal.stop.covers(&self.work.id)
    }
}

/// A lease that is no more.
pub(super) struct Ended {
    pub(super) reply: String,
    pub(super) sequence: u64,
    /// Whether it held until now.
    pub(super) in_time: bool,
}

#[derive(Default)]
struct State {
    /// Counted up from anywhere, so that the ids of two processes are not mistaken for each other.
    last_id: u64,
    leases: BTreeMap<LeaseId, (Holding, Instant)>,
    withdrawals: VecDeque<Withdrawal>,
    /// What each worker is to be told, at most what it held.
    told: HashMap<String, VecDeque<WorkId>>,
}

/// The leases of this process and what has been withdrawn of them.
pub(super) struct Held {
    state: Mutex<State>,
    changed: Notify,
}

impl Default for Held {
    fn default() -> Self {
        let last_id = RandomState::new().hash_one(0) >> 1;
        Self { state: Mutex::new(State { last_id, ..State::default() }), changed: Notify::new() }
    }
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a delivery until `ends`; none when it has been withdrawn.
    pub(super) fn take(&self, holding: Holding, ends: Instant) -> Option<LeaseId> {
        let mut state = self.state();
        if state.withdrawals.iter().any(|withdrawal| holding.is_meant(withdrawal)) {
            return None;
        }
        state.last_id += 1;
        let id = LeaseId(state.last_id);
        state.leases.insert(id, (holding, ends));
        Some(id)
    }

    pub(super) fn work(&self, id: LeaseId) -> Option<Arc<Work>> {
        self.state().leases.get(&id).map(|(holding, _)| Arc::clone(&holding.work))
    }

    /// Answers reply subject and sequence of a lease that holds at `now`.
    pub(super) fn live(&self, id: LeaseId, now: Instant) -> Option<(String, u64)> {
        let mut state = self.state();
        let (holding, ends) = state.leases.get(&id)?;
        if *ends < now {
            state.leases.remove(&id);
            return None;
        }
        Some((holding.reply.clone(), holding.sequence))
    }

    /// Makes a lease last until `ends`; says whether it is still held.
    pub(super) fn extend(&self, id: LeaseId, ends: Instant) -> bool {
        self.state().leases.get_mut(&id).map(|lease| lease.1 = ends).is_some()
    }

    /// Ends a lease.
    pub(super) fn end(&self, id: LeaseId, now: Instant) -> Option<Ended> {
        let (Holding { reply, sequence, .. }, ends) = self.state().leases.remove(&id)?;
        Some(Ended { reply, sequence, in_time: now <= ends })
    }

    /// Ends a lease whose offer is gone, and tells its worker.
    pub(super) fn withdraw(&self, id: LeaseId) {
        tell(&mut self.state(), id);
        self.changed.notify_waiters();
    }

    pub(super) fn apply(&self, withdrawal: &Withdrawal) {
        let mut state = self.state();
        let meant =
            |(id, (holding, _)): (&LeaseId, &(Holding, Instant))| holding.is_meant(withdrawal).then_some(*id);
        let ids: Vec<LeaseId> = state.leases.iter().filter_map(meant).collect();
        for id in ids {
            tell(&mut state, id);
        }
        if state.withdrawals.len() == WITHDRAWALS_MAX {
            state.withdrawals.pop_front();
        }
        state.withdrawals.push_back(withdrawal.clone());
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) async fn withdrawn(&self, worker: &str) -> WorkId {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if let Some(id) = self.state().told.get_mut(worker).and_then(VecDeque::pop_front) {
                return id;
            }
            changed.await;
        }
    }
}

fn tell(state: &mut State, id: LeaseId) {
    if let Some((holding, _)) = state.leases.remove(&id) {
        state.told.entry(holding.worker).or_default().push_back(holding.work.id.clone());
    }
}
