//! Attempts of one task, one after another in one process.

use crate::chunks::without_folder;
use crate::support::{House, eventually, integer, is_alive, simple};
use skein_idl::flyteidl::core::{LiteralType, SimpleType};
use skein_model::command::Outcome;
use skein_model::{ExecutionId, FailureCause, Isolation, Work};
use skein_workers::FastPath;
use std::time::Duration;

fn text() -> Option<LiteralType> {
    Some(simple(SimpleType::String))
}

pub(crate) fn int() -> Option<LiteralType> {
    Some(simple(SimpleType::Integer))
}

/// One try of a task of `single.py`, in a process that it shares, as part of `execution`.
pub(crate) async fn shared(
    house: &House,
    name: &str,
    x: i64,
    output: Option<LiteralType>,
    execution: &str,
) -> Work {
    let mut work = house.task(name, x, output).await;
    work.isolation = Some(Isolation::Reuse);
    work.id.execution = ExecutionId::parse("p", "d", execution).unwrap();
    for (name, value) in &mut work.env {
        if name == "FLYTE_INTERNAL_EXECUTION_ID" {
            execution.clone_into(value);
        }
    }
    work
}

pub(crate) async fn one_slot() -> House {
    House::with(|config| config.slots = 1.try_into().unwrap()).await
}

#[tokio::test]
async fn attempts_share_a_process_across_executions_and_each_finds_its_own_environment_and_log() {
    let mut house = one_slot().await;
    let mut processes = Vec::new();
    for (at, execution) in ["one", "two", "three"].into_iter().enumerate() {
        let work = shared(&house, "counts", 1, text(), execution).await;
        let prefix = format!("{}/{execution}", work.output_prefix);
        let work = Work { output_prefix: prefix.clone(), ..work };
        let told = house.told(work).await;
        let [process, calls, told_of] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
        assert_eq!((calls, told_of), ((at + 1).to_string().as_str(), execution));
        assert_eq!(house.log(&prefix).await, format!("call {calls}\n"));
        processes.push(process.to_owned());
    }
    assert!(processes.iter().all(|process| *process == processes[0]), "{processes:?}");
}

#[tokio::test]
async fn the_direct_call_and_the_dispatch_of_the_sdk_leave_the_same() {
    for (name, output) in [("double", int()), ("nothing", None), ("asks", text())] {
        let mut literals = Vec::new();
        for fast_path in [FastPath::On, FastPath::Off] {
            let mut house = House::with(|config| config.fast_path = fast_path).await;
            let work = shared(&house, name, 21, output.clone(), "x").await;
            let Outcome::Succeeded { outputs, deck: None } = house.outcome(work).await else {
                panic!("{name} did not succeed")
            };
            literals.push(house.blobs.load(&outputs).await.unwrap());
        }
        assert_eq!(literals[0], literals[1], "{name}");
    }
}

#[tokio::test]
async fn an_exception_is_told_as_the_sdk_tells_it_and_the_process_goes_on() {
    let mut failures = Vec::new();
    for fast_path in [FastPath::On, FastPath::Off] {
        let mut house = House::with(|config| {
            config.fast_path = fast_path;
            config.slots = 1.try_into().unwrap();
        })
        .await;
        let work = shared(&house, "raises", 1, int(), "x").await;
        let mut failure = house.failure(work).await;
        failure.message = without_folder(&failure.message);
        failures.push(failure);
        let work = shared(&house, "recoverable", 1, int(), "x").await;
        assert!(house.failure(work).await.is_retryable());
        let work = shared(&house, "double", 21, int(), "x").await;
        let Outcome::Succeeded { outputs, .. } = house.outcome(work).await else { panic!("no success") };
        assert_eq!(house.load(&outputs).await.literals["o0"], integer(42));
    }
    assert_eq!(failures[0].code, "USER:RuntimeError");
    assert!(failures[0].message.ends_with("Message:\n\n    ValueError: boom 1"), "{}", failures[0].message);
    assert!(!failures[0].message.contains("skein_worker"), "{}", failures[0].message);
    assert_eq!(failures[0], failures[1]);
}

