//! Tasks of actor environments in this machine's own processes.

use crate::reuse::{int, shared};
use crate::support::{House, eventually, integer, is_alive, simple};
use skein_idl::flyteidl::core::SimpleType;
use skein_model::command::Outcome;
use skein_model::{Actor, Work};
use std::time::Duration;

pub(crate) fn actor(version: &str) -> Actor {
    Actor {
        environment: format!("p/d/env/{version}"),
        image: String::new(),
        slots: 1,
        backlog: 0,
        ttl: Duration::from_secs(60),
    }
}

/// One try of a task of `single.py` that tells its process, what it counts there, and its execution.
async fn counting(house: &House, name: &str, actor: Actor, execution: &str) -> Work {
    let mut work = shared(house, name, 1, Some(simple(SimpleType::String)), execution).await;
    // Executions and tasks differ in their variables, and share nevertheless.
    work.env.push(("FLYTE_INTERNAL_TASK_NAME".to_owned(), name.to_owned()));
    work.env.push(("OF".to_owned(), execution.to_owned()));
    work.actor = Some(actor);
    work
}

async fn told(house: &mut House, work: Work) -> (u32, String) {
    let told = house.told(work).await;
    let mut words = told.split(' ');
    let process = words.next().unwrap().parse().unwrap();
    (process, words.next().unwrap().to_owned())
}

#[tokio::test]
async fn the_tasks_of_an_environment_run_in_one_process_and_find_what_others_left_there() {
    let mut house = House::open().await;
    let mut all = Vec::new();
    for (name, execution) in
        [("counts", "one"), ("counts_too", "one"), ("counts", "two"), ("counts_too", "three")]
    {
        let work = counting(&house, name, actor("1"), execution).await;
        all.push(told(&mut house, work).await);
    }
    let process = all[0].0;
    let counts = ["1", "2", "3", "4"].map(|count| (process, count.to_owned()));
    assert_eq!(all, counts);
}

#[tokio::test]
async fn another_version_of_the_environment_has_processes_of_its_own() {
    let mut house = House::open().await;
    let mut all = Vec::new();
    for version in ["1", "2", "1"] {
        let work = counting(&house, "counts", actor(version), "x").await;
        all.push(told(&mut house, work).await);
    }
    assert_ne!(all[0].0, all[1].0);
    assert_eq!(all[2], (all[0].0, "2".to_owned()));
}

#[tokio::test]
async fn what_is_of_another_archive_has_a_process_of_its_own_for_which_the_other_gives_way() {
    let mut house = House::open().await;
    let work = counting(&house, "counts", actor("1"), "x").await;
    let (before, _) = told(&mut house, work).await;
    let mut work = counting(&house, "counts", actor("1"), "x").await;
    let at = work.args.iter().position(|arg| arg == "--additional-distribution").unwrap() + 1;
    let other = house.blobs.url("other.tar.gz");
    let code = house.blobs.get(&work.args[at], u64::MAX).await.unwrap();
    house.blobs.put(&other, code).await.unwrap();
    work.args[at] = other;
    let (after, count) = told(&mut house, work).await;
    assert_eq!(count, "1");
    assert_ne!(before, after);
    assert!(!is_alive(before), "the environment has room for one");
}

#[tokio::test]
async fn a_process_is_kept_as_long_as_its_environment_says() {
    let mut house = House::open().await;
    let long = counting(&house, "counts", actor("1"), "x").await;
    let (kept, _) = told(&mut house, long).await;
    let short = Actor { ttl: Duration::from_millis(50), ..actor("2") };
    let short = counting(&house, "counts", short, "x").await;
    let (gone, _) = told(&mut house, short).await;
    eventually("the end of the process", || !is_alive(gone)).await;
    assert!(is_alive(kept));
}

#[tokio::test]
async fn a_task_that_cannot_be_loaded_fails_alone_and_its_process_goes_on() {
    let mut house = House::open().await;
    let work = counting(&house, "counts", actor("1"), "x").await;
    let (before, _) = told(&mut house, work).await;
    let absent = counting(&house, "not_there", actor("1"), "x").await;
    let failure = house.failure(absent).await;
    assert!(failure.message.contains("not_there"), "{failure:?}");
    let work = counting(&house, "counts", actor("1"), "x").await;
    assert_eq!(told(&mut house, work).await, (before, "2".to_owned()));
    let mut doubles = shared(&house, "double", 21, int(), "x").await;
    doubles.actor = Some(actor("1"));
    let Outcome::Succeeded { outputs, .. } = house.outcome(doubles).await else { panic!("no success") };
    assert_eq!(house.load(&outputs).await.literals["o0"], integer(42));
}
