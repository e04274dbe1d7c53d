//! The supervisor of all executions of this engine.

use crate::execution::{self, ExecutionActor};
use crate::intake::{self, Credit};
use crate::ports::Ports;
use crate::resting::Resting;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use skein_log::{Mail, Stop};
use skein_model::{Envelope, ExecutionId, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// What the supervisor is told.
pub(crate) enum Msg {
    /// Take up an execution that has not ended.
    TakeUp { id: ExecutionId, first: Option<(Envelope, u64)> },
    /// Hand mail on.
    Mail(Mail, Credit),
    /// Hand mail on to an execution that has no actor, and does exist.
    Found(Mail, Credit),
    /// An execution waits for nothing but a clock or a signal: its actor may go.
    WouldRest(ExecutionId),
    /// It has work again: its actor stays.
    Stays(ExecutionId),
    /// Its actor goes, and is made again for mail, and when a clock rings, if one runs.
    Rests { id: ExecutionId, wakes: Option<Timestamp> },
    /// Take up what rests and whose clock has rung.
    Wake,
}

/// The supervisor. Holds what does not change.
pub(crate) struct EngineActor {
    pub(crate) ports: Arc<Ports>,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    executions: BTreeMap<ExecutionId, ActorRef<execution::Msg>>,
    names: HashMap<ActorId, ExecutionId>,
    /// Executions that wait for a place.
    waiting: VecDeque<ExecutionId>,
    /// Executions that rest until a clock rings. Of those that only wait for signals nothing is kept.
    resting: Resting,
    /// Executions whose actors may be going, with what is kept back until that is known.
    going: BTreeMap<ExecutionId, Going>,
    /// How often the actor of an execution has failed since it last got through a command.
    failures: BTreeMap<ExecutionId, u32>,
}

/// What is kept back for an execution whose actor may be going.
#[derive(Default)]
struct Going {
    mail: Vec<(Mail, Credit)>,
    /// Whether its clock has rung meanwhile.
    is_woken: bool,
}

impl Actor for EngineActor {
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
            Msg::TakeUp { id, first } => self.take_up(&myself, state, id, first, false).await,
            Msg::Mail(mail, credit) if state.going.contains_key(&mail.execution) => {
                if let Some(going) = state.going.get_mut(&mail.execution) {
                    going.mail.push((mail, credit));
                }
            }
            Msg::Mail(mail, credit) => match state.executions.get(&mail.execution) {
                // An actor that is just ending drops it, and the sender tries again.
                Some(actor) => drop(actor.cast(execution::Msg::Mail(mail, credit))),
                None => {
                    tokio::spawn(intake::check(Arc::clone(&self.ports), myself, mail, credit));
                }
            },
            Msg::WouldRest(id) => {
                if let Some(actor) = state.executions.get(&id)
                    && !state.going.contains_key(&id)
                {
                    drop(actor.cast(execution::Msg::Rest));
                    state.going.insert(id, Going::default());
                }
            }
            Msg::Stays(id) => {
                for (mail, credit) in state.going.remove(&id).unwrap_or_default().mail {
                    if let Some(actor) = state.executions.get(&id) {
                        drop(actor.cast(execution::Msg::Mail(mail, credit)));
                    }
                }
            }
            Msg::Rests { id, wakes } => {
                if let Some(wakes) = wakes {
                    state.resting.insert(wakes, id);
                    state.resting.set((self.ports.clock)(), &myself);
                }
            }
            Msg::Wake => {
                let now = (self.ports.clock)();
                for id in state.resting.take_rung(now) {
                    match state.going.get_mut(&id) {
                        // Its actor has said so, and is not gone yet.
                        Some(going) => going.is_woken = true,
                        None => self.take_up(&myself, state, id, None, false).await,
                    }
                }
                state.resting.set(now, &myself);
            }
            Msg::Found(mail, credit) => {
                if !state.executions.contains_key(&mail.execution) {
                    self.take_up(&myself, state, mail.execution.clone(), None, true).await;
                }
                if let Some(actor) = state.executions.get(&mail.execution) {
                    drop(actor.cast(execution::Msg::Mail(mail, credit)));
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(actor, ..) => {
                if let Some(id) = state.forget(actor.get_id()) {
                    for way in self.ports.ways_out() {
                        way.forget(&Stop::Execution(id.clone()));
                    }
                    state.failures.remove(&id);
                    self.ports.metrics.executions_active.dec();
                    self.hand_on_kept(&myself, state, &id).await;
                }
                self.take_up_waiting(&myself, state).await;
            }
            SupervisionEvent::ActorFailed(actor, cause) => {
                if let Some(id) = state.forget(actor.get_id()) {
                    self.ports.ways_out().for_each(|way| way.abandon(&id));
                    // What was kept back is sent again by whoever sent it.
                    state.going.remove(&id);
                    self.restart_later(&myself, state, id, &cause);
                    // Here, and not by the actor: one that failed is never asked.
                    self.ports.metrics.executions_active.dec();
                }
                self.take_up_waiting(&myself, state).await;
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl State {
    fn forget(&mut self, actor: ActorId) -> Option<ExecutionId> {
        let id = self.names.remove(&actor)?;
        self.executions.remove(&id);
        Some(id)
    }
}

impl EngineActor {
    async fn take_up(
        &self,
        myself: &ActorRef<Msg>,
        state: &mut State,
        id: ExecutionId,
        first: Option<(Envelope, u64)>,
        for_mail: bool,
    ) {
        if state.executions.contains_key(&id) {
            return;
        }
        if state.executions.len() >= self.ports.config.executions_max && !for_mail {
            // The record is in the log: only the name has to be kept.
            state.waiting.push_back(id);
            return;
        }
        let actor = ExecutionActor { ports: Arc::clone(&self.ports) };
        let args = execution::Args { id: id.clone(), first, for_mail, engine: myself.clone() };
        match Actor::spawn_linked(None, actor, args, myself.get_cell()).await {
            Ok((actor, _)) => {
                state.names.insert(actor.get_id(), id.clone());
                state.executions.insert(id, actor);
                self.ports.metrics.executions_active.inc();
            }
            Err(cause) => self.restart_later(myself, state, id, &cause),
        }
    }

    /// Hands on what was kept back while an actor was going.
    async fn hand_on_kept(&self, myself: &ActorRef<Msg>, state: &mut State, id: &ExecutionId) {
        let Going { mail, is_woken } = state.going.remove(id).unwrap_or_default();
        if is_woken || !mail.is_empty() {
            self.take_up(myself, state, id.clone(), None, !mail.is_empty()).await;
        }
        for (mail, credit) in mail {
            if let Some(actor) = state.executions.get(id) {
                drop(actor.cast(execution::Msg::Mail(mail, credit)));
            }
        }
    }

    async fn take_up_waiting(&self, myself: &ActorRef<Msg>, state: &mut State) {
        while state.executions.len() < self.ports.config.executions_max {
            let Some(id) = state.waiting.pop_front() else { return };
            self.take_up(myself, state, id, None, false).await;
        }
    }

    /// Has an execution taken up again after a wait that grows with each failure.
    fn restart_later(
        &self,
        myself: &ActorRef<Msg>,
        state: &mut State,
        id: ExecutionId,
        cause: &dyn std::fmt::Display,
    ) {
        let failures = state.failures.entry(id.clone()).or_default();
        *failures = failures.saturating_add(1);
        let config = &self.ports.config;
        let wait = wait_after(*failures, config.restart_first, config.restart_max);
        self.ports.metrics.actor_failures.inc();
        error!(execution = %id, %cause, failures = *failures, ?wait, "an execution's actor failed, starting it again");
        myself.send_after(wait, move || Msg::TakeUp { id, first: None });
    }
}

/// Answers how long to wait after so many failures in a row: `first` after one, and twice as long with each more.
pub(crate) fn wait_after(failures: u32, first: Duration, most: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_that_keeps_failing_is_started_again_more_and_more_slowly() {
        let waits = [1, 2, 3, 30].map(|n| wait_after(n, Duration::from_millis(100), Duration::from_secs(30)));
        assert_eq!(waits.map(|wait| wait.as_millis()), [100, 200, 400, 30_000]);
    }
}
