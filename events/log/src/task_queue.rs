//! The contract of the way out to workers: work is offered to a pool and leased from it.

use async_trait::async_trait;
use futures::stream::BoxStream;
use skein_model::{ExecutionId, NodeId, PoolId, Work, WorkId};
use std::sync::Arc;
use std::time::Duration;

/// One handing out of one piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// A piece of work that a worker has for a while.
#[derive(Clone, Debug)]
pub struct Lease {
    /// This handing out.
    pub id: LeaseId,
    /// The work.
    pub work: Arc<Work>,
    /// How long it is leased; to be extended before.
    pub ttl: Duration,
}

/// What a worker is told to stop.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Stop {
    /// Everything of an execution.
    Execution(ExecutionId),
    /// Everything of a node.
    Node(ExecutionId, NodeId),
    /// One piece of work.
    Work(WorkId),
}

impl Stop {
    /// Says whether `work` is meant.
    pub fn covers(&self, work: &WorkId) -> bool {
        match self {
            Self::Execution(execution) => work.execution == *execution,
            Self::Node(execution, node) => work.execution == *execution && work.node == *node,
            Self::Work(id) => work == id,
        }
    }
}

/// A call that the queue could not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The lease has ended: someone else may have the work. Stop running it, its result may still be reported.
    #[error("the lease has ended")]
    LeaseEnded,
    /// The queue cannot be reached.
    #[error("the task queue cannot be reached: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// Hands work to workers. Leases are hints: what makes a result count once is the attempt's number in the journal.
///
/// - An offer is held until it is leased and completed, or withdrawn. Offering what is already held changes nothing.
/// - A lease that is not extended ends after its ttl, and the work is offered again.
/// - Work of one pool and one rank is leased in the order of its offers. Of work of different ranks the smaller may go
///   first, whenever it was offered.
#[async_trait]
pub trait TaskQueue: Send + Sync + 'static {
    /// Offers work to its pool.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn offer(&self, work: Work) -> Result<(), QueueError>;

    /// Waits until work of `pool` is there and leases it to `worker`.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn lease(&self, pool: &PoolId, worker: &str) -> Result<Lease, QueueError>;

    /// Makes a lease last its whole ttl from now.
    ///
    /// # Errors
    /// [`QueueError::LeaseEnded`] when it no longer holds or was withdrawn.
    async fn extend(&self, lease: LeaseId) -> Result<(), QueueError>;

    /// Ends a lease whose work is done: its result is stored.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn complete(&self, lease: LeaseId) -> Result<(), QueueError>;

    /// Ends a lease and offers its work again.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn give_back(&self, lease: LeaseId) -> Result<(), QueueError>;

    /// Withdraws what `stop` means: offers are dropped, leases end, and workers that have some of it are told.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn withdraw(&self, stop: Stop) -> Result<(), QueueError>;

    /// Waits for the next withdrawal that concerns a lease of `worker`.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn withdrawn(&self, worker: &str) -> Result<WorkId, QueueError>;

    /// Announces work like `work`, which is likely to be offered soon, to whoever could prepare for it. It is no offer: it is
    /// kept nowhere, may reach every worker of the pool, some, or none, and nobody may rely on it.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn announce(&self, work: Work) -> Result<(), QueueError>;

    /// Hears what is announced to `pool` from now on. Of what comes faster than it is heard some is left out.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn announcements(&self, pool: &PoolId) -> Result<BoxStream<'static, Arc<Work>>, QueueError>;

    /// Lists what is held of `pool`, whether a worker has it or not, in no fixed order: what was offered and is neither
    /// completed nor withdrawn. Whoever offers learns by it, after a restart, what is out.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn held(&self, pool: &PoolId) -> Result<Vec<WorkId>, QueueError>;

    /// Answers how many pieces of work of `pool` wait for a worker.
    ///
    /// # Errors
    /// See [`QueueError`].
    async fn waiting(&self, pool: &PoolId) -> Result<usize, QueueError>;
}
