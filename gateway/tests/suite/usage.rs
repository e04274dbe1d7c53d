//! What tries and items used of their machine, as clients read it: over time, and at most.

use crate::definitions::*;
use crate::engine::{append, append_unseen, chunk, failure, launched, node, value, with_map};
use crate::harness::Harness;
use serde_json::{Value, json};
use skein_idl::flyteidl::admin;
use skein_log::usage::{Gpu, GpuUse, Series, Step};
use skein_model::event::{FinishedChunk, ItemRange};
use skein_model::resources::Amounts;
use skein_model::{Attempt, Event, Used, paths};

const API: &str = "/api/v1/executions/flytesnacks/development/abc/usage";
const MIB: u64 = 1 << 20;

/// Begins the first attempt of `n0`.
async fn begin(harness: &Harness) {
    let (node, attempt) = (node("n0"), Attempt(0));
    append_unseen(harness, "abc", &[Event::Started, Event::NodeQueued { node: node.clone() }]).await;
    let started = Event::NodeStarted { node: node.clone(), inputs: value("x", 1) };
    append_unseen(harness, "abc", &[started]).await;
    let queued = Event::AttemptQueued { node: node.clone(), attempt, not_before: None };
    let started =
        Event::AttemptStarted { node, attempt, worker: "w1".to_owned(), micros_ago: 0, place: None };
    append(harness, "abc", &[queued, started]).await;
}

async fn fail(harness: &Harness, used: Option<Used>) {
    let failure = failure("C", "m");
    append(harness, "abc", &[Event::AttemptFailed { node: node("n0"), attempt: Attempt(0), failure, used }])
        .await;
}

fn data(harness: &Harness) -> String {
    harness.blobs.url("metadata/flytesnacks-development-abc")
}

/// One step a half second, each with this item and so many MiB, one after the other from `from_ms` on.
fn series(from_ms: u64, steps: &[(Option<u32>, u64)]) -> Series {
    let requests = Amounts { cpu_millis: Some(500), memory_bytes: Some(64 * MIB), ..Amounts::default() };
    let limits = Amounts { cpu_millis: Some(2_000), memory_bytes: Some(256 * MIB), ..Amounts::default() };
    let mut series = Series::new(requests, limits, Vec::new());
    for (at, (item, mib)) in (0..).zip(steps) {
        series.push(Step {
            from_ms: from_ms + at * 500,
            to_ms: from_ms + (at + 1) * 500,
            item: *item,
            is_whole: true,
            memory_bytes: mib * MIB,
            cpu_micros: 250_000,
            cpu_millis: 500 + at,
            gpus: Vec::new(),
        });
    }
    series
}

/// Leaves what was seen under `prefix`, as a worker does.
async fn leave(harness: &Harness, prefix: &str, series: &Series) {
    let uri = paths::usage_object(prefix, series.steps[0].from_ms);
    harness.blobs.put(&uri, series.encode().into()).await.unwrap();
}

async fn leave_of_attempt(harness: &Harness, series: &Series) {
    leave(harness, &paths::attempt_prefix(&data(harness), &node("n0"), Attempt(0)), series).await;
}

async fn get(harness: &Harness, target: &str, expected: u16) -> Value {
    let (status, body) = harness.http("GET", target, &[], &[]).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert_eq!(status, expected, "{target}: {text}");
    serde_json::from_str(&text).unwrap()
}

