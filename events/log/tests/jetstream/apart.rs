//! Workers, engines and gateways in processes of their own: a connection each, one server.

use crate::servers::{Servers, settings};
use crate::wait::until;
use skein_log::conformance::task_queue::work;
use skein_log::jetstream::Settings;
use skein_log::{Inbox, Mail, QueueError, SendError, Stop, TaskQueue};
use skein_model::{Command, ExecutionId, PoolId};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

fn execution(name: &str) -> ExecutionId {
    ExecutionId::parse("p", "d", name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_in_another_process_is_told_of_a_withdrawal() {
    let servers = Servers::start(1).await;
    let worker = servers.connect(settings(1)).await.queue();
    let engine = servers.connect(settings(1)).await.queue();
    let pool = PoolId("python 3.11".into());
    let (stopped, kept) = (work(&pool, "x", "n0", 0), work(&pool, "y", "n0", 0));
    for work in [&stopped, &kept] {
        engine.offer(work.clone()).await.unwrap();
    }
    let first = timeout(SOON, worker.lease(&pool, "w")).await.unwrap().unwrap();
    let second = timeout(SOON, worker.lease(&pool, "w")).await.unwrap().unwrap();
    assert_eq!((&first.work.id, &second.work.id), (&stopped.id, &kept.id));
    engine.withdraw(Stop::Execution(stopped.id.execution.clone())).await.unwrap();
    assert!(matches!(worker.extend(first.id).await, Err(QueueError::LeaseEnded)));
    assert_eq!(timeout(SOON, worker.withdrawn("w")).await.unwrap().unwrap(), stopped.id);
    worker.extend(second.id).await.unwrap();
    worker.complete(second.id).await.unwrap();
    assert_eq!(engine.waiting(&pool).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_of_a_worker_that_died_waits_again_even_if_no_worker_asks() {
    let servers = Servers::start(1).await;
    let engine = servers.connect(settings(1)).await.queue();
    let pool = PoolId("lonely".into());
    engine.offer(work(&pool, "x", "n0", 0)).await.unwrap();
    let worker = servers.connect(settings(1)).await.queue();
    let lost = timeout(SOON, worker.lease(&pool, "w")).await.unwrap().unwrap();
    drop(worker);
    assert_eq!(engine.waiting(&pool).await.unwrap(), 0, "leased work does not wait");
    let started = Instant::now();
    let waits = async || (engine.waiting(&pool).await.unwrap() > 0).then_some(());
    until("work of a dead worker waits again", waits).await;
    assert!(started.elapsed() > lost.ttl / 2, "a lease lasts its time");
    let again = timeout(SOON, engine.lease(&pool, "v")).await.unwrap().unwrap();
    assert_eq!(again.work.id, lost.work.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_an_owner_that_starts_later() {
    let servers = Servers::start(1).await;
    let sender = servers.connect(settings(1)).await.inbox();
    let sent = tokio::spawn(async move { sender.send(&execution("later"), Command::Start).await });
    let owner = servers.connect(settings(1)).await.inbox();
    let Mail { execution: to, command, answer } = timeout(SOON, owner.receive()).await.unwrap().unwrap();
    assert_eq!((to, command), (execution("later"), Command::Start));
    answer.send(Ok(())).unwrap();
    sent.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_an_owner_is_unanswered_and_one_without_room_is_told_so() {
    let servers = Servers::start(1).await;
    let small = Settings { inbox_max: 1, answer_timeout: Duration::from_millis(500), ..settings(1) };
    let sender = Arc::new(servers.connect(small.clone()).await.inbox());
    let nobody = sender.send(&execution("nobody"), Command::Start).await;
    assert!(matches!(nobody, Err(SendError::Unanswered { waited }) if waited >= Duration::from_millis(500)));
    let owner = servers.connect(Settings { answer_timeout: SOON, ..small }).await.inbox();
    let first = tokio::spawn({
        let sender = servers.connect(settings(1)).await.inbox();
        async move { sender.send(&execution("a"), Command::Start).await }
    });
    let mail = timeout(SOON, owner.receive()).await.unwrap().unwrap();
    let second = sender.send(&execution("b"), Command::Start).await;
    assert!(matches!(second, Err(SendError::Full)), "{second:?}");
    mail.answer.send(Ok(())).unwrap();
    first.await.unwrap().unwrap();
}
