//! How far an execution is, once and as it goes on.

use crate::definitions::*;
use crate::engine::{append, append_unseen, chunk, failure, node, run, seen, value};
use crate::harness::Harness;
use skein_gateway::progress::{Items, Kind, NodeProgress, Phase, Progress};
use skein_model::event::ItemRange;
use skein_model::{Attempt, Event, Timestamp};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Where the progress of an execution is.
pub fn progress_of(execution: &str) -> String {
    format!("/api/v1/executions/{PROJECT}/{DOMAIN}/{execution}/progress")
}

async fn progress(harness: &Harness, execution: &str) -> Progress {
    let (status, body) = harness.http("GET", &progress_of(execution), &[], &[]).await;
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

async fn first_node(harness: &Harness) -> NodeProgress {
    progress(harness, "abc").await.nodes.remove(0)
}

async fn items(harness: &Harness) -> Items {
    first_node(harness).await.items.unwrap()
}

/// A map of so many items that has begun.
async fn with_map(size: u32) -> Harness {
    let harness = Harness::start().await;
    launch_mapped(&harness, "abc").await;
    let n0 = node("n0");
    append_unseen(&harness, "abc", &[Event::Started, Event::NodeQueued { node: n0.clone() }]).await;
    let started = Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) };
    append(&harness, "abc", &[started, Event::MapStarted { node: n0, size }]).await;
    harness
}

fn finished(start: u32, end: u32, attempt: u32, failed: &[u32], again: &[u32]) -> Event {
    Event::ItemsFinished {
        node: node("n0"),
        chunk: chunk(start, end, attempt, failed),
        again: again.to_vec(),
    }
}

#[tokio::test]
async fn a_map_is_counted_item_by_item_while_it_runs() {
    let harness = with_map(10).await;
    let begun = first_node(&harness).await;
    assert_eq!((begun.id.as_str(), begun.kind, begun.phase), ("n0", Kind::Map, Phase::Running));
    assert_eq!(begun.items, Some(Items { total: 10, waiting: 10, ..Items::default() }));
    assert_eq!((begun.attempts, begun.items_per_second, begun.seconds_left), (None, None, None));

    append(&harness, "abc", &[finished(0, 5, 0, &[1, 3], &[1, 3])]).await;
    let expected = Items { total: 10, succeeded: 3, waiting: 7, retried: 2, ..Items::default() };
    assert_eq!(items(&harness).await, expected);

    append(&harness, "abc", &[finished(1, 2, 1, &[], &[])]).await;
    append(&harness, "abc", &[finished(3, 4, 1, &[3], &[])]).await;
    let expected = Items { total: 10, succeeded: 4, failed: 1, waiting: 5, retried: 2, ..Items::default() };
    assert_eq!(items(&harness).await, expected);

    append(&harness, "abc", &[finished(5, 10, 0, &[], &[])]).await;
    append(&harness, "abc", &[Event::NodeSucceeded { node: node("n0"), outputs: value("o0", 1) }]).await;
    let ended = first_node(&harness).await;
    assert_eq!(ended.phase, Phase::Succeeded, "half of the items are enough for this map");
    let expected = Items { total: 10, succeeded: 9, failed: 1, retried: 2, ..Items::default() };
    assert_eq!(ended.items, Some(expected));
    assert!(ended.ended.is_some() && ended.seconds_left.is_none());
}

#[tokio::test]
async fn items_that_a_worker_hands_back_still_wait_and_are_not_retried() {
    let harness = with_map(10).await;
    let mut part = chunk(0, 10, 0, &[]);
    part.returned = vec![ItemRange { start: 4, end: 10 }];
    let finished = Event::ItemsFinished { node: node("n0"), chunk: part, again: vec![] };
    append(&harness, "abc", &[finished]).await;
    let expected = Items { total: 10, succeeded: 4, waiting: 6, ..Items::default() };
    assert_eq!(items(&harness).await, expected);
}

