//! Chunks that do not come to their end: who is charged, and who runs again.

use crate::chunks::{both, int, ints};
use crate::support::{House, integer, pool, range};
use skein_log::TaskQueue;
use skein_model::{FailureCause, Work, WorkKind};
use std::time::Duration;

#[tokio::test]
async fn an_item_that_runs_when_the_thread_of_an_earlier_one_kills_the_process_is_not_charged() {
    for (house, chunk) in
        both(async |house| ints(house, "three_leaves_a_killer", 0, 12, Some(int())).await).await
    {
        assert_eq!(chunk.failures, []);
        let back: u32 = chunk.returned.iter().map(|range| range.len()).sum();
        let kept: Vec<_> = (0..12 - back).map(|x| integer(x.into())).collect();
        assert_eq!(house.elements(&chunk).await, kept, "in order, and nothing twice");
        assert!(kept.len() > 4, "who had begun has run again: {chunk:?}");
    }
}

#[tokio::test]
async fn an_item_whose_own_thread_kills_the_process_is_charged_and_nobody_else() {
    for (house, chunk) in
        both(async |house| ints(house, "leaves_a_killer_and_waits", 0, 6, Some(int())).await).await
    {
        let [failed] = &chunk.failures[..] else { panic!("{:?}", chunk.failures) };
        assert_eq!((failed.index, &failed.failure.cause), (3, &FailureCause::Signal(9)));
        assert_eq!(house.elements(&chunk).await, [0, 1, 2].map(integer));
        assert_eq!(chunk.returned, [range(4, 6)]);
    }
}

#[tokio::test]
async fn the_first_item_of_a_chunk_is_not_charged_with_what_an_earlier_chunk_left_in_its_process() {
    let mut house = House::with(|config| config.slots = 1.try_into().unwrap()).await;
    let work = ints(&house, "three_leaves_a_killer", 3, 4, Some(int())).await;
    assert_eq!(house.chunk(work).await.failures, []);
    let work = ints(&house, "three_leaves_a_killer", 4, 16, Some(int())).await;
    let chunk = house.chunk(work).await;
    assert_eq!((chunk.failures, chunk.range), (Vec::new(), range(4, 16)));
}

#[tokio::test]
async fn a_chunk_that_is_late_ends_after_the_item_that_runs_and_the_rest_goes_back() {
    for (house, chunk) in both(async |house| {
        let work = ints(house, "takes_a_while", 0, 100, Some(int())).await;
        let within = Some(Duration::from_millis(100));
        Work { kind: WorkKind::Items { bound: Vec::new(), of: 100, within }, ..work }
    })
    .await
    {
        let [rest] = chunk.returned[..] else { panic!("{chunk:?}") };
        assert!((1..100).contains(&rest.start) && rest.end == 100, "{rest:?}");
        let kept: Vec<_> = (0..rest.start).map(|x| integer(x.into())).collect();
        assert_eq!((house.elements(&chunk).await, chunk.failures), (kept, Vec::new()));
    }
}

#[tokio::test]
async fn a_chunk_of_which_nothing_has_run_goes_back_to_the_queue_when_the_worker_has_to_go() {
    let mut house = House::with(|config| config.kill_grace = Duration::ZERO).await;
    let work = ints(&house, "seven_sleeps", 7, 9, Some(int())).await;
    let id = work.id.clone();
    house.offer(work).await;
    eventually_leased(&house).await;
    house.workers.take().unwrap().drain(Duration::ZERO).await;
    assert_eq!(house.queue.waiting(&pool()).await.unwrap(), 1, "it can be leased again");
    assert_eq!(house.queue.held(&pool()).await.unwrap(), [id]);
}

/// Waits until nothing is left to be leased.
async fn eventually_leased(house: &House) {
    let queue = std::sync::Arc::clone(&house.queue);
    while queue.waiting(&pool()).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}
