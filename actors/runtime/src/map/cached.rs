//! A map and the cache: looks up all items at once, takes what is there, and gives what runs, chunk by chunk.

use super::{Ended, Input, MapActor, State};
use crate::execution;
use crate::perform::cache::source_of;
use crate::ports::Ports;
use bytes::Bytes;
use ractor::ActorProcessingErr;
use skein_catalog::{FoundItems, Kept};
use skein_log::BlobError;
use skein_model::cache::{CacheRule, key_of_entries};
use skein_model::event::{CachedItems, ItemRange};
use skein_model::literals::{self, Collection, CollectionBuilder};
use skein_model::{Attempt, CacheKey, Command, DataRef, paths};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::warn;

/// How many items are looked up, and recorded as cached, together: what the cache lacks of them fits a record.
const GROUP: u32 = 8 * 1024;

/// How many sets of outputs are held while items are taken out of them.
const OPEN_MAX: usize = 64;

/// What a map has to do with the cache.
pub(super) struct Cached {
    /// The node's place in the plan.
    place: usize,
    rule: CacheRule,
    /// The keys of all items.
    keys: Arc<Vec<CacheKey>>,
    /// What is on the way to the cache.
    writes: JoinSet<()>,
}

impl Cached {
    /// Waits until nothing is on the way to the cache.
    pub(super) async fn finish(&mut self) {
        while self.writes.join_next().await.is_some() {}
    }
}

impl Drop for Cached {
    /// What ran is kept also where its map has failed or was stopped: whoever runs it again finds it.
    fn drop(&mut self) {
        self.writes.detach_all();
    }
}

impl MapActor {
    /// Computes the keys of all items, and takes from the cache what waits for its first try and is there. An input of which
    /// no key can be made costs the map the cache and nothing else.
    pub(super) async fn take_from_cache(&self, state: &mut State) -> Result<(), ActorProcessingErr> {
        let place = state.args.place;
        let Some(rule) = state.args.plan.nodes[place].cache.clone() else { return Ok(()) };
        let mut keys = Vec::with_capacity(state.args.size as usize);
        for start in (0..state.args.size).step_by(GROUP as usize) {
            let range = ItemRange { start, end: state.args.size.min(start.saturating_add(GROUP)) };
            match state.keys(&self.ports, range, &rule).await {
                Ok(more) => keys.extend(more),
                Err(fault) => {
                    warn!(%fault, node = %state.args.node, "the items of a map cannot be looked up in the cache");
                    return Ok(());
                }
            }
        }
        if !state.args.created.settings.overwrite_cache {
            self.take(state, &rule, &keys).await?;
        }
        state.cache = Some(Cached { place, rule, keys: Arc::new(keys), writes: JoinSet::new() });
        Ok(())
    }

    async fn take(
        &self,
        state: &mut State,
        rule: &CacheRule,
        keys: &[CacheKey],
    ) -> Result<(), ActorProcessingErr> {
        let found = match self.ports.catalog.look_up_items(&rule.dataset, keys).await {
            Ok(found) => found,
            Err(fault) => {
                warn!(%fault, node = %state.args.node, "the cache cannot be asked");
                return Ok(());
            }
        };
        let mut waits = vec![false; keys.len()];
        for (range, attempt) in state.args.items.waiting_ranges() {
            if attempt == Attempt(0) {
                waits[range.start as usize..range.end as usize].fill(true);
            }
        }
        let mut taken = vec![false; keys.len()];
        let mut shelf = Shelf::new(&found);
        for start in (0..state.args.size).step_by(GROUP as usize) {
            let range = ItemRange { start, end: state.args.size.min(start.saturating_add(GROUP)) };
            let Some(items) = self.group(state, &found, &mut shelf, &waits, range).await? else { continue };
            for item in range.start..range.end {
                taken[item as usize] = items.absent.binary_search(&item).is_err();
            }
            let command = Command::ItemsCached { node: state.args.node.clone(), items };
            // An execution that is gone takes its map along.
            drop(state.args.execution.cast(execution::Msg::Answered(command)));
        }
        state.args.items.skip(|item| taken[item as usize]);
        Ok(())
    }

    /// Puts together what the cache has of some items; none when it has nothing.
    async fn group(
        &self,
        state: &State,
        found: &FoundItems,
        shelf: &mut Shelf<'_>,
        waits: &[bool],
        range: ItemRange,
    ) -> Result<Option<CachedItems>, ActorProcessingErr> {
        let mut lists: BTreeMap<String, CollectionBuilder> = BTreeMap::new();
        let mut absent = Vec::new();
        for item in range.start..range.end {
            let place = found.places[item as usize].filter(|_| waits[item as usize]);
            let elements = match place {
                Some((outputs, element)) => shelf.element(&self.ports, outputs, element).await?,
                None => None,
            };
            match elements {
                Some(elements) => {
                    for (name, element) in elements {
                        lists.entry(name).or_default().push(&element);
                    }
                }
                None => absent.push(item),
            }
        }
        if absent.len() == range.len() as usize {
            return Ok(None);
        }
        let lists: Vec<(String, Bytes)> =
            lists.into_iter().map(|(name, list)| (name, list.finish())).collect();
        let outputs =
            literals::encode_literal_map(lists.iter().map(|(name, list)| (name.as_str(), list.as_ref())));
        let node = &state.args.node;
        let prefix = paths::items_prefix(&state.args.created.data_prefix, node, Attempt(0), range);
        let outputs = self.ports.blobs.store(&format!("{prefix}/cached.pb"), outputs).await?;
        Ok(Some(CachedItems { range, absent, outputs }))
    }