#[tokio::test]
async fn items_of_a_map_that_fails_early_are_aborted_and_what_comes_after_it_is_not_run() {
    let harness = with_map(10).await;
    let failure = failure("USER:RuntimeError", "[0]: odd");
    let events = [
        finished(0, 6, 0, &[0, 1, 2, 3, 4, 5], &[]),
        Event::NodeFailed { node: node("n0"), failure: failure.clone() },
        Event::Failing { failure: failure.clone() },
    ];
    append(&harness, "abc", &events).await;
    let found = progress(&harness, "abc").await;
    assert_eq!(found.phase, Phase::Failing);
    let expected = Items { total: 10, failed: 6, aborted: 4, ..Items::default() };
    assert_eq!(found.nodes[0].items, Some(expected));
    assert_eq!(found.nodes[0].error.as_ref().unwrap().code, "USER:RuntimeError");
    let rest: Vec<(&str, Phase, &str)> = found.nodes[1..]
        .iter()
        .map(|node| (node.id.as_str(), node.phase, node.reason.as_deref().unwrap()))
        .collect();
    let expected = [
        ("n1", Phase::NotRun, "the execution ended before its turn came"),
        ("fail", Phase::Waiting, "runs only if the execution fails"),
    ];
    assert_eq!(rest, expected);

    append(&harness, "abc", &[Event::Failed { failure }]).await;
    let found = progress(&harness, "abc").await;
    assert_eq!((found.phase, found.error.unwrap().message.as_str()), (Phase::Failed, "[0]: odd"));
    assert!(found.nodes.iter().all(|node| node.phase.is_terminal()), "{:?}", found.nodes);
}

#[tokio::test]
async fn the_rate_is_that_of_the_last_half_minute_and_says_how_long_the_rest_takes() {
    let harness = with_map(1_000).await;
    // The clock of these tests moves one second with each record.
    for start in [0, 10, 20, 30] {
        append_unseen(&harness, "abc", &[finished(start, start + 10, 0, &[], &[])]).await;
    }
    seen(&harness, "abc").await;
    let node = first_node(&harness).await;
    let rate = node.items_per_second.unwrap();
    assert!((7.0..=10.0).contains(&rate), "40 items in 4 to 5 s: {rate}");
    assert!((node.seconds_left.unwrap() - 960.0 / rate).abs() < 1.0, "{node:?}");

    harness.now.fetch_add(60_000_000, Ordering::Relaxed);
    let later = first_node(&harness).await.items_per_second.unwrap();
    assert!((0.5..=0.7).contains(&later), "none ended lately, so it is 40 items in a minute: {later}");
}

#[tokio::test]
async fn a_task_says_how_often_it_was_tried_and_what_it_waits_for() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    let of_node = async |at: usize| {
        let node = progress(&harness, "abc").await.nodes.remove(at);
        (node.kind, node.phase, node.attempts.unwrap(), node.reason.unwrap_or_default())
    };
    let task = |phase, attempts, reason: &str| (Kind::Task, phase, attempts, reason.to_owned());
    assert_eq!(of_node(0).await, task(Phase::Waiting, 0, "the execution is not taken up yet"));
    let n0 = node("n0");
    append(&harness, "abc", &[Event::Started, Event::NodeQueued { node: n0.clone() }]).await;
    assert_eq!(of_node(0).await, task(Phase::Queued, 0, "its inputs are being put together"));
    assert_eq!(of_node(1).await, task(Phase::Waiting, 0, "waits for n0"));

    let queued = |attempt, not_before| Event::AttemptQueued { node: node("n0"), attempt, not_before };
    let started = Event::NodeStarted { node: n0.clone(), inputs: value("x", 1) };
    append(&harness, "abc", &[started, queued(Attempt(0), None)]).await;
    assert_eq!(of_node(0).await, task(Phase::Running, 1, "waits for a worker"));
    let began = |attempt| Event::AttemptStarted {
        node: node("n0"),
        attempt,
        worker: "w1".to_owned(),
        micros_ago: 0,
        place: None,
    };
    append(&harness, "abc", &[began(Attempt(0))]).await;
    assert_eq!(of_node(0).await, task(Phase::Running, 1, ""));

    let failed = Event::AttemptFailed {
        node: n0,
        attempt: Attempt(0),
        failure: failure("SYSTEM", "lost"),
        used: None,
    };
    let at = Timestamp::from_micros(harness.now.load(Ordering::Relaxed)).after(Duration::from_secs(3_600));
    append(&harness, "abc", &[failed, queued(Attempt(1), Some(at))]).await;
    let (.., attempts, reason) = of_node(0).await;
    assert_eq!((attempts, &reason[..14]), (2, "tried again at"));
    append(&harness, "abc", &[began(Attempt(1))]).await;
    assert_eq!(of_node(0).await, task(Phase::Running, 2, ""));
}

