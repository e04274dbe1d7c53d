//! The actor of one map under way: cuts chunks and keeps a few of them on offer.
//!
//! It knows nothing that the journal does not: when it ends, another is made from what is still pending.

use crate::execution;
use crate::perform::work;
use crate::ports::Ports;
use crate::settings::settings_of;
use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use skein_core::chunk::{Bounds, Measured};
use skein_core::{Execution, Plan, Target};
use skein_model::envelope::TraceContext;
use skein_model::event::{Created, FinishedChunk, ItemRange};
use skein_model::literals::{self, Collection};
use skein_model::{Attempt, DataRef, NodeId, TaskSettings, WorkKind};
use std::collections::VecDeque;
use std::sync::Arc;

/// What a map's actor is told.
pub(crate) enum Msg {
    /// Load the inputs and begin.
    Load,
    /// A chunk ended, and that is durable.
    Ended { chunk: Ended },
}

/// What matters here of a chunk that ended.
pub(crate) struct Ended {
    items: u32,
    micros: u64,
    again: Vec<(ItemRange, Attempt)>,
}

impl Ended {
    /// Takes from a recorded chunk how long it took and what has to run again.
    pub(crate) fn of(chunk: &FinishedChunk, again: &[u32]) -> Self {
        let mut pending: Vec<_> = chunk.returned.iter().map(|range| (*range, chunk.attempt)).collect();
        for item in again {
            let next = chunk.attempt.next();
            match pending.last_mut() {
                Some((range, attempt)) if range.end == *item && *attempt == next => range.end = item + 1,
                _ => pending.push((ItemRange { start: *item, end: item + 1 }, next)),
            }
        }
        let returned: u32 = chunk.returned.iter().map(|range| range.len()).sum();
        Self { items: chunk.range.len().saturating_sub(returned), micros: chunk.micros, again: pending }
    }
}

/// What an actor is made of.
pub(crate) struct Args {
    node: NodeId,
    plan: Arc<Plan>,
    created: Arc<Created>,
    inputs: DataRef,
    pending: VecDeque<(ItemRange, Attempt)>,
    size: u32,
    trace: Option<TraceContext>,
    /// Whoever made it; gone, there is nobody to work for.
    _execution: ActorRef<execution::Msg>,
}

impl Args {
    /// Takes what is pending from an execution's state; none when the node runs no map.
    pub(crate) fn of(
        execution: &Execution,
        node: &NodeId,
        trace: Option<TraceContext>,
        owner: ActorRef<execution::Msg>,
    ) -> Option<Self> {
        let map = execution.map_of(node)?;
        Some(Self {
            node: node.clone(),
            plan: Arc::clone(execution.plan()),
            created: Arc::clone(execution.created()?),
            inputs: map.inputs.clone(),
            pending: map.pending().into(),
            size: map.size,
            trace,
            _execution: owner,
        })
    }
}

/// The actor. Holds what does not change.
pub(crate) struct MapActor {
    pub(crate) ports: Arc<Ports>,
}

/// What changes.
pub(crate) struct State {
    args: Args,
    inputs: Vec<Input>,
    measured: Measured,
    settings: TaskSettings,
    bounds: Bounds,
    /// Chunks on offer or being run.
    out: u32,
}

/// One input of the map.
enum Input {
    /// Every item gets it whole.
    Bound(String, Bytes),
    /// Each item gets its element.
    Each(String, Collection),
}

impl Actor for MapActor {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Load)?;
        let settings = settings_of(&self.ports.config, &args.plan, place(&args)?, &args.created.execution);
        let bounds = Bounds::of(&settings);
        Ok(State { args, inputs: Vec::new(), measured: Measured::default(), settings, bounds, out: 0 })
    }

    async fn handle(
        &self,
        _: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Load => state.inputs = self.load(&state.args).await?,
            Msg::Ended { chunk } => {
                state.out = state.out.saturating_sub(1);
                state.measured.add(chunk.items, chunk.micros);
                state.args.pending.extend(chunk.again);
            }
        }
        self.offer(state).await
    }
}

