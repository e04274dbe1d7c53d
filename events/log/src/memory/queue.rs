//! The way out to workers, inside one process.

use super::lock;
use super::shelf::Shelf;
use crate::clock::{Clock, RealClock};
use crate::task_queue::{Lease, LeaseId, QueueError, Stop, TaskQueue};
use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use skein_model::{PoolId, Work, WorkId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};

/// A queue for the workers of this process's machine. Every waiting call may be dropped at any moment.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    lease_ttl: Duration,
    state: Mutex<State>,
    /// Wakes every worker that waits for withdrawals; these are rare.
    withdrawals: Notify,
    announced: broadcast::Sender<Arc<Work>>,
}

/// How many announcements wait for whoever hears them late.
const ANNOUNCED_MAX: usize = 64;

#[derive(Default)]
struct State {
    shelf: Shelf,
    /// Pools in which a worker has ever waited.
    pools: HashMap<PoolId, Arc<Notify>>,
}

impl State {
    fn wake(&self, pool: &PoolId) {
        if let Some(workers) = self.pools.get(pool) {
            workers.notify_one();
        }
    }

    fn expire(&mut self, now: Duration) {
        for pool in self.shelf.expire(now) {
            self.wake(&pool);
        }
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue").field("lease_ttl", &self.lease_ttl).finish_non_exhaustive()
    }
}

impl MemoryQueue {
    /// Makes a queue whose leases last `lease_ttl` of the runtime's time.
    pub fn new(lease_ttl: Duration) -> Self {
        Self::with_clock(lease_ttl, Arc::new(RealClock::start()))
    }

    /// Makes a queue whose leases last `lease_ttl` of `clock`.
    pub fn with_clock(lease_ttl: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            lease_ttl,
            state: Mutex::default(),
            withdrawals: Notify::new(),
            announced: broadcast::Sender::new(ANNOUNCED_MAX),
        }
    }

    fn ends(&self) -> Duration {
        self.clock.now().saturating_add(self.lease_ttl)
    }

    /// Leases what is there, or answers by what to wait: a bell for the pool, and when the next lease ends.
    fn try_lease(&self, pool: &PoolId, worker: &str) -> Result<Lease, (Arc<Notify>, Option<Duration>)> {
        let mut state = lock(&self.state);
        state.expire(self.clock.now());
        if let Some((id, work)) = state.shelf.lease(pool, worker, self.ends()) {
            // A bell holds one ring only, however many offers came meanwhile: each worker passes it on.
            if state.shelf.waiting(pool) > 0 {
                state.wake(pool);
            }
            return Ok(Lease { id, work, ttl: self.lease_ttl });
        }
        let next_end = state.shelf.next_end();
        let bell = match state.pools.get(pool) {
            Some(bell) => Arc::clone(bell),
            None => Arc::clone(state.pools.entry(pool.clone()).or_default()),
        };
        Err((bell, next_end))
    }
}

#[async_trait]
impl TaskQueue for MemoryQueue {
    async fn offer(&self, work: Work) -> Result<(), QueueError> {
        let pool = work.pool.clone();
        let mut state = lock(&self.state);
        state.expire(self.clock.now());
        if state.shelf.offer(work) {
            state.wake(&pool);
        }
        Ok(())
    }

    async fn lease(&self, pool: &PoolId, worker: &str) -> Result<Lease, QueueError> {
        loop {
            match self.try_lease(pool, worker) {
                Ok(lease) => return Ok(lease),
                // A ring between the look and the wait is kept by the bell. Leases that begin later end later.
                Err((bell, None)) => tokio::select! {
                    () = bell.notified() => {}
                    // Another pool's worker may take the first lease of all after this look.
                    () = self.clock.wait_until(self.ends()) => {}
                },
                Err((bell, Some(next_end))) => tokio::select! {
                    () = bell.notified() => {}
                    () = self.clock.wait_until(next_end) => {}
                },
            }
        }
    }

    async fn extend(&self, lease: LeaseId) -> Result<(), QueueError> {
        let mut state = lock(&self.state);
        state.expire(self.clock.now());
        state.shelf.extend(lease, self.ends())
    }

    async fn complete(&self, lease: LeaseId) -> Result<(), QueueError> {
        let mut state = lock(&self.state);
        state.expire(self.clock.now());
        state.shelf.complete(lease)
    }

    async fn give_back(&self, lease: LeaseId) -> Result<(), QueueError> {
        let mut state = lock(&self.state);
        state.expire(self.clock.now());
        let pool = state.shelf.give_back(lease)?;
        state.wake(&pool);
        Ok(())
    }

    async fn withdraw(&self, stop: Stop) -> Result<(), QueueError> {
        let now = self.clock.now();
        let tell = lock(&self.state).shelf.withdraw(&stop, now);
        if tell {
            self.withdrawals.notify_waiters();
        }
        Ok(())
    }

    async fn withdrawn(&self, worker: &str) -> Result<WorkId, QueueError> {
        loop {
            // Made before the look, so that a ring in between is not missed.
            let ring = self.withdrawals.notified();
            if let Some(id) = lock(&self.state).shelf.withdrawn(worker) {
                return Ok(id);
            }
            ring.await;
        }
    }

    async fn announce(&self, work: Work) -> Result<(), QueueError> {
        // Without anybody who hears it, it is gone.
        drop(self.announced.send(Arc::new(work)));
        Ok(())
    }

    async fn announcements(&self, pool: &PoolId) -> Result<BoxStream<'static, Arc<Work>>, QueueError> {
        let (heard, pool) = (self.announced.subscribe(), pool.clone());
        Ok(stream::unfold((heard, pool), |(mut heard, pool)| async move {
            loop {
                match heard.recv().await {
                    Ok(work) if work.pool == pool => return Some((work, (heard, pool))),
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed())
    }

    async fn held(&self, pool: &PoolId) -> Result<Vec<WorkId>, QueueError> {
        Ok(lock(&self.state).shelf.held(pool))
    }

    async fn waiting(&self, pool: &PoolId) -> Result<usize, QueueError> {
        let mut state = lock(&self.state);
        state.expire(self.clock.now());
        Ok(state.shelf.waiting(pool))
    }
}
