//! Interpreters that break the protocol, each in one way (`tests/peers/peer.py`). Of a chunk the culprit is charged, by name and
//! in words, and everybody else's items have their results: once, and their own.

use crate::reuse::{int, shared};
use crate::support::{House, eventually, integer, integers, is_alive, range};
use skein_model::command::Outcome;
use skein_model::event::ItemRange;
use skein_model::literals::{encode_literal_map, encode_string};
use skein_model::{Charge, DataRef, Failure, FailureCause, Work};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The item at which a peer does what it is called for, among so many.
const CULPRIT: u32 = 5;
const ITEMS: u32 = 10;
/// More rounds than this are without end.
const ROUNDS_MAX: usize = 12;
/// How long an item may run where a peer never answers.
const TIMEOUT: Duration = Duration::from_millis(400);

/// A house with one slot whose interpreter is the peer called `name`.
async fn house(name: &str) -> House {
    House::with(|config| {
        config.interpreter = config.scratch.with_file_name(name);
        let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/peer");
        std::os::unix::fs::symlink(peer, &config.interpreter).unwrap();
        config.slots = 1.try_into().unwrap();
        match name {
            "never-ready" => config.start_timeout = Duration::from_secs(3),
            "zygote-garbles" => config.idle_ttl = Duration::from_secs(1),
            _ => {}
        }
        config.kill_grace = Duration::ZERO;
        config.env_passed.push("SKEIN_TEST_PYTHON".to_owned());
    })
    .await
}

/// What became of the items of a map.
#[derive(Default)]
struct Fates {
    results: BTreeMap<u32, skein_idl::flyteidl::core::Literal>,
    failures: Vec<(u32, Failure)>,
}

/// Runs all items, and those again that are given back, as the engine does.
async fn fates(house: &mut House, timeout: Option<Duration>) -> Fates {
    let mut fates = Fates::default();
    let mut open = vec![range(0, ITEMS)];
    for _ in 0..ROUNDS_MAX {
        let Some(items) = open.pop() else { return fates };
        let work = work(house, items, timeout).await;
        let chunk = house.chunk(work).await;
        let mut absent: Vec<u32> = chunk.failures.iter().map(|failed| failed.index).collect();
        absent.extend(chunk.returned.iter().flat_map(|range| range.start..range.end));
        let present: Vec<u32> = (items.start..items.end).filter(|item| !absent.contains(item)).collect();
        let elements = house.elements(&chunk).await;
        assert_eq!(present.len(), elements.len(), "a result for each item that succeeded: {chunk:?}");
        fates.results.extend(present.into_iter().zip(elements));
        fates.failures.extend(chunk.failures.into_iter().map(|failed| (failed.index, failed.failure)));
        open.extend(chunk.returned);
    }
    panic!("still open: {open:?}, failed: {:?}", fates.failures);
}

async fn work(house: &House, items: ItemRange, timeout: Option<Duration>) -> Work {
    let work = house.items("identity", items, integers(items), Vec::new(), int()).await;
    Work { timeout, ..work }
}

/// Runs the peer called `name` and answers what the culprit is told, after a look at everybody else.
async fn charged(name: &str, timeout: Option<Duration>) -> Failure {
    let mut house = house(name).await;
    let Fates { results, mut failures } = fates(&mut house, timeout).await;
    let expected = (0..ITEMS).filter(|item| *item != CULPRIT).map(|item| (item, integer(item.into())));
    assert_eq!(results, expected.collect(), "{name}");
    let Some((CULPRIT, failure)) = failures.pop() else { panic!("{name}: {failures:?}") };
    assert_eq!(failures, [], "{name}");
    failure
}

#[tokio::test]
async fn a_process_that_keeps_to_the_protocol_is_answered() {
    let mut house = house("honest").await;
    let Fates { results, failures } = fates(&mut house, None).await;
    assert_eq!(failures, []);
    assert_eq!(results, (0..ITEMS).map(|item| (item, integer(item.into()))).collect());
    let work = shared(&house, "identity", 7, int(), "x").await;
    let Outcome::Succeeded { outputs, .. } = house.outcome(work).await else { panic!("no success") };
    assert_eq!(house.load(&outputs).await.literals["o0"], integer(7));
}

#[tokio::test]
async fn what_is_no_message_of_a_chunk_is_charged_to_the_item_that_runs() {
    for (name, told) in [
        ("reordered", "order"),
        ("behind", "upto"),
        ("beyond", "upto"),
        ("too-few", "values"),
        ("too-many", "values"),
        ("not-given", "99"),
        ("twice", "5"),
        ("done-too-early", "done"),
        ("of-another-chunk", "99"),
        ("of-a-zygote", "upto"),
        ("of-an-attempt", "upto"),
        ("unknown", "upto"),
        ("a-list", "MessagePack"),
        ("deep", "depth limit"),
        ("json", "MessagePack"),
        ("empty", "MessagePack"),
        ("large-array", "cannot be decoded"),
        ("text", "1213486160 bytes"),
        ("four-gib", "4294967295 bytes"),
    ] {
        let failure = charged(name, None).await;
        assert_eq!(
            (failure.charge, &failure.cause),
            (Charge::User, &FailureCause::OutputsUnreadable),
            "{name}"
        );
        assert!(failure.message.contains("is no message to the worker"), "{name}: {}", failure.message);
        assert!(failure.message.contains(told), "{name}: {}", failure.message);
    }
}

