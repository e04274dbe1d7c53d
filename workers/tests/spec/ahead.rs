//! Processes that are made before work for them begins.

use crate::support::{House, eventually, integers, range, simple, string};
use skein_idl::flyteidl::core::SimpleType;
use skein_log::TaskQueue;
use skein_model::{Isolation, Work};

/// The processes that have imported `gated.py`.
fn imports(house: &House) -> Vec<String> {
    let told = std::fs::read_to_string(house.witness().with_extension("imports")).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

async fn attempt(house: &House, isolation: Option<Isolation>) -> Work {
    let work = house.task_of("gated", "process").await;
    Work { isolation, ..work }
}

async fn items(house: &House, start: u32, end: u32) -> Work {
    let output = Some(simple(SimpleType::String));
    let values = integers(range(start, end));
    let mut work = house.items("process", range(start, end), values, Vec::new(), output).await;
    let at = work.args.iter().position(|arg| arg == "task-module").unwrap();
    "gated".clone_into(&mut work.args[at + 1]);
    work
}

/// Announces work, and waits until its module is imported.
async fn announced(house: &House, work: &Work) {
    house.queue.announce(work.clone()).await.unwrap();
    eventually("the module is imported", || imports(house).len() == 1).await;
}

#[tokio::test]
async fn an_attempt_that_was_announced_runs_in_the_process_that_was_made_for_it_and_tells_what_it_printed() {
    let mut house = House::open().await;
    let work = attempt(&house, Some(Isolation::Reuse)).await;
    announced(&house, &work).await;
    let work = attempt(&house, Some(Isolation::Reuse)).await;
    let prefix = work.output_prefix.clone();
    assert_eq!(house.told(work).await, imports(&house).concat());
    assert_eq!(house.log(&prefix).await, "imported\n");
}

#[tokio::test]
async fn items_that_were_announced_run_in_the_process_that_was_made_for_them() {
    let mut house = House::open().await;
    let work = items(&house, 0, 2).await;
    announced(&house, &work).await;
    let work = items(&house, 0, 2).await;
    let chunk = house.chunk(work).await;
    let process = imports(&house).concat();
    assert_eq!(house.elements(&chunk).await, [string(&process), string(&process)]);
}

#[tokio::test]
async fn an_attempt_that_was_announced_is_forked_from_where_its_task_was_imported() {
    let mut house = House::open().await;
    let work = attempt(&house, None).await;
    announced(&house, &work).await;
    let work = attempt(&house, None).await;
    assert_ne!(house.told(work).await, imports(&house).concat(), "it has a process of its own");
    assert_eq!(imports(&house).len(), 1, "which imports nothing");
}

#[tokio::test]
async fn what_is_announced_twice_is_prepared_once_and_what_wants_an_interpreter_of_its_own_never() {
    let house = House::open().await;
    let fresh = attempt(&house, Some(Isolation::Fresh)).await;
    house.queue.announce(fresh).await.unwrap();
    let work = attempt(&house, Some(Isolation::Reuse)).await;
    house.queue.announce(work.clone()).await.unwrap();
    announced(&house, &work).await;
    // They are prepared one after the other, so that the last says that all are.
    let mut last = attempt(&house, None).await;
    last.env.push(("MARK".to_owned(), "last".to_owned()));
    house.queue.announce(last).await.unwrap();
    eventually("the last is imported", || imports(&house).iter().any(|import| import.ends_with("last")))
        .await;
    assert_eq!(imports(&house).len(), 2);
}

#[tokio::test]
async fn while_one_slot_imports_the_module_of_a_map_the_other_is_there_for_other_work() {
    let mut house = House::open().await;
    let gate = house.witness().with_extension("gate");
    std::fs::write(&gate, "").unwrap();
    house.offer(items(&house, 0, 1).await).await;
    eventually("one slot imports", || imports(&house).len() == 1).await;
    house.offer(items(&house, 1, 2).await).await;
    eventually("the second process is made beside", || imports(&house).len() == 2).await;
    let other = house.task("double", 21, Some(simple(SimpleType::Integer))).await;
    let outcome = house.outcome(other).await;
    assert!(matches!(outcome, skein_model::command::Outcome::Succeeded { .. }), "{outcome:?}");
    std::fs::remove_file(&gate).unwrap();
    for _ in 0..2 {
        let command = house.next().await;
        assert!(matches!(command, skein_model::Command::ItemsFinished { .. }), "{command:?}");
    }
    assert_eq!(imports(&house).len(), 2);
}
