//! A whole engine over the in-memory log, with workers that add numbers: what users see of it, and what a restart does.

#![expect(clippy::panic, reason = "a helper that finds something else than it looks for has failed its test")]

mod apart;
mod cached;
mod chunks;
mod notices;
mod random;
mod rest;
mod rules;
mod schedules;
mod stored;
mod world;

use skein_core::Execution;
use skein_model::{
    Attempt, Category, Charge, Command, Event, ExecutionPhase, Failure, FailureCause, JournalId,
};
use world::{Answer, World, chain, map};

#[tokio::test]
async fn a_chain_runs_to_its_end_and_each_step_gets_what_the_one_before_gave() {
    let world = World::start().await;
    let id = world.create("chain", &chain(5), &[("x", 1)]).await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![6])]);
    worker.abort();
}

#[tokio::test]
async fn a_map_gives_its_outputs_in_the_order_of_its_inputs() {
    let world = World::start().await;
    let items: Vec<i64> = (0..1_000).collect();
    let id = world.create_list("map", &map(), &items).await;
    let workers = [world.work(Answer::AddOne), world.work(Answer::AddOne)];
    let events = world.finished(&id).await;
    let expected: Vec<i64> = (1..=1_000).collect();
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), expected)]);
    let chunks = events.iter().filter(|event| matches!(event, Event::ItemsFinished { .. })).count();
    assert!(chunks < 1_000, "items travel together");
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn an_engine_that_is_stopped_is_followed_by_one_that_goes_on_where_it_was() {
    let world = World::start().await;
    let id = world.create("chain", &chain(3), &[("x", 1)]).await;
    let lease = world.lease().await;
    let world = world.restart().await;
    drop(lease);
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![4])]);
    worker.abort();
}

#[tokio::test]
async fn a_second_engine_on_the_same_log_takes_nothing_from_the_history() {
    let world = World::start().await;
    let id = world.create("chain", &chain(3), &[("x", 1)]).await;
    let rival = world.rival().await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    let mut replayed = Execution::new(world.plan(&chain(3)));
    events.iter().for_each(|event| replayed.apply(event));
    assert_eq!(replayed.phase(), ExecutionPhase::Succeeded);
    let succeeded = events.iter().filter(|event| matches!(event, Event::NodeSucceeded { .. })).count();
    assert_eq!(succeeded, 3, "each node succeeded once, whoever won each append");
    worker.abort();
    rival.stop().await;
}

#[tokio::test]
async fn a_failure_ends_the_execution_and_is_told_as_it_was_given() {
    let world = World::start().await;
    let id = world.create("chain", &chain(2), &[("x", 1)]).await;
    let failure = Failure {
        code: "USER:RuntimeError".to_owned(),
        message: "boom".to_owned(),
        cause: FailureCause::TaskRaised { recoverable: false },
        charge: Charge::User,
    };
    let worker = world.work(Answer::Fail(failure.clone()));
    let events = world.finished(&id).await;
    assert_eq!(events.last(), Some(&Event::Failed { failure }));
    worker.abort();
}

#[tokio::test]
async fn terminating_is_confirmed_once_it_is_durable_and_refused_afterwards() {
    let world = World::start().await;
    let id = world.create("chain", &chain(2), &[("x", 1)]).await;
    let lease = world.lease().await;
    let terminate = Command::Terminate { cause: "because".to_owned(), principal: "me".to_owned() };
    world.send(&id, terminate.clone()).await.expect("it is running");
    let events = world.finished(&id).await;
    assert!(
        events.contains(&Event::AttemptAborted { node: lease.work.id.node.clone(), attempt: Attempt(0) })
    );
    let refused = world.send(&id, terminate).await.expect_err("it has ended");
    assert_eq!(
        refused,
        skein_log::Refusal::FailedPrecondition(
            "Cannot abort an already terminated workflow execution".to_owned()
        )
    );
}

#[tokio::test]
async fn mail_for_an_execution_that_is_not_there_is_answered() {
    let world = World::start().await;
    let id = skein_model::ExecutionId::parse("p", "d", "nope").expect("a good id");
    let refused = world.send(&id, Command::Start).await.expect_err("there is none");
    assert_eq!(refused, skein_log::Refusal::NotFound);
}

#[tokio::test]
async fn an_execution_that_has_ended_can_still_be_archived() {
    let world = World::start().await;
    let id = world.create("chain", &chain(1), &[("x", 1)]).await;
    let worker = world.work(Answer::AddOne);
    world.finished(&id).await;
    world
        .send(&id, Command::Archive { archived: true, principal: "me".to_owned() })
        .await
        .expect("archiving is possible at any time");
    world.settled().await;
    let events = world.events(&JournalId::execution(&id)).await;
    assert_eq!(events.last(), Some(&Event::Archived { archived: true, principal: "me".to_owned() }));
    assert!(world.log.open_journals(Category::Execution).await.expect("the log is there").is_empty());
    worker.abort();
}
