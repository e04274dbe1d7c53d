//! What happens when something takes as long as it may, one sentence a test.

use super::plans::*;
use skein_core::{Clocks, Effect, Execution, Limits, NodeLimits};
use skein_model::{
    Attempt, Charge, Command, Event, ExecutionPhase, Failure, FailureCause, TimeLimit, Timestamp,
};
use std::time::Duration;

fn queued_limit() -> TimeLimit {
    TimeLimit::Queued { node: node("n0"), attempt: Attempt(0) }
}

fn spot_limit() -> TimeLimit {
    TimeLimit::Interruptible { node: node("n0"), attempt: Attempt(0) }
}

fn node_limit() -> TimeLimit {
    TimeLimit::Node { node: node("n0") }
}

fn too_long(message: &str, charge: Charge) -> Failure {
    Failure {
        code: "TimeoutExpired".to_owned(),
        message: message.to_owned(),
        cause: FailureCause::TimedOut,
        charge,
    }
}

fn starts(id: &str) -> Command {
    Command::AttemptStarted { node: node(id), attempt: Attempt(0), worker: "w".to_owned(), place: None }
}

fn moved() -> Event {
    let reason = "no interruptible capacity within 10s".to_owned();
    Event::AttemptMoved { node: node("n0"), attempt: Attempt(0), reason }
}

#[test]
fn an_attempt_that_waited_too_long_for_a_worker_times_its_node_out_and_is_not_tried_again() {
    let failure =
        too_long("attempt 0 had not begun after [10s], the queued_seconds_max of its task", Charge::System);
    workflow()
        .task("n0", &[])
        .retries(3)
        .started()
        .inputs(&["n0"])
        .when(time_up(queued_limit()))
        .asks(&[Effect::Withdraw { node: node("n0") }])
        .then(&[
            Event::AttemptAborted { node: node("n0"), attempt: Attempt(0) },
            Event::NodeTimedOut { node: node("n0"), failure: failure.clone() },
            Event::Failing { failure: failure.clone() },
            Event::Failed { failure },
        ]);
}

#[test]
fn an_attempt_that_runs_has_waited_long_enough() {
    workflow()
        .task("n0", &[])
        .interruptible()
        .started()
        .inputs(&["n0"])
        .when(starts("n0"))
        .then(&[Event::AttemptStarted {
            node: node("n0"),
            attempt: Attempt(0),
            worker: "w".to_owned(),
            micros_ago: 0,
            place: None,
        }])
        .when(time_up(queued_limit()))
        .then(&[])
        .when(time_up(spot_limit()))
        .then(&[]);
}

#[test]
fn an_attempt_for_which_there_is_no_interruptible_capacity_is_asked_for_on_demand_once() {
    let on_demand = Effect::RunAttempt {
        node: node("n0"),
        attempt: Attempt(0),
        not_before: None,
        started: false,
        on_demand: true,
    };
    let world = workflow()
        .task("n0", &[])
        .interruptible()
        .started()
        .inputs(&["n0"])
        .when(time_up(spot_limit()))
        .asks(std::slice::from_ref(&on_demand))
        .then(&[moved()]);
    assert_eq!(world.execution.outstanding(), [on_demand]);
    world.when(time_up(spot_limit())).then(&[]);
}

#[test]
fn the_try_after_one_that_was_moved_may_be_interrupted_again() {
    let world = workflow()
        .task("n0", &[])
        .retries(2)
        .interruptible()
        .started()
        .inputs(&["n0"])
        .when(time_up(spot_limit()))
        .then(&[moved()])
        .when(attempt_fails("n0", 0, recoverable()))
        .then(&[
            Event::AttemptFailed {
                node: node("n0"),
                attempt: Attempt(0),
                failure: recoverable(),
                used: None,
            },
            Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before: None },
        ]);
    let Effect::RunAttempt { on_demand, .. } = &world.execution.outstanding()[0] else {
        panic!("a try is outstanding")
    };
    assert!(!on_demand);
}

#[test]
fn a_node_that_took_too_long_times_out_whatever_it_does() {
    let failure = too_long(
        "node n0 had not ended after [10s], waits and retries included: the node_seconds_max of its task",
        Charge::User,
    );
    let timed_out = Event::NodeTimedOut { node: node("n0"), failure: failure.clone() };
    let end = [Event::Failing { failure: failure.clone() }, Event::Failed { failure }];
    let runs = workflow().task("n0", &[]).retries(3);
    let aborted = Event::AttemptAborted { node: node("n0"), attempt: Attempt(0) };
    let expected = [&[aborted, timed_out.clone()][..], &end].concat();
    runs.started().inputs(&["n0"]).when(time_up(node_limit())).then(&expected);
    let expected = [&[timed_out][..], &end].concat();
    runs.started().when(time_up(node_limit())).then(&expected);
    let map = workflow().map("n0", &[], 1.0);
    map.started()
        .items("n0", 3)
        .when(time_up(node_limit()))
        .asks(&[Effect::Withdraw { node: node("n0") }])
        .then(&expected);
}

#[test]
fn a_node_that_has_ended_or_not_begun_has_no_time_to_run_out_of() {
    workflow()
        .task("n1", &[])
        .task("n0", &["n1"])
        .started()
        .when(time_up(node_limit()))
        .then(&[])
        .inputs(&["n1"])
        .when(attempt_succeeds("n1", 0))
        .then(&[
            Event::AttemptSucceeded {
                node: node("n1"),
                attempt: Attempt(0),
                outputs: outputs(),
                deck: None,
                used: None,
            },
            Event::NodeSucceeded { node: node("n1"), outputs: outputs() },
            Event::NodeQueued { node: node("n0") },
        ])
        .when(time_up(TimeLimit::Node { node: node("n1") }))
        .then(&[]);
}

