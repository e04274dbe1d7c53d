//! How long a process lives that runs one attempt after another, and how many of them a task has at once.

use crate::reuse::{one_slot, shared};
use crate::support::{House, eventually, integer, integers, is_alive, range, simple};
use skein_idl::flyteidl::core::{LiteralType, SimpleType};
use skein_log::{Stop, TaskQueue};
use skein_model::command::Outcome;
use skein_model::{Isolation, Life, Work};
use std::time::Duration;

fn text() -> Option<LiteralType> {
    Some(simple(SimpleType::String))
}

/// One try of a task of `single.py` in a process that it shares, for as long as `life` says.
async fn living(house: &House, name: &str, x: i64, life: Life) -> Work {
    Work { life, ..shared(house, name, x, text(), "x").await }
}

/// Runs a task some times and answers the processes that it ran in.
async fn processes(name: &str, x: i64, life: Life, times: usize) -> Vec<String> {
    let mut house = one_slot().await;
    let mut processes = Vec::new();
    for _ in 0..times {
        let work = living(&house, name, x, life).await;
        let told = house.told(work).await;
        processes.push(told.split(' ').next().unwrap_or_default().to_owned());
    }
    processes
}

#[tokio::test]
async fn a_process_is_replaced_when_it_has_run_as_many_attempts_as_it_may() {
    let life = Life { attempts_max: Some(2), ..Life::default() };
    let ran_in = processes("counts", 1, life, 5).await;
    assert_eq!(ran_in[0], ran_in[1]);
    assert_eq!(ran_in[2], ran_in[3]);
    assert!(ran_in[1] != ran_in[2] && ran_in[3] != ran_in[4], "{ran_in:?}");
}

#[tokio::test]
async fn a_process_is_replaced_when_it_is_as_old_as_it_may_be() {
    let life = Life { seconds_max: Some(1), ..Life::default() };
    let ran_in = processes("lasts", 1, life, 2).await;
    assert_ne!(ran_in[0], ran_in[1]);
    let life = Life { seconds_max: Some(3_600), ..Life::default() };
    let ran_in = processes("lasts", 0, life, 2).await;
    assert_eq!(ran_in[0], ran_in[1]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_is_replaced_when_it_has_grown_by_as_much_as_it_may_since_its_first_attempt() {
    let life = Life { growth_mib_max: Some(32), ..Life::default() };
    let ran_in = processes("hoards", 48, life, 3).await;
    assert_eq!(ran_in[0], ran_in[1], "what the first attempt brings in is no growth");
    assert_ne!(ran_in[1], ran_in[2]);
    let ran_in = processes("hoards", 0, life, 3).await;
    assert_eq!(ran_in[0], ran_in[2]);
}

#[tokio::test]
async fn the_chunks_of_a_map_wear_their_process_out_as_attempts_do() {
    for (attempts_max, of_each) in [(None, 2), (Some(1), 1)] {
        let mut house = one_slot().await;
        let mut processes = Vec::new();
        for _ in 0..2 {
            let items = integers(range(0, 3));
            let work = house
                .items("pid_of", range(0, 3), items, Vec::new(), Some(simple(SimpleType::Integer)))
                .await;
            let life = Life { attempts_max, ..Life::default() };
            let chunk = house.chunk(Work { life, ..work }).await;
            processes.extend(house.elements(&chunk).await);
        }
        let first = processes.iter().filter(|process| **process == processes[0]).count();
        assert_eq!(first, of_each * 3, "{processes:?}");
    }
}

/// A house with two slots, in which a task with room for one process waits at a gate.
async fn gated(isolation: Isolation) -> House {
    let house = House::open().await;
    house.offer(narrow(&house, isolation).await).await;
    eventually("the task runs", || begun(&house) == 1).await;
    house
}

/// One try of the task that waits at the gate, of which one process may run at once.
async fn narrow(house: &House, isolation: Isolation) -> Work {
    let work = shared(house, "gated", 1, text(), "x").await;
    Work { isolation: Some(isolation), processes_max: Some(1), ..work }
}

/// How many attempts have come to the gate.
fn begun(house: &House) -> usize {
    let witness = house.witness();
    let files = std::fs::read_dir(witness.parent().unwrap()).unwrap();
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().starts_with("begun")).count()
}

fn open_gate(house: &House) {
    std::fs::write(house.witness().with_file_name("gate"), "").unwrap();
}

async fn doubles(house: &mut House) {
    let work = house.task("double", 21, Some(simple(SimpleType::Integer))).await;
    let Outcome::Succeeded { outputs, .. } = house.outcome(work).await else { panic!("no success") };
    assert_eq!(house.load(&outputs).await.literals["o0"], integer(42));
}

#[tokio::test]
async fn a_task_has_no_more_processes_than_it_may_and_what_waits_for_one_keeps_no_slot_from_others() {
    for isolation in [Isolation::Reuse, Isolation::Fork, Isolation::Fresh] {
        let mut house = gated(isolation).await;
        for _ in 0..3 {
            house.offer(narrow(&house, isolation).await).await;
        }
        doubles(&mut house).await;
        doubles(&mut house).await;
        assert_eq!(begun(&house), 1, "{isolation:?}");
        open_gate(&house);
        for _ in 0..4 {
            let (_, outcome) = house.beginning_and_end().await;
            assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
        }
        assert_eq!(begun(&house), 4, "{isolation:?}");
    }
}

#[tokio::test]
async fn a_process_that_waits_for_attempts_gives_way_to_another_of_its_task() {
    let mut house = House::open().await;
    let mut before = None;
    for of_execution in ["one", "two"] {
        let mut work = shared(&house, "counts", 1, text(), of_execution).await;
        work.processes_max = Some(1);
        // Tells two processes apart, as another version of the task would.
        work.env.push(("VARIANT".to_owned(), of_execution.to_owned()));
        let told = house.told(work).await;
        let process: u32 = told.split(' ').next().unwrap().parse().unwrap();
        assert!(before.is_none_or(|before| before != process && !is_alive(before)));
        before = Some(process);
    }
}

#[tokio::test]
async fn the_process_of_a_task_is_found_by_whichever_slot_runs_the_next_attempt() {
    let mut house = House::open().await;
    let mut calls = Vec::new();
    for _ in 0..8 {
        let work = shared(&house, "counts", 1, text(), "x").await;
        let told = house.told(work).await;
        calls.push(told.split(' ').nth(1).unwrap().to_owned());
    }
    assert_eq!(calls, ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[tokio::test]
async fn work_that_is_withdrawn_while_it_waits_never_begins() {
    let mut house = gated(Isolation::Reuse).await;
    let waiting = narrow(&house, Isolation::Reuse).await;
    let id = waiting.id.clone();
    house.offer(waiting).await;
    doubles(&mut house).await;
    house.queue.withdraw(Stop::Work(id)).await.unwrap();
    open_gate(&house);
    house.beginning_and_end().await;
    doubles(&mut house).await;
    assert_eq!(begun(&house), 1);
}

#[tokio::test]
async fn work_that_waits_goes_back_to_the_queue_when_the_worker_closes() {
    let mut house = gated(Isolation::Reuse).await;
    let waiting = narrow(&house, Isolation::Reuse).await;
    let pool = waiting.pool.clone();
    house.offer(waiting).await;
    doubles(&mut house).await;
    assert_eq!(house.queue.waiting(&pool).await.unwrap(), 0);
    house.workers.take().expect("they run").drain(Duration::from_millis(100)).await;
    assert_eq!(house.queue.waiting(&pool).await.expect("it is in memory"), 1);
    assert_eq!(begun(&house), 1);
}
