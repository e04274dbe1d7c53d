//! Attempts that are forked from where their task was imported, and those that cannot be.

use crate::support::House;
use skein_model::{FailureCause, Isolation, Work};
use std::time::Duration;

/// What a task of `imported.py` tells.
struct Told {
    imported_here: bool,
    process: String,
    calls: String,
    chance: String,
}

async fn told(house: &mut House, work: Work) -> Told {
    let text = house.told(work).await;
    let [here, process, calls, chance] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text}") };
    let [process, calls, chance] = [process, calls, chance].map(str::to_owned);
    Told { imported_here: here == "True", process, calls, chance }
}

#[tokio::test]
async fn a_module_is_imported_once_and_each_attempt_finds_it_as_it_was_then() {
    let mut house = House::open().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let work = house.task_of("imported", "where").await;
        let prefix = work.output_prefix.clone();
        let told = told(&mut house, work).await;
        assert!(!told.imported_here);
        assert_eq!(told.calls, "1", "what another attempt left is not there");
        assert_eq!(
            house.log(&prefix).await,
            "imported\n",
            "what the import printed is in each attempt's output"
        );
        seen.push(told);
    }
    assert_ne!(seen[0].process, seen[1].process);
    assert_ne!(seen[0].chance, seen[1].chance, "each attempt has chances of its own");
}

#[tokio::test]
async fn an_attempt_that_wants_an_interpreter_of_its_own_imports_for_itself() {
    let mut house = House::open().await;
    let mut work = house.task_of("imported", "where").await;
    work.isolation = Some(Isolation::Fresh);
    let told = told(&mut house, work).await;
    assert!(told.imported_here);
}

#[tokio::test]
async fn a_module_that_asks_whose_attempt_it_is_is_imported_by_each() {
    let mut house = House::open().await;
    for number in 0..2 {
        let work = house.task_of("asking", "told").await;
        assert_eq!(house.told(work).await, format!("{number} {number}"));
    }
}

#[tokio::test]
async fn a_module_that_starts_a_thread_is_imported_by_each() {
    let mut house = House::open().await;
    for _ in 0..2 {
        let work = house.task_of("threading_module", "answers").await;
        assert_eq!(house.told(work).await, "True");
    }
}

#[tokio::test]
async fn a_module_that_opens_a_connection_is_imported_by_each() {
    let mut house = House::open().await;
    for _ in 0..2 {
        let work = house.task_of("connecting", "opened_here").await;
        assert_eq!(house.told(work).await, "True");
    }
}

#[tokio::test]
async fn a_module_that_is_never_imported_to_its_end_runs_out_of_the_attempts_time() {
    let mut house = House::open().await;
    let mut work = house.task_of("waiting", "never").await;
    work.timeout = Some(Duration::from_millis(500));
    assert_eq!(house.failure(work).await.cause, FailureCause::TimedOut);
}

#[tokio::test]
async fn a_module_that_ends_the_process_ends_each_attempt() {
    let mut house = House::open().await;
    for _ in 0..2 {
        let work = house.task_of("exiting", "never").await;
        assert_eq!(house.failure(work).await.cause, FailureCause::ExitCode(5));
    }
}
