//! Checks of [`TaskQueue`].

use super::{is_pending, soon};
use crate::task_queue::{Lease, QueueError, Stop, TaskQueue};
use futures::{StreamExt as _, future};
use skein_model::{
    Attempt, BlobRef, DataRef, EntityId, EntityKind, ExecutionId, Life, NodeId, PoolId, Work, WorkId,
    WorkKind,
};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// A queue under check.
pub type Under = Arc<dyn TaskQueue>;

/// Runs every check, each on what `make` gives it; `pass` lets time pass, for the queue at least.
pub async fn task_queue(make: impl AsyncFn() -> Under, pass: impl AsyncFn(Duration)) {
    work_is_leased_in_the_order_of_its_offers(make().await).await;
    an_offer_of_what_is_held_changes_nothing(make().await).await;
    a_worker_waits_for_work_of_its_own_pool(make().await).await;
    a_worker_that_stops_waiting_takes_nothing_with_it(make().await).await;
    every_piece_of_work_goes_to_one_worker(make().await).await;
    work_that_is_done_is_gone_until_it_is_offered_anew(make().await).await;
    work_that_is_given_back_is_leased_again(make().await).await;
    a_lease_that_is_not_extended_ends_and_its_work_is_leased_again(make().await, &pass).await;
    a_lease_that_is_extended_goes_on(make().await, &pass).await;
    a_withdrawn_offer_is_never_leased(make().await).await;
    a_worker_is_told_of_a_withdrawn_lease(make().await).await;
    a_withdrawal_means_what_it_names_and_nothing_else(make().await).await;
    what_is_held_is_what_was_offered_and_is_neither_done_nor_withdrawn(make().await).await;
    what_is_announced_is_heard_by_all_who_listen_and_is_never_leased(make().await).await;
}

/// Makes a small piece of work.
pub fn work(pool: &PoolId, execution: &str, node: &str, attempt: u32) -> Work {
    let entity = |kind| EntityId {
        kind,
        project: "conformance".to_owned(),
        domain: "task_queue".to_owned(),
        name: "t".to_owned(),
        version: "1".to_owned(),
    };
    let execution = ExecutionId {
        project: "conformance".to_owned(),
        domain: "task_queue".to_owned(),
        name: execution.to_owned(),
    };
    Work {
        id: WorkId { execution, node: NodeId::new(node), attempt: Attempt(attempt), items: None },
        pool: pool.clone(),
        task: entity(EntityKind::Task),
        template: BlobRef { uri: "file:///template".to_owned(), size: 1, digest: 1 },
        kind: WorkKind::Task,
        rank: 0,
        isolation: None,
        life: Life::default(),
        processes_max: None,
        actor: None,
        resources: skein_model::TaskResources::default(),
        image: None,
        raw_prefix: None,
        connector: None,
        args: vec!["pyflyte-execute".to_owned()],
        env: vec![("A".to_owned(), "ü b".to_owned())],
        inputs: DataRef::empty(),
        input_uri: "file:///inputs.pb".to_owned(),
        output_prefix: "file:///outputs".to_owned(),
        timeout: None,
        trace: None,
        workflow: entity(EntityKind::Workflow),
    }
}

fn pool(name: &str) -> PoolId {
    PoolId(format!("conformance-{name}"))
}

async fn offer(queue: &Under, work: &Work) {
    let offered = queue.offer(work.clone()).await;
    assert!(offered.is_ok(), "work can be offered: {offered:?}");
}

async fn lease(queue: &Under, pool: &PoolId, worker: &str) -> Lease {
    let lease = soon("work that was offered", queue.lease(pool, worker)).await;
    assert!(lease.is_ok(), "work that was offered is leased: {lease:?}");
    lease.expect("checked by the line above")
}

async fn waiting(queue: &Under, pool: &PoolId) -> usize {
    let waiting = queue.waiting(pool).await;
    assert!(waiting.is_ok(), "a queue can be counted: {waiting:?}");
    waiting.expect("checked by the line above")
}

async fn complete(queue: &Under, lease: &Lease) {
    let completed = queue.complete(lease.id).await;
    assert!(completed.is_ok(), "a lease that holds can be completed: {completed:?}");
}