async fn refused(harness: &Harness, target: &str, expected: u16) -> String {
    get(harness, target, expected).await["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_an_attempt_uses_is_told_with_what_it_may_and_what_is_set_aside() {
    let harness = launched().await;
    begin(&harness).await;
    leave_of_attempt(&harness, &series(1_000, &[(None, 40), (None, 80), (None, 60)])).await;
    let told = get(&harness, &format!("{API}/n0"), 200).await;
    let expected = json!({
        "execution": "flytesnacks/development/abc",
        "node": "n0",
        "attempt": 0,
        "items": null,
        "item": null,
        "ended": false,
        "from_ms": [1_000, 1_500, 2_000],
        "to_ms": [1_500, 2_000, 2_500],
        "memory": {
            "limit": 256 * MIB,
            "requested": 64 * MIB,
            "allocated": 80 * MIB,
            "peak": 80 * MIB,
            "used": [40 * MIB, 80 * MIB, 60 * MIB],
        },
        "cpu": {
            "limit": 2.0,
            "allocated": 0.5,
            "peak": 0.502,
            "seconds": 0.75,
            "used": [0.5, 0.501, 0.502],
            "mean": [0.5, 0.5, 0.5],
        },
        "gpu": { "allocated": 0, "used": [null, null, null], "devices": [] },
        "by_item": [],
    });
    assert_eq!(told, expected);
    let used = Used { memory_bytes: 90 * MIB, cpu_micros: 750_000, cpu_millis: 502, ..Used::default() };
    fail(&harness, Some(used)).await;
    let ended = get(&harness, &format!("{API}/n0?attempt=0"), 200).await;
    assert_eq!(ended["ended"], true);
    assert_eq!(ended["memory"]["peak"], 90 * MIB, "the journal knows of a peak between two looks");
}

#[tokio::test]
async fn a_part_is_asked_for_by_time_and_thinned_with_its_peaks() {
    let harness = launched().await;
    begin(&harness).await;
    let steps: Vec<_> = (0..100).map(|at| (None, if at == 42 { 1_000 } else { at })).collect();
    leave_of_attempt(&harness, &series(0, &steps)).await;
    let few = get(&harness, &format!("{API}/n0?points=10"), 200).await;
    assert_eq!(few["to_ms"].as_array().map(Vec::len), Some(10));
    assert_eq!(few["memory"]["used"][4], 1_000 * MIB);
    assert_eq!(few["cpu"]["mean"][4], 0.5);
    let part = get(&harness, &format!("{API}/n0?from=10000&to=11000"), 200).await;
    assert_eq!(part["from_ms"], json!([9_500, 10_000, 10_500]));
    assert_eq!(part["memory"]["peak"], 1_000 * MIB, "peaks are those of the whole attempt");
}

#[tokio::test]
async fn a_try_that_ran_again_after_a_crash_has_both_runs() {
    let harness = launched().await;
    begin(&harness).await;
    leave_of_attempt(&harness, &series(10_000, &[(None, 7)])).await;
    leave_of_attempt(&harness, &series(1_000, &[(None, 5), (None, 6)])).await;
    let told = get(&harness, &format!("{API}/n0"), 200).await;
    assert_eq!(told["from_ms"], json!([1_000, 1_500, 10_000]));
    assert_eq!(told["memory"]["used"], json!([5 * MIB, 6 * MIB, 7 * MIB]));
}

#[tokio::test]
async fn accelerators_are_told_one_by_one_and_together() {
    let harness = launched().await;
    begin(&harness).await;
    let mut series = series(0, &[(None, 1), (None, 1)]);
    series.requests.gpus = Some(2);
    let gpu = |id: &str| Gpu { id: id.to_owned(), memory_bytes: Some(80 << 30) };
    series.gpus = vec![gpu("GPU-a"), gpu("MIG-b")];
    for (step, percent) in series.steps.iter_mut().zip([30, 90]) {
        let busy = GpuUse { memory_bytes: u64::from(percent), percent: Some(percent) };
        step.gpus = vec![busy, GpuUse { memory_bytes: 5, percent: None }];
    }
    leave_of_attempt(&harness, &series).await;
    let told = get(&harness, &format!("{API}/n0"), 200).await;
    let device = |id: &str, peak: u64, percent: Value, memory: Value, used: Value| {
        json!({
            "id": id, "memory_limit": 80_u64 << 30, "memory_peak": peak, "peak": percent,
            "memory_used": memory, "used": used,
        })
    };
    let devices = [
        device("GPU-a", 90, json!(90), json!([30, 90]), json!([30, 90])),
        device("MIG-b", 5, Value::Null, json!([5, 5]), json!([null, null])),
    ];
    assert_eq!(told["gpu"], json!({ "allocated": 2, "used": [15.0, 45.0], "devices": devices }));
}

#[tokio::test]
async fn an_item_is_told_apart_from_those_that_ran_with_it() {
    let harness = with_map(20).await;
    let items = ItemRange { start: 0, end: 10 };
    let prefix = paths::items_prefix(&data(&harness), &node("n0"), Attempt(0), items);
    let mut of_range = series(0, &[(Some(3), 10), (Some(4), 300), (Some(4), 200), (None, 5)]);
    of_range.steps[1].is_whole = false;
    leave(&harness, &prefix, &of_range).await;
    let item = get(&harness, &format!("{API}/n0?item=4"), 200).await;
    assert_eq!((&item["item"], &item["attempt"], &item["ended"]), (&json!(4), &json!(0), &json!(false)));
    assert_eq!(item["memory"]["used"], json!([300 * MIB, 200 * MIB]));
    assert_eq!(item["cpu"]["used"], json!([null, 0.502]), "another item ran in the first half second");
    assert_eq!(item["cpu"]["seconds"], 0.25);
    let whole = get(&harness, &format!("{API}/n0?items=0-10"), 200).await;
    assert_eq!(whole["memory"]["used"].as_array().map(Vec::len), Some(4));
    let by_item: Vec<_> =
        whole["by_item"].as_array().unwrap().iter().map(|of| (&of["item"], &of["memory"])).collect();
    assert_eq!(by_item, [(&json!(3), &json!(10 * MIB)), (&json!(4), &json!(300 * MIB))]);
    assert_eq!(get(&harness, &format!("{API}/n0?item=12"), 200).await["to_ms"], json!([]));
    let said = refused(&harness, &format!("{API}/n0"), 400).await;
    assert!(said.contains("use of the machine is kept by items: say item=INDEX"), "{said}");
}

#[tokio::test]
async fn what_a_map_used_is_the_most_of_its_items_and_all_of_their_time() {
    let harness = with_map(20).await;
    let used = |mib: u64| {
        Some(Used { memory_bytes: mib * MIB, cpu_micros: 1_500_000, cpu_millis: mib, ..Used::default() })
    };
    for (start, used) in [(0, used(300)), (10, used(200)), (15, None)] {
        let chunk = FinishedChunk { used, ..chunk(start, start + 5, 0, &[]) };
        append(&harness, "abc", &[Event::ItemsFinished { node: node("n0"), chunk, again: vec![] }]).await;
    }
    let request = admin::TaskExecutionListRequest {
        node_execution_id: Some(node_id("abc", "n0")),
        limit: 10,
        ..Default::default()
    };
    let attempts = harness.admin().list_task_executions(request).await.unwrap().into_inner().task_executions;
    let info = attempts[0].closure.as_ref().unwrap().custom_info.as_ref().unwrap();
    let Some(prost_types::value::Kind::StructValue(used)) = &info.fields["used"].kind else {
        panic!("{info:?}")
    };
    let number = |name: &str| match used.fields[name].kind {
        Some(prost_types::value::Kind::NumberValue(value)) => value,
        _ => panic!("{name} of {used:?}"),
    };
    assert_eq!(number("peakMemoryBytes"), 300.0 * 1_048_576.0);
    assert_eq!((number("cpuSeconds"), number("peakCpuCores")), (3.0, 0.3));
}

#[tokio::test]
async fn all_tries_are_listed_with_what_they_used_at_most() {
    let harness = launched().await;
    begin(&harness).await;
    let none = get(&harness, API, 200).await;
    let tried = json!({
        "node": "n0", "attempt": 0, "items": null, "ended": false, "memory_limit": null, "cpu_limit": null, "peaks": null,
    });
    let execution = "flytesnacks/development/abc";
    let expected = json!({ "execution": execution, "ended": false, "tries": [tried], "left_out": 0 });
    assert_eq!(none, expected);
    leave_of_attempt(&harness, &series(0, &[(None, 40), (None, 80)])).await;
    let peaks = json!({
        "memory": 80 * MIB, "cpu": 0.501, "cpu_seconds": 0.5, "gpu_memory": null, "gpu": null,
    });
    let tried = json!({
        "node": "n0", "attempt": 0, "items": null, "ended": false, "memory_limit": 256 * MIB, "cpu_limit": 2.0,
        "peaks": peaks,
    });
    let expected = json!({ "execution": execution, "ended": false, "tries": [tried], "left_out": 0 });
    assert_eq!(get(&harness, &format!("{API}?node=n0"), 200).await, expected);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let harness = launched().await;
    let said = refused(&harness, &format!("{API}/n0"), 404).await;
    assert!(said.contains("has not begun"), "{said}");
    begin(&harness).await;
    let said = refused(&harness, &format!("{API}/n0?points=5000"), 400).await;
    assert_eq!(said, "points is \"5000\"; it has to be a whole number from 1 to 4096");
    let said = refused(&harness, &format!("{API}/n0?attempt=3"), 404).await;
    assert!(said.contains("no attempt 3"), "{said}");
    let said = refused(&harness, &format!("{API}/n0?item=3"), 400).await;
    assert!(said.contains("is no map"), "{said}");
    refused(&harness, &format!("{API}/n7"), 404).await;
    refused(&harness, "/api/v1/executions/flytesnacks/development/none/usage", 404).await;
    let prefix = paths::attempt_prefix(&data(&harness), &node("n0"), Attempt(0));
    let mut bad = series(0, &[(None, 1)]).encode();
    *bad.last_mut().unwrap() ^= 1;
    harness.blobs.put(&paths::usage_object(&prefix, 0), bad.into()).await.unwrap();
    let said = refused(&harness, &format!("{API}/n0"), 500).await;
    assert!(said.contains("what was used cannot be read"), "{said}");
}
