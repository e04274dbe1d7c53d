//! Random workflows of nodes in each other, over a log that loses records and answers, under engines that end at any moment: each
//! comes to what a plain calculation says.
//!
//! `SKEIN_RANDOM_SEED=7` runs that seed alone; `SKEIN_LONG=1` runs many more.

mod flows;
pub mod nodes;

use crate::world::{Answer, World};
use flows::{Dice, Program};
use skein_log::faulty::{Faults, FaultyLog};
use skein_log::memory::MemoryLog;
use skein_model::{Event, Failure};
use std::sync::Arc;

const FAULTS: Faults = Faults { lost_acknowledgements: 60, lost_appends: 60, delays: 100 };
/// How often the engine ends at most.
const RESTARTS_MAX: u64 = 4;
/// How often others get their turn before it ends, at most.
const TURNS_MAX: u64 = 400;

fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("SKEIN_RANDOM_SEED").ok().and_then(|seed| seed.parse().ok());
    let many = if std::env::var("SKEIN_LONG").is_ok_and(|long| long == "1") { 1_000 } else { 20 };
    asked.map_or(0..many, |seed: u64| seed..seed + 1)
}

#[tokio::test(start_paused = true)]
async fn random_workflows_come_to_what_a_plain_calculation_says() {
    for seed in seeds() {
        agrees(Program::random(seed), Faults::default(), 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn they_do_so_over_a_faulty_log_and_under_engines_that_end_at_any_moment() {
    for seed in seeds() {
        agrees(Program::random(seed), FAULTS, RESTARTS_MAX).await;
    }
}

/// Runs a program, and where it comes to something else than it should, shows the smallest that does so too.
async fn agrees(mut program: Program, faults: Faults, restarts_max: u64) {
    let mut wrong = wrong(&program, faults, restarts_max).await;
    while wrong.is_some() {
        let mut is_smallest = true;
        for smaller in program.smaller() {
            let found = self::wrong(&smaller, faults, restarts_max).await;
            if found.is_some() {
                (program, wrong, is_smallest) = (smaller, found, false);
                break;
            }
        }
        assert!(!is_smallest, "SKEIN_RANDOM_SEED={}: {wrong:?} of {program:?}", program.seed);
    }
}

/// Runs a program; answers what it comes to if it should not.
async fn wrong(program: &Program, faults: Faults, restarts_max: u64) -> Option<Result<i64, Failure>> {
    let outcome = run(program, faults, restarts_max).await;
    (!program.allows(&outcome)).then_some(outcome)
}

/// Runs a program to its end; answers its value, or how it failed.
async fn run(program: &Program, faults: Faults, restarts_max: u64) -> Result<i64, Failure> {
    let mut dice = Dice::new(program.seed);
    let log = FaultyLog::new(MemoryLog::default(), program.seed, faults);
    let mut world = World::start_on(Arc::new(log)).await;
    let id = world.create("random", &nodes::closure(program), &[("x", program.x)]).await;
    let answer = Answer::ByTask(Arc::new(nodes::Tasks::of(program)));
    for _ in 0..dice.below(restarts_max + 1) {
        let worker = world.work(answer.clone());
        for _ in 0..dice.below(TURNS_MAX) {
            tokio::task::yield_now().await;
        }
        worker.abort();
        world = world.restart().await;
    }
    let worker = world.work(answer);
    let events = world.finished(&id).await;
    worker.abort();
    match events.iter().find(|event| matches!(event, Event::Failed { .. } | Event::Succeeded { .. })) {
        Some(Event::Failed { failure }) => Err(failure.clone()),
        _ => Ok(world.outputs(&events).await[0].1[0]),
    }
}