#[tokio::test]
async fn a_finished_execution_says_when_it_began_and_ended_and_how_long_it_took() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;
    let found = progress(&harness, "abc").await;
    assert_eq!(found.execution, format!("{PROJECT}/{DOMAIN}/abc"));
    assert_eq!((found.phase, found.error), (Phase::Succeeded, None));
    assert!(found.started.unwrap().starts_with("2026-01-01T00:00:") && found.ended.unwrap().ends_with('Z'));
    assert!((9.0..12.0).contains(&found.seconds), "a record a second: {}", found.seconds);
    assert_eq!(found.nodes.iter().map(|node| node.phase).collect::<Vec<_>>(), [Phase::Succeeded; 2]);
}

/// A stream of server-sent events.
struct Events {
    stream: TcpStream,
    received: String,
}

impl Events {
    async fn open(harness: &Harness, execution: &str) -> Self {
        let mut stream = TcpStream::connect(harness.address).await.unwrap();
        let target = progress_of(execution);
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        let head = format!("{head}Accept: text/event-stream\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, received: String::new() }
    }

    /// The next event and its data; none when the stream ends. Each event is a chunk of the body of its own.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some(begin) = self.received.find("event: ")
                && let Some(length) = self.received[begin..].find("\n\n")
            {
                let event = self.received[begin..begin + length].to_owned();
                self.received.drain(..begin + length + 2);
                let (name, data) = event.split_once('\n').unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                return Some((name.strip_prefix("event: ").unwrap().to_owned(), data.to_owned()));
            }
            let mut piece = vec![0; 64 * 1024];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.received.push_str(std::str::from_utf8(&piece[..length]).unwrap()),
            }
        }
    }

    async fn next_progress(&mut self) -> Progress {
        let (name, data) = self.next().await.unwrap();
        assert_eq!(name, "progress");
        serde_json::from_str(&data).unwrap()
    }
}

#[tokio::test]
async fn a_stream_says_at_most_once_a_second_what_is_new_and_ends_with_the_execution() {
    let harness = with_map(40).await;
    let begun = Instant::now();
    let mut events = Events::open(&harness, "abc").await;
    assert_eq!(events.next_progress().await.nodes[0].items.unwrap().succeeded, 0);
    let mut other = Events::open(&harness, "abc").await;
    other.next_progress().await;
    for item in 0..40 {
        append_unseen(&harness, "abc", &[finished(item, item + 1, 0, &[], &[])]).await;
    }
    let (mut shown, mut told) = (0, 1);
    while shown < 40 {
        let items = events.next_progress().await.nodes[0].items.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(told), "{told} after {:?}", begun.elapsed());
        assert!(items.succeeded > shown && items.waiting == 40 - items.succeeded, "{items:?} after {shown}");
        (shown, told) = (items.succeeded, told + 1);
    }
    append_unseen(
        &harness,
        "abc",
        &[Event::Aborting { cause: "enough".to_owned(), principal: "me".to_owned() }],
    )
    .await;
    append(&harness, "abc", &[Event::Aborted]).await;
    for events in [&mut events, &mut other] {
        let ended = loop {
            let progress = events.next_progress().await;
            if progress.phase.is_terminal() {
                break progress;
            }
        };
        assert_eq!((ended.phase, ended.error.unwrap().message.as_str()), (Phase::Aborted, "enough"));
        assert_eq!(events.next().await, Some(("end".to_owned(), "{}".to_owned())));
        assert_eq!(events.next().await, None);
    }
}