#[tokio::test]
async fn items_took_no_longer_than_the_time_that_passed_whatever_their_process_says() {
    let mut house = house("boasts").await;
    let work = work(&house, range(0, ITEMS), None).await;
    let chunk = house.chunk(work).await;
    assert_eq!((chunk.failures, chunk.returned), (vec![], vec![]));
    assert!(Duration::from_micros(chunk.micros) < Duration::from_hours(24), "{}", chunk.micros);
}

#[tokio::test]
async fn an_answer_that_is_repeated_ends_its_process_and_is_charged_to_nobody() {
    let mut house = house("repeated").await;
    let Fates { results, failures } = fates(&mut house, None).await;
    assert_eq!(failures, []);
    assert_eq!(results, (0..ITEMS).map(|item| (item, integer(item.into()))).collect());
}

#[tokio::test]
async fn a_result_that_is_no_literal_is_charged_to_its_item() {
    let failure = charged("no-literal", None).await;
    assert_eq!((failure.code.as_str(), failure.charge), ("OutputsUnreadable", Charge::User));
}

#[tokio::test]
async fn a_process_that_closes_its_connection_and_goes_on_is_charged_to_the_item_that_runs() {
    let failure = charged("closes", None).await;
    assert_eq!((failure.charge, failure.cause), (Charge::User, FailureCause::OutputsUnreadable));
    assert!(failure.message.contains("closed its connection to the worker"), "{}", failure.message);
}

#[tokio::test]
async fn a_process_that_ends_in_the_middle_of_a_message_is_charged_as_it_ended() {
    let failure = charged("exits", None).await;
    assert_eq!((failure.charge, failure.cause), (Charge::User, FailureCause::ExitCode(3)));
    let failure = charged("torn", None).await;
    assert_eq!((failure.charge, failure.code.as_str()), (Charge::User, "OutputsNotFound"));
}

#[tokio::test]
async fn a_process_that_never_answers_runs_out_of_the_items_time() {
    for name in ["never-answers", "torn-and-waits"] {
        assert_eq!(charged(name, Some(TIMEOUT)).await.cause, FailureCause::TimedOut, "{name}");
    }
}

#[tokio::test]
async fn a_process_that_never_loads_its_task_runs_out_of_the_items_time() {
    let mut house = house("never-loads").await;
    let work = work(&house, range(0, 2), Some(TIMEOUT)).await;
    let chunk = house.chunk(work).await;
    let causes: Vec<_> = chunk.failures.iter().map(|failed| &failed.failure.cause).collect();
    assert_eq!(causes, [&FailureCause::TimedOut; 2]);
    let mut work = shared(&house, "identity", 1, int(), "x").await;
    work.timeout = Some(TIMEOUT);
    assert_eq!(house.failure(work).await.cause, FailureCause::TimedOut);
}

#[tokio::test]
async fn a_process_that_reads_no_more_runs_out_of_the_items_time() {
    let mut house = house("reads-no-more").await;
    let many = range(0, 200_000);
    let work = work(&house, many, Some(TIMEOUT)).await;
    let chunk = house.chunk(work).await;
    assert_eq!(chunk.failures[0].failure.cause, FailureCause::TimedOut);
    assert!(chunk.failures.len() == 1 || chunk.returned.len() == 1, "{} failures", chunk.failures.len());
}

#[tokio::test]
async fn a_process_that_reads_no_more_runs_out_of_the_attempts_time() {
    let mut house = house("reads-no-more").await;
    // More than a socket holds, and too little to be put into a file.
    let inputs = encode_literal_map([("x", encode_string(&"x".repeat(900 * 1024)).as_ref())]);
    let work = shared(&house, "identity", 1, int(), "x").await;
    let work = Work { inputs: DataRef::Inline(inputs), timeout: Some(TIMEOUT), ..work };
    assert_eq!(house.failure(work).await.cause, FailureCause::TimedOut);
}

#[tokio::test]
async fn a_process_that_loads_a_task_and_says_something_else_fails_what_it_was_for() {
    for (name, told) in [("loads-foreign", "loaded"), ("loads-text", "1213486160 bytes")] {
        let mut house = house(name).await;
        let work = work(&house, range(0, 2), None).await;
        let failures = house.chunk(work).await.failures;
        assert_eq!(failures.len(), 2, "{name}");
        for failed in failures {
            assert_eq!(failed.failure.charge, Charge::User, "{name}");
            assert!(failed.failure.message.contains(told), "{name}: {}", failed.failure.message);
        }
        let work = shared(&house, "identity", 1, int(), "x").await;
        assert!(house.failure(work).await.message.contains(told), "{name}");
    }
    let mut house = house("loads-and-exits").await;
    let work = work(&house, range(0, 2), None).await;
    let chunk = house.chunk(work).await;
    assert_eq!((chunk.failures[0].index, &chunk.failures[0].failure.cause), (0, &FailureCause::ExitCode(7)));
    assert_eq!(chunk.returned, [range(1, 2)]);
}