/// First in, first out, whole.
pub async fn work_is_leased_in_the_order_of_its_offers(queue: Under) {
    let pool = pool("order");
    let offered: Vec<Work> = (0..10).map(|n| work(&pool, &pool.0, &format!("n{}", 9 - n), 0)).collect();
    for one in &offered {
        offer(&queue, one).await;
    }
    assert_eq!(waiting(&queue, &pool).await, 10, "work that nobody has leased waits");
    for one in &offered {
        let lease = lease(&queue, &pool, "w").await;
        assert_eq!(*lease.work, *one, "work is leased whole and in the order of its offers");
        complete(&queue, &lease).await;
    }
    assert_eq!(waiting(&queue, &pool).await, 0, "work that was leased does not wait");
}

/// The engine offers again whatever is outstanding when it restarts; nothing may run twice for that.
pub async fn an_offer_of_what_is_held_changes_nothing(queue: Under) {
    let pool = pool("twice");
    let one = work(&pool, &pool.0, "n0", 0);
    offer(&queue, &one).await;
    offer(&queue, &one).await;
    assert_eq!(waiting(&queue, &pool).await, 1, "work that is offered twice waits once");
    let held = lease(&queue, &pool, "w").await;
    offer(&queue, &one).await;
    assert_eq!(waiting(&queue, &pool).await, 0, "work that is leased already does not wait again");
    assert!(
        is_pending(&mut queue.lease(&pool, "w")).await,
        "work that is leased already is not leased again"
    );
    assert!(queue.extend(held.id).await.is_ok(), "an offer of leased work does not end its lease");
    offer(&queue, &work(&pool, &pool.0, "n0", 1)).await;
    assert_eq!(lease(&queue, &pool, "w").await.work.id.attempt, Attempt(1), "another try is other work");
}

/// Pools do not mix, and an offer wakes who waits for it.
pub async fn a_worker_waits_for_work_of_its_own_pool(queue: Under) {
    let (mine, other) = (pool("mine"), pool("other"));
    let mut wait = queue.lease(&mine, "w");
    assert!(is_pending(&mut wait).await, "a worker of an empty pool waits");
    offer(&queue, &work(&other, &other.0, "n0", 0)).await;
    assert!(is_pending(&mut wait).await, "work of another pool is not for this worker");
    offer(&queue, &work(&mine, &mine.0, "n1", 0)).await;
    let leased = soon("work that was waited for", wait).await;
    assert!(leased.is_ok_and(|lease| lease.work.pool == mine), "an offer wakes a worker of its pool");
    assert_eq!(waiting(&queue, &other).await, 1, "work of another pool stays there");
}

/// A worker that dies while it waits loses no work.
pub async fn a_worker_that_stops_waiting_takes_nothing_with_it(queue: Under) {
    let pool = pool("cancelled");
    for round in 0..8 {
        let mut first = queue.lease(&pool, "gone");
        assert!(is_pending(&mut first).await, "a worker of an empty pool waits");
        let second = {
            let queue = Arc::clone(&queue);
            let pool = pool.clone();
            async move { queue.lease(&pool, "stays").await }
        };
        let second = tokio::spawn(second);
        tokio::task::yield_now().await;
        offer(&queue, &work(&pool, &pool.0, "n0", round)).await;
        drop(first);
        let leased =
            soon("work of a worker that stopped waiting", second).await.expect("a lease does not panic");
        assert!(leased.is_ok(), "a worker that stops waiting takes nothing with it: {leased:?}");
        complete(&queue, &leased.expect("checked by the line above")).await;
    }
}

/// Many workers, many pieces of work: each goes to one.
pub async fn every_piece_of_work_goes_to_one_worker(queue: Under) {
    const WORKERS: u32 = 16;
    const EACH: u32 = 10;
    let pool = pool("many");
    let workers = (0..WORKERS).map(|n| {
        let (queue, pool) = (Arc::clone(&queue), pool.clone());
        tokio::spawn(async move {
            let mut done = Vec::new();
            for _ in 0..EACH {
                let lease = lease(&queue, &pool, &format!("w{n}")).await;
                complete(&queue, &lease).await;
                done.push(lease.work.id.clone());
            }
            done
        })
    });
    let workers: Vec<_> = workers.collect();
    for n in 0..WORKERS * EACH {
        offer(&queue, &work(&pool, &pool.0, &format!("n{n}"), 0)).await;
    }
    let done = soon("the end of all work", future::join_all(workers)).await;
    let done: Vec<WorkId> =
        done.into_iter().flat_map(|done| done.expect("a worker does not panic")).collect();
    let distinct: HashSet<&WorkId> = done.iter().collect();
    assert_eq!(distinct.len(), (WORKERS * EACH) as usize, "every piece of work goes to one worker");
}

