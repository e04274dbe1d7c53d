//! What user code printed, as clients read it: whole, in parts, and while it is printed.

use crate::definitions::*;
use crate::engine::{append, append_unseen, chunk, failure, launched, node, run, value, with_map};
use crate::harness::Harness;
use serde_json::{Value, json};
use skein_log::printed::{self, Mark};
use skein_model::event::ItemRange;
use skein_model::{Attempt, Event, paths};
use std::time::Duration;
use tokio::time::timeout;

const API: &str = "/api/v1/executions/flytesnacks/development/abc/logs";
const LINKS: &str = "/logs/flytesnacks/development/abc";
const EVENTS: (&str, &str) = ("Accept", "text/event-stream");

/// Begins an attempt of `n0`.
async fn begin(harness: &Harness, attempt: u32) {
    let (node, attempt) = (node("n0"), Attempt(attempt));
    if attempt == Attempt(0) {
        append_unseen(harness, "abc", &[Event::Started, Event::NodeQueued { node: node.clone() }]).await;
        let started = Event::NodeStarted { node: node.clone(), inputs: value("x", 1) };
        append_unseen(harness, "abc", &[started]).await;
    }
    let queued = Event::AttemptQueued { node: node.clone(), attempt, not_before: None };
    let started =
        Event::AttemptStarted { node, attempt, worker: "w1".to_owned(), micros_ago: 0, place: None };
    append(harness, "abc", &[queued, started]).await;
}

async fn fail(harness: &Harness, attempt: u32) {
    let failed = Event::AttemptFailed {
        node: node("n0"),
        attempt: Attempt(attempt),
        failure: failure("C", "m"),
        used: None,
    };
    append(harness, "abc", &[failed]).await;
}

fn prefix(harness: &Harness) -> String {
    harness.blobs.url("metadata/flytesnacks-development-abc")
}

/// Leaves what an attempt of `n0` printed, as a worker does: frames of an object that begins with byte `start`.
async fn print(harness: &Harness, attempt: u32, start: u64, frames: &[&[u8]]) {
    let prefix = paths::attempt_prefix(&prefix(harness), &node("n0"), Attempt(attempt));
    let object: Vec<u8> = frames.iter().flat_map(|text| printed::encode(text, &[])).collect();
    harness.blobs.put(&paths::log_object(&prefix, start), object.into()).await.unwrap();
}

/// Leaves what items of a map printed: for each text the item, if it was one's.
async fn print_items(harness: &Harness, range: (u32, u32), attempt: u32, texts: &[(Option<u32>, &str)]) {
    let items = ItemRange { start: range.0, end: range.1 };
    let prefix = paths::items_prefix(&prefix(harness), &node("n0"), Attempt(attempt), items);
    let (mut all, mut marks) = (String::new(), Vec::new());
    for (item, text) in texts {
        marks.push(Mark { at: u32::try_from(all.len()).unwrap(), item: *item });
        all.push_str(text);
    }
    let object = printed::encode(all.as_bytes(), &marks);
    harness.blobs.put(&paths::log_object(&prefix, 0), object.into()).await.unwrap();
}

/// Status and text of an answer.
async fn get(harness: &Harness, target: &str) -> (u16, String) {
    let (status, body) = harness.http("GET", target, &[], &[]).await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// The text of an answer that is a log.
async fn log(harness: &Harness, target: &str) -> String {
    let (status, text) = get(harness, target).await;
    assert_eq!(status, 200, "{target}: {text}");
    text
}

/// What a refusal says.
async fn refused(harness: &Harness, target: &str, expected: u16) -> String {
    let (status, text) = get(harness, target).await;
    assert_eq!(status, expected, "{target}: {text}");
    serde_json::from_str::<Value>(&text)
        .map_or(text, |json| json["error"]["message"].as_str().unwrap().to_owned())
}

/// All events of a stream, to its end: name, id, and what it says.
async fn events(harness: &Harness, target: &str, more: &[(&str, &str)]) -> Vec<(String, String, Value)> {
    let headers: Vec<(&str, &str)> = more.iter().copied().chain([EVENTS]).collect();
    let asked = harness.http("GET", target, &headers, &[]);
    let (status, body) = timeout(Duration::from_secs(60), asked).await.expect("the output ends");
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200, "{body}");
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim_start_matches(": ").to_owned()
    };
    let blocks = body.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    blocks
        .map(|block| {
            let data = serde_json::from_str(&field(block, "data")).unwrap();
            (field(block, "event"), field(block, "id"), data)
        })
        .collect()
}

fn text_of(events: &[(String, String, Value)]) -> String {
    events.iter().filter_map(|(_, _, data)| data["text"].as_str()).collect()
}

