//! The ways in: records that others appended, and mail. Both take no more than the engine can finish.

use crate::engine::Msg;
use crate::ports::Ports;
use futures::StreamExt as _;
use ractor::ActorRef;
use skein_log::{Cursor, Followed, Inbox, ReadError, Refusal};
use skein_model::{Category, Head, JournalId, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{error, warn};

/// A place for one command inside the engine; free again when dropped.
pub(crate) type Credit = OwnedSemaphorePermit;

/// The wait before the log is followed again after it could not be read.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// Follows new executions from `cursor` on, until the engine is gone.
pub(crate) async fn follow(ports: Arc<Ports>, engine: ActorRef<Msg>, mut cursor: Cursor) {
    loop {
        let mut records = ports.log.follow(Category::Execution, cursor.clone());
        while let Some(followed) = records.next().await {
            match followed {
                Ok(followed) => {
                    cursor.advance(followed.position);
                    if !take_up(&engine, followed) {
                        return;
                    }
                }
                Err(ReadError::Unavailable { reason }) => {
                    warn!(reason, "the log cannot be followed, trying again");
                    break;
                }
                Err(damage) => {
                    error!(%damage, "the log is damaged: no new executions are taken up");
                    return;
                }
            }
        }
        tokio::time::sleep(FOLLOW_AGAIN).await;
    }
}

/// Hands the first record of an execution on; answers whether the engine is still there.
fn take_up(engine: &ActorRef<Msg>, followed: Followed) -> bool {
    let Followed { position, envelope } = followed;
    if envelope.version != Version(1) || envelope.record.closes {
        return true;
    }
    match envelope.journal.as_execution() {
        Some(id) => engine.cast(Msg::TakeUp { id, first: Some((envelope, position.sequence)) }).is_ok(),
        None => true,
    }
}

/// Takes mail out of the inbox, as much as there is credit for, until the inbox is closed or the engine is gone.
pub(crate) async fn mail(ports: Arc<Ports>, engine: ActorRef<Msg>, inbox: Arc<dyn Inbox>) {
    let credits = Arc::new(Semaphore::new(ports.config.commands_max.max(1)));
    loop {
        let Ok(credit) = Arc::clone(&credits).acquire_owned().await else { return };
        let Some(mail) = inbox.receive().await else { return };
        if engine.cast(Msg::Mail(mail, credit)).is_err() {
            return;
        }
    }
}

/// Says whether there is such an execution; mail for one that is not there is answered.
pub(crate) async fn check(ports: Arc<Ports>, engine: ActorRef<Msg>, mail: skein_log::Mail, credit: Credit) {
    match ports.log.head(&JournalId::execution(&mail.execution)).await {
        Ok(Head::EMPTY) => drop(mail.answer.send(Err(Refusal::NotFound))),
        Ok(_) => drop(engine.cast(Msg::Found(mail, credit))),
        // Unanswered, the sender tries again.
        Err(reason) => warn!(%reason, execution = %mail.execution, "the log cannot be read"),
    }
}
