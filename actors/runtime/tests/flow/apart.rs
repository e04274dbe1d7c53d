//! Workers that go on while the engine is away.

use crate::world::{Answer, World, chain, map};
use skein_model::Event;
use std::collections::BTreeSet;

#[tokio::test]
async fn chunks_that_workers_have_are_neither_cut_nor_offered_again_after_a_restart() {
    let world = World::start().await;
    let items: Vec<i64> = (0..1_000).collect();
    let id = world.create_list("map", &map(), &items).await;
    let leases = [world.lease().await, world.lease().await];
    let before = world.held().await;
    let world = world.restart_beside_workers().await;
    for lease in leases {
        world.finish(lease).await;
    }
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    let expected: Vec<i64> = (1..=1_000).collect();
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), expected)]);
    let recorded: BTreeSet<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::ItemsFinished { chunk, .. } => Some((chunk.attempt, Some(chunk.range))),
            _ => None,
        })
        .collect();
    let kept = before.iter().filter(|work| recorded.contains(&(work.attempt, work.items))).count();
    assert_eq!(kept, before.len(), "what was out is what was recorded, range by range");
    worker.abort();
}

#[tokio::test]
async fn an_attempt_that_a_worker_has_is_not_offered_again_after_a_restart() {
    let world = World::start().await;
    let id = world.create("chain", &chain(2), &[("x", 1)]).await;
    let lease = world.lease().await;
    let world = world.restart_beside_workers().await;
    world.finish(lease).await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![3])]);
    assert_eq!(world.held().await, [], "nothing is left with workers");
    worker.abort();
}

#[tokio::test]
async fn what_an_ended_execution_left_in_the_queue_is_taken_back_by_the_next_engine() {
    let world = World::start().await;
    let id = world.create("chain", &chain(1), &[("x", 1)]).await;
    let lease = world.lease().await;
    let again = (*lease.work).clone();
    world.finish(lease).await;
    world.finished(&id).await;
    world.offer(again).await;
    let world = world.restart_beside_workers().await;
    while !world.held().await.is_empty() {
        tokio::task::yield_now().await;
    }
}
