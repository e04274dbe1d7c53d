//! Between the executions and the task queue: holds back what is ready, and hands it out in the order that is fair.
//!
//! ```text
//!  executions ──offer──► Schedule ──the next, while there is room──► task queue ──► workers
//!       └────────────────ended, given up──┘
//! ```
//!
//! It knows nothing that the journals and the queue do not. After a restart it asks the queue what is out; an execution
//! that is taken up adopts of that what it waits for, with the names under which it was handed out, and offers the rest
//! again. So workers that went on meanwhile are not doubled.

mod actors;
mod gpus;

use skein_core::chunk::TARGET;
use skein_core::schedule::{Claim, Limit, Schedule};
use skein_log::{QueueError, Stop, TaskQueue};
use skein_model::task_settings::{PRIORITY_DEFAULT, WEIGHT_DEFAULT};
use skein_model::{Actor, Attempt, ExecutionId, Gpu, NodeId, PoolId, TaskSettings, Work, WorkId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{debug, warn};

/// The wait before work that the queue did not take is handed out again.
const AGAIN: Duration = Duration::from_millis(500);

/// Hands work out.
pub(crate) struct Dispatch {
    queue: Arc<dyn TaskQueue>,
    /// How much of one pool may be handed out and not ended.
    most: usize,
    /// The pool that work is handed out to,
    pool: PoolId,
    /// and others that some is.
    others: Vec<PoolId>,
    /// The accelerators that attempts can be given; none when nobody counts them here.
    gpus: Vec<Gpu>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    schedule: Schedule<WorkId>,
    /// What is ready and not handed out.
    held: BTreeMap<WorkId, Work>,
    /// What the queue has from before, and no execution has adopted yet; in which pool.
    found: BTreeMap<WorkId, PoolId>,
    /// Of what is ready or out, that which is for one of the other pools.
    elsewhere: BTreeMap<WorkId, PoolId>,
}

impl Dispatch {
    /// Hands out to `pool` at most so much at once.
    pub(crate) fn new(queue: Arc<dyn TaskQueue>, pool: PoolId, most: usize) -> Self {
        let state = Mutex::default();
        Self { queue, most: most.max(1), pool, others: Vec::new(), gpus: Vec::new(), state }
    }

    /// Hands out to `others` too, to each as much as if it were the only one.
    #[must_use]
    pub(crate) fn with_others(self, others: Vec<PoolId>) -> Self {
        Self { others, ..self }
    }

    /// Hands out no more at once than there are `gpus` for: what waits for one takes no room from what needs none.
    #[must_use]
    pub(crate) fn with_gpus(self, gpus: Vec<Gpu>) -> Self {
        Self { gpus, ..self }
    }

    /// Asks the queue what is out. What of it no open execution waits for is taken back.
    ///
    /// # Errors
    /// When the queue cannot be asked.
    pub(crate) async fn find(self: &Arc<Self>, open: &BTreeSet<ExecutionId>) -> Result<(), QueueError> {
        let mut orphans = Vec::new();
        for pool in self.pools() {
            let held = self.queue.held(pool).await?;
            let (found, none): (Vec<_>, Vec<_>) =
                held.into_iter().partition(|id| open.contains(&id.execution));
            self.state().found.extend(found.into_iter().map(|id| (id, pool.clone())));
            orphans.extend(none);
        }
        self.take_back(orphans);
        Ok(())
    }

    /// Answers the pool in which the queue has work from before that no execution has adopted yet.
    pub(crate) fn found_in(&self, id: &WorkId) -> Option<PoolId> {
        self.state().found.get(id).cloned()
    }

    /// Answers what of a node was found in the queue and is not adopted yet.
    pub(crate) fn found_of(&self, execution: &ExecutionId, node: &NodeId) -> Vec<WorkId> {
        let stop = Stop::Node(execution.clone(), node.clone());
        self.state().found_by(&stop)
    }

    /// Counts work as handed out that was found in the queue; says whether it was. It is not offered again: whoever has
    /// it may be done at any moment, and would get it anew.
    pub(crate) fn adopt(
        &self,
        id: &WorkId,
        task: &str,
        (settings, actor): (&TaskSettings, Option<&Actor>),
        micros: u64,
    ) -> bool {
        let mut state = self.state();
        let Some(pool) = state.found.remove(id) else { return false };
        let mut claim = claim(id, task, settings, micros);
        claim.limits.extend(actor.map(actors::limit));
        claim.limits.extend(self.room_of(&pool));
        state.schedule.adopt(id.clone(), claim);
        self.note_pool(&mut state, id, &pool);
        true
    }

    /// Takes back what was found of an execution that has been taken up and adopted none of it: nobody waits for that.
    pub(crate) fn settle(self: &Arc<Self>, execution: &ExecutionId) {
        let left = {
            let mut state = self.state();
            let left = state.found_by(&Stop::Execution(execution.clone()));
            state.found.retain(|id, _| !left.contains(id));
            left
        };
        self.take_back(left);
    }

    fn take_back(self: &Arc<Self>, left: Vec<WorkId>) {
        if left.is_empty() {
            return;
        }
        let dispatch = Arc::clone(self);
        tokio::spawn(async move {
            for id in left {
                if let Err(reason) = dispatch.queue.withdraw(Stop::Work(id.clone())).await {
                    warn!(%reason, work = %id, "what nobody waits for cannot be taken back: its result will be late");
                }
            }
            dispatch.hand_out().await;
        });
    }

    /// Takes work that is ready, and hands out what there is room for. What is there already is left as it is.
    pub(crate) async fn offer(self: &Arc<Self>, work: Work, settings: &TaskSettings, micros: u64) {
        {
            let mut state = self.state();
            let mut claim = claim(&work.id, &work.task.name, settings, micros);
            claim.limits.extend(gpus::limits(&work.resources, &self.gpus));
            claim.limits.extend(work.actor.as_ref().map(actors::limit));
            claim.limits.extend(self.room_of(&work.pool));
            if state.schedule.offer(work.id.clone(), claim) {
                self.note_pool(&mut state, &work.id, &work.pool);
                state.held.insert(work.id.clone(), work);
            }
        }
        self.hand_out().await;
    }

    /// Announces work that is likely to be offered.
    pub(crate) async fn announce(&self, work: Work) {
        let (id, announced) = (work.id.clone(), self.queue.announce(work).await);
        if let Err(reason) = announced {
            debug!(%reason, work = %id, "work cannot be announced");
        }
    }

    /// Notes that work has ended, and hands out what there is room for now. `micros` is how long it ran.
    pub(crate) async fn ended(self: &Arc<Self>, id: &WorkId, micros: Option<u64>) {
        if self.state().end(id, micros) {
            self.hand_out().await;
        }
    }

    /// Takes back all that `stop` means, also what workers have.
    ///
    /// # Errors
    /// When workers cannot be told; what still runs will be late.
    pub(crate) async fn withdraw(self: &Arc<Self>, stop: Stop) -> Result<(), QueueError> {
        self.forget(&stop);
        let withdrawn = self.queue.withdraw(stop).await;
        self.hand_out().await;
        withdrawn
    }

    /// Counts nothing any more of what `stop` means; whoever wants it offers it again.
    pub(crate) fn forget(&self, stop: &Stop) {
        let mut state = self.state();
        for id in state.found_by(stop) {
            state.found.remove(&id);
        }
        for id in state.meant(stop) {
            state.end(&id, None);
        }
    }

    /// Leaves what is out of `execution` to whoever takes it up next, and forgets the rest.
    pub(crate) fn abandon(&self, execution: &ExecutionId) {
        let mut state = self.state();
        for id in state.meant(&Stop::Execution(execution.clone())) {
            let is_out = state.schedule.is_running(&id);
            let pool = state.elsewhere.get(&id).unwrap_or(&self.pool).clone();
            state.end(&id, None);
            if is_out {
                state.found.insert(id, pool);
            }
        }
    }

    /// Answers how much is ready and waits for room, its turn, or a limit.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.state().schedule.ready()
    }

    fn pools(&self) -> impl Iterator<Item = &PoolId> {
        std::iter::once(&self.pool).chain(&self.others)
    }

    fn note_pool(&self, state: &mut State, id: &WorkId, pool: &PoolId) {
        if *pool != self.pool {
            state.elsewhere.insert(id.clone(), pool.clone());
        }
    }

    /// Answers what keeps one pool from taking the room of another; none where there is but one.
    fn room_of(&self, pool: &PoolId) -> Option<Limit> {
        let most = u32::try_from(self.most).unwrap_or(u32::MAX);
        (!self.others.is_empty()).then(|| Limit { key: format!("pool {pool}"), most, takes: 1 })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out what comes next while there is room; what the queue does not take, a little later.
    async fn hand_out(self: &Arc<Self>) {
        if !self.try_to_hand_out().await {
            let again = Arc::clone(self);
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(AGAIN).await;
                    if again.try_to_hand_out().await {
                        return;
                    }
                }
            });
        }
    }

    /// Says whether the queue took all that it was offered.
    async fn try_to_hand_out(&self) -> bool {
        loop {
            let next = self.state().next(self.most.saturating_mul(self.others.len() + 1));
            let Some(work) = next else { return true };
            let id = work.id.clone();
            if let Err(reason) = self.queue.offer(work.clone()).await {
                warn!(%reason, work = %id, "work cannot be offered, trying again");
                self.state().put_back(work);
                return false;
            }
            let is_wanted = {
                let state = self.state();
                state.schedule.is_running(&id) || state.found.contains_key(&id)
            };
            // Given up while it was on its way out.
            if !is_wanted && let Err(reason) = self.queue.withdraw(Stop::Work(id.clone())).await {
                warn!(%reason, work = %id, "an offer cannot be taken back: what still runs of it will be late");
            }
        }
    }
}