/// Completing ends lease and work; an offer after that is a new one.
pub async fn work_that_is_done_is_gone_until_it_is_offered_anew(queue: Under) {
    let pool = pool("done");
    let one = work(&pool, &pool.0, "n0", 0);
    offer(&queue, &one).await;
    let leased = lease(&queue, &pool, "w").await;
    complete(&queue, &leased).await;
    assert!(is_pending(&mut queue.lease(&pool, "w")).await, "work that is done is not leased again");
    let late = queue.extend(leased.id).await;
    assert!(matches!(late, Err(QueueError::LeaseEnded)), "a completed lease cannot be extended: {late:?}");
    offer(&queue, &one).await;
    assert_eq!(lease(&queue, &pool, "w").await.work.id, one.id, "an offer after completion is a new one");
}

/// A worker that cannot run its work lets another one have it.
pub async fn work_that_is_given_back_is_leased_again(queue: Under) {
    let pool = pool("given-back");
    let one = work(&pool, &pool.0, "n0", 0);
    offer(&queue, &one).await;
    let first = lease(&queue, &pool, "w").await;
    let given = queue.give_back(first.id).await;
    assert!(given.is_ok(), "a lease that holds can be given back: {given:?}");
    let second = lease(&queue, &pool, "v").await;
    assert_eq!(second.work.id, one.id, "work that is given back is leased again");
    assert_ne!(second.id, first.id, "every handing out has a name of its own");
    let late = queue.extend(first.id).await;
    assert!(matches!(late, Err(QueueError::LeaseEnded)), "a lease that was given back has ended: {late:?}");
}

/// Work of a dead worker comes back by itself.
pub async fn a_lease_that_is_not_extended_ends_and_its_work_is_leased_again(
    queue: Under,
    pass: &impl AsyncFn(Duration),
) {
    let pool = pool("expiring");
    let one = work(&pool, &pool.0, "n0", 0);
    offer(&queue, &one).await;
    let first = lease(&queue, &pool, "dead").await;
    let mut wait = queue.lease(&pool, "alive");
    assert!(is_pending(&mut wait).await, "leased work is not leased again while its lease holds");
    pass(first.ttl).await;
    let second = soon("work of a lease that ended", wait).await;
    assert!(second.is_ok(), "a worker that waits gets work whose lease ended: {second:?}");
    let second = second.expect("checked by the line above");
    assert_eq!(second.work.id, one.id, "a lease that is not extended ends and its work is leased again");
    let late = queue.extend(first.id).await;
    assert!(matches!(late, Err(QueueError::LeaseEnded)), "a lease that ended cannot be extended: {late:?}");
}

/// A worker that says that it lives keeps its work.
pub async fn a_lease_that_is_extended_goes_on(queue: Under, pass: &impl AsyncFn(Duration)) {
    let pool = pool("extended");
    offer(&queue, &work(&pool, &pool.0, "n0", 0)).await;
    let held = lease(&queue, &pool, "w").await;
    for _ in 0..4 {
        pass(held.ttl / 2).await;
        let extended = queue.extend(held.id).await;
        assert!(extended.is_ok(), "a lease that holds can be extended: {extended:?}");
    }
    assert!(is_pending(&mut queue.lease(&pool, "v")).await, "a lease that is extended goes on");
    complete(&queue, &held).await;
}

/// What nobody has begun is not begun after its withdrawal.
pub async fn a_withdrawn_offer_is_never_leased(queue: Under) {
    let pool = pool("withdrawn-offer");
    let (dropped, kept) = (work(&pool, "withdrawn-offer", "n0", 0), work(&pool, "other-offer", "n0", 0));
    offer(&queue, &dropped).await;
    offer(&queue, &kept).await;
    let withdrawn = queue.withdraw(Stop::Execution(dropped.id.execution.clone())).await;
    assert!(withdrawn.is_ok(), "work can be withdrawn: {withdrawn:?}");
    assert_eq!(lease(&queue, &pool, "w").await.work.id, kept.id, "a withdrawn offer is never leased");
    assert!(is_pending(&mut queue.lease(&pool, "w")).await, "a withdrawn offer is never leased");
}

