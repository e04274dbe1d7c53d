//! How an execution behaves, one sentence a test.

use super::plans::*;
use skein_core::{Effect, Rejection};
use skein_model::command::{Began, Outcome};
use skein_model::{Attempt, Command, DataRef, Event, ExecutionPhase, Failure, NodePhase};

fn queued(id: &str) -> Event {
    Event::NodeQueued { node: node(id) }
}

fn succeeded(id: &str) -> Event {
    Event::NodeSucceeded { node: node(id), outputs: outputs() }
}

fn attempt_succeeded(id: &str, attempt: u32) -> Event {
    Event::AttemptSucceeded {
        node: node(id),
        attempt: Attempt(attempt),
        outputs: outputs(),
        deck: None,
        used: None,
    }
}

fn attempt_failed(id: &str, attempt: u32, failure: &Failure) -> Event {
    Event::AttemptFailed { node: node(id), attempt: Attempt(attempt), failure: failure.clone(), used: None }
}

#[test]
fn starting_queues_the_nodes_that_wait_for_nothing() {
    workflow()
        .task("n0", &[])
        .task("n1", &["n0"])
        .task("n2", &[])
        .created()
        .when(Command::Start)
        .asks(&[Effect::ResolveInputs { node: node("n0") }, Effect::ResolveInputs { node: node("n2") }])
        .then(&[Event::Started, queued("n0"), queued("n2")]);
}

#[test]
fn a_node_with_inputs_gets_its_first_try() {
    workflow().task("n0", &[]).started().when(inputs("n0")).then(&[
        Event::NodeStarted { node: node("n0"), inputs: DataRef::empty() },
        Event::AttemptQueued { node: node("n0"), attempt: Attempt(0), not_before: None },
    ]);
}

#[test]
fn a_success_and_the_nodes_it_makes_ready_are_one_transition() {
    workflow()
        .task("n0", &[])
        .task("n1", &["n0"])
        .task("n2", &["n0"])
        .started()
        .inputs(&["n0"])
        .when(attempt_succeeds("n0", 0))
        .then(&[attempt_succeeded("n0", 0), succeeded("n0"), queued("n1"), queued("n2")]);
}

#[test]
fn a_start_that_is_told_with_the_end_is_recorded_before_it_and_only_if_it_was_not_told_before() {
    let finished = Command::AttemptFinished {
        node: node("n0"),
        attempt: Attempt(0),
        outcome: Outcome::Succeeded { outputs: outputs(), deck: None },
        began: Some(Began { worker: "w".to_owned(), micros_ago: 250, place: None }),
        used: None,
    };
    let told = Command::AttemptStarted {
        node: node("n0"),
        attempt: Attempt(0),
        worker: "w".to_owned(),
        place: None,
    };
    let started = |micros_ago| Event::AttemptStarted {
        node: node("n0"),
        attempt: Attempt(0),
        worker: "w".to_owned(),
        micros_ago,
        place: None,
    };
    workflow().task("n0", &[]).started().inputs(&["n0"]).when(finished.clone()).then(&[
        started(250),
        attempt_succeeded("n0", 0),
        succeeded("n0"),
        Event::Succeeding,
    ]);
    workflow()
        .task("n0", &[])
        .started()
        .inputs(&["n0"])
        .when(told)
        .then(&[started(0)])
        .when(finished)
        .then(&[attempt_succeeded("n0", 0), succeeded("n0"), Event::Succeeding]);
}

#[test]
fn a_node_waits_for_all_of_its_upstream_nodes() {
    workflow()
        .task("n0", &[])
        .task("n1", &[])
        .task("n2", &["n0", "n1"])
        .started()
        .inputs(&["n0", "n1"])
        .when(attempt_succeeds("n0", 0))
        .then(&[attempt_succeeded("n0", 0), succeeded("n0")])
        .when(attempt_succeeds("n1", 0))
        .then(&[attempt_succeeded("n1", 0), succeeded("n1"), queued("n2")]);
}

