//! Tasks of values that are not plain: the loaded task leaves what the SDK's own entry point leaves.

use crate::chunks::without_folder;
use crate::support::{House, integers, range, simple};
use skein_idl::flyteidl::core::{LiteralType, SimpleType};
use skein_model::command::Outcome;
use skein_model::event::FinishedChunk;
use skein_model::{Failure, Isolation, Work};
use skein_workers::FastPath;

/// Tasks of `corpus.py` that succeed.
const SUCCEED: [&str; 12] = [
    "point", "points", "by_name", "maybe", "colour", "file", "waits", "goes_on", "loops", "asks", "noted",
    "keeps",
];
/// Tasks that do not, or leave nothing.
const FAIL: [&str; 6] = ["raises", "recovers", "ignored", "wrong", "wrong_file", "raises_later"];

fn structure() -> LiteralType {
    simple(SimpleType::Struct)
}

async fn house(path: FastPath) -> House {
    House::with(|config| {
        config.fast_path = path;
        config.slots = 1.try_into().unwrap();
    })
    .await
}

/// Has `work` be that of a task of `corpus.py`, with a place for checkpoints.
fn of_corpus(house: &House, mut work: Work, isolation: Isolation) -> Work {
    work.isolation = Some(isolation);
    let checkpoint = house.blobs.url(&format!("checkpoints/{}", work.id.attempt));
    for (before, after) in [("task-module", "corpus"), ("--checkpoint-path", checkpoint.as_str())] {
        let at = work.args.iter().position(|arg| arg == before).unwrap();
        after.clone_into(&mut work.args[at + 1]);
    }
    work
}

async fn attempt(house: &House, name: &str, isolation: Isolation) -> Work {
    of_corpus(house, house.task(name, 3, Some(structure())).await, isolation)
}

async fn items(house: &House, name: &str, isolation: Isolation, count: u32) -> Work {
    let values = integers(range(0, count));
    let work = house.items(name, range(0, count), values, Vec::new(), Some(structure())).await;
    of_corpus(house, work, isolation)
}

/// Takes out of a text what differs from house to house and from run to run: where things are, and what is random.
fn comparable(house: &House, text: &str) -> String {
    let text = text.replace(&house.folder.path().display().to_string(), "HOUSE");
    let mut kept = String::new();
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        if letter.is_ascii_hexdigit() {
            word.push(letter);
            continue;
        }
        kept.push_str(if word.len() == 32 { "RANDOM" } else { &word });
        kept.push(letter);
        word.clear();
    }
    kept
}

fn told(house: &House, failure: &Failure) -> String {
    // Whether the SDK's thread is done before it is waited for is chance, and shows in which line waits.
    let waits = |line: &str| line.contains("concurrent/futures/_base.py");
    let message = without_folder(&failure.message);
    let lines: Vec<_> = message.lines().map(|line| if waits(line) { "waits" } else { line }).collect();
    let message = comparable(house, &lines.join("\n"));
    format!("{} {:?} {:?} {message}", failure.code, failure.cause, failure.charge)
}

async fn outcome_of(house: &mut House, work: Work) -> String {
    match house.outcome(work).await {
        Outcome::Succeeded { outputs, deck } => {
            let literals = house.load(&outputs).await;
            comparable(house, &format!("{literals:?} {deck:?}"))
        }
        Outcome::MadeNodes { spec, deck } => comparable(house, &format!("{spec} {deck:?}")),
        Outcome::Failed(failure) => told(house, &failure),
    }
}

async fn chunk_of(house: &mut House, work: Work) -> String {
    let chunk: FinishedChunk = house.chunk(work).await;
    let elements = house.elements(&chunk).await;
    let failures = chunk.failures.iter().map(|failed| (failed.index, told(house, &failed.failure)));
    let failures: Vec<_> = failures.collect();
    assert_eq!(chunk.returned, [], "{failures:?}");
    comparable(house, &format!("{elements:?} {failures:#?}"))
}

#[tokio::test]
async fn an_attempt_leaves_what_the_entry_point_leaves() {
    let (mut loaded, mut stock) = (house(FastPath::On).await, house(FastPath::Off).await);
    for name in SUCCEED.into_iter().chain(FAIL) {
        let mut answers = Vec::new();
        let work = attempt(&stock, name, Isolation::Reuse).await;
        answers.push(outcome_of(&mut stock, work).await);
        for isolation in [Isolation::Reuse, Isolation::Fork] {
            let work = attempt(&loaded, name, isolation).await;
            answers.push(outcome_of(&mut loaded, work).await);
        }
        assert_eq!(answers[0].contains("LiteralMap {"), SUCCEED.contains(&name), "{name}: {}", answers[0]);
        assert!(!answers[0].contains("skein_worker"), "{name}: {}", answers[0]);
        for answer in &answers {
            assert_eq!(*answer, answers[0], "{name}");
        }
    }
}

