//! The JetStream log on one real server: the public suite, and what happens when the server misbehaves.

use crate::servers::{Servers, settings};
use crate::wait::{pass, until};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use skein_log::conformance;
use skein_log::conformance::event_log::{append_all, record};
use skein_log::jetstream::{ConnectError, Settings, connect};
use skein_log::{AppendError, Cursor, EventLog, LeaseStore, ReadError, TaskQueue};
use skein_model::{Category, Head, JournalId, Record, Version};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn journal(name: &str) -> JournalId {
    JournalId::from_parts(Category::Execution, name)
}

async fn log(servers: &Servers) -> Arc<dyn EventLog> {
    Arc::new(servers.connect(settings(1)).await.log())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_every_promise_of_the_contract() {
    let servers = Servers::start(1).await;
    let log = log(&servers).await;
    conformance::event_log(async || Arc::clone(&log)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_the_same_after_a_new_connection() {
    let servers = Servers::start(1).await;
    conformance::event_log::reopening(async || log(&servers).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_keeps_every_promise_of_the_contract() {
    let servers = Servers::start(1).await;
    let nats = servers.connect(settings(1)).await;
    let inbox: conformance::inbox::Under = Arc::new(nats.inbox());
    conformance::inbox(async || Arc::clone(&inbox)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_queue_keeps_every_promise_of_the_contract() {
    let servers = Servers::start(1).await;
    let queue: Arc<dyn TaskQueue> = Arc::new(servers.connect(settings(1)).await.queue());
    conformance::task_queue(async || Arc::clone(&queue), pass).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_keep_every_promise_of_the_contract() {
    let servers = Servers::start(1).await;
    let leases: Arc<dyn LeaseStore> = Arc::new(servers.connect(settings(1)).await.leases());
    conformance::lease_store(async || Arc::clone(&leases), pass).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_with_equal_records_one_is_told_that_it_lost() {
    let servers = Servers::start(1).await;
    let log = log(&servers).await;
    for n in 0..50 {
        let journal = journal(&format!("p/d/equal-{n}"));
        let append = || log.append(&journal, Head::EMPTY, record("the same"));
        let answers = join_all([append(), append(), append()]).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert_eq!(log.read(&journal, Head::EMPTY).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_to_a_server_that_freezes_for_a_while_is_stored_once() {
    let servers = Servers::start(1).await;
    let quick = Settings { request_timeout: Duration::from_millis(300), ..settings(1) };
    let log: Arc<dyn EventLog> = Arc::new(servers.connect(quick.clone()).await.log());
    let journal = journal("p/d/frozen");
    let mut head = append_all(&log, &journal, Head::EMPTY, &["before"]).await[0].head;
    for round in 0..3 {
        servers.servers[0].freeze();
        let append = log.append(&journal, head, record(&format!("round {round}")));
        let thaw = async {
            // Several tries time out, and the server finds all of them when it wakes up.
            pass(5 * quick.request_timeout).await;
            servers.servers[0].thaw();
        };
        let (appended, ()) = futures::future::join(append, thaw).await;
        head = appended.unwrap().head;
    }
    let found = log.read(&journal, Head::EMPTY).await.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(log.head(&journal).await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_nobody_answers_is_unknown_and_reading_tells_what_became_of_it() {
    let servers = Servers::start(1).await;
    let quick = Settings {
        request_timeout: Duration::from_millis(200),
        patience: Duration::from_millis(700),
        ..settings(1)
    };
    let log: Arc<dyn EventLog> = Arc::new(servers.connect(quick).await.log());
    let journal = journal("p/d/unknown");
    let head = append_all(&log, &journal, Head::EMPTY, &["before"]).await[0].head;
    servers.servers[0].freeze();
    let refused = log.append(&journal, head, record("perhaps")).await;
    servers.servers[0].thaw();
    assert!(
        matches!(refused, Err(AppendError::Unknown { waited, .. }) if waited >= Duration::from_millis(700)),
        "{refused:?}"
    );
    // What was sent is stored when the server wakes up, some time: the next append settles it either way.
    let next = log.append(&journal, head, record("next")).await;
    let found = log.read(&journal, head).await.unwrap();
    assert_eq!(found.len(), 1, "one record follows: {found:?}");
    let body: &[u8] = if next.is_ok() { b"next" } else { b"perhaps" };
    assert_eq!(found[0].record.body, Bytes::from_static(body), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_and_comes_back_has_all_that_it_acknowledged() {
    let mut servers = Servers::start(1).await;
    let log = log(&servers).await;
    let done = Arc::new(AtomicUsize::new(0));
    let writers = (0..8).map(|writer| {
        let (log, done) = (Arc::clone(&log), Arc::clone(&done));
        tokio::spawn(async move {
            let journal = journal(&format!("p/d/killed-{writer}"));
            let mut head = Head::EMPTY;
            for n in 0..300 {
                head = log.append(&journal, head, record(&n.to_string())).await.unwrap().head;
                done.fetch_add(1, Ordering::Relaxed);
            }
            (journal, head)
        })
    });
    let writers: Vec<_> = writers.collect();
    for kill in 1..=3 {
        let enough = async || (done.load(Ordering::Relaxed) >= kill * 300).then_some(());
        until("a few hundred more are acknowledged", enough).await;
        servers.servers[0].kill();
        servers.servers[0].start();
        servers.servers[0].wait().await;
    }
    for ended in join_all(writers).await {
        let (journal, head) = ended.unwrap();
        let found = log.read(&journal, Head::EMPTY).await.unwrap();
        let bodies: Vec<Bytes> = found.iter().map(|envelope| envelope.record.body.clone()).collect();
        let expected: Vec<Bytes> = (0..300).map(|n| Bytes::from(n.to_string())).collect();
        assert_eq!(bodies, expected);
        assert_eq!(log.head(&journal).await.unwrap(), head);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_takes_no_more_and_says_so() {
    let servers = Servers::start(1).await;
    let small = Settings { stream_bytes_max: 64 * 1024, execution_shards: 1, ..settings(1) };
    let log = servers.connect(small).await.log();
    let large = || Record { body: vec![7; 40 * 1024].into(), ..record("") };
    let head = log.append(&journal("p/d/full"), Head::EMPTY, large()).await.unwrap().head;
    let refused = log.append(&journal("p/d/full"), head, large()).await;
    assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    assert_eq!(log.head(&journal("p/d/full")).await.unwrap(), head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_subject_can_hold_is_refused_with_the_limit() {
    let servers = Servers::start(1).await;
    let log = log(&servers).await;
    let long = journal(&"ü".repeat(5000));
    let refused = log.append(&long, Head::EMPTY, record("never")).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes: 10_000, .. })), "{refused:?}");
    assert_eq!(log.head(&long).await.unwrap(), Head::EMPTY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_no_record_is_named_by_its_sequence_and_ends_reading_and_following() {
    let servers = Servers::start(1).await;
    let log = log(&servers).await;
    let journal = JournalId::from_parts(Category::Registry, "foreign");
    append_all(&log, &journal, Head::EMPTY, &["good"]).await;
    let foreign = async_nats::jetstream::new(servers.client().await);
    foreign.publish("skein.test.0.registry.0.foreign", "not ours".into()).await.unwrap().await.unwrap();
    let read = log.read(&journal, Head::EMPTY).await;
    assert!(matches!(read, Err(ReadError::Unreadable { sequence: 2, .. })), "{read:?}");
    let followed: Vec<_> = log.follow(Category::Registry, Cursor::default()).collect().await;
    assert!(matches!(followed[..], [Ok(_), Err(ReadError::Unreadable { sequence: 2, .. })]), "{followed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_changed_or_left_out_in_the_stream_is_damage() {
    let servers = Servers::start(1).await;
    let log = log(&servers).await;
    let source = JournalId::from_parts(Category::Registry, "source");
    append_all(&log, &source, Head::EMPTY, &["one", "two", "three"]).await;
    let foreign = async_nats::jetstream::new(servers.client().await);
    let stream = foreign.get_stream("SKEIN_test_0_REGISTRY_0").await.unwrap();
    let first = stream.get_raw_message(1).await.unwrap().payload;
    let third = stream.get_raw_message(3).await.unwrap().payload;
    let mut changed = first.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    for (name, payloads) in [("source", vec![third.clone(), third]), ("changed", vec![changed.into()])] {
        for payload in payloads {
            let subject = format!("skein.test.0.registry.0.{name}");
            foreign.publish(subject, payload).await.unwrap().await.unwrap();
        }
        let journal = JournalId::from_parts(Category::Registry, name);
        let read = log.read(&journal, Head::EMPTY).await;
        assert!(matches!(read, Err(ReadError::Damaged(_))), "{name}: {read:?}");
    }
    let followed: Vec<_> = log.follow(Category::Registry, Cursor::default()).collect().await;
    assert!(matches!(followed[..], [Ok(_), Ok(_), Ok(_), Err(ReadError::Damaged(_))]), "{followed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_connected_to_is_named() {
    let servers = Servers::start(1).await;
    servers.connect(settings(1)).await;
    let other = Settings { execution_shards: 4, ..settings(1) };
    let refused = connect(&servers.url(), other).await.err();
    assert!(matches!(refused, Some(ConnectError::Layout { what: "shards", .. })), "{refused:?}");
    let refused = connect(&servers.url(), Settings::new("a.b")).await.err();
    assert!(matches!(refused, Some(ConnectError::Region { .. })), "{refused:?}");
    let refused = connect("nats://127.0.0.1:1", settings(1)).await.err();
    assert!(matches!(refused, Some(ConnectError::Unreachable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_epochs_of_a_region_share_nothing() {
    let servers = Servers::start(1).await;
    let old = servers.connect(settings(1)).await.log();
    let new = servers.connect(Settings { epoch: 1, ..settings(1) }).await.log();
    let journal = journal("p/d/epochs");
    old.append(&journal, Head::EMPTY, record("old")).await.unwrap();
    assert_eq!(new.head(&journal).await.unwrap().version, Version(0));
    new.append(&journal, Head::EMPTY, record("new")).await.unwrap();
    assert_eq!(old.read(&journal, Head::EMPTY).await.unwrap().len(), 1);
}
