//! What a node has to do with the cache, one sentence a test.

use super::plans::*;
use skein_core::Effect;
use skein_model::cache::CacheFound;
use skein_model::event::{CachedItems, ItemRange};
use skein_model::{Attempt, Command, DataRef, Event, ExecutionPhase};

fn found(id: &str, found: CacheFound) -> Event {
    Event::CacheLookedUp { node: node(id), key: Some(KEY), found }
}

fn first_try(id: &str) -> Event {
    Event::AttemptQueued { node: node(id), attempt: Attempt(0), not_before: None }
}

fn attempt_succeeded(id: &str) -> Event {
    Event::AttemptSucceeded {
        node: node(id),
        attempt: Attempt(0),
        outputs: outputs(),
        deck: None,
        used: None,
    }
}

fn succeeded(id: &str) -> Event {
    Event::NodeSucceeded { node: node(id), outputs: outputs() }
}

fn one() -> Sketch {
    workflow().task("n0", &[]).cached()
}

#[test]
fn a_node_whose_outputs_may_be_kept_is_looked_up_before_it_is_tried() {
    one()
        .started()
        .when(inputs("n0"))
        .asks(&[Effect::LookUpCache { node: node("n0"), wait: false }])
        .then(&[Event::NodeStarted { node: node("n0"), inputs: DataRef::empty() }]);
}

#[test]
fn an_entry_is_the_nodes_outputs_and_nothing_is_tried() {
    one()
        .started()
        .inputs(&["n0"])
        .when(looked_up("n0", hit()))
        .asks(&[Effect::ReleaseReservation { node: node("n0") }, Effect::ResolveOutputs])
        .then(&[found("n0", hit()), succeeded("n0"), Event::Succeeding]);
}

#[test]
fn outputs_that_are_missing_are_computed_and_kept_before_the_node_has_succeeded() {
    one()
        .started()
        .inputs(&["n0"])
        .when(looked_up("n0", missing(true)))
        .then(&[found("n0", missing(true)), first_try("n0")])
        .when(attempt_succeeds("n0", 0))
        .asks(&[Effect::StoreCache { node: node("n0") }])
        .then(&[attempt_succeeded("n0")])
        .when(stored("n0"))
        .asks(&[Effect::ReleaseReservation { node: node("n0") }, Effect::ResolveOutputs])
        .then(&[Event::CacheStored { node: node("n0"), failure: None }, succeeded("n0"), Event::Succeeding]);
}

#[test]
fn a_cache_that_does_not_take_outputs_does_not_fail_the_node() {
    let failure = Some("full".to_owned());
    one()
        .started()
        .inputs(&["n0"])
        .when(looked_up("n0", missing(false)))
        .then(&[found("n0", missing(false)), first_try("n0")])
        .when(attempt_succeeds("n0", 0))
        .then(&[attempt_succeeded("n0")])
        .when(Command::CacheStored { node: node("n0"), failure: failure.clone() })
        .then(&[Event::CacheStored { node: node("n0"), failure }, succeeded("n0"), Event::Succeeding]);
}

#[test]
fn a_cache_that_cannot_be_asked_costs_the_node_only_the_time_to_run() {
    let failed = CacheFound::Failed { reason: "no inputs".to_owned() };
    one()
        .started()
        .inputs(&["n0"])
        .when(Command::CacheLookedUp { node: node("n0"), key: None, found: failed.clone() })
        .then(&[Event::CacheLookedUp { node: node("n0"), key: None, found: failed }, first_try("n0")])
        .when(attempt_succeeds("n0", 0))
        .then(&[attempt_succeeded("n0"), succeeded("n0"), Event::Succeeding]);
}

#[test]
fn what_somebody_else_computes_is_waited_for_and_that_is_recorded_once() {
    one()
        .started()
        .inputs(&["n0"])
        .when(looked_up("n0", waiting()))
        .asks(&[Effect::LookUpCache { node: node("n0"), wait: true }])
        .then(&[found("n0", waiting())])
        .when(looked_up("n0", waiting()))
        .then(&[])
        .when(looked_up("n0", hit()))
        .then(&[found("n0", hit()), succeeded("n0"), Event::Succeeding]);
}

