//! Nodes that wait: for time to pass, for somebody, for an execution of their own.

use super::plans::*;
use bytes::Bytes;
use skein_core::{Clocks, Effect, Limits, Rejection};
use skein_model::command::ChildOutcome;
use skein_model::{Charge, Command, DataRef, Event, FailureCause, TimeLimit, Timestamp, literals};
use std::time::Duration;

fn set(signal: &str, value: Bytes) -> Command {
    Command::SetSignal { signal: signal.to_owned(), value, principal: "p".to_owned() }
}

fn number(value: i64) -> Bytes {
    literals::encode_integer(value)
}

fn outputs_of(events: &[Event], id: &str) -> DataRef {
    let found = events.iter().find_map(|event| match event {
        Event::NodeSucceeded { node: of, outputs } if *of == node(id) => Some(outputs.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{id} has not succeeded: {events:?}"))
}

#[test]
fn a_gate_waits_for_its_signal_and_gives_its_value() {
    let mut world = workflow().signal("n0", &[], "s").task("n1", &["n0"]).advanced();
    assert_eq!(world.asked.last(), Some(&Effect::Wait { node: node("n0") }));
    let events = world.advance(&set("s", number(5))).unwrap();
    let given = literals::encode_literal_map([("o0", number(5).as_ref())]);
    assert_eq!(outputs_of(&events, "n0"), DataRef::Inline(given));
    assert!(events.contains(&Event::NodeQueued { node: node("n1") }));
}

#[test]
fn a_signal_that_no_gate_has_asked_for_yet_is_refused() {
    let mut world = workflow().task("n0", &[]).signal("n1", &["n0"], "s").advanced();
    let unknown = Rejection::UnknownSignal { signal: "s".to_owned() };
    assert_eq!(world.advance(&set("s", number(5))), Err(unknown));
}

#[test]
fn a_value_of_another_type_is_refused_and_the_gate_goes_on_waiting() {
    let mut world = workflow().signal("n0", &[], "s").advanced();
    let refused = world.advance(&set("s", literals::encode_string("no"))).unwrap_err();
    assert!(
        matches!(&refused, Rejection::WrongSignal { fault, .. } if fault.contains("INTEGER")),
        "{refused}"
    );
    assert_eq!(world.execution.outstanding(), [Effect::Wait { node: node("n0") }]);
}

#[test]
fn a_signal_can_be_set_again_and_a_later_gate_of_it_takes_the_last_value() {
    let mut world =
        workflow().signal("n0", &[], "s").task("n1", &["n0"]).signal("n2", &["n1"], "s").advanced();
    world.advance(&set("s", number(5))).unwrap();
    world.advance(&set("s", number(6))).unwrap();
    assert_eq!(world.advance(&set("s", number(6))).unwrap(), [], "the same value once more changes nothing");
    let events = world.advance(&attempt_succeeds("n1", 0)).unwrap();
    assert_eq!(
        outputs_of(&events, "n2"),
        DataRef::Inline(literals::encode_literal_map([("o0", number(6).as_ref())]))
    );
}

#[test]
fn one_signal_lets_all_gates_go_on_that_wait_for_it() {
    let mut world = workflow().signal("n0", &[], "s").signal("n1", &[], "s").advanced();
    let events = world.advance(&set("s", number(1))).unwrap();
    outputs_of(&events, "n0");
    outputs_of(&events, "n1");
    assert!(events.contains(&Event::Succeeding));
}

#[test]
fn a_signal_after_the_end_is_refused() {
    let mut world = workflow().signal("n0", &[], "s").advanced();
    let end = Command::Terminate { cause: String::new(), principal: "p".to_owned() };
    world.advance(&end).unwrap();
    let late = Rejection::SignalLate { signal: "s".to_owned() };
    assert_eq!(world.advance(&set("s", number(1))), Err(late));
}

#[test]
fn who_says_yes_hands_the_inputs_on_and_who_says_no_fails_the_node() {
    for (answer, is_yes) in [(true, true), (false, false)] {
        let mut world = workflow().approve("n0", &[], "ok").started().inputs(&["n0"]);
        let events = world.advance(&set("ok", literals::encode_boolean(answer))).unwrap();
        if is_yes {
            assert_eq!(outputs_of(&events, "n0"), DataRef::empty());
            continue;
        }
        match events.iter().find(|event| matches!(event, Event::NodeFailed { .. })) {
            Some(Event::NodeFailed { failure, .. }) => {
                assert_eq!((failure.code.as_str(), failure.charge), ("ReceivedRejectSignal", Charge::User));
                assert_eq!(failure.cause, FailureCause::Refused);
            }
            other => panic!("{other:?}"),
        }
    }
}

const START: Timestamp = Timestamp::from_micros(0);

fn seconds(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

/// Tells clocks the journal of a world, all of it at the start.
fn clocks(world: &World, plan: std::sync::Arc<skein_core::Plan>) -> Clocks {
    let mut clocks = Clocks::new(Limits::default());
    world.fold(plan, |execution, event| clocks.note(execution, event, START));
    clocks
}

#[test]
fn a_sleep_ends_when_its_time_has_passed_and_not_before() {
    let sketch = workflow().sleep("n0", &[]).task("n1", &["n0"]);
    let mut world = sketch.started().inputs(&["n0"]);
    let mut clocks = clocks(&world, sketch.plan());
    assert_eq!(clocks.next(), Some(seconds(10)));
    assert_eq!(clocks.take_rung(seconds(9)), []);
    let rung = clocks.take_rung(seconds(10));
    let limit = TimeLimit::Sleep { node: node("n0") };
    assert_eq!(rung, [Command::TimeUp { limit, after: Duration::from_secs(10) }]);
    let events = world.send(&rung[0]).unwrap();
    assert_eq!(outputs_of(&events, "n0"), DataRef::empty());
    assert_eq!(world.send(&rung[0]).unwrap(), [], "ringing again changes nothing");
}

#[test]
fn a_gate_fails_when_nobody_answers_in_time_as_the_original_says_it() {
    let sketch = workflow().signal("n0", &[], "s").within(3);
    let mut world = sketch.started().inputs(&["n0"]);
    let rung = clocks(&world, sketch.plan()).take_rung(seconds(3));
    let events = world.send(&rung[0]).unwrap();
    match &events[0] {
        Event::NodeFailed { failure, .. } => {
            assert_eq!(failure.code, "RetriesExhausted|TimeoutExpired");
            assert_eq!(
                failure.message,
                "[1/1] currentAttempt done. Last Error: USER::task execution timeout [3s] expired"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_workflow_inside_that_takes_too_long_is_stopped_with_all_that_runs_in_it() {
    let sketch = workflow().runs("n0", &[], workflow().task("a", &[])).within(3);
    let mut world = sketch.started().inputs(&["n0", "n0-0-a"]);
    let rung = clocks(&world, sketch.plan()).take_rung(seconds(3));
    world.send(&rung[0]).unwrap();
    let is_stopped =
        |event: &Event| matches!(event, Event::NodeAborted { node: of, .. } if *of == node("n0-0-a"));
    assert!(world.journal.iter().any(is_stopped));
    assert!(world.execution.outstanding().is_empty());
}

#[test]
fn a_launch_plan_node_names_its_execution_and_ends_as_that_does() {
    let child = execution_id().child(&node("n0"));
    let world = workflow().launch("n0", &[]).task("n1", &["n0"]).started();
    let mut world = world
        .when(inputs("n0"))
        .asks(&[Effect::RunChild { node: node("n0"), child: child.clone() }])
        .then(&[
            Event::NodeStarted { node: node("n0"), inputs: DataRef::empty() },
            Event::ChildLaunched { node: node("n0"), child: child.clone() },
        ]);
    let asks = Command::ChildAsks { node: node("n0"), child: child.clone() };
    assert_eq!(world.send(&asks).unwrap(), [], "it is waited for");
    let ended = Command::ChildEnded { node: node("n0"), child, outcome: ChildOutcome::Succeeded(outputs()) };
    let events = world.send(&ended).unwrap();
    assert_eq!(outputs_of(&events, "n0"), outputs());
    assert_eq!(world.send(&ended).unwrap(), [], "told again it changes nothing");
    assert!(matches!(world.send(&asks), Err(Rejection::NotWaitedFor { .. })));
}

#[test]
fn the_failure_of_a_child_is_that_of_its_node_and_an_abort_is_told_as_one() {
    let child = execution_id().child(&node("n0"));
    let outcomes = [ChildOutcome::Failed(plain()), ChildOutcome::Aborted("enough".to_owned())];
    let codes = outcomes.map(|outcome| {
        let mut world = workflow().launch("n0", &[]).started().inputs(&["n0"]);
        let command = Command::ChildEnded { node: node("n0"), child: child.clone(), outcome };
        match &world.send(&command).unwrap()[0] {
            Event::NodeFailed { failure, .. } => failure.code.clone(),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(codes, ["USER:RuntimeError", "RemoteChildWorkflowExecutionFailed"]);
}

#[test]
fn what_another_execution_tells_of_itself_changes_nothing() {
    let mut world = workflow().launch("n0", &[]).started().inputs(&["n0"]);
    let other = execution_id().child(&node("n7"));
    let command =
        Command::ChildEnded { node: node("n0"), child: other, outcome: ChildOutcome::Succeeded(outputs()) };
    assert_eq!(world.send(&command).unwrap(), []);
}
