//! Decides who gets which work. Time comes in as an argument; waiting and waking is done by [`super::queue`].

use crate::task_queue::{LeaseId, QueueError, Stop};
use skein_model::{Attempt, NodeId, PoolId, Work, WorkId};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// All work that was offered and is not done.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Sorted by execution, then node, so that a withdrawal need not look at all work there is.
    held: BTreeMap<WorkId, Held>,
    /// What no worker has, by pool, rank and order of its offer. A pool without such work has no entry.
    waiting: HashMap<PoolId, BTreeMap<Place, Arc<Work>>>,
    leases: HashMap<LeaseId, Leased>,
    /// When leases end, soonest first.
    ends: BTreeSet<(Duration, LeaseId)>,
    /// What workers are to be told, until their lease would have ended anyway.
    told: HashMap<String, VecDeque<(Duration, WorkId)>>,
    last_offer: u64,
    last_lease: u64,
}

/// A place in line: the rank, then the number of the offer.
type Place = (u32, u64);

#[derive(Debug)]
struct Held {
    /// Its place in the line; kept when it is offered again, so that it does not go to the end.
    order: Place,
    work: Arc<Work>,
    lease: Option<LeaseId>,
}

#[derive(Debug)]
struct Leased {
    work: Arc<Work>,
    worker: String,
    ends: Duration,
}

impl Shelf {
    /// Says whether the work is new.
    pub(super) fn offer(&mut self, work: Work) -> bool {
        if self.held.contains_key(&work.id) {
            return false;
        }
        self.last_offer += 1;
        let (order, work) = ((work.rank, self.last_offer), Arc::new(work));
        self.held.insert(work.id.clone(), Held { order, work: Arc::clone(&work), lease: None });
        self.wait(order, work);
        true
    }

    fn wait(&mut self, order: Place, work: Arc<Work>) {
        match self.waiting.get_mut(&work.pool) {
            Some(line) => drop(line.insert(order, work)),
            None => drop(self.waiting.insert(work.pool.clone(), BTreeMap::from([(order, work)]))),
        }
    }

    pub(super) fn lease(
        &mut self,
        pool: &PoolId,
        worker: &str,
        ends: Duration,
    ) -> Option<(LeaseId, Arc<Work>)> {
        let (_, work) = self.waiting.get_mut(pool)?.pop_first()?;
        if self.waiting(pool) == 0 {
            self.waiting.remove(pool);
        }
        self.last_lease += 1;
        let id = LeaseId(self.last_lease);
        if let Some(held) = self.held.get_mut(&work.id) {
            held.lease = Some(id);
        }
        self.leases.insert(id, Leased { work: Arc::clone(&work), worker: worker.to_owned(), ends });
        self.ends.insert((ends, id));
        Some((id, work))
    }

    pub(super) fn extend(&mut self, lease: LeaseId, ends: Duration) -> Result<(), QueueError> {
        let leased = self.leases.get_mut(&lease).ok_or(QueueError::LeaseEnded)?;
        self.ends.remove(&(leased.ends, lease));
        leased.ends = ends;
        self.ends.insert((ends, lease));
        Ok(())
    }

    pub(super) fn complete(&mut self, lease: LeaseId) -> Result<(), QueueError> {
        let leased = self.end(lease).ok_or(QueueError::LeaseEnded)?;
        self.held.remove(&leased.work.id);
        Ok(())
    }

    /// Answers the pool in which the work waits again.
    pub(super) fn give_back(&mut self, lease: LeaseId) -> Result<PoolId, QueueError> {
        let leased = self.end(lease).ok_or(QueueError::LeaseEnded)?;
        let pool = leased.work.pool.clone();
        self.offer_again(leased.work);
        Ok(pool)
    }

    /// Ends the leases whose time is over; answers the pools in which there is work again.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<PoolId> {
        let mut pools = Vec::new();
        while let Some(&(ends, lease)) = self.ends.first() {
            if ends > now {
                break;
            }
            let Some(leased) = self.end(lease) else { break };
            pools.push(leased.work.pool.clone());
            self.offer_again(leased.work);
        }
        pools
    }

    /// Answers when the next lease ends.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    /// Says whether a worker has to be told.
    pub(super) fn withdraw(&mut self, stop: &Stop, now: Duration) -> bool {
        let first = first_of(stop);
        let meant: Vec<WorkId> =
            self.held.range(first..).map(|(id, _)| id).take_while(|id| stop.covers(id)).cloned().collect();
        self.told.retain(|_, told| {
            told.retain(|(until, _)| *until > now);
            !told.is_empty()
        });
        let mut tell = false;
        for id in meant {
            let Some(held) = self.held.remove(&id) else { continue };
            if let Some(leased) = held.lease.and_then(|lease| self.end(lease)) {
                self.told.entry(leased.worker).or_default().push_back((leased.ends, id));
                tell = true;
            } else if let Some(line) = self.waiting.get_mut(&held.work.pool) {
                line.remove(&held.order);
                if line.is_empty() {
                    self.waiting.remove(&held.work.pool);
                }
            }
        }
        tell
    }

    pub(super) fn withdrawn(&mut self, worker: &str) -> Option<WorkId> {
        let told = self.told.get_mut(worker)?;
        let (_, id) = told.pop_front()?;
        if told.is_empty() {
            self.told.remove(worker);
        }
        Some(id)
    }

    pub(super) fn held(&self, pool: &PoolId) -> Vec<WorkId> {
        self.held.values().filter(|held| held.work.pool == *pool).map(|held| held.work.id.clone()).collect()
    }

    pub(super) fn waiting(&self, pool: &PoolId) -> usize {
        self.waiting.get(pool).map_or(0, BTreeMap::len)
    }

    fn end(&mut self, lease: LeaseId) -> Option<Leased> {
        let leased = self.leases.remove(&lease)?;
        self.ends.remove(&(leased.ends, lease));
        Some(leased)
    }

    fn offer_again(&mut self, work: Arc<Work>) {
        let Some(held) = self.held.get_mut(&work.id) else { return };
        held.lease = None;
        let order = held.order;
        self.wait(order, work);
    }
}

/// Answers the least id that `stop` can cover.
fn first_of(stop: &Stop) -> WorkId {
    match stop {
        Stop::Execution(execution) => {
            WorkId { execution: execution.clone(), node: NodeId::new(""), attempt: Attempt(0), items: None }
        }
        Stop::Node(execution, node) => {
            WorkId { execution: execution.clone(), node: node.clone(), attempt: Attempt(0), items: None }
        }
        Stop::Work(id) => id.clone(),
    }
}