impl State {
    fn next(&mut self, most: usize) -> Option<Work> {
        if self.schedule.handed_out() + self.found.len() >= most {
            return None;
        }
        let chosen = self.schedule.choose()?;
        let work = self.held.remove(&chosen.key)?;
        Some(Work { rank: chosen.rank, ..work })
    }

    fn end(&mut self, id: &WorkId, micros: Option<u64>) -> bool {
        let was_there = self.schedule.end(id, micros);
        self.held.remove(id);
        self.elsewhere.remove(id);
        self.found.remove(id).is_some() || was_there
    }

    fn meant(&self, stop: &Stop) -> Vec<WorkId> {
        let first = first_of(stop);
        self.schedule.keys_from(&first).take_while(|id| stop.covers(id)).cloned().collect()
    }

    fn found_by(&self, stop: &Stop) -> Vec<WorkId> {
        let from = self.found.range(first_of(stop)..).map(|(id, _)| id);
        from.take_while(|id| stop.covers(id)).cloned().collect()
    }

    /// Makes work wait again that could not be handed out, unless it was given up meanwhile.
    fn put_back(&mut self, work: Work) {
        if let Some(claim) = self.schedule.claim(&work.id).cloned() {
            let pool = self.elsewhere.remove(&work.id);
            self.end(&work.id, Some(0));
            self.elsewhere.extend(pool.map(|pool| (work.id.clone(), pool)));
            self.schedule.offer(work.id.clone(), claim);
            self.held.insert(work.id.clone(), work);
        }
    }
}

