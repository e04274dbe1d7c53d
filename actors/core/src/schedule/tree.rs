//! Who shares with whom, and who goes first among them.

use super::Claim;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The scale of loads: how much runs for each unit of weight, in thousandths.
const LOAD_SCALE: u64 = 1_000;

/// A place among those that share: a priority, a project of it, an execution of that, a node of that. Larger
/// priorities come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path(Reverse<i32>, Vec<String>);

/// How many names a path of a node has.
const NODE_DEPTH: usize = 3;

impl Path {
    pub(super) fn of(claim: &Claim) -> Self {
        let names = [&claim.project, &claim.execution, &claim.node].map(Clone::clone);
        Self(Reverse(claim.priority), names.into())
    }

    fn parent(&self) -> Option<Self> {
        let (_, above) = self.1.split_last()?;
        Some(Self(self.0, above.to_vec()))
    }

    /// Lists this and all above it, from here up.
    fn up(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }
}

/// Who goes first: the least load, then the earliest tag, then who came first.
type Turn = (u64, u64, u64);

/// One of those that share.
#[derive(Clone, Debug)]
struct Seat<K> {
    weight: u32,
    /// How much of it runs.
    running: u32,
    /// How much of it is ready, parked or not.
    waiting: u32,
    /// The time it has been given for its weight, on the clock of its parent.
    tag: u64,
    /// When it came.
    number: u64,
    /// The clock of what shares in it: the tag of whoever was served last.
    clock: u64,
    /// Whose turn it is in it; of those that have something that may be handed out.
    turns: BTreeSet<(Turn, Path)>,
    /// Its place among its parent's turns.
    turn: Option<Turn>,
    /// The work of a node, in the order in which it came.
    queue: VecDeque<(K, u64)>,
    /// Whether a node has to wait for a limit.
    is_parked: bool,
}

impl<K> Seat<K> {
    fn new(weight: u32, tag: u64, number: u64) -> Self {
        Self {
            weight: weight.max(1),
            running: 0,
            waiting: 0,
            tag,
            number,
            clock: 0,
            turns: BTreeSet::new(),
            turn: None,
            queue: VecDeque::new(),
            is_parked: false,
        }
    }

    fn load(&self) -> u64 {
        u64::from(self.running) * LOAD_SCALE / u64::from(self.weight)
    }

    fn wanted_turn(&self) -> Option<Turn> {
        let has_something = !self.turns.is_empty() || !(self.queue.is_empty() || self.is_parked);
        has_something.then(|| (self.load(), self.tag, self.number))
    }
}

/// All that share.
#[derive(Clone, Debug)]
pub(super) struct Tree<K> {
    seats: BTreeMap<Path, Seat<K>>,
    /// The priorities that have something that may be handed out.
    roots: BTreeSet<Path>,
    last: u64,
}

impl<K> Default for Tree<K> {
    fn default() -> Self {
        Self { seats: BTreeMap::new(), roots: BTreeSet::new(), last: 0 }
    }
}

impl<K: PartialEq> Tree<K> {
    /// Adds work to a node.
    pub(super) fn push(&mut self, path: &Path, weight: u32, key: K, micros: u64) {
        self.seat(path, weight);
        if let Some(node) = self.seats.get_mut(path) {
            node.queue.push_back((key, micros));
        }
        for above in path.up() {
            if let Some(seat) = self.seats.get_mut(&above) {
                seat.waiting += 1;
            }
        }
        self.refresh(path);
    }

    fn seat(&mut self, path: &Path, weight: u32) {
        if self.seats.contains_key(path) {
            return;
        }
        let mut tag = 0;
        if let Some(parent) = path.parent() {
            self.seat(&parent, 1);
            tag = self.seats.get(&parent).map_or(0, |parent| parent.clock);
        }
        self.last += 1;
        let weight = if path.1.len() == NODE_DEPTH { weight } else { 1 };
        self.seats.insert(path.clone(), Seat::new(weight, tag, self.last));
    }

    /// Answers the node whose turn it is.
    pub(super) fn first(&self) -> Option<Path> {
        let mut path = self.roots.first()?.clone();
        while path.1.len() < NODE_DEPTH {
            path = self.seats.get(&path)?.turns.first()?.1.clone();
        }
        Some(path)
    }

