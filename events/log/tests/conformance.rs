//! Everything that runs inside one process passes the suite of its contract.

use skein_log::clock::ManualClock;
use skein_log::conformance::{self, event_log::Log};
use skein_log::embedded::{EmbeddedLog, Options};
use skein_log::memory::{MemoryInbox, MemoryLeases, MemoryLog, MemoryQueue};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_memory_keeps_the_contract() {
    conformance::event_log(async || Arc::new(MemoryLog::default()) as Log).await;
    let log = MemoryLog::default();
    conformance::event_log(async || Arc::new(log.clone()) as Log).await;
    conformance::event_log::reopening(async || Arc::new(log.clone()) as Log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let log: Log = Arc::new(EmbeddedLog::open(folder.path()).unwrap());
    conformance::event_log(async || Arc::clone(&log)).await;
    drop(log);
    conformance::event_log::reopening(async || Arc::new(EmbeddedLog::open(folder.path()).unwrap()) as Log)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_keeps_the_contract_while_it_moves_records_at_every_commit() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { checkpoint_after_bytes: 0, ..Options::default() };
    let log: Log = Arc::new(EmbeddedLog::open_with(folder.path(), options).unwrap());
    conformance::event_log(async || Arc::clone(&log)).await;
}

#[tokio::test]
async fn the_inbox_in_memory_keeps_the_contract() {
    conformance::inbox(async || Arc::new(MemoryInbox::new(64, Duration::from_secs(60))) as Arc<_>).await;
}

#[tokio::test]
async fn the_queue_in_memory_keeps_the_contract() {
    let clock = Arc::new(ManualClock::default());
    let queue = Arc::new(MemoryQueue::with_clock(Duration::from_secs(10), Arc::clone(&clock) as Arc<_>));
    conformance::task_queue(async || Arc::clone(&queue) as Arc<_>, async |span| clock.advance(span)).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_in_memory_keeps_the_contract_by_the_real_clock() {
    let queue = Arc::new(MemoryQueue::new(Duration::from_secs(10)));
    conformance::task_queue(
        async || Arc::clone(&queue) as Arc<_>,
        async |span| tokio::time::advance(span).await,
    )
    .await;
}

#[tokio::test]
async fn the_leases_in_memory_keep_the_contract() {
    let clock = Arc::new(ManualClock::default());
    let leases = Arc::new(MemoryLeases::with_clock(Arc::clone(&clock) as Arc<_>));
    conformance::lease_store(async || Arc::clone(&leases) as Arc<_>, async |span| clock.advance(span)).await;
}
