//! The JetStream log on three real servers, three replicas, every write synced; servers die in mid-append.

use crate::servers::{Servers, settings};
use crate::wait::{pass, until};
use futures::StreamExt;
use futures::future::join_all;
use skein_log::conformance;
use skein_log::conformance::event_log::{append_all, record};
use skein_log::{Cursor, EventLog, Followed, LeaseStore, TaskQueue};
use skein_model::{Category, Head, JournalId};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const WRITERS: usize = 16;

async fn log(servers: &Servers) -> Arc<dyn EventLog> {
    Arc::new(servers.connect(settings(3)).await.log())
}

/// Answers which server leads a stream, once the others are back and agree on one.
async fn leader(client: &async_nats::Client, stream: &str) -> String {
    let context = async_nats::jetstream::new(client.clone());
    let ask = async || context.get_stream(stream).await.ok()?.cached_info().cluster.clone()?.leader;
    until(&format!("{stream} has a leader"), ask).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_keep_every_promise_of_the_contracts() {
    let servers = Servers::start(3).await;
    let nats = servers.connect(settings(3)).await;
    let log: Arc<dyn EventLog> = Arc::new(nats.log());
    conformance::event_log(async || Arc::clone(&log)).await;
    let queue: Arc<dyn TaskQueue> = Arc::new(nats.queue());
    conformance::task_queue(async || Arc::clone(&queue), pass).await;
    let leases: Arc<dyn LeaseStore> = Arc::new(nats.leases());
    conformance::lease_store(async || Arc::clone(&leases), pass).await;
}

/// Appends to a journal of its own until told to stop; every answer must be a success.
async fn write(
    log: Arc<dyn EventLog>,
    journal: JournalId,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> Vec<Head> {
    let mut heads = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let after = heads.last().copied().unwrap_or(Head::EMPTY);
        let body = format!("{journal} {}", heads.len());
        heads.push(log.append(&journal, after, record(&body)).await.unwrap().head);
        done.fetch_add(1, Ordering::Relaxed);
    }
    heads
}

/// Waits until `more` appends were acknowledged from now on.
async fn progress(done: &AtomicUsize, more: usize) {
    let goal = done.load(Ordering::Relaxed) + more;
    let enough = async || (done.load(Ordering::Relaxed) >= goal).then_some(());
    until(&format!("{more} more appends are acknowledged"), enough).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_in_mid_append_takes_nothing_acknowledged_with_it() {
    let mut servers = Servers::start(3).await;
    let log = log(&servers).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let journals: Vec<JournalId> =
        (0..WRITERS).map(|n| JournalId::from_parts(Category::Execution, &format!("p/d/w{n}"))).collect();
    let writers: Vec<_> = journals
        .iter()
        .map(|journal| tokio::spawn(write(log.clone(), journal.clone(), stop.clone(), done.clone())))
        .collect();
    let mut follower = log.follow(Category::Execution, Cursor::default());
    let followed = tokio::spawn(async move {
        let mut seen: HashMap<JournalId, Vec<Head>> = HashMap::new();
        let mut follower = std::pin::pin!(&mut follower);
        while let Ok(Some(next)) = tokio::time::timeout(Duration::from_secs(25), follower.next()).await {
            let Followed { position, envelope } = next.unwrap();
            seen.entry(envelope.journal.clone()).or_default().push(envelope.head(position.sequence));
        }
        seen
    });
    let client = servers.client().await;
    for shard in 0..2 {
        progress(&done, 300).await;
        let leading = leader(&client, &format!("SKEIN_test_0_EXECUTION_{shard}")).await;
        servers.named(&leading).kill();
        progress(&done, 300).await;
        servers.named(&leading).start();
        servers.named(&leading).wait().await;
    }
    progress(&done, 300).await;
    stop.store(true, Ordering::Relaxed);
    let written: Vec<Vec<Head>> = join_all(writers).await.into_iter().map(Result::unwrap).collect();
    println!("acknowledged: {}", written.iter().map(Vec::len).sum::<usize>());
    let seen = followed.await.unwrap();
    for (journal, heads) in journals.iter().zip(&written) {
        let found = log.read(journal, Head::EMPTY).await.unwrap();
        let digests: Vec<_> = found.iter().map(|envelope| (envelope.version, envelope.digest)).collect();
        let acknowledged: Vec<_> = heads.iter().map(|head| (head.version, head.digest)).collect();
        assert_eq!(digests, acknowledged, "what is there is what was acknowledged, each once");
        assert_eq!(seen.get(journal), Some(heads), "the follower saw the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_can_be_read_and_followed_while_two_of_three_servers_are_gone() {
    let mut servers = Servers::start(3).await;
    let log = log(&servers).await;
    let journal = JournalId::from_parts(Category::Registry, "alone");
    append_all(&log, &journal, Head::EMPTY, &["one", "two", "three"]).await;
    servers.servers[0].kill();
    servers.servers[1].kill();
    assert_eq!(log.read(&journal, Head::EMPTY).await.unwrap().len(), 3);
    let followed = log.follow(Category::Registry, Cursor::default()).take(3).collect::<Vec<_>>().await;
    assert!(followed.iter().all(Result::is_ok), "{followed:?}");
    assert_eq!(log.open_journals(Category::Registry).await.unwrap(), [journal]);
}