#[test]
fn a_reservation_is_kept_from_try_to_try_and_after_a_restart() {
    let hold = Effect::HoldReservation { node: node("n0"), key: KEY };
    let again = Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before: None };
    let world = one()
        .retries(1)
        .started()
        .inputs(&["n0"])
        .when(looked_up("n0", missing(true)))
        .asks(&[hold.clone(), first_try_of("n0")])
        .then(&[found("n0", missing(true)), first_try("n0")])
        .when(attempt_fails("n0", 0, recoverable()))
        .then(&[
            Event::AttemptFailed {
                node: node("n0"),
                attempt: Attempt(0),
                failure: recoverable(),
                used: None,
            },
            again,
        ]);
    assert!(world.execution.outstanding().contains(&hold));
}

#[test]
fn a_node_that_is_stopped_gives_its_reservation_up() {
    let world = one().started().inputs(&["n0"]).when(looked_up("n0", missing(true)));
    let mut world = world.then(&[found("n0", missing(true)), first_try("n0")]);
    let terminate = Command::Terminate { cause: "enough".to_owned(), principal: "p".to_owned() };
    world.send(&terminate).expect("it runs");
    assert!(world.asked.contains(&Effect::ReleaseReservation { node: node("n0") }));
}

#[test]
fn a_second_result_while_the_first_is_on_its_way_to_the_cache_changes_nothing() {
    one()
        .started()
        .inputs(&["n0"])
        .when(looked_up("n0", missing(false)))
        .then(&[found("n0", missing(false)), first_try("n0")])
        .when(attempt_succeeds("n0", 0))
        .then(&[attempt_succeeded("n0")])
        .when(attempt_fails("n0", 0, plain()))
        .then(&[]);
}

#[test]
fn a_journal_of_before_there_was_a_cache_goes_on_without() {
    let mut world = one().started().inputs(&["n0"]);
    world.execution.apply(&first_try("n0"));
    world.when(attempt_succeeds("n0", 0)).then(&[
        attempt_succeeded("n0"),
        succeeded("n0"),
        Event::Succeeding,
    ]);
}

#[test]
fn items_that_the_cache_has_do_not_run_and_the_others_do() {
    let (all, some) = (ItemRange { start: 0, end: 4 }, ItemRange { start: 1, end: 3 });
    let cached = |range, absent: &[u32]| Event::ItemsCached {
        node: node("n0"),
        items: CachedItems { range, absent: absent.to_vec(), outputs: DataRef::empty() },
    };
    let world = workflow().map("n0", &[], 1.0).cached().started().items("n0", 4);
    let world = world.when(items_cached("n0", 0, 4, &[1, 2])).asks(&[]).then(&[cached(all, &[1, 2])]);
    let map = world.execution.map_of(&node("n0")).expect("a map under way");
    assert_eq!((map.succeeded.count(), map.cached), (2, 2));
    assert_eq!(map.pending(), [(some, Attempt(0))]);
    world
        .when(items_cached("n0", 1, 3, &[]))
        .asks(&[Effect::AssembleMap { node: node("n0") }])
        .then(&[cached(some, &[])]);
}

#[test]
fn an_item_that_has_ended_is_not_taken_from_the_cache_too() {
    workflow()
        .map("n0", &[], 1.0)
        .cached()
        .started()
        .items("n0", 2)
        .when(items_cached("n0", 0, 2, &[1]))
        .asks(&[])
        .then(&[Event::ItemsCached {
            node: node("n0"),
            items: CachedItems {
                range: ItemRange { start: 0, end: 2 },
                absent: vec![1],
                outputs: DataRef::empty(),
            },
        }])
        .when(items_cached("n0", 0, 2, &[]))
        .then(&[]);
}

#[test]
fn a_map_that_runs_all_its_items_fails_at_its_end_also_when_the_cache_has_the_last_ones() {
    let sketch = workflow().map("n0", &[], 1.0).running_all().cached();
    let mut world = sketch.started().items("n0", 4);
    world.send(&chunk_ends("n0", 0, 1, 0, &[0], &plain())).unwrap();
    assert_eq!(world.execution.phase(), ExecutionPhase::Running, "the others run to their end");
    world.send(&items_cached("n0", 1, 4, &[])).unwrap();
    let assembled = Command::MapAssembled { node: node("n0"), outputs: outputs() };
    match &world.send(&assembled).unwrap()[0] {
        Event::NodeFailed { failure, .. } => assert_eq!(failure.message, "[0]: why\n"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}
