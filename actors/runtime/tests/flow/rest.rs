//! Executions that only wait have no actor, and go on where they were.

use super::world::{World, gate};
use skein_idl::flyteidl::core::gate_node::Condition;
use skein_idl::flyteidl::core::{SignalCondition, SimpleType, SleepCondition};
use skein_log::Refusal;
use skein_model::{Command, Event, literals, types};
use std::time::Duration;

fn signal() -> Condition {
    Condition::Signal(SignalCondition {
        signal_id: "s".to_owned(),
        r#type: Some(types::simple(SimpleType::Integer)),
        output_variable_name: "o0".to_owned(),
    })
}

fn set(value: i64) -> Command {
    let value = literals::encode_integer(value);
    Command::SetSignal { signal: "s".to_owned(), value, principal: "me".to_owned() }
}

#[tokio::test]
async fn an_execution_that_waits_for_a_signal_has_no_actor_until_it_comes() {
    let world = World::start().await;
    let id = world.create("gate", &gate(signal()), &[]).await;
    world.until(&id, |event| matches!(event, Event::SignalAsked { .. })).await;
    world.settled().await;
    world.send(&id, set(5)).await.expect("the gate has asked for it");
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![5])]);
}

#[tokio::test]
async fn what_is_refused_leaves_it_at_rest() {
    let world = World::start().await;
    let id = world.create("gate", &gate(signal()), &[]).await;
    world.until(&id, |event| matches!(event, Event::SignalAsked { .. })).await;
    world.settled().await;
    let other = Command::SetSignal {
        signal: "other".to_owned(),
        value: literals::encode_integer(1),
        principal: "me".to_owned(),
    };
    assert!(matches!(world.send(&id, other).await, Err(Refusal::Invalid(_))));
    world.settled().await;
    world.send(&id, set(1)).await.expect("it still waits");
    world.finished(&id).await;
}

#[tokio::test]
async fn signals_that_come_while_it_goes_to_rest_are_all_answered() {
    let world = World::start().await;
    for round in 0..50 {
        let id = world.create(&format!("gate{round}"), &gate(signal()), &[]).await;
        world.until(&id, |event| matches!(event, Event::SignalAsked { .. })).await;
        // Sooner or later, each meets the actor in another state.
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        world.send(&id, set(round)).await.expect("nothing is lost on the way");
        world.finished(&id).await;
    }
}

#[tokio::test]
async fn one_that_sleeps_for_a_moment_wakes() {
    let duration = Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 });
    let sleep = gate(Condition::Sleep(SleepCondition { duration }));
    let world = World::start().await;
    for round in 0..50 {
        let id = world.create(&format!("nap{round}"), &sleep, &[]).await;
        world.until(&id, |event| matches!(event, Event::NodeSucceeded { .. })).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_sleeps_wakes_when_its_time_has_come_also_in_another_engine() {
    let duration = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let sleep = gate(Condition::Sleep(SleepCondition { duration }));
    let mut world = World::start().await;
    for name in ["first", "second"] {
        let id = world.create(name, &sleep, &[]).await;
        let begun = world.until(&id, |event| matches!(event, Event::NodeStarted { .. })).await;
        world.settled().await;
        world = if name == "second" { world.restart().await } else { world };
        let woken = world.until(&id, |event| matches!(event, Event::NodeSucceeded { .. })).await;
        assert!(woken >= begun.after(Duration::from_secs(3_600)), "{begun:?} {woken:?}");
    }
}