/// A worker that runs what was withdrawn is told, and its lease has ended.
pub async fn a_worker_is_told_of_a_withdrawn_lease(queue: Under) {
    let pool = pool("withdrawn-lease");
    let one = work(&pool, "withdrawn-lease", "n0", 0);
    offer(&queue, &one).await;
    let held = lease(&queue, &pool, "told-worker").await;
    let mut told = queue.withdrawn("told-worker");
    assert!(is_pending(&mut told).await, "a worker is told nothing before there is a withdrawal");
    let withdrawn = queue.withdraw(Stop::Work(one.id.clone())).await;
    assert!(withdrawn.is_ok(), "work can be withdrawn: {withdrawn:?}");
    let told = soon("word of a withdrawal", told).await;
    assert!(told.as_ref().is_ok_and(|id| *id == one.id), "a worker is told of a withdrawn lease: {told:?}");
    let late = queue.extend(held.id).await;
    assert!(matches!(late, Err(QueueError::LeaseEnded)), "a withdrawn lease has ended: {late:?}");
    assert!(
        is_pending(&mut queue.lease(&pool, "w")).await,
        "work whose lease is withdrawn is not leased again"
    );
    assert!(is_pending(&mut queue.withdrawn("told-worker")).await, "a worker is told of a withdrawal once");
}

/// One node of one execution is not another.
pub async fn a_withdrawal_means_what_it_names_and_nothing_else(queue: Under) {
    let pool = pool("meant");
    let meant = [work(&pool, "meant", "n1", 0), work(&pool, "meant", "n1", 1)];
    let others =
        [work(&pool, "meant", "n0", 0), work(&pool, "meant", "n10", 0), work(&pool, "meant2", "n1", 0)];
    for one in meant.iter().chain(&others) {
        offer(&queue, one).await;
    }
    let stop = Stop::Node(meant[0].id.execution.clone(), meant[0].id.node.clone());
    let withdrawn = queue.withdraw(stop).await;
    assert!(withdrawn.is_ok(), "work can be withdrawn: {withdrawn:?}");
    assert_eq!(
        waiting(&queue, &pool).await,
        others.len(),
        "a withdrawal means what it names and nothing else"
    );
    for other in &others {
        assert_eq!(
            lease(&queue, &pool, "w").await.work.id,
            other.id,
            "what was not named is leased in order"
        );
    }
}

/// The engine asks after a restart what is out; it must not miss what a worker has, nor see what is done.
pub async fn what_is_held_is_what_was_offered_and_is_neither_done_nor_withdrawn(queue: Under) {
    let pool = pool("held");
    let each: Vec<Work> = (0..5).map(|n| work(&pool, "held", &format!("n{n}"), n)).collect();
    offer(&queue, &work(&self::pool("not-held"), "held", "n9", 0)).await;
    assert_eq!(held(&queue, &pool).await, [], "nothing is held of a pool that was offered nothing");
    for one in &each {
        offer(&queue, one).await;
    }
    let leases = [lease(&queue, &pool, "w").await, lease(&queue, &pool, "w").await];
    let given_back = lease(&queue, &pool, "w").await;
    complete(&queue, &leases[0]).await;
    assert!(queue.give_back(given_back.id).await.is_ok(), "a lease that holds can be given back");
    assert!(queue.withdraw(Stop::Work(each[4].id.clone())).await.is_ok(), "work can be withdrawn");
    assert_eq!(
        held(&queue, &pool).await,
        [each[1].id.clone(), each[2].id.clone(), each[3].id.clone()],
        "held is what is leased, what was given back, and what waits"
    );
}

/// An announcement lets workers prepare, and is nothing to run.
pub async fn what_is_announced_is_heard_by_all_who_listen_and_is_never_leased(queue: Under) {
    let (mine, other) = (pool("announced"), pool("announced-elsewhere"));
    let mut heard = Vec::new();
    for _ in 0..2 {
        let stream = queue.announcements(&mine).await;
        assert!(stream.is_ok(), "announcements can be listened to: {:?}", stream.err());
        heard.extend(stream);
    }
    let each = [work(&other, "announced", "n0", 0), work(&mine, "announced", "n1", 0)];
    for one in &each {
        let announced = queue.announce(one.clone()).await;
        assert!(announced.is_ok(), "work can be announced: {announced:?}");
    }
    for stream in &mut heard {
        let first = soon("an announcement", stream.next()).await;
        assert_eq!(
            first.as_deref(),
            Some(&each[1]),
            "what is announced to a pool is heard by all who listen"
        );
    }
    assert_eq!(waiting(&queue, &mine).await, 0, "what is announced does not wait for a worker");
    assert_eq!(held(&queue, &mine).await, [], "what is announced is not held");
    assert!(is_pending(&mut queue.lease(&mine, "w")).await, "what is announced is never leased");
}

async fn held(queue: &Under, pool: &PoolId) -> Vec<WorkId> {
    let held = queue.held(pool).await;
    assert!(held.is_ok(), "a queue can be asked what it holds: {held:?}");
    let mut held = held.expect("checked by the line above");
    held.sort_unstable();
    held
}