#[tokio::test]
async fn an_interpreter_of_its_own_leaves_the_same() {
    let mut house = house(FastPath::On).await;
    for name in ["points", "raises", "recovers", "ignored", "raises_later"] {
        let mut answers = Vec::new();
        for isolation in [Isolation::Fresh, Isolation::Reuse] {
            let work = attempt(&house, name, isolation).await;
            answers.push(outcome_of(&mut house, work).await);
        }
        assert_eq!(answers[0], answers[1], "{name}");
    }
}

#[tokio::test]
async fn items_leave_what_the_entry_point_leaves() {
    let (mut loaded, mut stock) = (house(FastPath::On).await, house(FastPath::Off).await);
    for name in SUCCEED.into_iter().chain(FAIL) {
        let mut answers = Vec::new();
        for house in [&mut stock, &mut loaded] {
            let work = items(house, name, Isolation::Reuse, 3).await;
            answers.push(chunk_of(house, work).await);
        }
        assert_eq!(answers[0].contains("Literal {"), SUCCEED.contains(&name), "{name}: {}", answers[0]);
        assert_eq!(answers[0], answers[1], "{name}");
    }
}

#[tokio::test]
async fn items_that_share_no_process_leave_the_same() {
    let mut house = house(FastPath::On).await;
    for name in ["points", "asks", "keeps", "raises"] {
        let mut answers = Vec::new();
        for isolation in [Isolation::Fresh, Isolation::Fork, Isolation::Reuse] {
            let work = items(&house, name, isolation, 1).await;
            answers.push(chunk_of(&mut house, work).await);
        }
        assert_eq!(answers[0], answers[1], "{name}");
        assert_eq!(answers[0], answers[2], "{name}");
    }
}

#[tokio::test]
async fn forked_items_find_their_task_imported_and_nothing_of_each_other() {
    let mut house = house(FastPath::On).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let work = items(&house, "counts", Isolation::Fork, 1).await;
        seen.push(chunk_of(&mut house, work).await);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "each has a process of its own: {seen:?}");
    assert!(seen.iter().all(|told| told.contains("x\\x01")), "each is the first call in it: {seen:?}");
    for (isolation, elsewhere) in
        [(Isolation::Fork, "True"), (Isolation::Fresh, "False"), (Isolation::Reuse, "False")]
    {
        let work = items(&house, "imported_elsewhere", isolation, 1).await;
        let told = chunk_of(&mut house, work).await;
        assert!(told.contains(elsewhere), "{isolation:?}: {told}");
    }
}

#[tokio::test]
async fn outputs_of_an_attempt_that_took_long_are_also_where_they_are_found_without_the_worker() {
    let mut house = house(FastPath::On).await;
    for (name, is_found) in [("slow", true), ("point", false)] {
        let work = attempt(&house, name, Isolation::Reuse).await;
        let outputs = skein_model::paths::outputs(&work.output_prefix);
        assert!(matches!(house.outcome(work).await, Outcome::Succeeded { .. }));
        assert_eq!(house.blobs.size(&outputs).await.unwrap().is_some(), is_found, "{name}");
    }
}

#[tokio::test]
async fn user_code_runs_once_however_it_ends() {
    let mut house = house(FastPath::On).await;
    let first = attempt(&house, "slow", Isolation::Reuse).await;
    assert!(outcome_of(&mut house, first).await.contains("LiteralMap {"));
    let second = attempt(&house, "slow", Isolation::Reuse).await;
    let told = outcome_of(&mut house, second).await;
    assert!(told.contains("x\\x02"), "the second call in this process: {told}");
}

#[tokio::test]
async fn a_literal_that_is_to_lie_in_a_file_of_its_own_does() {
    let (mut loaded, mut stock) = (house(FastPath::On).await, house(FastPath::Off).await);
    let mut answers = Vec::new();
    for house in [&mut stock, &mut loaded] {
        let mut work = attempt(house, "points", Isolation::Reuse).await;
        work.env.push(("_F_L_MIN_SIZE_MB".to_owned(), "0".to_owned()));
        answers.push(outcome_of(house, work).await);
    }
    assert!(answers[0].contains("OffloadedMetadata"), "{}", answers[0]);
    assert_eq!(answers[0], answers[1]);
}