#[test]
fn the_last_success_asks_for_the_outputs_and_they_end_the_execution() {
    let world = workflow()
        .task("n0", &[])
        .started()
        .inputs(&["n0"])
        .when(attempt_succeeds("n0", 0))
        .asks(&[Effect::ResolveOutputs])
        .then(&[attempt_succeeded("n0", 0), succeeded("n0"), Event::Succeeding])
        .when(Command::OutputsResolved { outputs: outputs() })
        .then(&[Event::Succeeded { outputs: outputs() }]);
    assert_eq!(world.execution.phase(), ExecutionPhase::Succeeded);
    assert_eq!(world.execution.outstanding(), []);
}

#[test]
fn a_recoverable_failure_is_tried_again_until_the_retries_are_used() {
    let again = Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before: None };
    let world = workflow()
        .task("n0", &[])
        .retries(1)
        .started()
        .inputs(&["n0"])
        .when(attempt_fails("n0", 0, recoverable()))
        .then(&[attempt_failed("n0", 0, &recoverable()), again])
        .when(attempt_fails("n0", 1, recoverable()));
    let failure = Failure {
        code: "RetriesExhausted|USER:Recoverable".to_owned(),
        message: "[2/2] currentAttempt done. Last Error: USER::why".to_owned(),
        ..recoverable()
    };
    world.then(&[
        attempt_failed("n0", 1, &recoverable()),
        Event::NodeFailed { node: node("n0"), failure: failure.clone() },
        Event::Failing { failure: failure.clone() },
        Event::Failed { failure },
    ]);
}

#[test]
fn a_lost_worker_is_not_charged_to_the_task() {
    let wait = skein_core::retry::backoff(0, execution_id().draw(&node("n0"), Attempt(0)));
    let not_before = Some(NOW.after(wait));
    let again = Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before };
    workflow()
        .task("n0", &[])
        .started()
        .inputs(&["n0"])
        .when(attempt_fails("n0", 0, worker_lost()))
        .then(&[attempt_failed("n0", 0, &worker_lost()), again]);
}

#[test]
fn a_result_of_an_older_try_changes_nothing() {
    workflow()
        .task("n0", &[])
        .retries(1)
        .started()
        .inputs(&["n0"])
        .when(attempt_fails("n0", 0, recoverable()))
        .then(&[
            attempt_failed("n0", 0, &recoverable()),
            Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before: None },
        ])
        .when(attempt_succeeds("n0", 0))
        .then(&[]);
}

#[test]
fn the_first_failure_stops_everything_else_and_its_late_result_is_noted_once() {
    let world = workflow()
        .task("n0", &[])
        .task("n1", &[])
        .started()
        .inputs(&["n0", "n1"])
        .when(attempt_fails("n0", 0, plain()))
        .asks(&[Effect::Withdraw { node: node("n0") }, Effect::Withdraw { node: node("n1") }])
        .then(&[
            attempt_failed("n0", 0, &plain()),
            Event::NodeFailed { node: node("n0"), failure: plain() },
            Event::AttemptAborted { node: node("n1"), attempt: Attempt(0) },
            Event::NodeAborted {
                node: node("n1"),
                reason: "Some node execution failed, auto-abort.".to_owned(),
            },
            Event::Failing { failure: plain() },
            Event::Failed { failure: plain() },
        ]);
    world
        .when(attempt_succeeds("n1", 0))
        .then(&[Event::LateResultIgnored { node: node("n1"), attempt: Attempt(0) }])
        .when(attempt_succeeds("n1", 0))
        .then(&[]);
}

