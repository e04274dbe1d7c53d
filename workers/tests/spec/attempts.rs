//! One attempt at a time, in every way in which a task can end.

use crate::support::{House, eventually, integer, is_alive, simple, string};
use skein_idl::flyteidl::core::SimpleType;
use skein_log::{Stop, TaskQueue};
use skein_model::command::Outcome;
use skein_model::{Charge, Command, FailureCause, Isolation};
use std::time::Duration;

fn int() -> Option<skein_idl::flyteidl::core::LiteralType> {
    Some(simple(SimpleType::Integer))
}

#[tokio::test]
async fn a_task_that_returns_succeeds_with_its_outputs_and_its_output_is_kept() {
    let mut house = House::open().await;
    let work = house.task("double", 21, int()).await;
    let prefix = work.output_prefix.clone();
    house.offer(work).await;
    let (began, outcome) = house.beginning_and_end().await;
    assert!(began.is_some(), "its start is told, alone or with its end");
    let Outcome::Succeeded { outputs, deck: None } = outcome else { panic!("{outcome:?}") };
    assert_eq!(house.load(&outputs).await.literals["o0"], integer(42));
    assert!(house.log(&prefix).await.contains("doubling 21"));
}

#[tokio::test]
async fn what_a_copy_of_the_process_returns_is_not_the_result() {
    for isolation in [Isolation::Fork, Isolation::Reuse] {
        let mut house = House::open().await;
        let mut work = house.task("twice", 7, int()).await;
        work.isolation = Some(isolation);
        let outcome = house.outcome(work).await;
        let Outcome::Succeeded { outputs, .. } = outcome else { panic!("{isolation:?}: {outcome:?}") };
        assert_eq!(house.load(&outputs).await.literals["o0"], integer(7), "{isolation:?}");
    }
}

#[tokio::test]
async fn a_task_without_outputs_succeeds_with_none() {
    let mut house = House::open().await;
    let work = house.task("nothing", 5, None).await;
    let outcome = house.outcome(work).await;
    let Outcome::Succeeded { outputs, .. } = outcome else { panic!("{outcome:?}") };
    assert!(house.load(&outputs).await.literals.is_empty());
    assert_eq!(std::fs::read_to_string(house.witness()).unwrap(), "5");
}

