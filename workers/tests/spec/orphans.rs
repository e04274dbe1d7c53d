//! No process outlives its worker, however the worker ends, and none is there before it is needed.

use crate::support::{House, eventually, integers, is_alive, range, simple};
use skein_idl::flyteidl::core::SimpleType;
use skein_model::Command as Said;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Set for the process that is to be killed: where it writes what runs under it.
const VICTIM: &str = "SKEIN_TEST_VICTIM";

/// Answers the parent of a process.
fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// Answers the interpreters of a house: its folder stands on their command lines.
fn interpreters(house: &House) -> Vec<u32> {
    let folder = house.folder.path().display().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(&folder) && is_alive(pid) {
            found.push(pid);
        }
    }
    found
}

#[tokio::test]
async fn the_worker_that_is_killed() {
    // Only as a process of its own: see the next test.
    let Some(told) = std::env::var_os(VICTIM).map(PathBuf::from) else { return };
    let mut house = House::open().await;
    let work = house.task("sleeps", 600, Some(simple(SimpleType::Integer))).await;
    let witness = house.witness();
    house.offer(work).await;
    assert!(matches!(house.next().await, Said::AttemptStarted { .. }));
    eventually("user code runs", || std::fs::read_to_string(&witness).is_ok_and(|text| !text.is_empty()))
        .await;
    std::fs::rename(&witness, told).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_worker_that_is_killed_takes_everything_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("pid");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans::the_worker_that_is_killed"])
        .env(VICTIM, &told)
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("user code runs", || told.exists()).await;
    let task: u32 = std::fs::read_to_string(&told).unwrap().parse().unwrap();
    let nest = parent(task);
    let zygote = parent(nest);
    assert_eq!(parent(zygote), victim.id());
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("the task is gone", || !is_alive(task)).await;
    eventually("the process that forked it is gone", || !is_alive(nest)).await;
    eventually("the zygote is gone", || !is_alive(zygote)).await;
}

#[tokio::test]
async fn an_interpreter_is_there_only_while_it_is_needed_and_a_little_longer() {
    let mut house = House::with(|config| config.idle_ttl = Duration::from_secs(1)).await;
    assert!(interpreters(&house).is_empty(), "before there is work");
    let work = house
        .items("is_even", range(0, 3), integers(range(0, 3)), Vec::new(), Some(simple(SimpleType::Boolean)))
        .await;
    assert_eq!(house.chunk(work).await.failures, []);
    assert_eq!(interpreters(&house).len(), 2, "the zygote and the warm child");
    eventually("the interpreters are gone", || interpreters(&house).is_empty()).await;
    let work = house.task("double", 1, Some(simple(SimpleType::Integer))).await;
    house.outcome(work).await;
    house.workers.take().unwrap().drain(Duration::from_secs(5)).await;
    eventually("the interpreters are gone", || interpreters(&house).is_empty()).await;
}

#[tokio::test]
async fn an_interpreter_that_is_killed_is_replaced_and_its_attempt_is_the_systems_fault() {
    let mut house = House::open().await;
    let work = house.task("sleeps", 600, Some(simple(SimpleType::Integer))).await;
    let witness = house.witness();
    house.offer(work).await;
    assert!(matches!(house.next().await, Said::AttemptStarted { .. }));
    eventually("user code runs", || std::fs::read_to_string(&witness).is_ok_and(|text| !text.is_empty()))
        .await;
    let task: u32 = std::fs::read_to_string(&witness).unwrap().parse().unwrap();
    let zygote = rustix::process::Pid::from_raw(parent(task).try_into().unwrap()).unwrap();
    rustix::process::kill_process(zygote, rustix::process::Signal::KILL).unwrap();
    let Said::AttemptFinished { outcome: skein_model::command::Outcome::Failed(failure), .. } =
        house.next().await
    else {
        panic!("no failure");
    };
    assert_eq!(failure.charge, skein_model::Charge::System);
    eventually("the task is gone", || !is_alive(task)).await;
    let work = house.task("double", 1, Some(simple(SimpleType::Integer))).await;
    assert!(matches!(house.outcome(work).await, skein_model::command::Outcome::Succeeded { .. }));
}
