//! How much the log takes, beside what the same servers take raw. Run with `--ignored --nocapture --test-threads 1`.

use crate::servers::{Servers, settings};
use async_nats::jetstream;
use futures::future::join_all;
use skein_log::EventLog;
use skein_log::conformance::event_log::record;
use skein_model::{Category, Head, JournalId};
use std::sync::Arc;
use std::time::Instant;

const BODY_BYTES: usize = 200;
const APPENDS: usize = 6_400;
const WRITERS_MAX: usize = 64;

/// Appends of `writers` at once, each to a journal of its own, in records a second.
async fn appends(log: Arc<dyn EventLog>, name: &str, writers: usize, count: usize) -> f64 {
    let body = "x".repeat(BODY_BYTES);
    let started = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let (log, body) = (Arc::clone(&log), body.clone());
        let journal = JournalId::from_parts(Category::Registry, &format!("{name}/{writers}/{writer}"));
        tokio::spawn(async move {
            let mut head = Head::EMPTY;
            for _ in 0..count / writers {
                head = log.append(&journal, head, record(&body)).await.unwrap().head;
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
    count as f64 / started.elapsed().as_secs_f64()
}

/// The same number of messages of the same size, each awaited, without any expectation.
async fn publishes(context: jetstream::Context, writers: usize, count: usize) -> f64 {
    let started = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let context = context.clone();
        tokio::spawn(async move {
            for _ in 0..count / writers {
                let payload = vec![0; BODY_BYTES + 64].into();
                let sent = context.publish(format!("raw.{writer}"), payload).await.unwrap();
                sent.await.unwrap();
            }
        })
    });
    join_all(tasks).await.into_iter().for_each(Result::unwrap);
    count as f64 / started.elapsed().as_secs_f64()
}

async fn measure(replicas: usize, sync: &str) {
    let servers = Servers::start_with(replicas, sync).await;
    let nats = servers.connect(settings(replicas)).await;
    let context = jetstream::new(servers.client().await);
    let raw = jetstream::stream::Config {
        name: "RAW".into(),
        subjects: vec!["raw.*".into()],
        num_replicas: replicas,
        ..Default::default()
    };
    context.create_stream(raw).await.unwrap();
    for writers in [1, 8, WRITERS_MAX] {
        let count = if writers == 1 { APPENDS / 8 } else { APPENDS };
        // Interleaved twice, so that a slow moment of the machine shows in both.
        for round in 0..2 {
            let ours = appends(Arc::new(nats.log()), &format!("round-{round}"), writers, count).await;
            let theirs = publishes(context.clone(), writers, count).await;
            let ratio = ours / theirs;
            println!(
                "R{replicas} sync {sync}, {writers} at once: {ours:.0} appends/s, {theirs:.0} raw, {ratio:.2}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; nothing to fail"]
async fn appends_beside_raw_publishes() {
    for (replicas, sync) in [(1, "2m"), (1, "always"), (3, "always")] {
        measure(replicas, sync).await;
    }
}
