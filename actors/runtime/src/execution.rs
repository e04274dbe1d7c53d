//! The actor of one execution: the only writer of its journal.

mod effects;

use crate::alarm::Alarm;
use crate::engine;
use crate::intake::Credit;
use crate::journal::{Journal, JournalError};
use crate::map;
use crate::perform;
use crate::ports::Ports;
use crate::recovery;
use crate::replay;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use skein_core::{Execution, NodeState, Plan, Rejection, Transition};
use skein_log::{BlobError, Mail, Refusal};
use skein_model::{
    Attempt, BlobRef, Command, Envelope, Event, ExecutionId, ExecutionPhase, JournalId, NodeId, Timestamp,
    WorkId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{Instrument as _, debug, debug_span, info};

/// What an execution's actor is told.
pub(crate) enum Msg {
    /// Read the journal and go on.
    Load,
    /// A command from outside, to be answered; holds a place in the engine until it is dealt with.
    Mail(Mail, Credit),
    /// A command that an effect of this actor was answered with.
    Answered(Command),
    /// Something may have taken as long as it may.
    Rung,
    /// The engine keeps mail back from now on: end, if the execution is still at rest, or say that it stays.
    Rest,
}

/// What an actor is made of.
pub(crate) struct Args {
    pub(crate) id: ExecutionId,
    /// The first record and its sequence, when it was just followed; otherwise the journal is read.
    pub(crate) first: Option<(Envelope, u64)>,
    /// Whether it is made for mail to an execution that has ended: it must not end before the mail is read then.
    pub(crate) for_mail: bool,
    /// Whoever makes it again when it rests.
    pub(crate) engine: ActorRef<engine::Msg>,
}

/// The actor. Holds what does not change.
pub(crate) struct ExecutionActor {
    pub(crate) ports: Arc<Ports>,
}

/// What changes.
pub(crate) struct State {
    id: ExecutionId,
    first: Option<(Envelope, u64)>,
    for_mail: bool,
    engine: ActorRef<engine::Msg>,
    live: Option<Live>,
}

/// An execution that has been loaded.
struct Live {
    journal: Journal,
    execution: Execution,
    maps: BTreeMap<NodeId, ActorRef<map::Msg>>,
    /// None when nothing of it is limited in time.
    alarm: Option<Alarm>,
}

impl Live {
    /// Says whether nothing is to be done before a clock rings or a signal comes.
    fn is_at_rest(&self, now: Timestamp) -> bool {
        let next = self.alarm.as_ref().and_then(Alarm::next);
        self.execution.is_at_rest() && next.is_none_or(|rings| rings > now)
    }
}

impl Actor for ExecutionActor {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Load)?;
        let Args { id, first, for_mail, engine } = args;
        Ok(State { id, first, for_mail, engine, live: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Load => {
                self.load(&myself, state).await?;
                if state.for_mail {
                    return Ok(());
                }
            }
            Msg::Mail(mail, credit) => {
                self.command(&myself, state, &mail.command, Some(mail.answer)).await?;
                drop(credit);
            }
            Msg::Rest => {
                let now = (self.ports.clock)();
                let Some(live) = state.live.as_ref().filter(|live| live.is_at_rest(now)) else {
                    drop(state.engine.cast(engine::Msg::Stays(state.id.clone())));
                    return Ok(());
                };
                let wakes = live.alarm.as_ref().and_then(Alarm::next);
                drop(state.engine.cast(engine::Msg::Rests { id: state.id.clone(), wakes }));
                myself.stop(None);
                return Ok(());
            }
            Msg::Answered(command) => self.command(&myself, state, &command, None).await?,
            Msg::Rung => {
                let now = (self.ports.clock)();
                let alarm = state.live.as_mut().and_then(|live| live.alarm.as_mut());
                for command in alarm.map(|alarm| alarm.take_rung(now)).unwrap_or_default() {
                    self.command(&myself, state, &command, None).await?;
                }
            }
        }
        if let Some(alarm) = state.live.as_mut().and_then(|live| live.alarm.as_mut()) {
            alarm.set((self.ports.clock)(), &myself);
        }
        if state.live.as_ref().is_some_and(|live| live.is_at_rest((self.ports.clock)())) {
            drop(state.engine.cast(engine::Msg::WouldRest(state.id.clone())));
        }
        if let Some(live) = state.live.as_ref().filter(|live| live.execution.phase().is_terminal()) {
            if cfg!(debug_assertions) {
                replay::check(&self.ports, &state.id, &live.journal, &live.execution).await?;
            }
            // Whatever is still on its way finds no actor, and is answered by one that is made for it.
            myself.stop(None);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Msg>,
        event: ractor::SupervisionEvent,
        _: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            // A map's actor holds nothing that the journal does not: this one ends too, and both are made again.
            ractor::SupervisionEvent::ActorFailed(_, cause) => Err(cause),
            ractor::SupervisionEvent::ActorStarted(_)
            | ractor::SupervisionEvent::ActorTerminated(..)
            | ractor::SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl ExecutionActor {
    async fn load(&self, myself: &ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        let (journal, events) = match state.first.take() {
            Some((envelope, sequence)) => Journal::begin(&envelope, sequence)?,
            None => Journal::load(&self.ports, JournalId::execution(&state.id)).await?,
        };
        let Some((_, Event::Created(created))) = events.first() else {
            return Err(JournalError::Empty.into());
        };
        let plan: Arc<Plan> = self.ports.plans.load(&self.ports.blobs, &created.plan).await?;
        let mut execution = Execution::new(plan);
        let mut alarm = None;
        for (at, event) in &events {
            if let Event::NodesMade { node, attempt, plan, .. } = event {
                provide(&self.ports, &mut execution, (node, *attempt), plan).await?;
            }
            execution.apply(event);
            note_time(&self.ports, &mut alarm, &execution, event, *at);
        }
        if !execution.phase().is_terminal() {
            self.ports.notifier.await_the_end_of(created).await?;
        }
        if let Some(alarm) = &mut alarm {
            alarm.resume((self.ports.clock)());
        }
        if !execution.phase().is_terminal() {
            recovery::bring(&self.ports, &mut execution).await?;
        }
        if let Some(created) = execution.created().filter(|_| !execution.phase().is_terminal())
            && let Some(parent) = &created.parent
        {
            perform::child::ask_parent(&self.ports, parent, created);
        }
        let outstanding = execution.outstanding();
        let is_new = execution.phase() == ExecutionPhase::Queued;
        let live = state.live.insert(Live { journal, execution, maps: BTreeMap::new(), alarm });
        for effect in outstanding {
            self.perform(myself, live, effect).await?;
        }
        self.ports.ways_out().for_each(|way| way.settle(&state.id));
        if is_new {
            self.command(myself, state, &Command::Start, None).await?;
        }
        Ok(())
    }

    async fn command(
        &self,
        myself: &ActorRef<Msg>,
        state: &mut State,
        command: &Command,
        answer: Option<oneshot::Sender<Result<(), Refusal>>>,
    ) -> Result<(), ActorProcessingErr> {
        let trace = state.live.as_ref().and_then(|live| live.journal.trace);
        let span = debug_span!("command", execution = %state.id, command = command.words());
        skein_telemetry::trace::continue_in(&span, trace);
        self.transition(myself, state, command, answer).instrument(span).await
    }

    /// Decides, appends, performs, and only then confirms: after a crash in between, the command comes again, harmlessly.
    async fn transition(
        &self,
        myself: &ActorRef<Msg>,
        state: &mut State,
        command: &Command,
        answer: Option<oneshot::Sender<Result<(), Refusal>>>,
    ) -> Result<(), ActorProcessingErr> {
        let Some(live) = state.live.as_mut() else { return Err(JournalError::Empty.into()) };
        if let Command::NodesCompiled { node, plan } = command
            && let Some(NodeState::Making(making)) = live.execution.node(node)
        {
            let attempt = making.attempt;
            provide(&self.ports, &mut live.execution, (node, attempt), plan).await?;
        }
        let was_terminal = live.execution.phase().is_terminal();
        let transition = match live.execution.advance(command, (self.ports.clock)()) {
            Ok(transition) => transition,
            Err(rejection) => {
                debug!(execution = %state.id, %rejection, "command refused");
                self.ports.metrics.commands_without_effect.inc();
                confirm(answer, Err(refusal(rejection)));
                return Ok(());
            }
        };
        let Transition { events, effects } = transition;
        if events.is_empty() {
            // Its map's actor counts on it; with what has ended meanwhile it is to look again.
            if let Command::ItemsCached { node, .. } = command
                && live.maps.contains_key(node)
                && live.execution.map_of(node).is_some_and(|map| !map.is_complete())
            {
                return Err("items that the cache has have ended meanwhile: their map is made again".into());
            }
            self.ports.metrics.commands_without_effect.inc();
        } else {
            let closes = was_terminal || events.iter().any(is_last);
            // An error here ends this actor, and with it the state that is ahead of the journal.
            let at = live.journal.append(&self.ports, command.cause(), &events, closes).await?;
            for event in &events {
                note_time(&self.ports, &mut live.alarm, &live.execution, event, at);
            }
        }
        let mut cause = "";
        for event in &events {
            if let Event::Aborting { cause: why, .. } = event {
                cause = why;
            }
            self.tell_parent(&live.execution, event, cause);
            self.note(&state.id, live, event);
            if let Some((work, micros)) = ended(&state.id, event) {
                for way in self.ports.ways_out() {
                    way.ended(&work, micros).await;
                }
            }
        }
        if let Some(created) =
            live.execution.created().filter(|_| !was_terminal && events.iter().any(is_last))
        {
            self.ports.notifier.ended(created);
        }
        for effect in effects {
            self.perform(myself, live, effect).await?;
        }
        confirm(answer, Ok(()));
        Ok(())
    }

    /// Tells whoever launched the execution how it has ended, if it has.
    fn tell_parent(&self, execution: &Execution, event: &Event, cause: &str) {
        let Some(created) = execution.created() else { return };
        let Some(parent) = &created.parent else { return };
        if let Some(outcome) = perform::child::how_it_ended(event, cause) {
            perform::child::tell_parent(&self.ports, parent, created.execution.clone(), outcome);
        }
    }

    /// Tells of phases in the log of the program, and maps of their chunks.
    fn note(&self, id: &ExecutionId, live: &Live, event: &Event) {
        let trace = skein_telemetry::trace::id(live.journal.trace);
        match event {
            Event::Started => info!(execution = %id, trace, "execution started"),
            Event::Succeeded { .. } => info!(execution = %id, trace, "execution succeeded"),
            Event::Failed { failure } => {
                info!(execution = %id, trace, code = failure.code, "execution failed")
            }
            Event::Aborted => info!(execution = %id, trace, "execution aborted"),
            Event::ItemsFinished { node, chunk, again } => {
                self.ports.metrics.items.inc_by(u64::from(chunk.range.len()));
                if let Some(map) = live.maps.get(node) {
                    // A map's actor that has ended needs to know nothing.
                    drop(map.cast(map::Msg::Ended { chunk: map::Ended::of(chunk, again) }));
                }
            }
            Event::ItemsCached { items, .. } => {
                let found =
                    items.range.len().saturating_sub(u32::try_from(items.absent.len()).unwrap_or(u32::MAX));
                self.ports.metrics.items.inc_by(u64::from(found));
            }
            Event::Created(_)
            | Event::NodeRecovered { .. }
            | Event::ItemsRecovered { .. }
            | Event::InsideStarted { .. }
            | Event::InsideSucceeded { .. }
            | Event::BranchTaken { .. }
            | Event::AttemptMadeNodes { .. }
            | Event::NodesMade { .. }
            | Event::InsideFailing { .. }
            | Event::ChildLaunched { .. }
            | Event::SignalAsked { .. }
            | Event::SignalSet { .. }
            | Event::CacheLookedUp { .. }
            | Event::CacheStored { .. }
            | Event::NodeQueued { .. }
            | Event::NodeStarted { .. }
            | Event::AttemptQueued { .. }
            | Event::AttemptMoved { .. }
            | Event::AttemptStarted { .. }
            | Event::JobReported { .. }
            | Event::AttemptSucceeded { .. }
            | Event::AttemptFailed { .. }
            | Event::AttemptAborted { .. }
            | Event::LateResultIgnored { .. }
            | Event::MapStarted { .. }
            | Event::NodeSucceeded { .. }
            | Event::NodeFailed { .. }
            | Event::NodeTimedOut { .. }
            | Event::NodeAborted { .. }
            | Event::NodeSkipped { .. }
            | Event::Failing { .. }
            | Event::Aborting { .. }
            | Event::Succeeding
            | Event::Archived { .. } => debug!(execution = %id, trace, ?event, "recorded"),
        }
    }
}

/// Brings the plan of nodes that a task made before what is said of it is folded or decided.
async fn provide(
    ports: &Ports,
    execution: &mut Execution,
    made: (&NodeId, Attempt),
    blob: &BlobRef,
) -> Result<(), BlobError> {
    let plan = ports.plans.load_made(&ports.blobs, blob, made).await?;
    execution.provide(blob.clone(), plan);
    Ok(())
}

/// Tells the clocks what has happened, and makes them where something is limited from now on.
fn note_time(ports: &Ports, alarm: &mut Option<Alarm>, execution: &Execution, event: &Event, at: Timestamp) {
    match (event, alarm) {
        (Event::Created(_) | Event::NodesMade { .. }, alarm @ None) => *alarm = Alarm::of(ports, execution),
        (Event::NodesMade { .. }, Some(alarm)) => alarm.limit(ports, execution),
        (_, Some(alarm)) => alarm.note(execution, event, at),
        (_, None) => {}
    }
}

fn is_last(event: &Event) -> bool {
    matches!(event, Event::Succeeded { .. } | Event::Failed { .. } | Event::Aborted)
}

/// Answers what work has ended by an event, and how long it ran where that is known, in microseconds.
fn ended(execution: &ExecutionId, event: &Event) -> Option<(WorkId, Option<u64>)> {
    let work = |node: &NodeId, attempt, items| WorkId {
        execution: execution.clone(),
        node: node.clone(),
        attempt,
        items,
    };
    match event {
        Event::AttemptSucceeded { node, attempt, .. }
        | Event::AttemptFailed { node, attempt, .. }
        | Event::AttemptMadeNodes { node, attempt, .. }
        | Event::AttemptAborted { node, attempt, .. } => Some((work(node, *attempt, None), None)),
        Event::ItemsFinished { node, chunk, .. } => {
            Some((work(node, chunk.attempt, Some(chunk.range)), Some(chunk.micros)))
        }
        _ => None,
    }
}

fn refusal(rejection: Rejection) -> Refusal {
    match rejection {
        Rejection::AlreadyTerminated | Rejection::NotWaitedFor { .. } | Rejection::SignalLate { .. } => {
            Refusal::FailedPrecondition(rejection.to_string())
        }
        _ => Refusal::Invalid(rejection.to_string()),
    }
}

fn confirm(answer: Option<oneshot::Sender<Result<(), Refusal>>>, outcome: Result<(), Refusal>) {
    if let Some(answer) = answer {
        // A sender that no longer waits will ask again.
        drop(answer.send(outcome));
    }
}