#[tokio::test]
async fn what_is_not_plain_goes_through_the_dispatch_of_the_sdk_in_the_same_process() {
    let mut house = one_slot().await;
    let structure = simple(SimpleType::Struct);
    for _ in 0..2 {
        let work = shared(&house, "makes_point", 1, Some(structure.clone()), "x").await;
        let outcome = house.outcome(work).await;
        assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    }
    let work = shared(&house, "too_large", 1, int(), "x").await;
    // The SDK itself falls over it.
    assert_eq!(house.failure(work).await.cause, FailureCause::ExitCode(1));
}

#[tokio::test]
async fn a_task_that_ends_its_process_is_charged_and_the_next_attempt_has_another() {
    let mut house = one_slot().await;
    let work = shared(&house, "exits_at_once", 3, int(), "x").await;
    let failure = house.failure(work).await;
    assert_eq!(failure.cause, FailureCause::ExitCode(3));
    let work = shared(&house, "killed", 11, int(), "x").await;
    assert_eq!(house.failure(work).await.cause, FailureCause::Signal(11));
    let work = shared(&house, "counts", 1, text(), "x").await;
    assert!(house.told(work).await.ends_with(" 1 x"));
}

#[tokio::test]
async fn a_task_that_runs_too_long_is_killed_and_the_next_attempt_has_another_process() {
    let mut house = one_slot().await;
    let mut work = shared(&house, "sleeps", 600, int(), "x").await;
    work.timeout = Some(Duration::from_millis(300));
    assert_eq!(house.failure(work).await.cause, FailureCause::TimedOut);
    let work = shared(&house, "double", 2, int(), "x").await;
    assert!(matches!(house.outcome(work).await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn a_process_that_ends_while_it_waits_is_charged_to_nobody() {
    let mut house = one_slot().await;
    for _ in 0..2 {
        let work = shared(&house, "leaves_an_end", 1, text(), "x").await;
        let process = house.told(work).await.parse().unwrap();
        std::fs::write(house.witness(), "").unwrap();
        eventually("it has ended", || !is_alive(process)).await;
        std::fs::remove_file(house.witness()).unwrap();
        let work = shared(&house, "leaves_an_end", 0, text(), "x").await;
        assert_ne!(house.told(work).await.parse(), Ok(process));
    }
}

#[tokio::test]
async fn places_to_look_for_modules_do_not_pile_up() {
    for fast_path in [FastPath::On, FastPath::Off] {
        let mut house = House::with(|config| {
            config.fast_path = fast_path;
            config.slots = 1.try_into().unwrap();
        })
        .await;
        let mut counts = Vec::new();
        for _ in 0..3 {
            let work = shared(&house, "paths", 1, text(), "x").await;
            counts.push(house.told(work).await);
        }
        assert_eq!(counts[1], counts[2]);
    }
}

#[tokio::test]
async fn tasks_that_take_turns_keep_their_processes() {
    let mut house = one_slot().await;
    let mut processes = Vec::new();
    for _ in 0..2 {
        let work = shared(&house, "counts", 1, text(), "x").await;
        processes.push(house.told(work).await.split(' ').next().unwrap().to_owned());
        let work = shared(&house, "double", 1, int(), "x").await;
        house.outcome(work).await;
    }
    assert_eq!(processes[0], processes[1]);
}

#[tokio::test]
async fn a_value_that_took_long_is_also_where_it_is_found_without_the_worker() {
    let mut house = one_slot().await;
    let work = shared(&house, "sleeps", 1, int(), "x").await;
    let outputs = skein_model::paths::outputs(&work.output_prefix);
    assert!(matches!(house.outcome(work).await, Outcome::Succeeded { .. }));
    assert!(house.blobs.size(&outputs).await.unwrap().is_some());
}
