//! What follows from a command at once, and is recorded with it.

use super::plans::*;
use skein_core::{Effect, Execution};
use skein_model::command::Outcome;
use skein_model::literals::{encode_integer, encode_literal_map};
use skein_model::{Attempt, BlobRef, Command, DataRef, Event, ExecutionPhase, Used};

fn queued(id: &str) -> Event {
    Event::NodeQueued { node: node(id) }
}

fn started(id: &str, inputs: DataRef) -> Event {
    Event::NodeStarted { node: node(id), inputs }
}

fn first_try(id: &str) -> Event {
    Event::AttemptQueued { node: node(id), attempt: Attempt(0), not_before: None }
}

fn run(id: &str) -> Effect {
    first_try_of(id)
}

fn values(name: &str, value: i64) -> DataRef {
    DataRef::Inline(encode_literal_map([(name, encode_integer(value).as_ref())]))
}

fn succeeds(id: &str, outputs: &DataRef) -> Command {
    let outcome = Outcome::Succeeded { outputs: outputs.clone(), deck: None };
    Command::AttemptFinished { node: node(id), attempt: Attempt(0), outcome, began: None, used: None }
}

#[test]
fn a_start_reaches_the_first_tries_in_one_transition() {
    workflow()
        .task("n0", &[])
        .task("n1", &[])
        .created()
        .at_once(Command::Start)
        .asks(&[run("n0"), run("n1")])
        .then(&[
            Event::Started,
            queued("n0"),
            queued("n1"),
            started("n0", DataRef::empty()),
            first_try("n0"),
            started("n1", DataRef::empty()),
            first_try("n1"),
        ]);
}

#[test]
fn a_success_hands_its_value_on_and_the_next_try_waits_for_a_worker() {
    let outputs = values("o0", 7);
    workflow()
        .task("n0", &[])
        .task("n1", &["n0"])
        .taking("n0")
        .advanced()
        .at_once(succeeds("n0", &outputs))
        .asks(&[run("n1")])
        .then(&[
            Event::AttemptSucceeded {
                node: node("n0"),
                attempt: Attempt(0),
                outputs: outputs.clone(),
                deck: None,
                used: None,
            },
            Event::NodeSucceeded { node: node("n0"), outputs: outputs.clone() },
            queued("n1"),
            started("n1", values("x", 7)),
            first_try("n1"),
        ]);
}

#[test]
fn what_an_attempt_used_stands_in_the_event_that_ends_it() {
    let used = Some(Used { memory_bytes: 7 << 20, cpu_micros: 1_500_000, ..Used::default() });
    let ends = |outcome| Command::AttemptFinished {
        node: node("n0"),
        attempt: Attempt(0),
        outcome,
        began: None,
        used,
    };
    let in_event = |command: &Command| {
        let world = workflow().task("n0", &[]).advanced();
        let events = world.execution.decide(command, NOW).expect("the attempt runs");
        events.into_iter().find_map(|event| match event {
            Event::AttemptSucceeded { used, .. } | Event::AttemptFailed { used, .. } => used,
            _ => None,
        })
    };
    assert_eq!(in_event(&ends(Outcome::Succeeded { outputs: outputs(), deck: None })), used);
    assert_eq!(in_event(&ends(Outcome::Failed(recoverable()))), used);
    assert_eq!(in_event(&attempt_succeeds("n0", 0)), None);
}

#[test]
fn the_last_success_ends_the_execution() {
    let world = workflow().task("n0", &[]).advanced().at_once(attempt_succeeds("n0", 0)).asks(&[]).then(&[
        Event::AttemptSucceeded {
            node: node("n0"),
            attempt: Attempt(0),
            outputs: outputs(),
            deck: None,
            used: None,
        },
        Event::NodeSucceeded { node: node("n0"), outputs: outputs() },
        Event::Succeeding,
        Event::Succeeded { outputs: DataRef::empty() },
    ]);
    assert_eq!(world.execution.phase(), ExecutionPhase::Succeeded);
}

#[test]
fn a_value_that_lies_elsewhere_is_asked_for() {
    let far = DataRef::Blob(BlobRef { uri: "file:///far".to_owned(), size: 1 << 20, digest: 1 });
    workflow()
        .task("n0", &[])
        .task("n1", &["n0"])
        .taking("n0")
        .advanced()
        .at_once(succeeds("n0", &far))
        .asks(&[Effect::ResolveInputs { node: node("n1") }])
        .then(&[
            Event::AttemptSucceeded {
                node: node("n0"),
                attempt: Attempt(0),
                outputs: far.clone(),
                deck: None,
                used: None,
            },
            Event::NodeSucceeded { node: node("n0"), outputs: far.clone() },
            queued("n1"),
        ]);
}

#[test]
fn an_output_that_is_not_there_fails_the_node_that_wants_it_at_once() {
    let mut world = workflow().task("n0", &[]).task("n1", &["n0"]).taking("n0").advanced();
    let events = world.advance(&succeeds("n0", &values("other", 7))).unwrap();
    assert!(
        matches!(&events[3..], [Event::NodeFailed { node: of, failure }, ..] if *of == node("n1")
            && failure.message.contains("node \"n0\" has no output \"o0\"")),
        "{events:?}"
    );
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}

#[test]
fn a_transition_answers_a_bounded_number_of_effects_and_leaves_the_rest_to_be_performed() {
    let ids: Vec<String> = (0..100).map(|place| format!("n{place}")).collect();
    let wide = ids.iter().fold(workflow(), |wide, id| wide.task(id, &[]));
    let world = wide.advanced();
    let left = |effect: &&Effect| matches!(effect, Effect::ResolveInputs { .. });
    assert_eq!(world.asked.iter().filter(left).count(), 36);
    assert_eq!(world.asked.len(), 100);
}

#[test]
fn a_command_that_is_refused_leaves_the_state_as_it_was() {
    let mut world = workflow().task("n0", &[]).advanced();
    let before = format!("{:?}", world.execution);
    world.advance(&attempt_succeeds("n9", 0)).unwrap_err();
    assert_eq!(format!("{:?}", world.execution), before);
}

#[test]
fn the_journal_alone_gives_the_state_that_was_ahead_of_it() {
    let sketch = workflow().task("n0", &[]).task("n1", &["n0"]).taking("n0").retries(1);
    let mut world = sketch.advanced();
    world.advance(&attempt_fails("n0", 0, recoverable())).unwrap();
    let mut replayed = Execution::new(sketch.plan());
    world.journal.iter().for_each(|event| replayed.apply(event));
    assert_eq!(format!("{replayed:?}"), format!("{:?}", world.execution));
    assert_eq!(replayed.outstanding().len(), 1);
}
