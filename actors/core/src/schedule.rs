//! Which work goes to workers next, of all that is ready.
//!
//! ```text
//!  priority ──► projects ──► executions ──► nodes ──► work, in the order in which it came
//!   strict        fair          fair         fair by weight
//! ```
//!
//! Of those that share, whoever has the least running for its weight goes first; of those that have as much, whoever
//! has been given the least time for its weight (start-time fair queueing: who comes late gets no credit for the time
//! when it had no work, and owes none). So one task of a new execution goes before the next chunk of a map, and ten
//! thousand executions of one project take nothing from another project.
//!
//! Limits are counted here and nowhere else: what runs is what was handed out and has not ended, and after a restart
//! what the journals say is outstanding is offered again, or adopted where workers have it. So a limit cannot leak.

mod tree;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tree::{Path, Tree};

/// A limit: how much that counts against `key` may run at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit {
    /// What is counted together.
    pub key: String,
    /// How much of it may run at once, at least 1.
    pub most: u32,
    /// How much of that the work takes, at least 1. What takes more than there is runs when nothing else does.
    pub takes: u32,
}

/// On whose account work runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The project, with its domain.
    pub project: String,
    /// The execution, within the project.
    pub execution: String,
    /// The node, within the execution.
    pub node: String,
    /// What goes before: larger first, whatever is fair.
    pub priority: i32,
    /// The node's share beside other nodes of its execution, at least 1.
    pub weight: u32,
    /// What it counts against, each key once.
    pub limits: Vec<Limit>,
    /// How long it is expected to run, in microseconds.
    pub micros: u64,
}

/// Work that is to be handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<K> {
    /// The work.
    pub key: K,
    /// Among what has been handed out and not begun: smaller goes first. 0 is on whose account nothing runs.
    pub rank: u32,
}

/// All work that is ready or handed out.
#[derive(Clone, Debug)]
pub struct Schedule<K> {
    tree: Tree<K>,
    work: BTreeMap<K, Work>,
    /// How much of each key runs; a key of which nothing runs has no entry.
    running: BTreeMap<String, u32>,
    /// Nodes whose next work has to wait for a key: by priority, and then in the order in which they began to.
    parked: BTreeMap<String, BTreeSet<(Reverse<i32>, u64, Path)>>,
    /// Who takes several of a key and waits until as many are free; nobody else gets any of it meanwhile, or it would wait
    /// for ever.
    heads: BTreeMap<String, (Path, Limit)>,
    last_parked: u64,
    handed_out: usize,
}

#[derive(Clone, Debug)]
struct Work {
    claim: Claim,
    is_running: bool,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self {
            tree: Tree::default(),
            work: BTreeMap::new(),
            running: BTreeMap::new(),
            parked: BTreeMap::new(),
            heads: BTreeMap::new(),
            last_parked: 0,
            handed_out: 0,
        }
    }
}

impl<K: Clone + Ord> Schedule<K> {
    /// Adds work that is ready; says whether it is new.
    pub fn offer(&mut self, key: K, claim: Claim) -> bool {
        if self.work.contains_key(&key) {
            return false;
        }
        self.tree.push(&Path::of(&claim), claim.weight, key.clone(), claim.micros);
        self.work.insert(key, Work { claim, is_running: false });
        true
    }

    /// Adds work that was handed out before anything was known of it here; says whether it is new. It runs, and counts
    /// against its limits, also where that is more than they allow.
    pub fn adopt(&mut self, key: K, claim: Claim) -> bool {
        if self.work.contains_key(&key) {
            return false;
        }
        self.tree.adopt(&Path::of(&claim), claim.weight, claim.micros);
        for limit in &claim.limits {
            *self.running.entry(limit.key.clone()).or_default() += limit.takes;
        }
        self.work.insert(key, Work { claim, is_running: true });
        self.handed_out += 1;
        true
    }

    /// Takes the work that is to run next; none when there is none, or all that there is has to wait for a limit.
    pub fn choose(&mut self) -> Option<Chosen<K>> {
        loop {
            let path = self.tree.first()?;
            let key = self.tree.front(&path)?.clone();
            let claim = self.work.get(&key)?.claim.clone();
            if let Some(full) = claim.limits.iter().find(|limit| self.is_full(limit, &path)) {
                self.park(path, &claim, full);
                continue;
            }
            if let Some(work) = self.work.get_mut(&key) {
                work.is_running = true;
            }
            for limit in &claim.limits {
                *self.running.entry(limit.key.clone()).or_default() += limit.takes;
                if self.heads.get(&limit.key).is_some_and(|(head, _)| *head == path) {
                    self.heads.remove(&limit.key);
                    self.unpark(&limit.key, self.free(limit));
                }
            }
            let rank = self.tree.take(&path, claim.micros);
            self.handed_out += 1;
            return Some(Chosen { key, rank });
        }
    }

