//! Tells people and services that executions have ended.
//!
//! ```text
//!  execution's actor ──ended──┐
//!  gateway ──ResendAsked──► log ──followed──► NotifierActor ──one each──► courier ──append──► journal of the notices
//!  restart ──open journals────┘                                             └──► webhook, mail server
//! ```
//!
//! Of an execution of whose end somebody may have to be told, a journal of notices is begun before it starts, and stays open
//! until everybody was told or given up on. So an engine that starts finds by the open ones whom nobody has told yet. What is
//! sent and not yet recorded when a server is killed is sent again by the next: each notice carries its id, by which a receiver
//! can tell.

mod courier;
mod journal;
mod mail;
mod send;
pub mod settings;
mod webhook;

pub use settings::{Format, Mail, Notify, Receiver, Tls};
pub use skein_core::{NotifyRule, NotifyRules, Patience};

use crate::engine::wait_after;
use crate::metrics::Metrics;
use crate::ports::Clock;
use courier::{Asked, Courier};
use futures::StreamExt as _;
use journal::NoticeJournalError;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use send::Sender;
use skein_log::{Cursor, EventLog, ReadError};
use skein_model::event::Created;
use skein_model::{Category, ExecutionId, JournalId, NotificationEvent, codec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tracing::{error, warn};

/// The wait before a journal of notices is taken up again that could not be read or written; doubles each time.
const RESTART_FIRST: Duration = Duration::from_millis(100);
/// The longest such wait.
const RESTART_MAX: Duration = Duration::from_secs(30);
/// The wait before the log is followed again after it could not be read.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// What couriers work with.
pub(crate) struct Office {
    log: Arc<dyn EventLog>,
    clock: Clock,
    sender: Sender,
    metrics: Metrics,
}

/// The way to whoever tells of ends.
#[derive(Clone)]
pub(crate) struct Notifier {
    office: Arc<Office>,
    actor: ActorRef<Msg>,
}

impl Notifier {
    /// Starts to tell of ends: of those that nobody was told of before, and of those to come.
    ///
    /// # Errors
    /// When the log cannot be read, or the actor cannot be started.
    pub(crate) async fn start(
        settings: Notify,
        log: Arc<dyn EventLog>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<(Self, Vec<JoinHandle<()>>), crate::system::StartError> {
        // Where to follow from is taken before what is open is listed: nothing can fall in between.
        let cursor = log.end(Category::Notification).await?;
        let open = log.open_journals(Category::Notification).await?;
        let office = Arc::new(Office { log, clock, sender: Sender::new(settings), metrics });
        let actor = NotifierActor { office: Arc::clone(&office) };
        let (actor, running) = Actor::spawn(None, actor, ()).await?;
        for id in open.iter().filter_map(JournalId::as_notices) {
            // It has only just been started.
            drop(actor.cast(Msg::TakeUp(id)));
        }
        let following = tokio::spawn(follow(Arc::clone(&office), actor.clone(), cursor));
        Ok((Self { office, actor }, vec![running, following]))
    }

    /// Notes that somebody may have to be told when an execution ends, before it starts.
    ///
    /// # Errors
    /// When that cannot be recorded: the execution must not start then.
    pub(crate) async fn await_the_end_of(&self, created: &Created) -> Result<(), NoticeJournalError> {
        if !self.office.sender.settings().rules.await_the_end_of(created) {
            return Ok(());
        }
        journal::begin(&self.office, &created.execution).await
    }

    /// Has told of an execution that has ended just now.
    pub(crate) fn ended(&self, created: &Created) {
        if self.office.sender.settings().rules.await_the_end_of(created) {
            // Without the actor the engine is ending; the next one finds the journal open.
            drop(self.actor.cast(Msg::TakeUp(created.execution.clone())));
        }
    }

    /// Ends it. What is not sent by now is found by the next engine.
    pub(crate) fn stop(&self) {
        self.actor.stop(None);
    }
}

/// What the actor is told.
pub(crate) enum Msg {
    /// Look whether somebody is to be told of this execution.
    TakeUp(ExecutionId),
    /// A courier has ended.
    Done(ExecutionId, Result<(), NoticeJournalError>),
}

/// The supervisor of all couriers.
struct NotifierActor {
    office: Arc<Office>,
}

/// What changes.
#[derive(Default)]
struct State {
    couriers: BTreeMap<ExecutionId, (Arc<Asked>, JoinHandle<()>)>,
    /// How often the courier of an execution has failed in a row.
    failures: BTreeMap<ExecutionId, u32>,
}

impl Drop for State {
    fn drop(&mut self) {
        for (_, courier) in self.couriers.values() {
            courier.abort();
        }
    }
}

impl Actor for NotifierActor {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::TakeUp(id) => self.take_up(&myself, state, id),
            Msg::Done(id, outcome) => {
                let was_asked = state.couriers.remove(&id).is_some_and(|(asked, _)| asked.take());
                if let Err(fault) = outcome {
                    self.take_up_later(&myself, state, id, &fault);
                    return Ok(());
                }
                state.failures.remove(&id);
                if was_asked {
                    // It had looked for the last time when it was asked.
                    self.take_up(&myself, state, id);
                }
            }
        }
        Ok(())
    }
}

impl NotifierActor {
    fn take_up(&self, myself: &ActorRef<Msg>, state: &mut State, id: ExecutionId) {
        if let Some((asked, _)) = state.couriers.get(&id) {
            asked.ask();
            return;
        }
        let asked = Arc::new(Asked::default());
        let courier = Courier::new(Arc::clone(&self.office), id.clone(), Arc::clone(&asked));
        let (to, of) = (myself.clone(), id.clone());
        let running = tokio::spawn(async move {
            let outcome = courier.run().await;
            // Without the actor nobody wants to know.
            drop(to.cast(Msg::Done(of, outcome)));
        });
        state.couriers.insert(id, (asked, running));
    }

    fn take_up_later(
        &self,
        myself: &ActorRef<Msg>,
        state: &mut State,
        id: ExecutionId,
        fault: &NoticeJournalError,
    ) {
        let failures = state.failures.entry(id.clone()).or_default();
        *failures = failures.saturating_add(1);
        let wait = wait_after(*failures, RESTART_FIRST, RESTART_MAX);
        error!(execution = %id, %fault, again_in_ms = wait.as_millis(), "whom to tell of an end cannot be recorded");
        let to = myself.clone();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            drop(to.cast(Msg::TakeUp(id)));
        });
    }
}

/// Follows what others write into journals of notices: that one is to be sent again.
async fn follow(office: Arc<Office>, notifier: ActorRef<Msg>, mut cursor: Cursor) {
    loop {
        let mut records = office.log.follow(Category::Notification, cursor.clone());
        while let Some(followed) = records.next().await {
            let followed = match followed {
                Ok(followed) => followed,
                Err(ReadError::Unavailable { reason }) => {
                    warn!(reason, "the log cannot be followed, trying again");
                    break;
                }
                Err(damage) => {
                    error!(%damage, "the log is damaged: nothing is sent again until the next start");
                    return;
                }
            };
            cursor.advance(followed.position);
            let (id, record) = (followed.envelope.journal.as_notices(), &followed.envelope.record);
            let events: Vec<NotificationEvent> =
                codec::decode(followed.envelope.schema, &record.body).unwrap_or_default();
            let is_asked = events.iter().any(|event| matches!(event, NotificationEvent::ResendAsked { .. }));
            if let Some(id) = id.filter(|_| is_asked)
                && notifier.cast(Msg::TakeUp(id)).is_err()
            {
                return;
            }
        }
        tokio::time::sleep(FOLLOW_AGAIN).await;
    }
}
