//! The actor of one map under way: cuts chunks and keeps a few of them on offer.
//!
//! It knows nothing that journal and queue do not: when it ends, another is made from what is still pending, and adopts
//! the chunks that are out already.

mod cached;

use crate::dispatch;
use crate::execution;
use crate::perform::{announce, work};
use crate::ports::Ports;
use crate::settings::{actor_of, settings_of};
use crate::stored::StoredList;
use bytes::Bytes;
use cached::Cached;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use skein_core::chunk::{Bounds, Measured};
use skein_core::items::{Chunk, Items};
use skein_core::{Execution, Plan, Target};
use skein_log::{BlobStore, Stop};
use skein_model::envelope::TraceContext;
use skein_model::event::{Created, FinishedChunk, ItemRange};
use skein_model::literals::{self, Collection};
use skein_model::{Attempt, DataRef, NodeId, TaskSettings, WorkId, WorkKind};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// What a map's actor is told.
pub(crate) enum Msg {
    /// Load the inputs and begin.
    Load,
    /// A chunk ended, and that is durable.
    Ended { chunk: Ended },
    /// Every item has ended: this is to be done when nothing is on the way to the cache any more.
    Finish(Box<dyn FnOnce() + Send>),
}

/// What matters here of a chunk that ended.
pub(crate) struct Ended {
    chunk: Chunk,
    items: u32,
    micros: u64,
    again: Vec<Chunk>,
    /// Its items without outputs, in ascending order.
    absent: Vec<u32>,
    outputs: DataRef,
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
        let of = (chunk.range, chunk.attempt);
        let failed = chunk.failures.iter().map(|failure| failure.index);
        let mut absent: Vec<u32> =
            failed.chain(chunk.returned.iter().flat_map(|range| range.start..range.end)).collect();
        absent.sort_unstable();
        Self {
            chunk: of,
            items: chunk.range.len().saturating_sub(returned),
            micros: chunk.micros,
            again: pending,
            absent,
            outputs: chunk.outputs.clone(),
        }
    }
}

/// What an actor is made of.
pub(crate) struct Args {
    node: NodeId,
    plan: Arc<Plan>,
    place: usize,
    created: Arc<Created>,
    inputs: DataRef,
    items: Items,
    size: u32,
    trace: Option<TraceContext>,
    /// Whoever made it; gone, there is nobody to work for.
    execution: ActorRef<execution::Msg>,
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
            place: execution.find(node)?,
            created: Arc::clone(execution.created()?),
            inputs: map.inputs.clone(),
            items: Items::new(map.pending()),
            size: map.size,
            trace,
            execution: owner,
        })
    }
}

impl Args {
    fn source(&self, attempt: Attempt) -> Result<work::Source<'_>, ActorProcessingErr> {
        let Self { plan, created, trace, .. } = self;
        Ok(work::Source { plan, created, place: self.place, attempt, on_demand: false, trace: *trace })
    }

    /// Takes over the chunks that are out from before. Whoever calls has recorded nothing since the state was looked at, so
    /// that what has ended is in neither.
    pub(crate) fn adopt(&mut self, ports: &Ports) -> Result<(), ActorProcessingErr> {
        let place = self.place;
        let settings = settings_of(&ports.config, &self.plan, place, &self.created.execution);
        let actor = actor_of(&self.plan, place, &self.created.execution);
        let task = work::task_name(&self.plan, place);
        for id in ports.dispatch.found_of(&self.created.execution, &self.node) {
            if let Some(range) = id.items
                && self.items.adopt((range, id.attempt))
            {
                let settings = (&settings, actor.as_ref());
                ports.dispatch.adopt(&id, task, settings, dispatch::expected_micros());
            }
        }
        Ok(())
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
    /// What it has to do with the cache, if it has.
    cache: Option<Cached>,
}

/// One input of the map.
enum Input {
    /// Every item gets it whole.
    Bound(String, Bytes),
    /// Each item gets its element.
    Each(String, Collection),
    /// Each item gets its element of a list that is too large to hold.
    Stored(String, StoredList),
}

impl Actor for MapActor {
    type Msg = Msg;
    type State = State;
    type Arguments = Args;

    async fn pre_start(&self, myself: ActorRef<Msg>, args: Args) -> Result<State, ActorProcessingErr> {
        myself.cast(Msg::Load)?;
        let settings = settings_of(&self.ports.config, &args.plan, args.place, &args.created.execution);
        let bounds = Bounds::of(&settings);
        let measured = Measured::default();
        Ok(State { args, inputs: Vec::new(), measured, settings, bounds, cache: None })
    }

