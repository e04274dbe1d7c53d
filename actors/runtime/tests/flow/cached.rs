//! Outputs that are kept for others, with a whole engine.

use crate::world::{Answer, World, chain, map};
use skein_catalog::{Catalog, Kept, MEMORY_MAX};
use skein_idl::flyteidl::core;
use skein_log::EventLog;
use skein_model::cache::{CacheFound, CacheRule, key_of_inputs};
use skein_model::literals::{encode_collection, encode_integer, encode_literal_map};
use skein_model::{
    Attempt, CacheKey, CacheSource, DataRef, Event, ExecutionId, JournalId, NodeId, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

/// The same workflow, with outputs that are kept; of several at once one computes them.
fn kept(mut closure: core::CompiledWorkflowClosure) -> core::CompiledWorkflowClosure {
    for task in closure.tasks.iter_mut().filter_map(|task| task.template.as_mut()) {
        task.metadata = Some(core::TaskMetadata {
            discoverable: true,
            discovery_version: "1".to_owned(),
            cache_serializable: true,
            ..Default::default()
        });
    }
    closure
}

/// How the workflow's task keeps its outputs, and the key of an input.
fn rule_and_key(closure: &core::CompiledWorkflowClosure, x: i64) -> (CacheRule, CacheKey) {
    let task = closure.tasks[0].template.as_ref().expect("a task");
    let rule = CacheRule::of(None, task).expect("its outputs are kept");
    let inputs = encode_literal_map([("x", encode_integer(x).as_ref())]);
    (rule, key_of_inputs(&inputs, &[]).expect("inputs that can be read"))
}

fn somebody() -> CacheSource {
    CacheSource {
        execution: ExecutionId::parse("p", "d", "elsewhere").expect("a good id"),
        node: NodeId::new("n0"),
        attempt: Attempt(0),
        task_version: "v".to_owned(),
    }
}

fn catalog(world: &World) -> Catalog {
    Catalog::new(Arc::clone(&world.log) as Arc<dyn EventLog>, MEMORY_MAX)
}

fn look_ups(events: &[Event]) -> Vec<&CacheFound> {
    let found = events.iter().filter_map(|event| match event {
        Event::CacheLookedUp { found, .. } => Some(found),
        _ => None,
    });
    found.collect()
}

#[tokio::test]
async fn the_second_execution_is_given_what_the_first_has_left() {
    let world = World::start().await;
    let worker = world.work(Answer::AddOne);
    for name in ["one", "two"] {
        let id = world.create(name, &kept(chain(3)), &[("x", 1)]).await;
        let events = world.finished(&id).await;
        assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![4])]);
        let ran = events.iter().filter(|event| matches!(event, Event::AttemptSucceeded { .. })).count();
        assert_eq!(ran, if name == "one" { 3 } else { 0 }, "{name}");
    }
    worker.abort();
}

#[tokio::test]
async fn a_node_goes_on_when_another_engine_gives_the_reservation_up() {
    let world = World::start().await;
    let closure = kept(chain(1));
    let (rule, key) = rule_and_key(&closure, 1);
    let elsewhere = catalog(&world);
    let until = NOW.after(Duration::from_secs(60));
    elsewhere.reserve(&rule.dataset, key, &somebody(), NOW, until).await.expect("it is free");
    let id = world.create("waits", &closure, &[("x", 1)]).await;
    let journal = JournalId::execution(&id);
    while look_ups(&world.events(&journal).await).is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(look_ups(&world.events(&journal).await)[..], [CacheFound::Waiting { .. }]));
    // Nobody tells this engine of it.
    elsewhere.release(&rule.dataset, key, &somebody(), NOW).await.expect("it is held");
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert!(matches!(
        look_ups(&events)[..],
        [CacheFound::Waiting { .. }, CacheFound::Missing { reserved: true, .. }]
    ));
    worker.abort();
}

#[tokio::test]
async fn what_was_kept_of_an_item_is_not_what_a_task_gives() {
    let world = World::start().await;
    let closure = kept(chain(1));
    let (rule, key) = rule_and_key(&closure, 1);
    let list = encode_collection(&[encode_integer(2), encode_integer(3)]);
    let outputs = DataRef::Inline(encode_literal_map([("o0", list.as_ref())]));
    let kept = Kept { keys: vec![key, CacheKey(0)], outputs, source: somebody(), items: true };
    catalog(&world).keep(&rule.dataset, kept, NOW).await.expect("the log takes it");
    let id = world.create("alone", &closure, &[("x", 1)]).await;
    let worker = world.work(Answer::AddOne);
    let events = world.finished(&id).await;
    assert_eq!(world.outputs(&events).await, [("o0".to_owned(), vec![2])]);
    worker.abort();
}

#[tokio::test]
async fn items_are_taken_from_the_cache_in_the_order_of_the_inputs_and_the_others_run() {
    let world = World::start().await;
    let worker = world.work(Answer::AddOne);
    for (name, items) in [("one", vec![5, 1, 9]), ("two", vec![9, 2, 1, 9, 5])] {
        let id = world.create_list(name, &kept(map()), &items).await;
        let events = world.finished(&id).await;
        let expected: Vec<i64> = items.iter().map(|item| item + 1).collect();
        assert_eq!(world.outputs(&events).await, [("o0".to_owned(), expected)], "{name}");
    }
    worker.abort();
}