    /// Answers the next work of a node.
    pub(super) fn front(&self, path: &Path) -> Option<&K> {
        self.seats.get(path)?.queue.front().map(|(key, _)| key)
    }

    /// Takes the next work of a node out to run it; answers how much of its execution ran before.
    pub(super) fn take(&mut self, path: &Path, micros: u64) -> u32 {
        if let Some(node) = self.seats.get_mut(path) {
            node.queue.pop_front();
        }
        self.run(path, micros)
    }

    /// Adds work to a node that runs already.
    pub(super) fn adopt(&mut self, path: &Path, weight: u32, micros: u64) {
        self.seat(path, weight);
        for above in path.up() {
            if let Some(seat) = self.seats.get_mut(&above) {
                seat.waiting += 1;
            }
        }
        self.run(path, micros);
    }

    fn run(&mut self, path: &Path, micros: u64) -> u32 {
        let mut rank = 0;
        for above in path.up() {
            let Some(seat) = self.seats.get_mut(&above) else { continue };
            if above.1.len() == NODE_DEPTH - 1 {
                rank = seat.running;
            }
            seat.waiting -= 1;
            seat.running += 1;
            let served = seat.tag;
            seat.tag = seat.tag.saturating_add(micros.max(1) / u64::from(seat.weight));
            if let Some(parent) = above.parent().and_then(|parent| self.seats.get_mut(&parent)) {
                parent.clock = parent.clock.max(served);
            }
        }
        self.refresh(path);
        rank
    }

    /// Notes that work of a node has ended, which was expected to take `expected` and took `micros`.
    pub(super) fn end(&mut self, path: &Path, expected: u64, micros: u64) {
        for above in path.up() {
            let Some(seat) = self.seats.get_mut(&above) else { continue };
            seat.running -= 1;
            let weight = u64::from(seat.weight);
            seat.tag =
                seat.tag.saturating_sub(expected.max(1) / weight).saturating_add(micros.max(1) / weight);
        }
        self.refresh(path);
    }

    /// Takes work out of a node that was not handed out.
    pub(super) fn remove(&mut self, path: &Path, key: &K) {
        if let Some(node) = self.seats.get_mut(path) {
            node.queue.retain(|(held, _)| held != key);
        }
        for above in path.up() {
            if let Some(seat) = self.seats.get_mut(&above) {
                seat.waiting -= 1;
            }
        }
        self.refresh(path);
    }

    /// Has a node wait.
    pub(super) fn park(&mut self, path: &Path) {
        if let Some(node) = self.seats.get_mut(path) {
            node.is_parked = true;
        }
        self.refresh(path);
    }

    /// Lets a node try again; says whether it has something to try.
    pub(super) fn unpark(&mut self, path: &Path) -> bool {
        let Some(node) = self.seats.get_mut(path) else { return false };
        node.is_parked = false;
        let has_something = !node.queue.is_empty();
        self.refresh(path);
        has_something
    }

    /// Says whether a node has work that is ready, whether it may be tried or not.
    pub(super) fn has_waiting(&self, path: &Path) -> bool {
        self.seats.get(path).is_some_and(|node| !node.queue.is_empty())
    }

    /// Puts a seat, and all above it, where it belongs among those it shares with, or away when it has nothing.
    fn refresh(&mut self, path: &Path) {
        for at in path.up() {
            let Some(seat) = self.seats.get_mut(&at) else { continue };
            let (had, wants) = (seat.turn, seat.wanted_turn());
            seat.turn = wants;
            let is_gone = seat.running == 0 && seat.waiting == 0;
            match at.parent() {
                Some(parent) => {
                    if had != wants
                        && let Some(parent) = self.seats.get_mut(&parent)
                    {
                        if let Some(turn) = had {
                            parent.turns.remove(&(turn, at.clone()));
                        }
                        if let Some(turn) = wants {
                            parent.turns.insert((turn, at.clone()));
                        }
                    }
                }
                None if wants.is_some() => drop(self.roots.insert(at.clone())),
                None => drop(self.roots.remove(&at)),
            }
            if is_gone {
                self.seats.remove(&at);
            }
        }
    }
}
