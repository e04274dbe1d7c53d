//! Processes that are made before work for them begins, so that no slot is held while a module is imported.
//!
//! Two things say what is coming. The engine announces what follows on what runs: that is prepared once, whoever runs it then.
//! And a slot that finds work whose process another slot is making just then leaves it, and a process of its own is made
//! for it beside: of a map that begins, one slot imports, and the others are there for whatever else comes.
//!
//! What is made is kept with the other children that nobody uses, within the same bounds of number and time, and counts as
//! a process of its task. One is made at a time: importing computes, and is not to take the machine from what runs. Nobody
//! waits for one that has not got its turn.

use crate::machine::Machine;
use crate::nest::Nest;
use crate::warm::{self, Warm, lives_on};
use futures::StreamExt as _;
use skein_log::TaskQueue;
use skein_model::{Failure, Isolation, Work};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// How much of what was announced waits for its turn. What is announced beyond that is imported when it is needed.
const WANTED_MAX: usize = 16;
/// How long importing a task may take. After that it is left to whoever needs it, on its own time.
const IMPORT_MAX: Duration = Duration::from_secs(60);
/// How long nobody listens after a queue could not be reached.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// What is being made.
pub(crate) struct Ahead {
    state: Mutex<State>,
    turn: Arc<Semaphore>,
    changed: watch::Sender<()>,
    /// What goes on beside the slots.
    beside: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    /// What waits for its turn, by what its work has in common.
    wanted: BTreeSet<u64>,
    /// What is made beside the slots.
    under_way: Option<u64>,
    /// How many slots are making what they need themselves.
    by_slots: BTreeMap<u64, u32>,
}

/// Says that a slot is making a process, until it is dropped.
pub(crate) struct Making<'a> {
    key: u64,
    machine: &'a Machine,
}

impl Ahead {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
            changed: watch::Sender::new(()),
            beside: Mutex::default(),
        }
    }

    /// Does something beside the slots, which ends with them.
    fn beside(&self, does: impl Future<Output = ()> + Send + 'static) {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        while beside.try_join_next().is_some() {}
        beside.spawn(does);
    }

    /// Ends what goes on beside the slots.
    pub(crate) async fn end(&self) {
        let mut beside = std::mem::take(&mut *self.beside.lock().unwrap_or_else(PoisonError::into_inner));
        beside.shutdown().await;
    }

    /// Waits until no process is being made for work with this key; says whether there was anything to wait for.
    pub(crate) async fn is_over(&self, key: u64) -> bool {
        let mut changes = self.changed.subscribe();
        let mut has_waited = false;
        while self.state().under_way == Some(key) {
            has_waited = true;
            if changes.changed().await.is_err() {
                break;
            }
        }
        has_waited
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Making<'a> {
    /// Says that a slot is making a process for work with this key.
    pub(crate) fn new(machine: &'a Machine, key: u64) -> Self {
        *machine.ahead.state().by_slots.entry(key).or_default() += 1;
        Self { key, machine }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        let mut state = self.machine.ahead.state();
        if let Some(count) = state.by_slots.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                state.by_slots.remove(&self.key);
            }
        }
        drop(state);
        self.machine.leases.ring();
    }
}

/// Says whether work is to wait, holding no slot, because a process for it is being made. Where another slot makes one for
/// itself, one for this work is begun.
pub(crate) fn defers(machine: &Arc<Machine>, work: &Arc<Work>) -> bool {
    let key = {
        let state = machine.ahead.state();
        let has_gpus = work.resources.gpus() > 0;
        if (state.under_way.is_none() && state.by_slots.is_empty()) || !lives_on(work) || has_gpus {
            return false;
        }
        let key = warm::key(work);
        if state.under_way == Some(key) {
            return true;
        }
        if !state.by_slots.contains_key(&key) {
            return false;
        }
        key
    };
    if machine.kept.has(|warm| warm.is_for(key)) {
        return false;
    }
    let Ok(turn) = Arc::clone(&machine.ahead.turn).try_acquire_owned() else { return false };
    begin(machine, work, key, turn)
}