#[test]
fn an_execution_that_took_too_long_stops_what_runs_and_still_handles_its_failure() {
    let failure = too_long(
        "execution timeout [10s] expired: the seconds_max of [[executions]] in the server's configuration",
        Charge::User,
    );
    let world = workflow()
        .task("n0", &[])
        .with_failure_node()
        .started()
        .inputs(&["n0"])
        .when(time_up(TimeLimit::Execution))
        .asks(&[Effect::Withdraw { node: node("n0") }, Effect::ResolveInputs { node: node("fn0") }])
        .then(&[
            Event::AttemptAborted { node: node("n0"), attempt: Attempt(0) },
            Event::NodeAborted {
                node: node("n0"),
                reason: "The execution took longer than it may.".to_owned(),
            },
            Event::Failing { failure: failure.clone() },
            Event::NodeQueued { node: node("fn0") },
        ])
        .when(time_up(TimeLimit::Execution))
        .then(&[])
        .inputs(&["fn0"])
        .when(attempt_succeeds("fn0", 0))
        .then(&[
            Event::AttemptSucceeded {
                node: node("fn0"),
                attempt: Attempt(0),
                outputs: outputs(),
                deck: None,
                used: None,
            },
            Event::NodeSucceeded { node: node("fn0"), outputs: outputs() },
            Event::Failed { failure },
        ]);
    assert_eq!(world.execution.phase(), ExecutionPhase::Failed);
}

const S: Duration = Duration::from_secs(1);

fn at(seconds: u32) -> Timestamp {
    NOW.after(S * seconds)
}

/// Clocks with a limit of each kind that have seen all of a journal at one time.
fn clocks(execution: &Execution, journal: &[Event], seen: Timestamp) -> Clocks {
    let node = NodeLimits { queued: Some(S * 10), interruptible: Some(S * 3), node: Some(S * 60) };
    let mut clocks = Clocks::new(Limits { execution: Some(S * 100), nodes: vec![node] });
    journal.iter().for_each(|event| clocks.note(execution, event, seen));
    clocks
}

#[test]
fn each_clock_rings_once_after_its_own_time() {
    let world = workflow().task("n0", &[]).interruptible().started().inputs(&["n0"]);
    let mut clocks = clocks(&world.execution, &world.journal, NOW);
    assert_eq!(clocks.next(), Some(at(3)));
    assert_eq!(clocks.take_rung(at(2)), []);
    assert_eq!(clocks.take_rung(at(3)), [Command::TimeUp { limit: spot_limit(), after: S * 3 }]);
    assert_eq!(
        clocks.take_rung(at(1_000)),
        [
            Command::TimeUp { limit: queued_limit(), after: S * 10 },
            Command::TimeUp { limit: node_limit(), after: S * 60 },
            Command::TimeUp { limit: TimeLimit::Execution, after: S * 100 },
        ]
    );
    assert_eq!(clocks.next(), None);
}

#[test]
fn what_may_not_be_interrupted_waits_for_no_such_capacity() {
    let world = workflow().task("n0", &[]).started().inputs(&["n0"]);
    assert_eq!(clocks(&world.execution, &world.journal, NOW).next(), Some(at(10)));
}

#[test]
fn a_try_that_is_put_off_does_not_wait_for_a_worker_meanwhile() {
    let world = workflow().task("n0", &[]).started();
    let put_off = Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before: Some(at(20)) };
    let mut clocks = clocks(&world.execution, &[put_off], NOW);
    assert_eq!(clocks.next(), Some(at(30)));
    clocks.resume(at(1));
    assert_eq!(clocks.next(), Some(at(30)));
}

#[test]
fn the_end_of_what_is_waited_for_stops_its_clock() {
    let world = workflow().task("n0", &[]).interruptible().started().inputs(&["n0"]);
    let mut clocks = clocks(&world.execution, &world.journal, NOW);
    clocks.note(&world.execution, &moved(), at(1));
    assert_eq!(clocks.next(), Some(at(10)));
    let started = Event::AttemptStarted {
        node: node("n0"),
        attempt: Attempt(0),
        worker: "w".to_owned(),
        micros_ago: 0,
        place: None,
    };
    clocks.note(&world.execution, &started, at(2));
    assert_eq!(clocks.next(), Some(at(60)));
    clocks.note(&world.execution, &Event::NodeSucceeded { node: node("n0"), outputs: outputs() }, at(3));
    assert_eq!(clocks.next(), Some(at(100)));
    clocks.note(&world.execution, &Event::Succeeded { outputs: outputs() }, at(4));
    assert_eq!(clocks.next(), None);
}

#[test]
fn while_no_engine_is_there_nothing_waits_for_a_worker_but_time_passes() {
    let world = workflow().task("n0", &[]).interruptible().started().inputs(&["n0"]);
    let mut clocks = clocks(&world.execution, &world.journal, NOW);
    clocks.resume(at(70));
    assert_eq!(clocks.take_rung(at(70)), [Command::TimeUp { limit: node_limit(), after: S * 60 }]);
    assert_eq!(clocks.next(), Some(at(73)));
}