    /// Answers how much of a key is free.
    fn free(&self, limit: &Limit) -> u32 {
        limit.most.saturating_sub(self.running.get(&limit.key).copied().unwrap_or_default())
    }

    /// Says whether there is too little for what a limit is of. Where nothing runs there is always enough.
    fn is_short(&self, limit: &Limit) -> bool {
        self.running.contains_key(&limit.key) && self.free(limit) < limit.takes
    }

    fn is_full(&self, limit: &Limit, path: &Path) -> bool {
        let is_ahead = |(head, _): &(Path, Limit)| head != path && self.tree.has_waiting(head);
        self.is_short(limit) || self.heads.get(&limit.key).is_some_and(is_ahead)
    }

    /// Has a node wait for what `full` is of. What it does not take of other keys is for others.
    fn park(&mut self, path: Path, claim: &Claim, full: &Limit) {
        self.tree.park(&path);
        self.last_parked += 1;
        // Whoever waits for one thing keeps nothing else from others: two that did so could wait for each other.
        self.heads.retain(|key, (head, _)| *key == full.key || *head != path);
        if self.free(full) > 0 && !self.heads.contains_key(&full.key) {
            self.heads.insert(full.key.clone(), (path.clone(), full.clone()));
        }
        let place = (Reverse(claim.priority), self.last_parked, path);
        self.parked.entry(full.key.clone()).or_default().insert(place);
        self.pass_on(claim, Some(&full.key));
    }

    /// Lets others have what `claim` leaves free of its keys, but of `full`.
    fn pass_on(&mut self, claim: &Claim, full: Option<&str>) {
        for limit in &claim.limits {
            let free = self.free(limit).min(limit.takes);
            if full != Some(limit.key.as_str()) && free > 0 {
                self.unpark(&limit.key, free);
            }
        }
    }

    /// Takes work out: it has ended, after `micros` if that is known, or nobody wants it any more. Says whether it was
    /// there.
    pub fn end(&mut self, key: &K, micros: Option<u64>) -> bool {
        let Some(Work { claim, is_running }) = self.work.remove(key) else { return false };
        let path = Path::of(&claim);
        if !is_running {
            self.tree.remove(&path, key);
            self.pass_on(&claim, None);
            return true;
        }
        self.handed_out -= 1;
        for limit in &claim.limits {
            if let Some(now) = self.running.get_mut(&limit.key) {
                *now = now.saturating_sub(limit.takes);
                if *now == 0 {
                    self.running.remove(&limit.key);
                }
            }
            self.unpark(&limit.key, limit.takes);
        }
        self.tree.end(&path, claim.micros, micros.unwrap_or(claim.micros));
        true
    }

    /// Lets the first nodes that wait for `key` try again, at most `count`: so much is free. One that needs more than is
    /// free goes on waiting, and with it all others.
    fn unpark(&mut self, key: &str, count: u32) {
        if let Some((path, limit)) = self.heads.get(key).cloned() {
            if self.tree.has_waiting(&path) {
                if !self.is_short(&limit) {
                    self.tree.unpark(&path);
                }
                return;
            }
            self.heads.remove(key);
        }
        let Some(waiting) = self.parked.get_mut(key) else { return };
        let mut left = count;
        while left > 0
            && let Some((_, _, path)) = waiting.pop_first()
        {
            left -= u32::from(self.tree.unpark(&path));
        }
        if waiting.is_empty() {
            self.parked.remove(key);
        }
    }

    /// Lists what is there from `first` on, whether it runs or not, in the order of its keys.
    pub fn keys_from<'a>(&'a self, first: &'a K) -> impl Iterator<Item = &'a K> {
        self.work.range(first..).map(|(key, _)| key)
    }

    /// Answers on whose account work runs; none when it is not there.
    pub fn claim(&self, key: &K) -> Option<&Claim> {
        self.work.get(key).map(|work| &work.claim)
    }

    /// Answers how much has been handed out and has not ended.
    pub const fn handed_out(&self) -> usize {
        self.handed_out
    }

    /// Answers how much is ready and not handed out.
    pub fn ready(&self) -> usize {
        self.work.len() - self.handed_out
    }

    /// Says whether work has been handed out and has not ended.
    pub fn is_running(&self, key: &K) -> bool {
        self.work.get(key).is_some_and(|work| work.is_running)
    }
}