#[tokio::test]
async fn an_exception_is_the_users_and_final_and_says_where_it_came_from() {
    let mut house = House::open().await;
    let work = house.task("raises", 1, int()).await;
    let prefix = work.output_prefix.clone();
    let failure = house.failure(work).await;
    assert_eq!(failure.code, "USER:RuntimeError");
    assert_eq!(
        (failure.cause, failure.charge),
        (FailureCause::TaskRaised { recoverable: false }, Charge::User)
    );
    assert!(failure.message.starts_with("Trace:\n\n    Traceback"), "{}", failure.message);
    assert!(failure.message.ends_with("Message:\n\n    ValueError: boom 1"), "{}", failure.message);
    assert!(house.blobs.size(&skein_model::paths::error(&prefix)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_recoverable_exception_may_be_tried_again() {
    let mut house = House::open().await;
    let work = house.task("recoverable", 1, int()).await;
    let failure = house.failure(work).await;
    assert_eq!(failure.code, "USER:Recoverable");
    assert!(failure.is_retryable());
}

#[tokio::test]
async fn an_exit_code_is_told_with_the_end_of_the_output() {
    let mut house = House::open().await;
    for name in ["exits", "exits_at_once"] {
        let work = house.task(name, 3, int()).await;
        let failure = house.failure(work).await;
        assert_eq!((failure.code.as_str(), failure.charge), ("Error", Charge::User), "{name}");
        assert_eq!(failure.cause, FailureCause::ExitCode(3), "{name}");
        let told = "] terminated with exit code (3). Reason [Error]. Message: \n";
        assert!(failure.message.starts_with("\r\n[x-n0-"), "{name}: {}", failure.message);
        assert!(failure.message.contains(told), "{name}: {}", failure.message);
        assert!(failure.message.contains("going down"), "{name}: {}", failure.message);
    }
}

#[tokio::test]
async fn a_sigkill_is_the_systems_fault_and_a_crash_is_the_users() {
    let mut house = House::open().await;
    let work = house.task("killed", 9, int()).await;
    let failure = house.failure(work).await;
    assert_eq!((failure.cause, failure.charge), (FailureCause::Signal(9), Charge::System));
    let work = house.task("killed", 11, int()).await;
    let failure = house.failure(work).await;
    assert_eq!((failure.cause, failure.charge), (FailureCause::Signal(11), Charge::User));
}

#[tokio::test]
async fn ending_well_without_declared_outputs_is_a_failure() {
    let mut house = House::open().await;
    for name in ["exits", "exits_at_once"] {
        let work = house.task(name, 0, int()).await;
        let failure = house.failure(work).await;
        assert_eq!(failure.code, "OutputsNotFound", "{name}");
    }
}

#[tokio::test]
async fn a_result_of_the_wrong_type_is_what_the_sdk_makes_of_it() {
    let mut house = House::open().await;
    let work = house.task("wrong_type", 1, int()).await;
    let failure = house.failure(work).await;
    assert_eq!((failure.code.as_str(), failure.charge), ("SYSTEM", Charge::System));
    assert!(!failure.is_retryable());
}

#[tokio::test]
async fn processes_that_a_task_leaves_behind_die_with_it() {
    let mut house = House::open().await;
    let work = house.task("daemon", 1, int()).await;
    let outcome = house.outcome(work).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    let folder = house.witness().parent().unwrap().to_owned();
    let left: Vec<u32> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap()[1..].parse().unwrap())
        .collect();
    assert_eq!(left.len(), 2);
    eventually("both daemons are gone", || !left.iter().any(|pid| is_alive(*pid))).await;
}

#[tokio::test]
async fn a_task_that_runs_too_long_is_killed_even_if_it_ignores_sigterm() {
    let mut house = House::with(|config| config.kill_grace = Duration::from_millis(200)).await;
    let mut work = house.task("deaf", 600, int()).await;
    work.timeout = Some(Duration::from_secs(2));
    let failure = house.failure(work).await;
    assert_eq!(failure.code, "TimeoutExpired");
    assert_eq!(failure.message, "task execution timeout [2s] expired");
    assert_eq!((failure.cause, failure.charge), (FailureCause::TimedOut, Charge::User));
    let pid = std::fs::read_to_string(house.witness()).unwrap().parse().unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn a_task_that_is_withdrawn_is_killed_and_not_reported() {
    let mut house = House::open().await;
    let work = house.task("sleeps", 600, int()).await;
    let id = work.id.clone();
    house.offer(work).await;
    let witness = house.witness();
    let mut pid = None;
    eventually("user code runs", || {
        pid = std::fs::read_to_string(&witness).ok().and_then(|text| text.parse().ok());
        pid.is_some()
    })
    .await;
    house.queue.withdraw(Stop::Work(id)).await.unwrap();
    eventually("the task is gone", || !is_alive(pid.unwrap())).await;
    // The next end that is told is that of what is asked for next.
    let work = house.task("double", 1, int()).await;
    assert!(matches!(house.outcome(work).await, Outcome::Succeeded { .. }));
}

#[tokio::test]
async fn a_task_that_deletes_its_folder_harms_neither_itself_nor_the_next() {
    let mut house = House::open().await;
    let work = house.task("deletes", 1, int()).await;
    let outcome = house.outcome(work).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    let work = house.task("reads_beside", 1, Some(simple(SimpleType::String))).await;
    let outcome = house.outcome(work).await;
    let Outcome::Succeeded { outputs, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(house.load(&outputs).await.literals["o0"], string("found"));
}

#[tokio::test]
async fn a_task_that_prints_without_end_is_cut_and_still_succeeds() {
    let mut house = House::with(|config| config.log.bytes_max = 8 << 20).await;
    let work = house.task("prints", 200, int()).await;
    let prefix = work.output_prefix.clone();
    let outcome = house.outcome(work).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
    let log = house.log(&prefix).await;
    assert!(log.len() < (8 << 20) + 17 * 1024, "{} bytes", log.len());
    assert!(log[8 << 20..].starts_with("\n[skein: the output is cut here, after 8388608 bytes]\n[skein: "));
}

#[tokio::test]
async fn a_deck_is_stored_and_told() {
    let mut house = House::open().await;
    let work = house.task("decked", 1, int()).await;
    let outcome = house.outcome(work).await;
    let Outcome::Succeeded { deck: Some(deck), .. } = outcome else { panic!("{outcome:?}") };
    assert!(house.blobs.get(&deck, 1 << 30).await.unwrap().starts_with(b"<"));
}

#[tokio::test]
async fn a_command_of_the_users_own_runs_as_it_is() {
    let mut house = House::open().await;
    let mut work = house.task("own", 1, None).await;
    work.args = ["sh", "-c", "echo hello; exit 4"].map(str::to_owned).to_vec();
    let failure = house.failure(work).await;
    assert_eq!(failure.cause, FailureCause::ExitCode(4));
    assert!(failure.message.contains("hello"));
}

#[tokio::test]
async fn an_archive_that_is_not_there_is_named() {
    let mut house = House::open().await;
    let mut work = house.task("double", 1, int()).await;
    work.args[2] = house.blobs.url("missing.tar.gz");
    let failure = house.failure(work).await;
    assert_eq!((failure.cause, failure.charge), (FailureCause::StartFailed, Charge::System));
    assert!(failure.message.contains("missing.tar.gz"), "{}", failure.message);
}

#[tokio::test]
async fn an_interpreter_without_the_sdk_is_named_with_what_it_says() {
    let mut house = House::with(|config| config.interpreter = "/bin/false".into()).await;
    let work = house.task("double", 1, int()).await;
    let failure = house.failure(work).await;
    assert_eq!(failure.cause, FailureCause::StartFailed);
    assert!(failure.message.contains("/bin/false"), "{}", failure.message);
}

#[tokio::test]
async fn draining_hands_back_what_does_not_end_in_time() {
    let mut house = House::open().await;
    let work = house.task("sleeps", 600, int()).await;
    house.offer(work).await;
    assert!(matches!(house.next().await, Command::AttemptStarted { .. }));
    house.workers.take().unwrap().drain(Duration::from_millis(100)).await;
    let Command::AttemptFinished { outcome: Outcome::Failed(failure), .. } = house.next().await else {
        panic!("no failure");
    };
    assert_eq!((failure.cause, failure.charge), (FailureCause::Interrupted, Charge::Interruption));
}