#[tokio::test]
async fn a_stream_of_an_execution_that_has_ended_says_so_at_once() {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;
    let mut events = Events::open(&harness, "abc").await;
    assert_eq!(events.next_progress().await.phase, Phase::Succeeded);
    assert_eq!(events.next().await, Some(("end".to_owned(), "{}".to_owned())));
    assert_eq!(events.next().await, None);
}

/// How many executions the gateway says are watched.
async fn watched(harness: &Harness) -> String {
    let (_, text) = harness.http("GET", "/metrics", &[], &[]).await;
    let text = String::from_utf8(text).unwrap();
    let sample = text.lines().find_map(|line| line.strip_prefix("skein_gateway_watched_executions "));
    sample.unwrap().to_owned()
}

#[tokio::test]
async fn an_execution_is_read_for_all_who_watch_together_and_not_at_all_once_they_have_gone() {
    let harness = with_map(2).await;
    assert_eq!(watched(&harness).await, "0");
    let mut watchers = Vec::new();
    for _ in 0..5 {
        let mut events = Events::open(&harness, "abc").await;
        events.next_progress().await;
        watchers.push(events);
    }
    assert_eq!(watched(&harness).await, "1");
    drop(watchers);
    let asked = Instant::now();
    while watched(&harness).await != "0" {
        assert!(asked.elapsed() < Duration::from_secs(30), "somebody is still taken to watch");
    }
}

#[tokio::test]
async fn who_comes_back_after_everybody_had_gone_is_told_again() {
    let harness = with_map(2).await;
    for ended in 0..2 {
        let mut events = Events::open(&harness, "abc").await;
        assert_eq!(events.next_progress().await.nodes[0].items.unwrap().succeeded, ended);
        append(&harness, "abc", &[finished(ended, ended + 1, 0, &[], &[])]).await;
        while events.next_progress().await.nodes[0].items.unwrap().succeeded == ended {}
    }
}

#[tokio::test]
async fn a_server_that_ends_does_not_wait_for_those_who_watch() {
    let mut harness = with_map(2).await;
    let mut events = Events::open(&harness, "abc").await;
    events.next_progress().await;
    let asked = Instant::now();
    harness.stop().await;
    assert!(asked.elapsed() < harness.config.limits.drain_max / 2, "{:?}", asked.elapsed());
    assert_eq!(events.next().await, None, "the execution has not ended, so that there is no word of its end");
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_in_json_that_names_it() {
    let harness = Harness::start().await;
    let long = "x".repeat(300);
    let refusals = [
        ("p/d/none".to_owned(), 404, "project:\"p\"  domain:\"d\"  name:\"none\""),
        ("p/d/a%0Ab".to_owned(), 400, "name \"a\\nb\" holds '\\n'"),
        ("p/d/a%2Fb".to_owned(), 400, "name \"a/b\" holds '/'"),
        ("p/%2e%2e/a".to_owned(), 400, "domain \"..\" names a folder"),
        (format!("{long}/d/a"), 400, "project has 300 bytes, the limit is 255"),
        ("p/d/%ff".to_owned(), 400, "not text in UTF-8"),
    ];
    for accept in ["application/json", "text/event-stream"] {
        for (path, status, words) in &refusals {
            let target = format!("/api/v1/executions/{path}/progress");
            let (answered, body) = harness.http("GET", &target, &[("Accept", accept)], &[]).await;
            assert_eq!(answered, *status, "{path}");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["status"], *status, "{path}");
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains(words), "{path}: {message}");
        }
    }
}
