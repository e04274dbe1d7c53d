//! The way in, inside one process.

use crate::inbox::{Delivery, Inbox, Mail, SendError};
use async_trait::async_trait;
use skein_model::{Command, ExecutionId};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};

/// A bounded inbox. A command has its place from when it is sent until it is answered, so the bound holds for what
/// the owner has in hand as well.
#[derive(Debug)]
pub struct MemoryInbox {
    places: Semaphore,
    sender: mpsc::Sender<Mail>,
    receiver: Mutex<mpsc::Receiver<Mail>>,
    closed: watch::Sender<bool>,
    answer_within: Duration,
}

impl MemoryInbox {
    /// Makes an inbox for at most `capacity` (at least 1) unanswered commands; each is waited for `answer_within`.
    pub fn new(capacity: usize, answer_within: Duration) -> Self {
        let capacity = capacity.max(1);
        let (sender, receiver) = mpsc::channel(capacity);
        Self {
            places: Semaphore::new(capacity),
            sender,
            receiver: Mutex::new(receiver),
            closed: watch::Sender::new(false),
            answer_within,
        }
    }

    /// Closes the inbox: what is in it can still be received, and nothing more is taken.
    pub fn close(&self) {
        self.places.close();
        self.closed.send_replace(true);
    }
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn send(&self, execution: &ExecutionId, command: Command) -> Result<(), SendError> {
        let _place = self.places.try_acquire().map_err(|_| SendError::Full)?;
        let (answer, answered) = oneshot::channel();
        let mail = Mail { execution: execution.clone(), command, answer };
        self.sender.try_send(mail).map_err(|_| SendError::Full)?;
        let start = tokio::time::Instant::now();
        match tokio::time::timeout(self.answer_within, answered).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(refusal))) => Err(SendError::Refused(refusal)),
            Ok(Err(_)) | Err(_) => Err(SendError::Unanswered { waited: start.elapsed() }),
        }
    }

    async fn receive(&self) -> Option<Delivery> {
        let mut closed = self.closed.subscribe();
        let mut receiver = self.receiver.lock().await;
        tokio::select! {
            biased;
            mail = receiver.recv() => mail,
            // The sender of this flag is `self`, so waiting for it ends only when it is set.
            _ = closed.wait_for(|closed| *closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const SECOND: Duration = Duration::from_secs(1);

    fn execution() -> ExecutionId {
        ExecutionId::parse("p", "d", "x").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_inbox_is_full_while_the_owner_has_not_answered() {
        let inbox = Arc::new(MemoryInbox::new(1, SECOND));
        let first = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.send(&execution(), Command::Start).await }
        });
        let mail = inbox.receive().await.unwrap();
        assert!(matches!(inbox.send(&execution(), Command::Start).await, Err(SendError::Full)));
        mail.answer.send(Ok(())).unwrap();
        assert!(first.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_nobody_answers_is_unanswered_after_the_time_given() {
        let inbox = MemoryInbox::new(8, SECOND);
        let sent = inbox.send(&execution(), Command::Start).await;
        assert!(matches!(sent, Err(SendError::Unanswered { waited }) if waited == SECOND), "{sent:?}");
    }

    #[tokio::test]
    async fn a_closed_inbox_takes_nothing_and_wakes_its_receiver() {
        let inbox = Arc::new(MemoryInbox::new(8, SECOND));
        let receiver = tokio::spawn({
            let inbox = Arc::clone(&inbox);
            async move { inbox.receive().await.is_none() }
        });
        tokio::task::yield_now().await;
        inbox.close();
        assert!(receiver.await.unwrap());
        assert!(inbox.send(&execution(), Command::Start).await.is_err());
    }
}