/// Has a process made for work that is announced, unless there is one, or it is not to have one.
fn expect(machine: &Arc<Machine>, work: Arc<Work>) {
    // Which accelerators it gets is not known before it gets them, and a container of its own is made when it is needed: there is
    // nothing to import.
    let is_made_alone = work.resources.gpus() > 0 || work.raw_prefix.is_some();
    if work.isolation == Some(Isolation::Fresh) || is_made_alone {
        return;
    }
    // A process that is kept and one that is forked from are not the same thing, even for one task.
    let key = if lives_on(&work) { warm::key(&work) } else { !warm::key_of_task(&work) };
    let mut state = machine.ahead.state();
    if state.wanted.len() >= WANTED_MAX || !state.wanted.insert(key) {
        return;
    }
    drop(state);
    let machine = Arc::clone(machine);
    machine.clone().ahead.beside(async move {
        let turn = Arc::clone(&machine.ahead.turn).acquire_owned().await;
        let is_made = {
            let mut state = machine.ahead.state();
            state.wanted.remove(&key);
            state.by_slots.contains_key(&key)
        };
        if let Ok(turn) = turn
            && !is_made
            && !machine.kept.has(|warm| warm.is_for(key))
        {
            begin(&machine, &work, key, turn);
        }
    });
}

/// Makes a process for work whose turn it is, beside; says whether it does.
fn begin(machine: &Arc<Machine>, work: &Arc<Work>, key: u64, turn: OwnedSemaphorePermit) -> bool {
    // It counts as one of its task while it is made. Afterwards it is kept, and goes when another needs its place.
    let is_full = machine.has_all_processes(work);
    let Some(place) = machine.place(work).filter(|_| !is_full) else { return false };
    machine.ahead.state().under_way = Some(key);
    let ended = UnderWay { machine: Arc::clone(machine) };
    let (machine, work) = (Arc::clone(machine), Arc::clone(work));
    machine.clone().ahead.beside(async move {
        let made = async {
            if lives_on(&work) { child(&machine, &work).await } else { nest(&machine, &work).await }
        };
        let task = work.task.name.as_str();
        match tokio::time::timeout(IMPORT_MAX, made).await {
            Ok(Ok(())) => tracing::debug!(task, "a process is ready before its work"),
            Ok(Err(failure)) => {
                tracing::debug!(task, failure.message, "no process could be made before its work");
            }
            Err(_) => tracing::debug!(task, "its module takes too long to import before its work"),
        }
        drop((ended, place, turn));
        machine.leases.ring();
    });
    true
}

/// Says that a process is being made beside the slots, until it is dropped.
struct UnderWay {
    machine: Arc<Machine>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.machine.ahead.state().under_way = None;
        self.machine.ahead.changed.send_replace(());
    }
}

async fn child(machine: &Machine, work: &Work) -> Result<(), Failure> {
    let prepared = machine.prepare(work).await?;
    let warm = Warm::ahead(machine, work, &prepared, prepared.interface(work).as_ref()).await?;
    machine.kept.put(warm);
    Ok(())
}

async fn nest(machine: &Machine, work: &Work) -> Result<(), Failure> {
    let prepared = machine.prepare(work).await?;
    let is_known = prepared.line.is_single() || prepared.line.is_map();
    if is_known {
        Nest::of(machine, work, &prepared, prepared.interface(work).as_ref()).await?;
    }
    Ok(())
}

/// Prepares for what is announced.
pub(crate) async fn heed(queue: Arc<dyn TaskQueue>, machine: Arc<Machine>) {
    loop {
        match queue.announcements(&machine.config.pool).await {
            Ok(mut announced) => {
                while let Some(work) = announced.next().await {
                    tracing::debug!(task = work.task.name, "work is announced");
                    expect(&machine, work);
                }
            }
            Err(error) => tracing::debug!(%error, "announcements cannot be heard at present"),
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}