impl MapActor {
    async fn load(&self, args: &Args) -> Result<Vec<Input>, ActorProcessingErr> {
        let bytes = self.ports.blobs.load(&args.inputs).await?;
        let bound = match &args.plan.nodes[place(args)?].target {
            Target::Map { bound, .. } => bound,
            Target::Task { .. } => return Err("a map's actor was made for a task".into()),
        };
        let mut inputs = Vec::new();
        for (name, value) in literals::literal_map_entries(&bytes)? {
            inputs.push(if bound.contains(&name) {
                Input::Bound(name, value)
            } else {
                let each = Collection::of(&value)?.ok_or("an input of a map is not a list")?;
                Input::Each(name, each)
            });
        }
        Ok(inputs)
    }

    async fn offer(&self, state: &mut State) -> Result<(), ActorProcessingErr> {
        while state.out < self.limit(&state.args)? {
            let Some((range, attempt)) = state.cut(self.ports.config.chunks_on_offer) else { return Ok(()) };
            let inputs = state.slice(range)?;
            let chunk = work::Chunk { range, of: state.args.size, inputs };
            let args = &state.args;
            let source = work::Source {
                plan: &args.plan,
                created: &args.created,
                place: place(args)?,
                attempt,
                trace: args.trace,
            };
            let work = work::of_items(&self.ports, &source, chunk).await?;
            let micros = state.measured.expected_micros(range.len());
            self.ports.dispatch.offer(work, &state.settings, micros).await;
            state.out += 1;
        }
        Ok(())
    }

    fn limit(&self, args: &Args) -> Result<u32, ActorProcessingErr> {
        let most = self.ports.config.chunks_on_offer.max(1);
        Ok(match &args.plan.nodes[place(args)?].target {
            // A chunk runs its items one after the other, so as many run at once as there are chunks out.
            Target::Map { concurrency: Some(limit), .. } => most.min(*limit),
            Target::Map { concurrency: None, .. } | Target::Task { .. } => most,
        })
    }
}

impl State {
    /// Takes the next chunk off what is pending.
    fn cut(&mut self, slots: u32) -> Option<(ItemRange, Attempt)> {
        let left: u32 = self.args.pending.iter().map(|(range, _)| range.len()).sum();
        let (range, attempt) = self.args.pending.front_mut()?;
        let bounds = self.bounds;
        let length = self.measured.next_len(left, slots.div_ceil(2), bounds).max(1).min(range.len());
        let chunk = ItemRange { start: range.start, end: range.start + length };
        let attempt = *attempt;
        range.start = chunk.end;
        if range.is_empty() {
            self.args.pending.pop_front();
        }
        Some((chunk, attempt))
    }

    /// Encodes the inputs of some items: the lists cut to them, the rest whole.
    fn slice(&self, range: ItemRange) -> Result<Bytes, ActorProcessingErr> {
        let mut entries: Vec<(&str, Bytes)> = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            entries.push(match input {
                Input::Bound(name, value) => (name, value.clone()),
                Input::Each(name, each) => (name, each.slice(range.start as usize, range.end as usize)?),
            });
        }
        Ok(literals::encode_literal_map(entries.iter().map(|(name, value)| (*name, value.as_ref()))))
    }
}

fn place(args: &Args) -> Result<usize, ActorProcessingErr> {
    args.plan.find(&args.node).ok_or_else(|| "a map's node is not in its plan".into())
}

/// How work of a map is marked.
pub(crate) fn kind(plan: &Plan, place: usize, of: u32) -> WorkKind {
    match &plan.nodes[place].target {
        Target::Map { bound, .. } => WorkKind::Items { bound: bound.clone(), of },
        Target::Task { .. } => WorkKind::Task,
    }
}
