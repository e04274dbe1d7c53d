//! What an execution waits for, of its journal alone.

use crate::definitions::*;
use crate::engine::{append_unseen, chunk, failure, node, value};
use crate::harness::Harness;
use crate::progress::progress_of;
use skein_gateway::progress::Phase;
use skein_gateway::why::{Charged, Why};
use skein_model::event::ItemRange;
use skein_model::{Attempt, Charge, Event, Failure, FailureCause, Timestamp};
use std::sync::atomic::Ordering;
use std::time::Duration;

async fn asked(harness: &Harness, node: &str) -> (u16, String) {
    let path = progress_of("abc").replace("/progress", "/why");
    let path = if node.is_empty() { path } else { format!("{path}/{node}") };
    let (status, body) = harness.http("GET", &path, &[], &[]).await;
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn why(harness: &Harness) -> Why {
    let (status, body) = asked(harness, "").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// What each part waits for, as `n0: a worker`.
async fn waits(harness: &Harness) -> Vec<String> {
    let told = |wait: &skein_gateway::why::Wait| {
        format!("{}: {}", wait.node.as_deref().unwrap_or("execution"), wait.what)
    };
    why(harness).await.waits.iter().map(told).collect()
}

fn queued(attempt: u32, not_before: Option<Timestamp>) -> Event {
    Event::AttemptQueued { node: node("n0"), attempt: Attempt(attempt), not_before }
}

fn failed(attempt: u32, charge: Charge) -> Event {
    let failure = Failure { charge, cause: FailureCause::WorkerLost, ..failure("Lost", "it is gone") };
    Event::AttemptFailed { node: node("n0"), attempt: Attempt(attempt), failure, used: None }
}

#[tokio::test]
async fn each_unfinished_part_says_what_it_waits_for_from_the_beginning_to_the_end() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let taken_up = ["execution: the engine to take the execution up"];
    assert_eq!(waits(&harness).await[..1], taken_up);
    let n0 = node("n0");
    append_unseen(&harness, "abc", &[Event::Started, Event::NodeQueued { node: n0.clone() }]).await;
    let after = "n1: n0 to succeed".to_owned();
    assert_eq!(waits(&harness).await, ["n0: its inputs to be put together".to_owned(), after.clone()]);
    let started = Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) };
    append_unseen(&harness, "abc", &[started, queued(0, None)]).await;
    assert_eq!(waits(&harness).await, ["n0: a worker".to_owned(), after.clone()]);
    let began = Event::AttemptStarted {
        node: n0.clone(),
        attempt: Attempt(0),
        worker: "w1".to_owned(),
        micros_ago: 500_000,
        place: None,
    };
    append_unseen(&harness, "abc", &[began]).await;
    let now = why(&harness).await;
    assert_eq!(now.waits[0].what, "its task, which runs on w1");
    assert!(
        (now.waits[0].seconds - 1.5).abs() < 0.1,
        "it began before that was recorded: {:?}",
        now.waits[0]
    );
    assert_eq!(now.waits[1].what, "n0 to succeed");
    let ends = Event::NodeSucceeded { node: n0, outputs: value("o0", 2) };
    append_unseen(&harness, "abc", &[ends, Event::Succeeding]).await;
    assert_eq!(waits(&harness).await, ["execution: its outputs to be put together"]);
    append_unseen(&harness, "abc", &[Event::Succeeded { outputs: value("o0", 3) }]).await;
    let ended = why(&harness).await;
    assert_eq!((ended.phase, ended.waits.len()), (Phase::Succeeded, 0));
}