#[test]
fn with_the_patient_policy_independent_nodes_run_to_their_end_and_dependants_are_skipped() {
    let world = workflow()
        .task("n0", &[])
        .task("n1", &[])
        .task("n2", &["n1"])
        .task("n3", &["n0"])
        .fail_after_executable_nodes()
        .started()
        .inputs(&["n0", "n1"])
        .when(attempt_fails("n0", 0, plain()))
        .then(&[
            attempt_failed("n0", 0, &plain()),
            Event::NodeFailed { node: node("n0"), failure: plain() },
            Event::NodeSkipped { node: node("n3") },
        ])
        .when(attempt_succeeds("n1", 0))
        .then(&[attempt_succeeded("n1", 0), succeeded("n1"), queued("n2")])
        .inputs(&["n2"])
        .when(attempt_succeeds("n2", 0))
        .then(&[
            attempt_succeeded("n2", 0),
            succeeded("n2"),
            Event::Failing { failure: plain() },
            Event::Failed { failure: plain() },
        ]);
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}

#[test]
fn a_failure_node_runs_after_a_failure_and_keeps_the_first_error() {
    workflow()
        .task("n0", &[])
        .with_failure_node()
        .started()
        .inputs(&["n0"])
        .when(attempt_fails("n0", 0, plain()))
        .then(&[
            attempt_failed("n0", 0, &plain()),
            Event::NodeFailed { node: node("n0"), failure: plain() },
            Event::Failing { failure: plain() },
            queued("fn0"),
        ])
        .inputs(&["fn0"])
        .when(attempt_succeeds("fn0", 0))
        .then(&[attempt_succeeded("fn0", 0), succeeded("fn0"), Event::Failed { failure: plain() }]);
}

#[test]
fn a_failure_node_that_fails_hides_the_first_error() {
    let other = Failure { message: "cleanup failed too".to_owned(), ..plain() };
    workflow()
        .task("n0", &[])
        .with_failure_node()
        .started()
        .inputs(&["n0"])
        .when(attempt_fails("n0", 0, plain()))
        .then(&[
            attempt_failed("n0", 0, &plain()),
            Event::NodeFailed { node: node("n0"), failure: plain() },
            Event::Failing { failure: plain() },
            queued("fn0"),
        ])
        .inputs(&["fn0"])
        .when(attempt_fails("fn0", 0, other.clone()))
        .then(&[
            attempt_failed("fn0", 0, &other),
            Event::NodeFailed { node: node("fn0"), failure: other.clone() },
            Event::Failed { failure: other },
        ]);
}

#[test]
fn terminating_stops_what_runs_and_is_refused_once_it_has_ended() {
    let terminate = Command::Terminate { cause: "because".to_owned(), principal: "me".to_owned() };
    let mut world = workflow()
        .task("n0", &[])
        .task("n1", &["n0"])
        .started()
        .inputs(&["n0"])
        .when(terminate.clone())
        .then(&[
            Event::Aborting { cause: "because".to_owned(), principal: "me".to_owned() },
            Event::AttemptAborted { node: node("n0"), attempt: Attempt(0) },
            Event::NodeAborted { node: node("n0"), reason: "Workflow aborted.".to_owned() },
            Event::Aborted,
        ]);
    assert_eq!(world.send(&terminate), Err(Rejection::AlreadyTerminated));
}

#[test]
fn no_more_nodes_run_at_once_than_the_limit_allows() {
    workflow()
        .task("n0", &[])
        .task("n1", &[])
        .task("n2", &[])
        .max_parallelism(1)
        .created()
        .when(Command::Start)
        .then(&[Event::Started, queued("n0")])
        .inputs(&["n0"])
        .when(attempt_succeeds("n0", 0))
        .then(&[attempt_succeeded("n0", 0), succeeded("n0"), queued("n1")]);
}

#[test]
fn a_map_without_items_is_assembled_at_once() {
    workflow()
        .map("n0", &[], 1.0)
        .started()
        .when(map_inputs("n0", 0))
        .asks(&[Effect::AssembleMap { node: node("n0") }])
        .then(&[
            Event::NodeStarted { node: node("n0"), inputs: DataRef::empty() },
            Event::MapStarted { node: node("n0"), size: 0 },
        ])
        .when(Command::MapAssembled { node: node("n0"), outputs: outputs() })
        .then(&[succeeded("n0"), Event::Succeeding]);
}