    /// Gives the outputs of a chunk that ended to the cache, beside what else the map does.
    pub(super) fn give_to_cache(&self, state: &mut State, ended: &Ended) {
        let Some(cache) = &mut state.cache else { return };
        let (range, attempt) = ended.chunk;
        let present = |item: &u32| ended.absent.binary_search(item).is_err();
        let keys: Vec<CacheKey> =
            (range.start..range.end).filter(present).map(|item| cache.keys[item as usize]).collect();
        if keys.is_empty() {
            return;
        }
        let source = source_of(&state.args.plan, cache.place, &state.args.created, attempt);
        let kept = Kept { keys, outputs: ended.outputs.clone(), source, items: true };
        let (ports, dataset) = (Arc::clone(&self.ports), cache.rule.dataset.clone());
        cache.writes.spawn(async move {
            if let Err(fault) = ports.catalog.keep(&dataset, kept, (ports.clock)()).await {
                warn!(%fault, %dataset, "outputs of items cannot be given to the cache");
            }
        });
        while cache.writes.try_join_next().is_some() {}
    }
}

impl State {
    /// Computes the keys of some items.
    async fn keys(
        &self,
        ports: &Ports,
        range: ItemRange,
        rule: &CacheRule,
    ) -> Result<Vec<CacheKey>, ActorProcessingErr> {
        let mut lists = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            lists.push(match input {
                Input::Bound(name, value) => (name, Elements::All(value.clone())),
                Input::Each(name, each) => (name, Elements::Each(each)),
                Input::Stored(name, list) => {
                    let slice = list.slice(&ports.blobs, range).await?;
                    let each = Collection::of(&slice)?.ok_or("an input of a map is not a list")?;
                    (name, Elements::Cut(each, range.start))
                }
            });
        }
        lists.retain(|(name, _)| !rule.ignored.contains(name));
        let mut keys = Vec::with_capacity(range.len() as usize);
        for item in range.start..range.end {
            let mut entries = Vec::with_capacity(lists.len());
            for (name, elements) in &lists {
                entries.push((name.as_str(), elements.of(item).ok_or("an input of a map is too short")?));
            }
            keys.push(key_of_entries(entries.iter().map(|(name, value)| (*name, value.as_ref())))?);
        }
        Ok(keys)
    }
}

/// The values of one input.
enum Elements<'a> {
    All(Bytes),
    Each(&'a Collection),
    Cut(Collection, u32),
}

impl Elements<'_> {
    fn of(&self, item: u32) -> Option<Bytes> {
        match self {
            Self::All(value) => Some(value.clone()),
            Self::Each(each) => each.element(item as usize),
            Self::Cut(each, start) => each.element(item.checked_sub(*start)? as usize),
        }
    }
}

/// Sets of outputs out of which items are taken, the last ones used.
struct Shelf<'a> {
    outputs: &'a [DataRef],
    open: VecDeque<(u32, Vec<(String, Collection)>)>,
    /// Those that cannot be read.
    gone: BTreeSet<u32>,
}

impl<'a> Shelf<'a> {
    fn new(found: &'a FoundItems) -> Self {
        Self { outputs: &found.outputs, open: VecDeque::new(), gone: BTreeSet::new() }
    }

    /// Answers the outputs of one item by name; none when they are gone.
    async fn element(
        &mut self,
        ports: &Ports,
        number: u32,
        element: u32,
    ) -> Result<Option<Vec<(String, Bytes)>>, ActorProcessingErr> {
        if self.gone.contains(&number) {
            return Ok(None);
        }
        if !self.open.iter().any(|(of, _)| *of == number) {
            let Some(lists) = self.read(ports, number).await? else {
                self.gone.insert(number);
                return Ok(None);
            };
            if self.open.len() == OPEN_MAX {
                self.open.pop_back();
            }
            self.open.push_front((number, lists));
        }
        let lists = self.open.iter().find(|(of, _)| *of == number).map(|(_, lists)| lists);
        let elements = lists
            .into_iter()
            .flatten()
            .map(|(name, list)| list.element(element as usize).map(|element| (name.clone(), element)));
        Ok(elements.collect())
    }

    async fn read(
        &self,
        ports: &Ports,
        number: u32,
    ) -> Result<Option<Vec<(String, Collection)>>, ActorProcessingErr> {
        let bytes = match ports.blobs.load(&self.outputs[number as usize]).await {
            Ok(bytes) => bytes,
            Err(fault @ BlobError::Unavailable { .. }) => return Err(fault.into()),
            Err(fault) => {
                warn!(%fault, "outputs that the cache names are gone: their items run again");
                return Ok(None);
            }
        };
        let mut lists = Vec::new();
        let entries = literals::literal_map_entries(&bytes).unwrap_or_default();
        for (name, value) in entries {
            let Ok(Some(list)) = Collection::of(&value) else {
                warn!("outputs that the cache has cannot be read: their items run again");
                return Ok(None);
            };
            lists.push((name, list));
        }
        Ok((!lists.is_empty()).then_some(lists))
    }
}