#[tokio::test]
async fn what_each_attempt_printed_is_put_together_from_its_objects() {
    let harness = launched().await;
    begin(&harness, 0).await;
    print(&harness, 0, 0, &[b"one\n", b"two\n"]).await;
    print(&harness, 0, 8, &[b"three"]).await;
    fail(&harness, 0).await;
    begin(&harness, 1).await;
    print(&harness, 1, 0, &[b"again\n"]).await;
    assert_eq!(log(&harness, &format!("{LINKS}/n0/0")).await, "one\ntwo\nthree");
    assert_eq!(log(&harness, &format!("{LINKS}/n0/1")).await, "again\n");
    assert_eq!(log(&harness, &format!("{API}/n0?attempt=0")).await, "one\ntwo\nthree");
    assert_eq!(log(&harness, &format!("{API}/n0")).await, "again\n", "the last one is meant");
    let listed: Value = serde_json::from_str(&log(&harness, API).await).unwrap();
    let expected = json!({
        "execution": "flytesnacks/development/abc",
        "ended": false,
        "logs": [
            { "node": "n0", "attempt": 0, "ended": true },
            { "node": "n0", "attempt": 1, "ended": false },
        ],
    });
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_part_is_read_from_a_byte_on_or_from_the_last_lines() {
    let harness = launched().await;
    begin(&harness, 0).await;
    print(&harness, 0, 0, &[b"one\n", b"two\n"]).await;
    print(&harness, 0, 8, &[b"three"]).await;
    let part = |query| {
        let (harness, target) = (&harness, format!("{API}/n0?{query}"));
        async move { log(harness, &target).await }
    };
    assert_eq!(part("from=5").await, "wo\nthree");
    assert_eq!(part("from=2&limit=8").await, "e\ntwo\nth");
    assert_eq!(part("limit=0").await, "");
    assert_eq!(part("from=13").await, "");
    assert_eq!(part("from=18446744073709551615").await, "");
    assert_eq!(part("tail=1").await, "three");
    assert_eq!(part("tail=2").await, "two\nthree");
    assert_eq!(part("tail=9&limit=3").await, "one");
}

#[tokio::test]
async fn bytes_that_are_no_text_are_served_as_they_are_and_shown_as_text_in_events() {
    let harness = launched().await;
    begin(&harness, 0).await;
    let printed = b"\0\xff\xfe \x1e caf\xc3";
    print(&harness, 0, 0, &[printed, b"\xa9 \xf0\x9f"]).await;
    fail(&harness, 0).await;
    let (status, body) = harness.http("GET", &format!("{API}/n0"), &[], &[]).await;
    assert_eq!((status, body), (200, [&printed[..], b"\xa9 \xf0\x9f"].concat()));
    let events = events(&harness, &format!("{API}/n0?attempt=0"), &[]).await;
    assert_eq!(text_of(&events), "\0\u{fffd}\u{fffd} \u{1e} café \u{fffd}");
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_is_served_like_any_other() {
    let harness = launched().await;
    begin(&harness, 0).await;
    let frame = vec![b'x'; printed::FRAME_BYTES_MAX];
    for at in 0..50 {
        print(&harness, 0, at * frame.len() as u64, &[&frame]).await;
    }
    let size = 50 * frame.len();
    assert_eq!(log(&harness, &format!("{API}/n0")).await.len(), size);
    assert_eq!(log(&harness, &format!("{API}/n0?tail=1&limit=5")).await, "xxxxx");
    assert_eq!(log(&harness, &format!("{API}/n0?from={}", size - 3)).await, "xxx");
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_what_is() {
    let harness = launched().await;
    let missing = refused(&harness, &API.replace("abc", "none"), 404).await;
    assert!(missing.contains("name:\"none\""), "{missing}");
    assert!(refused(&harness, &format!("{API}/zz"), 404).await.contains("node_id:\"zz\""));
    assert_eq!(
        refused(&harness, &format!("{API}/n0"), 404).await,
        "node n0 has not begun: the execution is not taken up yet"
    );
    begin(&harness, 0).await;
    assert_eq!(log(&harness, &format!("{API}/n0")).await, "", "it has printed nothing yet");
    assert_eq!(refused(&harness, &format!("{API}/n1"), 404).await, "node n1 has not begun: waits for n0");
    assert_eq!(
        refused(&harness, &format!("{API}/n0?attempt=1"), 404).await,
        "node n0 has no attempt 1; its last is attempt 0 (they are counted from 0)"
    );
    assert!(refused(&harness, &format!("{API}/n0?item=0"), 400).await.contains("is no map"));
    assert!(refused(&harness, &format!("{API}/n0?form=3"), 400).await.contains("form is unknown"));
    assert!(refused(&harness, &format!("{API}?node=zz"), 404).await.contains("node_id:\"zz\""));
    assert!(refused(&harness, &format!("{LINKS}/n0/x"), 400).await.contains("attempt is \"x\""));
    assert_eq!(get(&harness, &format!("{LINKS}/..%2f..%2fn0/0")).await.0, 400);
    assert_eq!(get(&harness, &format!("{LINKS}/n0/%ff")).await.0, 400);
    let failed = Event::NodeFailed { node: node("n0"), failure: failure("C", "m") };
    fail(&harness, 0).await;
    append_unseen(&harness, "abc", &[failed, Event::Failing { failure: failure("C", "m") }]).await;
    append(&harness, "abc", &[Event::Failed { failure: failure("C", "m") }]).await;
    assert!(refused(&harness, &format!("{API}/n1"), 404).await.starts_with("node n1 has not run: "));
    let events = events(&harness, &format!("{API}/n0"), &[]).await;
    assert_eq!(events, [("end".to_owned(), "0".to_owned(), json!({}))]);
}

#[tokio::test]
async fn a_stream_without_an_attempt_is_of_the_one_that_was_the_last_when_it_began() {
    let harness = launched().await;
    begin(&harness, 0).await;
    print(&harness, 0, 0, &[b"of the first"]).await;
    let target = format!("{API}/n0");
    let (events, ()) = tokio::join!(events(&harness, &target, &[]), async {
        // Within one turn of whoever follows: the next attempt is there when it looks again.
        print(&harness, 0, 0, &[b"of the first, to its end"]).await;
        print(&harness, 1, 0, &[b"of the second, which is longer than that"]).await;
        fail(&harness, 0).await;
        begin(&harness, 1).await;
        fail(&harness, 1).await;
    });
    let text = text_of(&events);
    let whole = ["of the first, to its end", "of the second, which is longer than that"];
    assert!(whole.contains(&text.as_str()), "one of them, and no mixture: {text}");
    assert_eq!(events.last().unwrap().0, "end");
}

#[tokio::test]
async fn a_stream_shows_what_is_printed_meanwhile_and_ends_with_the_attempt() {
    let harness = launched().await;
    let target = format!("{API}/n0?attempt=0");
    let (events, ()) = tokio::join!(events(&harness, &target, &[]), async {
        begin(&harness, 0).await;
        print(&harness, 0, 0, &[b"one\n"]).await;
        // It need not be seen at each step; nothing is shown twice, and nothing is left out.
        print(&harness, 0, 0, &[b"one\n", b"two\n"]).await;
        print(&harness, 0, 8, &[b"three"]).await;
        fail(&harness, 0).await;
    });
    assert_eq!(text_of(&events), "one\ntwo\nthree");
    assert_eq!(events.last().unwrap(), &("end".to_owned(), "13".to_owned(), json!({})));
    let mut at = 0;
    for (name, id, data) in &events[..events.len() - 1] {
        assert_eq!((name.as_str(), data["from"].as_u64()), ("log", Some(at)));
        at = data["next"].as_u64().unwrap();
        assert_eq!(*id, at.to_string());
    }
}

#[tokio::test]
async fn who_was_cut_off_goes_on_after_what_was_received() {
    let harness = launched().await;
    begin(&harness, 0).await;
    print(&harness, 0, 0, &[b"one\n", b"two\n"]).await;
    print(&harness, 0, 8, &[b"three"]).await;
    fail(&harness, 0).await;
    let target = format!("{API}/n0?attempt=0");
    for (id, expected) in [("0", "one\ntwo\nthree"), ("5", "wo\nthree"), ("13", ""), ("99", "")] {
        let events = events(&harness, &target, &[("Last-Event-ID", id)]).await;
        assert_eq!((text_of(&events).as_str(), events.last().unwrap().0.as_str()), (expected, "end"));
    }
    assert_eq!(text_of(&events(&harness, &format!("{target}&tail=2"), &[]).await), "two\nthree");
    assert_eq!(text_of(&events(&harness, &format!("{target}&from=4"), &[]).await), "two\nthree");
    let headers = [EVENTS, ("Last-Event-ID", "x")];
    assert_eq!(harness.http("GET", &target, &headers, &[]).await.0, 400);
    assert_eq!(harness.http("GET", &format!("{target}&limit=3"), &[EVENTS], &[]).await.0, 400);
}

#[tokio::test]
async fn an_item_of_a_map_has_a_log_of_its_own_and_its_range_all_of_it() {
    let harness = with_map(4).await;
    let texts = [(None, "import\n"), (Some(0), "a\n"), (Some(1), "b\nb"), (Some(0), "!\n")];
    print_items(&harness, (0, 2), 0, &texts).await;
    assert_eq!(log(&harness, &format!("{API}/n0?item=0")).await, "a\n!\n");
    assert_eq!(log(&harness, &format!("{API}/n0?item=1&from=2")).await, "b");
    assert_eq!(log(&harness, &format!("{API}/n0?items=0-2")).await, "import\na\nb\nb!\n");
    assert_eq!(log(&harness, &format!("{LINKS}/n0/0/1")).await, "b\nb");
    assert_eq!(log(&harness, &format!("{LINKS}/n0/0/0-2")).await, "import\na\nb\nb!\n");
    assert_eq!(log(&harness, &format!("{API}/n0?item=3")).await, "", "it has not printed yet");
    assert!(refused(&harness, &format!("{API}/n0"), 400).await.contains("say item=INDEX"));
    assert!(refused(&harness, &format!("{API}/n0?item=0&attempt=1"), 404).await.contains("in attempt 1"));

    let finished =
        |chunk, again: &[u32]| Event::ItemsFinished { node: node("n0"), chunk, again: again.to_vec() };
    append(&harness, "abc", &[finished(chunk(0, 2, 0, &[1]), &[1])]).await;
    print_items(&harness, (1, 2), 1, &[(Some(1), "again\n")]).await;
    assert_eq!(log(&harness, &format!("{API}/n0?item=1")).await, "again\n", "its last attempt is meant");
    assert_eq!(log(&harness, &format!("{API}/n0?item=1&attempt=0")).await, "b\nb");
    let listed: Value = serde_json::from_str(&log(&harness, API).await).unwrap();
    let expected = json!([
        { "node": "n0", "attempt": 0, "items": [0, 2], "ended": true },
        { "node": "n0", "attempt": 1, "items": [1, 2], "ended": false },
    ]);
    assert_eq!(listed["logs"], expected);
    let events = events(&harness, &format!("{API}/n0?item=0&attempt=0"), &[]).await;
    assert_eq!(text_of(&events), "a\n!\n");
}

#[tokio::test]
async fn an_item_that_was_handed_back_goes_on_in_the_range_that_took_it() {
    let harness = with_map(4).await;
    let mut first = chunk(0, 4, 0, &[]);
    first.returned = vec![ItemRange { start: 2, end: 4 }];
    print_items(&harness, (0, 4), 0, &[(Some(2), "first\n")]).await;
    print_items(&harness, (2, 3), 0, &[(Some(2), "then\n")]).await;
    append(&harness, "abc", &[Event::ItemsFinished { node: node("n0"), chunk: first, again: vec![] }]).await;
    let second = Event::ItemsFinished { node: node("n0"), chunk: chunk(2, 3, 0, &[]), again: vec![] };
    let (target, ended) = (format!("{API}/n0?item=2"), [second]);
    let (events, ()) = tokio::join!(events(&harness, &target, &[]), append(&harness, "abc", &ended));
    assert_eq!(text_of(&events), "first\nthen\n");
}

#[tokio::test]
async fn a_damaged_object_is_a_fault_of_the_server_and_nothing_is_made_up() {
    let harness = launched().await;
    begin(&harness, 0).await;
    let prefix = paths::attempt_prefix(&prefix(&harness), &node("n0"), Attempt(0));
    harness.blobs.put(&paths::log_object(&prefix, 0), b"something else".as_slice().into()).await.unwrap();
    assert!(refused(&harness, &format!("{API}/n0?tail=1"), 500).await.contains("cannot be read"));
}

#[tokio::test]
async fn a_server_that_ends_does_not_wait_for_those_who_follow() {
    let mut harness = launched().await;
    begin(&harness, 0).await;
    let address = harness.address;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {API}/n0 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let asked = std::time::Instant::now();
    harness.stop().await;
    assert!(asked.elapsed() < harness.config.limits.drain_max / 2, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn no_more_follow_than_may() {
    let config = skein_gateway::Config::default();
    let limits = skein_gateway::Limits { followers_max: 0, ..config.limits };
    let harness = Harness::start_with(skein_gateway::Config { limits, ..config }).await;
    register(&harness).await;
    launch(&harness, "abc").await;
    run(&harness, "abc").await;
    assert_eq!(harness.http("GET", &format!("{API}/n0"), &[EVENTS], &[]).await.0, 503);
    assert_eq!(log(&harness, &format!("{API}/n0")).await, "");
}