/// Answers on whose account work runs.
fn claim(id: &WorkId, task: &str, settings: &TaskSettings, micros: u64) -> Claim {
    let ExecutionId { project, domain, name } = &id.execution;
    let limit = settings.concurrency_limit.map(|most| {
        let key = match &settings.concurrency_key {
            Some(key) => format!("{project}/{domain} key {key}"),
            None => format!("{project}/{domain} task {task}"),
        };
        Limit { key, most, takes: 1 }
    });
    Claim {
        project: format!("{project}/{domain}"),
        execution: name.clone(),
        node: id.node.to_string(),
        priority: settings.priority.unwrap_or(PRIORITY_DEFAULT),
        weight: settings.weight.unwrap_or(WEIGHT_DEFAULT),
        limits: limit.into_iter().collect(),
        micros,
    }
}

/// How long work is taken to run of which nothing is known, in microseconds.
pub(crate) fn expected_micros() -> u64 {
    u64::try_from(TARGET.as_micros()).unwrap_or(u64::MAX)
}

/// Answers the least id that `stop` can cover.
fn first_of(stop: &Stop) -> WorkId {
    let (execution, node) = match stop {
        Stop::Execution(execution) => (execution.clone(), NodeId::new("")),
        Stop::Node(execution, node) => (execution.clone(), node.clone()),
        Stop::Work(id) => return id.clone(),
    };
    WorkId { execution, node, attempt: Attempt(0), items: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_log::conformance::task_queue::work;
    use skein_log::memory::MemoryQueue;
    use skein_model::PoolId;

    fn pool() -> PoolId {
        PoolId("p".to_owned())
    }

    fn dispatch(most: usize) -> (Arc<Dispatch>, Arc<MemoryQueue>) {
        let queue = Arc::new(MemoryQueue::new(Duration::from_secs(60)));
        (Arc::new(Dispatch::new(queue.clone(), pool(), most)), queue)
    }

    async fn leased(queue: &MemoryQueue) -> String {
        queue.lease(&pool(), "w").await.expect("there is work").work.id.to_string()
    }

    #[tokio::test]
    async fn no_more_is_handed_out_than_there_is_room_for() {
        let (dispatch, queue) = dispatch(2);
        for node in ["a", "b", "c"] {
            dispatch.offer(work(&pool(), "e", node, 0), &TaskSettings::default(), 1).await;
        }
        assert_eq!((queue.waiting(&pool()).await.expect("it says"), dispatch.waiting()), (2, 1));
        dispatch.ended(&work(&pool(), "e", "a", 0).id, None).await;
        assert_eq!((queue.waiting(&pool()).await.expect("it says"), dispatch.waiting()), (3, 0));
    }

    #[tokio::test]
    async fn an_execution_of_which_nothing_runs_goes_before_what_was_handed_out() {
        let (dispatch, queue) = dispatch(8);
        for node in ["a", "b", "c"] {
            dispatch.offer(work(&pool(), "map", node, 0), &TaskSettings::default(), 1).await;
        }
        dispatch.offer(work(&pool(), "single", "n", 0), &TaskSettings::default(), 1).await;
        assert!(
            leased(&queue).await.contains("/map/a/"),
            "it was there first, and nothing of its execution ran"
        );
        assert!(leased(&queue).await.contains("/single/"));
    }

    #[tokio::test]
    async fn what_the_queue_holds_from_before_takes_room_until_it_ends() {
        let (before, queue) = dispatch(8);
        let limited = TaskSettings { concurrency_limit: Some(1), ..TaskSettings::default() };
        before.offer(work(&pool(), "e", "a", 0), &limited, 1).await;
        before.offer(work(&pool(), "gone", "a", 0), &limited, 1).await;
        let after = Arc::new(Dispatch::new(queue.clone(), pool(), 8));
        let found = work(&pool(), "e", "a", 0);
        after.find(&BTreeSet::from([found.id.execution.clone()])).await.expect("it says");
        assert_eq!(after.found_of(&found.id.execution, &found.id.node), vec![found.id.clone()]);
        assert!(after.adopt(&found.id, &found.task.name, (&limited, None), 1));
        assert!(!after.adopt(&found.id, &found.task.name, (&limited, None), 1), "once");
        after.offer(work(&pool(), "e", "b", 0), &limited, 1).await;
        assert_eq!(after.waiting(), 1, "the limit is used up by what was out");
        after.ended(&found.id, None).await;
        assert_eq!(after.waiting(), 0);
    }

    #[tokio::test]
    async fn what_waits_for_a_gpu_takes_no_room_from_what_needs_none() {
        let queue = Arc::new(MemoryQueue::new(Duration::from_secs(60)));
        let t4 = Gpu { device: "nvidia-tesla-t4".to_owned(), part: None };
        let dispatch = Arc::new(Dispatch::new(queue.clone(), pool(), 4).with_gpus(vec![t4]));
        for node in ["a", "b", "c", "d", "e"] {
            let mut asking = work(&pool(), "e", node, 0);
            asking.resources.limits.gpus = Some(1);
            dispatch.offer(asking, &TaskSettings::default(), 1).await;
        }
        dispatch.offer(work(&pool(), "e", "plain", 0), &TaskSettings::default(), 1).await;
        assert_eq!((queue.waiting(&pool()).await.expect("it says"), dispatch.waiting()), (2, 4));
        dispatch.ended(&work(&pool(), "e", "plain", 0).id, None).await;
        assert_eq!(dispatch.waiting(), 4, "no GPU is free");
        dispatch.ended(&work(&pool(), "e", "a", 0).id, None).await;
        assert_eq!(dispatch.waiting(), 3);
    }

    #[tokio::test]
    async fn what_is_given_up_frees_its_limit_and_its_room() {
        let (dispatch, queue) = dispatch(8);
        let settings = TaskSettings { concurrency_limit: Some(1), ..TaskSettings::default() };
        for execution in ["a", "b", "c"] {
            dispatch.offer(work(&pool(), execution, "n", 0), &settings, 1).await;
        }
        assert_eq!((queue.waiting(&pool()).await.expect("it says"), dispatch.waiting()), (1, 2));
        let id = work(&pool(), "a", "n", 0).id;
        dispatch.withdraw(Stop::Execution(id.execution)).await.expect("the queue takes it back");
        assert_eq!((queue.waiting(&pool()).await.expect("it says"), dispatch.waiting()), (1, 1));
        assert!(leased(&queue).await.contains("/b/"));
    }
}
