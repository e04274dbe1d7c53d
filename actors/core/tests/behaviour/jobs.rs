//! What is recorded of the job that a connector keeps for a try, one sentence a test.

use super::plans::*;
use bytes::Bytes;
use skein_core::{Effect, NodeState, Rejection};
use skein_model::{Attempt, Command, Event, Job, JobPhase, Timestamp};

/// A job; before it is made its connector cannot be reached.
pub fn job(is_made: bool) -> Job {
    Job {
        connector: "http://c:1".to_owned(),
        resource_meta: is_made.then(|| Bytes::from_static(b"j1")),
        since: Timestamp::from_micros(7),
        phase: if is_made { JobPhase::Running } else { JobPhase::Unreachable },
        message: String::new(),
        logs: Vec::new(),
        custom_info: Bytes::new(),
    }
}

pub fn job_told(id: &str, attempt: u32, is_made: bool) -> Command {
    Command::JobReported { node: node(id), attempt: Attempt(attempt), job: Box::new(job(is_made)) }
}

fn recorded(attempt: u32, is_made: bool) -> Event {
    Event::JobReported { node: node("n0"), attempt: Attempt(attempt), job: Box::new(job(is_made)) }
}

fn one() -> World {
    workflow().task("n0", &[]).retries(1).started().inputs(&["n0"])
}

fn job_of(world: &World) -> Option<Job> {
    match world.execution.node(&node("n0")) {
        Some(NodeState::Task(run)) => run.job.as_deref().cloned(),
        other => panic!("{other:?} is no task"),
    }
}

#[test]
fn what_is_told_of_a_job_is_recorded_once_and_is_there_after_a_restart() {
    let world = one()
        .when(job_told("n0", 0, true))
        .then(&[recorded(0, true)])
        .when(job_told("n0", 0, true))
        .then(&[]);
    assert_eq!(job_of(&world), Some(job(true)));
    let again = Effect::RunAttempt {
        node: node("n0"),
        attempt: Attempt(0),
        not_before: None,
        started: false,
        on_demand: false,
    };
    assert_eq!(world.execution.outstanding(), [again], "its work is performed again, and carries it");
}

#[test]
fn who_knows_less_than_is_recorded_changes_nothing() {
    let world = one()
        .when(job_told("n0", 0, true))
        .then(&[recorded(0, true)])
        .when(job_told("n0", 0, false))
        .then(&[]);
    assert_eq!(job_of(&world), Some(job(true)));
}

#[test]
fn another_try_has_another_job() {
    let again = Event::AttemptQueued { node: node("n0"), attempt: Attempt(1), not_before: None };
    let failed =
        Event::AttemptFailed { node: node("n0"), attempt: Attempt(0), failure: recoverable(), used: None };
    let world = one()
        .when(job_told("n0", 0, true))
        .then(&[recorded(0, true)])
        .when(attempt_fails("n0", 0, recoverable()))
        .then(&[failed, again]);
    assert_eq!(job_of(&world), None);
    let over = Rejection::AttemptOver { node: node("n0"), attempt: Attempt(0) };
    assert_eq!(world.execution.decide(&job_told("n0", 0, true), NOW), Err(over), "the job is nobody's");
}

#[test]
fn a_job_of_a_node_that_has_ended_is_nobodys() {
    let world = one();
    let world = world.when(attempt_succeeds("n0", 0)).then(&[
        Event::AttemptSucceeded {
            node: node("n0"),
            attempt: Attempt(0),
            outputs: outputs(),
            deck: None,
            used: None,
        },
        Event::NodeSucceeded { node: node("n0"), outputs: outputs() },
        Event::Succeeding,
    ]);
    assert!(world.execution.decide(&job_told("n0", 0, true), NOW).is_err());
}