#[tokio::test]
async fn each_try_that_failed_says_whose_retries_paid_for_it() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let started = Event::NodeStarted { node: node("n0"), inputs: value("x", 1) };
    append_unseen(&harness, "abc", &[Event::Started, started, queued(0, None)]).await;
    append_unseen(&harness, "abc", &[failed(0, Charge::User), queued(1, None)]).await;
    append_unseen(&harness, "abc", &[failed(1, Charge::Interruption), queued(2, None)]).await;
    let later = Timestamp::from_micros(harness.now.load(Ordering::Relaxed)).after(Duration::from_secs(600));
    append_unseen(&harness, "abc", &[failed(2, Charge::User), queued(3, Some(later))]).await;
    let told = why(&harness).await;
    assert_eq!(told.waits[0].what, "the time at which it is tried again");
    assert_eq!(told.waits[0].until, Some(prost_types::Timestamp::from(later).to_string()));
    let paid: Vec<_> = told.tries.iter().map(|one| (one.attempt, one.charged, one.nth, one.again)).collect();
    let expected = [
        (0, Charged::Task, Some(1), true),
        (1, Charged::Nobody, Some(1), true),
        (2, Charged::Task, Some(2), true),
    ];
    assert_eq!(paid, expected);
    let ends = Event::NodeFailed { node: node("n0"), failure: failure("Lost", "it is gone") };
    append_unseen(&harness, "abc", &[failed(3, Charge::System), ends]).await;
    let last = why(&harness).await.tries.pop().unwrap();
    assert_eq!((last.charged, last.nth, last.again), (Charged::System, Some(1), false));
    assert_eq!((last.code.as_str(), last.message.as_str()), ("Lost", "it is gone"));
}

#[tokio::test]
async fn of_a_long_message_the_end_is_told() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let long = failure("USER:ValueError", &format!("{}é the reason", "a traceback\n".repeat(1_000)));
    let ends = Event::AttemptFailed { node: node("n0"), attempt: Attempt(0), failure: long, used: None };
    append_unseen(&harness, "abc", &[Event::Started, queued(0, None), ends]).await;
    let message = why(&harness).await.tries.pop().unwrap().message;
    assert_eq!(message.chars().count(), 1_024);
    assert!(message.ends_with("a traceback\né the reason"), "{message}");
}

#[tokio::test]
async fn a_map_says_how_many_of_its_items_are_to_end_and_which_failed() {
    let harness = Harness::start().await;
    launch_mapped(&harness, "abc").await;
    let n0 = node("n0");
    let started = Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) };
    let begins = [Event::Started, started, Event::MapStarted { node: n0.clone(), size: 300 }];
    append_unseen(&harness, "abc", &begins).await;
    let mut part = chunk(0, 10, 0, &[3, 5]);
    part.returned = vec![ItemRange { start: 8, end: 10 }];
    append_unseen(&harness, "abc", &[Event::ItemsFinished { node: n0.clone(), chunk: part, again: vec![5] }])
        .await;
    let told = why(&harness).await;
    assert_eq!(told.waits[0].what, "293 of its 300 items to end", "seven have, and one of them badly");
    let items: Vec<_> = told.tries.iter().map(|one| (one.item, one.again, one.nth)).collect();
    assert_eq!(items, [(Some(3), false, None), (Some(5), true, None)]);

    let many: Vec<u32> = (10..210).collect();
    let all = Event::ItemsFinished { node: n0, chunk: chunk(10, 210, 0, &many), again: vec![] };
    append_unseen(&harness, "abc", &[all]).await;
    let told = why(&harness).await;
    assert_eq!(
        (told.tries.len(), told.earlier),
        (100, 102),
        "the last ones are told, and the others counted"
    );
    assert_eq!(told.tries[99].item, Some(209));
}

#[tokio::test]
async fn one_node_is_told_alone_and_what_is_not_there_is_said() {
    let harness = Harness::start().await;
    register(&harness).await;
    let (status, body) = asked(&harness, "").await;
    assert_eq!(status, 404, "{body}");
    launch(&harness, "abc").await;
    append_unseen(&harness, "abc", &[Event::Started, Event::NodeQueued { node: node("n0") }]).await;
    let (status, body) = asked(&harness, "n1").await;
    assert_eq!(status, 200, "{body}");
    let told: Why = serde_json::from_str(&body).unwrap();
    let nodes: Vec<_> = told.waits.iter().map(|wait| wait.node.as_deref()).collect();
    assert_eq!(nodes, [Some("n1")]);
    let (status, body) = asked(&harness, "n7").await;
    assert_eq!(status, 404);
    assert!(body.contains("has no node n7; it has n0, n1"), "{body}");
}