#[test]
fn an_item_that_failed_is_tried_again_alone_until_its_retries_run_out() {
    let mut world = workflow().map("n0", &[], 0.5).retries(1).started().items("n0", 4);
    world.send(&chunk_ends("n0", 0, 4, 0, &[1], &recoverable())).unwrap();
    let map = world.execution.map_of(&node("n0")).unwrap();
    assert_eq!(map.attempt_of(1), Attempt(1));
    assert_eq!(world.execution.outstanding(), [Effect::RunItems { node: node("n0") }]);
    world.send(&chunk_ends("n0", 1, 2, 1, &[1], &recoverable())).unwrap();
    let map = world.execution.map_of(&node("n0")).unwrap();
    assert!(map.failed.has(1), "its retries are used");
    assert_eq!(world.execution.outstanding(), [Effect::AssembleMap { node: node("n0") }]);
}

#[test]
fn a_map_fails_as_soon_as_too_many_items_have_and_names_the_first() {
    let mut world = workflow().map("n0", &[], 0.75).started().items("n0", 4);
    let events = world.send(&chunk_ends("n0", 0, 4, 0, &[1, 3], &plain())).unwrap();
    let failure = Failure { message: "[1]: why\n".to_owned(), ..plain() };
    assert_eq!(
        events[1..],
        [
            Event::NodeFailed { node: node("n0"), failure: failure.clone() },
            Event::Failing { failure: failure.clone() },
            Event::Failed { failure },
        ]
    );
}

#[test]
fn a_map_succeeds_with_the_failures_its_ratio_allows() {
    let mut world = workflow().map("n0", &[], 0.5).started().items("n0", 4);
    let events = world.send(&chunk_ends("n0", 0, 4, 0, &[1, 3], &plain())).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(world.asked.last(), Some(&Effect::AssembleMap { node: node("n0") }));
}

#[test]
fn a_chunk_reported_twice_counts_once() {
    let mut world = workflow().map("n0", &[], 1.0).started().items("n0", 4);
    assert_eq!(world.send(&chunk_ends("n0", 0, 2, 0, &[], &plain())).unwrap().len(), 1);
    assert_eq!(world.send(&chunk_ends("n0", 0, 2, 0, &[], &plain())), Ok(Vec::new()));
}

#[test]
fn a_command_for_a_node_that_is_not_there_is_refused() {
    let mut world = workflow().task("n0", &[]).started();
    assert_eq!(world.send(&inputs("n9")), Err(Rejection::UnknownNode { node: node("n9") }));
}

#[test]
fn a_try_that_ran_out_of_time_with_retries_ends_the_node_as_timed_out() {
    let late = Failure {
        code: "TimeoutExpired".to_owned(),
        message: "task execution timeout [2s] expired".to_owned(),
        cause: skein_model::FailureCause::TimedOut,
        ..plain()
    };
    let mut world = workflow().task("n0", &[]).retries(1).started().inputs(&["n0"]);
    world.send(&attempt_fails("n0", 0, late.clone())).unwrap();
    let events = world.send(&attempt_fails("n0", 1, late)).unwrap();
    assert!(matches!(&events[1], Event::NodeTimedOut { failure, .. } if failure.code == "TimeoutExpired"));
    let ended = world.execution.node(&node("n0"));
    assert!(matches!(ended, Some(skein_core::NodeState::Ended { phase: NodePhase::TimedOut, .. })));
}

#[test]
fn states_that_differ_are_told_apart_by_the_names_of_what_differs() {
    let sketch = workflow().task("n0", &[]).task("n1", &["n0"]);
    let (one, other) = (sketch.started(), sketch.started().inputs(&["n0"]));
    assert_eq!(one.execution.differences(&other.execution), ["node n0"]);
    assert_eq!(
        one.execution.differences(&sketch.created().execution),
        ["phase", "active", "counted", "node n0"]
    );
    assert!(one.execution.differences(&sketch.started().execution).is_empty());
}
