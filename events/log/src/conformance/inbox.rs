//! Checks of [`Inbox`].

use super::soon;
use crate::inbox::{Inbox, Mail, Refusal, SendError};
use futures::future;
use skein_model::{Attempt, Command, ExecutionId, NodeId};
use std::collections::HashSet;
use std::sync::Arc;

/// An inbox under check. It must have room for 64 commands and deliver to whoever receives from it.
pub type Under = Arc<dyn Inbox>;

/// Runs every check, each on what `make` gives it: an inbox of its own, or one that they share.
pub async fn inbox(make: impl AsyncFn() -> Under) {
    the_sender_is_told_what_the_owner_answers(make().await).await;
    a_command_that_the_owner_drops_is_not_answered_with_ok(make().await).await;
    every_sender_gets_its_own_answer(make().await).await;
    a_command_that_is_sent_again_is_delivered_again(make().await).await;
}

fn execution(name: &str) -> ExecutionId {
    ExecutionId { project: "conformance".to_owned(), domain: "inbox".to_owned(), name: name.to_owned() }
}

fn started(number: u32) -> Command {
    Command::AttemptStarted {
        node: NodeId::new("n0"),
        attempt: Attempt(number),
        worker: "w".to_owned(),
        place: None,
    }
}

async fn receive(inbox: &Under) -> Mail {
    let mail = soon("a command that was sent", inbox.receive()).await;
    assert!(mail.is_some(), "an inbox that is open delivers");
    mail.expect("checked by the line above")
}

fn send(inbox: &Under, name: &str, command: Command) -> tokio::task::JoinHandle<Result<(), SendError>> {
    let (inbox, execution) = (Arc::clone(inbox), execution(name));
    tokio::spawn(async move { inbox.send(&execution, command).await })
}

/// What is sent arrives whole; what is answered comes back, refusals included.
pub async fn the_sender_is_told_what_the_owner_answers(inbox: Under) {
    let refusals = [
        Refusal::NotFound,
        Refusal::FailedPrecondition("it has ended".to_owned()),
        Refusal::Invalid("node \"x\" is unknown".to_owned()),
    ];
    for answer in std::iter::once(Ok(())).chain(refusals.map(Err)) {
        let command = Command::Terminate { cause: "because: ü".to_owned(), principal: "me".to_owned() };
        let sent = send(&inbox, "answered", command.clone());
        let mail = receive(&inbox).await;
        assert_eq!(
            (&mail.execution, &mail.command),
            (&execution("answered"), &command),
            "a command arrives whole"
        );
        let taken = mail.answer.send(answer.clone());
        assert!(taken.is_ok(), "the sender waits for the answer");
        let told = soon("an answer that was given", sent).await.expect("a send does not panic");
        let same = match (&told, &answer) {
            (Ok(()), Ok(())) => true,
            (Err(SendError::Refused(told)), Err(given)) => told == given,
            _ => false,
        };
        assert!(same, "the sender is told what the owner answers: {told:?} for {answer:?}");
    }
}

/// Whoever receives a command and dies leaves the sender in doubt, never in false hope.
pub async fn a_command_that_the_owner_drops_is_not_answered_with_ok(inbox: Under) {
    let sent = send(&inbox, "dropped", Command::Start);
    drop(receive(&inbox).await);
    // An inbox may deliver the command again by itself before it gives up.
    let again = async {
        loop {
            let Some(mail) = inbox.receive().await else {
                std::future::pending::<()>().await;
                break;
            };
            drop(mail);
        }
    };
    let told = soon("the end of a send that nobody answers", async {
        tokio::select! {
            told = sent => told,
            () = again => std::future::pending().await,
        }
    });
    let told = told.await.expect("a send does not panic");
    let doubt = matches!(told, Err(SendError::Unanswered { .. }));
    assert!(doubt, "a command that the owner drops is unanswered: {told:?}");
}

/// Sixty-four at once, answered in the opposite order: no answer goes to another sender.
pub async fn every_sender_gets_its_own_answer(inbox: Under) {
    const SENDERS: u32 = 64;
    let sends: Vec<_> = (0..SENDERS).map(|n| send(&inbox, &format!("own-{n}"), started(n))).collect();
    let mut mails = Vec::new();
    let mut seen = HashSet::new();
    while seen.len() < SENDERS as usize {
        let mail = receive(&inbox).await;
        seen.insert(mail.execution.clone());
        mails.push(mail);
    }
    for mail in mails.into_iter().rev() {
        let answer = Err(Refusal::Invalid(mail.execution.name.clone()));
        // A command that came twice has one sender that waits.
        let _ = mail.answer.send(answer);
    }
    for (n, told) in soon("all answers", future::join_all(sends)).await.into_iter().enumerate() {
        let told = told.expect("a send does not panic");
        let own =
            matches!(&told, Err(SendError::Refused(Refusal::Invalid(name))) if *name == format!("own-{n}"));
        assert!(own, "every sender gets its own answer: {told:?} for own-{n}");
    }
}

/// Repeating is how a sender makes sure, so an inbox must not swallow what it has seen before.
pub async fn a_command_that_is_sent_again_is_delivered_again(inbox: Under) {
    for _ in 0..2 {
        let sent = send(&inbox, "again", started(7));
        let mail = receive(&inbox).await;
        assert_eq!(mail.command, started(7), "a command that is sent again is delivered again");
        let taken = mail.answer.send(Ok(()));
        assert!(taken.is_ok(), "the sender waits for the answer");
        let told = soon("an answer that was given", sent).await.expect("a send does not panic");
        assert!(told.is_ok(), "a command that was answered is done: {told:?}");
    }
}