    async fn handle(
        &self,
        myself: ActorRef<Msg>,
        message: Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Load => {
                state.inputs = self.load(&state.args).await?;
                self.take_from_cache(state).await?;
                self.offer(state).await?;
                let source = state.args.source(Attempt(0))?;
                announce::what_follows(&self.ports, &source).await;
                return Ok(());
            }
            Msg::Ended { chunk } => {
                state.measured.add(chunk.items, chunk.micros);
                self.give_to_cache(state, &chunk);
                let in_vain = state.args.items.end(chunk.chunk, chunk.again);
                self.take_back(&state.args, in_vain).await;
            }
            Msg::Finish(then) => {
                if let Some(cache) = &mut state.cache {
                    cache.finish().await;
                }
                then();
                myself.stop(None);
                return Ok(());
            }
        }
        self.offer(state).await
    }
}

impl MapActor {
    async fn load(&self, args: &Args) -> Result<Vec<Input>, ActorProcessingErr> {
        let bytes = self.ports.blobs.load(&args.inputs).await?;
        let bound = match &args.plan.nodes[args.place].target {
            Target::Map { bound, .. } => bound,
            _ => return Err("a map's actor was made for something else".into()),
        };
        let mut inputs = Vec::new();
        for (name, value) in literals::literal_map_entries(&bytes)? {
            inputs.push(if bound.contains(&name) {
                Input::Bound(name, value)
            } else if let Some(uri) = literals::stored_at(&value)? {
                Input::Stored(name, StoredList::open(&self.ports.blobs, uri).await?)
            } else {
                let each = Collection::of(&value)?.ok_or("an input of a map is not a list")?;
                Input::Each(name, each)
            });
        }
        Ok(inputs)
    }

    async fn take_back(&self, args: &Args, in_vain: Vec<Chunk>) {
        for (range, attempt) in in_vain {
            let (execution, node) = (args.created.execution.clone(), args.node.clone());
            let id = WorkId { execution, node, attempt, items: Some(range) };
            if let Err(reason) = self.ports.dispatch.withdraw(Stop::Work(id.clone())).await {
                warn!(%reason, work = %id, "a chunk that is out in vain cannot be taken back");
            }
        }
    }

    async fn offer(&self, state: &mut State) -> Result<(), ActorProcessingErr> {
        while state.args.items.out() < self.limit(&state.args)? {
            let Some((range, attempt)) = state.cut(self.ports.config.chunks_on_offer) else { return Ok(()) };
            let inputs = state.slice(&self.ports.blobs, range).await?;
            let within = state.bounds.patience(range.len());
            let chunk = work::Chunk { range, of: state.args.size, inputs, within };
            let source = state.args.source(attempt)?;
            let work = work::of_items(&self.ports, &source, chunk).await?;
            let micros = state.measured.expected_micros(range.len());
            self.ports.dispatch.offer(work, &state.settings, micros).await;
        }
        Ok(())
    }

    fn limit(&self, args: &Args) -> Result<u32, ActorProcessingErr> {
        let most = self.ports.config.chunks_on_offer.max(1);
        Ok(match &args.plan.nodes[args.place].target {
            // A chunk runs its items one after the other, so as many run at once as there are chunks out.
            Target::Map { concurrency: Some(limit), .. } => most.min(*limit),
            _ => most,
        })
    }
}

impl State {
    /// Takes the next chunk off what waits.
    fn cut(&mut self, slots: u32) -> Option<Chunk> {
        let left = self.args.items.waiting();
        self.args.items.cut(self.measured.next_len(left, slots.div_ceil(2), self.bounds))
    }

    /// Encodes the inputs of some items: the lists cut to them, the rest whole.
    async fn slice(&self, blobs: &BlobStore, range: ItemRange) -> Result<Bytes, ActorProcessingErr> {
        let mut entries: Vec<(&str, Bytes)> = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            entries.push(match input {
                Input::Bound(name, value) => (name, value.clone()),
                Input::Each(name, each) => (name, each.slice(range.start as usize, range.end as usize)?),
                Input::Stored(name, list) => (name, list.slice(blobs, range).await?),
            });
        }
        Ok(literals::encode_literal_map(entries.iter().map(|(name, value)| (*name, value.as_ref()))))
    }
}

/// How work of a map is marked.
pub(crate) fn kind(plan: &Plan, place: usize, of: u32, within: Option<Duration>) -> WorkKind {
    match &plan.nodes[place].target {
        Target::Map { bound, .. } => WorkKind::Items { bound: bound.clone(), of, within },
        _ => WorkKind::Task,
    }
}
