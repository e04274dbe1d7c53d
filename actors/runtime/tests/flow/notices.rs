//! Whoever is to be told of an end is told, whatever receivers and restarts do.

use crate::world::{Answer, World, chain};
use skein_core::Notices;
use skein_core::notify::Standing;
use skein_model::event::Settings;
use skein_model::notification::{Channel, MailService};
use skein_model::{
    CauseId, Event, ExecutionId, ExecutionPhase, Head, JournalId, Notification, NotificationEvent, Record,
    Timestamp, codec,
};
use skein_runtime::Notify;
use skein_runtime::notify::{Format, NotifyRule, NotifyRules, Patience, Receiver};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Listens as a webhook: gives what each request held, and answers with the next of `answers`, the last one for ever.
async fn receiver(answers: &'static [&'static str]) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("it listens"));
    let (told, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut connection, _) = listener.accept().await.expect("it listens");
            let mut request = String::new();
            while !request.ends_with('}') {
                let mut bytes = [0; 4096];
                let count = connection.read(&mut bytes).await.expect("a request");
                request.push_str(std::str::from_utf8(&bytes[..count]).expect("text"));
            }
            let status = answers[number.min(answers.len() - 1)];
            if status == "silence" {
                std::mem::forget(connection);
            } else {
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                connection.write_all(answer.as_bytes()).await.expect("it reads");
            }
            if told.send(request).is_err() {
                return;
            }
        }
    });
    (url, requests)
}

fn telling(receivers: &[(&str, &str)], tries_max: u32) -> Notify {
    let rule = |(name, _): &(&str, &str)| NotifyRule { name: (*name).to_owned(), ..NotifyRule::default() };
    let of = |(name, url): &(&str, &str)| {
        let headers = vec![("authorization".to_owned(), "Bearer wool".to_owned())];
        ((*name).to_owned(), Receiver { url: (*url).to_owned(), headers, format: Format::Json })
    };
    let (wait_first, wait_max) = (Duration::from_millis(1), Duration::from_millis(2));
    Notify {
        rules: NotifyRules::new(receivers.iter().map(rule).collect()),
        receivers: receivers.iter().map(of).collect(),
        patience: Patience { tries_max, wait_first, wait_max },
        link: "http://h/{name}".to_owned(),
        ..Notify::default()
    }
}