#[tokio::test]
async fn an_end_that_no_process_can_have_fails_what_it_was_for() {
    let mut house = house("zygote-ends-absurdly").await;
    let work = shared(&house, "identity", 1, int(), "x").await;
    let failure = house.failure(work).await;
    assert_eq!(failure.cause, FailureCause::Signal(i32::MAX), "{}", failure.message);
}

#[tokio::test]
async fn a_second_answer_to_an_attempt_is_not_taken_for_that_of_the_next() {
    let mut house = house("twice-finished").await;
    for x in 1..4 {
        let work = shared(&house, "identity", x, int(), "x").await;
        match house.outcome(work).await {
            Outcome::Succeeded { outputs, .. } => {
                assert_eq!(house.load(&outputs).await.literals["o0"], integer(x));
            }
            Outcome::MadeNodes { .. } => panic!("it is not dynamic"),
            Outcome::Failed(failure) => {
                assert_ne!(x, 1, "nothing was said before");
                assert_eq!(failure.code, "ProcessUnusable", "{}", failure.message);
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_message_of_an_attempt_is_charged_to_it() {
    for (name, told) in [
        ("single-foreign", "finished"),
        ("single-text", "1213486160 bytes"),
        ("single-of-another", "99"),
        ("single-closes", "closed its connection to the worker"),
        ("single-wrong-type", "the result"),
        ("single-no-literals", "the result"),
    ] {
        let mut house = house(name).await;
        let work = shared(&house, "identity", 1, int(), "x").await;
        let failure = house.failure(work).await;
        assert_eq!(
            (failure.charge, failure.cause),
            (Charge::User, FailureCause::OutputsUnreadable),
            "{name}"
        );
        assert!(failure.message.contains(told), "{name}: {}", failure.message);
    }
    for name in ["single-waits", "single-torn"] {
        let mut house = house(name).await;
        let mut work = shared(&house, "identity", 1, int(), "x").await;
        work.timeout = Some(TIMEOUT);
        let failure = house.failure(work).await;
        assert!(
            matches!(failure.cause, FailureCause::TimedOut | FailureCause::OutputsNotFound),
            "{name}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn an_interpreter_that_is_none_is_named_with_what_it_said_and_ended() {
    for (name, told) in [
        ("ready-foreign", "does not speak as this worker does: it did not say that it is ready"),
        ("ready-text", "1213486160 bytes"),
        (
            "ready-in-another-protocol",
            "it speaks version 2 of the worker protocol, and this worker version 1",
        ),
    ] {
        let mut house = house(name).await;
        let work = work(&house, range(0, 2), None).await;
        let failure = house.chunk(work).await.failures[0].failure.clone();
        assert_eq!((failure.charge, failure.cause), (Charge::System, FailureCause::StartFailed), "{name}");
        assert!(failure.message.contains(told), "{name}: {}", failure.message);
        ended(&house).await;
    }
}

#[tokio::test]
async fn an_interpreter_that_is_never_ready_is_named_and_ended() {
    let mut house = house("never-ready").await;
    let work = shared(&house, "identity", 1, int(), "x").await;
    let failure = house.failure(work).await;
    assert_eq!((failure.charge, failure.cause), (Charge::System, FailureCause::StartFailed));
    assert!(failure.message.contains("did not import flytekit within 3s"), "{}", failure.message);
    ended(&house).await;
}

/// Waits until no interpreter of the house is left.
async fn ended(house: &House) {
    let peers = std::fs::read_to_string(house.folder.path().join("scratch/peers")).unwrap();
    for pid in peers.lines() {
        let pid = pid.parse().unwrap();
        eventually("the interpreter is gone", || !is_alive(pid)).await;
    }
}

#[tokio::test]
async fn what_a_zygote_says_of_children_that_it_was_not_asked_for_is_of_no_consequence() {
    let mut house = house("zygote-lies").await;
    assert_eq!(fates(&mut house, None).await.failures, []);
}

#[tokio::test]
async fn a_zygote_that_is_none_any_more_is_the_systems_fault_and_replaced() {
    for name in ["zygote-garbles", "zygote-dies"] {
        let mut house = house(name).await;
        for _ in 0..2 {
            let work = shared(&house, "identity", 1, int(), "x").await;
            let failure = house.failure(work).await;
            assert_eq!((failure.charge, failure.cause), (Charge::System, FailureCause::WorkerLost), "{name}");
        }
        let peers = std::fs::read_to_string(house.folder.path().join("scratch/peers")).unwrap();
        assert_eq!(peers.lines().count(), 2, "{name}: each time another one");
        ended(&house).await;
    }
}