/// Reads the journal of notices until `is_so`; answers its events.
async fn until(world: &World, id: &ExecutionId, is_so: impl Fn(&Notices) -> bool) -> Vec<NotificationEvent> {
    loop {
        let (mut notices, mut all) = (Notices::default(), Vec::new());
        for envelope in world.log.read(&JournalId::notices(id), Head::EMPTY).await.expect("the log is whole")
        {
            let events: Vec<NotificationEvent> =
                codec::decode(envelope.schema, &envelope.record.body).expect("ours");
            events.iter().for_each(|event| notices.apply(event));
            all.extend(events);
        }
        if is_so(&notices) {
            return all;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_receiver_that_fails_at_first_is_told_once_and_knows_the_notice_by_its_id() {
    let (url, mut requests) = receiver(&["500 No", "503 Later", "204 Fine"]).await;
    let world = World::start_telling(telling(&[("ops", &url)], 5)).await;
    let id = world.create("chain", &chain(1), &[("x", 1)]).await;
    let worker = world.work(Answer::AddOne);
    world.finished(&id).await;
    let events = until(&world, &id, Notices::are_settled).await;
    assert_eq!(events.last(), Some(&NotificationEvent::Sent { notice: 0, tries: 3 }));
    for _ in 0..3 {
        let request = requests.recv().await.expect("it is told");
        for part in ["skein-notice-id: p/d/chain/0", "authorization: Bearer wool", "\"phase\":\"SUCCEEDED\""]
        {
            assert!(request.contains(part), "{part} in {request}");
        }
    }
    assert!(requests.try_recv().is_err(), "and not again");
    let open = world.log.open_journals(skein_model::Category::Notification).await.expect("the log is there");
    assert!(open.is_empty(), "nobody is left to be told");
    worker.abort();
}

#[tokio::test]
async fn a_receiver_that_says_nothing_holds_up_no_other() {
    let (slow, _held) = receiver(&["silence"]).await;
    let (good, mut requests) = receiver(&["200 Fine"]).await;
    let world = World::start_telling(telling(&[("slow", &slow), ("good", &good)], 5)).await;
    let worker = world.work(Answer::AddOne);
    for number in 0..20 {
        let id = world.create(&format!("chain{number}"), &chain(1), &[("x", 1)]).await;
        until(&world, &id, |notices| notices.find(1).is_some_and(|(_, at)| at == Standing::Sent)).await;
        requests.recv().await.expect("it is told");
    }
    worker.abort();
}

#[tokio::test]
async fn what_was_given_up_is_sent_again_when_somebody_asks_also_after_a_restart() {
    let (url, _requests) = receiver(&["500 No", "500 No", "200 Fine"]).await;
    let notify = telling(&[("ops", &url)], 2);
    let world = World::start_telling(notify.clone()).await;
    let id = world.create("chain", &chain(1), &[("x", 1)]).await;
    let worker = world.work(Answer::AddOne);
    world.finished(&id).await;
    let events = until(&world, &id, Notices::are_settled).await;
    let dead = NotificationEvent::NotSent {
        notice: 0,
        tries: 2,
        reason: "it answers 500 Internal Server Error".to_owned(),
        again: None,
    };
    assert_eq!(events.last(), Some(&dead));
    let world = world.restart_telling(notify).await;
    let journal = JournalId::notices(&id);
    let head = world.log.head(&journal).await.expect("the log is there");
    let event = NotificationEvent::ResendAsked { notice: 0, principal: "me".to_owned() };
    let body = codec::encode(&[event]).expect("it is small");
    let record = Record { time: Timestamp::EPOCH, cause: CauseId(1), trace: None, closes: false, body };
    world.log.append(&journal, head, record).await.expect("nobody else writes");
    let events = until(&world, &id, Notices::are_settled).await;
    assert_eq!(events.last(), Some(&NotificationEvent::Sent { notice: 0, tries: 1 }));
    worker.abort();
}

#[tokio::test]
async fn an_end_of_which_nobody_was_told_is_told_by_the_next_engine() {
    let (silent, mut held) = receiver(&["silence"]).await;
    let world = World::start_telling(telling(&[("ops", &silent)], 5)).await;
    let id = world.create("chain", &chain(1), &[("x", 1)]).await;
    let worker = world.work(Answer::AddOne);
    world.finished(&id).await;
    held.recv().await.expect("it is on the way when the engine ends");
    let (url, mut requests) = receiver(&["200 Fine"]).await;
    let world = world.restart_telling(telling(&[("ops", &url)], 5)).await;
    let events = until(&world, &id, Notices::are_settled).await;
    assert_eq!(events.last(), Some(&NotificationEvent::Sent { notice: 0, tries: 1 }));
    requests.recv().await.expect("it is told");
    worker.abort();
}

#[tokio::test]
async fn mail_without_a_server_of_mail_is_given_up_at_once_with_what_is_missing() {
    let world = World::start().await;
    let recipients = vec!["a@x.org".to_owned()];
    let one =
        Notification { phases: vec![ExecutionPhase::Succeeded], service: MailService::Email, recipients };
    let settings = Settings { notifications: vec![one], ..Settings::default() };
    let id = world.create_with("chain", &chain(1), settings).await;
    let worker = world.work(Answer::AddOne);
    let last = world.finished(&id).await;
    assert!(matches!(last.last(), Some(Event::Succeeded { .. })));
    let events = until(&world, &id, Notices::are_settled).await;
    let channel = Channel::Mail { service: MailService::Email, recipient: "a@x.org".to_owned() };
    assert!(matches!(&events[1], NotificationEvent::Ended { channels, .. } if *channels == [channel]));
    let reason = "the server's settings have no server of mail: [notifications.email]".to_owned();
    assert_eq!(events[2], NotificationEvent::NotSent { notice: 0, tries: 1, reason, again: None });
    worker.abort();
}

#[tokio::test]
async fn an_execution_of_which_nobody_wants_to_know_has_no_journal_of_notices() {
    let (url, _requests) = receiver(&["200 Fine"]).await;
    let world = World::start_telling(telling(&[("ops", &url)], 5)).await;
    let settings = Settings { tells_nobody: true, ..Settings::default() };
    let id = world.create_with("chain", &chain(1), settings).await;
    let worker = world.work(Answer::AddOne);
    world.finished(&id).await;
    assert_eq!(world.log.head(&JournalId::notices(&id)).await.expect("the log is there"), Head::EMPTY);
    worker.abort();
}
