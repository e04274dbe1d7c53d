//! The warm children of a machine that nobody uses at present.

use crate::warm::Warm;
use skein_model::EntityId;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many there are for each slot: the tasks of a workflow take turns, and an interpreter holds some ten megabytes of its
/// own.
const OF_SLOT_MAX: usize = 4;

/// The warm children of a machine that nobody uses, the one that was used last at the end. All slots share them, so that a
/// task has no more processes than slots run it, and finds the one that it had in whichever slot it runs next.
pub(crate) struct Kept {
    held: Mutex<Vec<(Warm, Instant)>>,
    most: usize,
}

impl Kept {
    /// Makes a place for the children of `slots` slots.
    pub(crate) const fn new(slots: usize) -> Self {
        Self { held: Mutex::new(Vec::new()), most: slots.saturating_mul(OF_SLOT_MAX) }
    }

    /// Keeps a child. When there are too many, that goes which was not used for the longest time.
    pub(crate) fn put(&self, warm: Warm) {
        let mut held = self.held();
        held.push((warm, Instant::now()));
        let excess = held.len().saturating_sub(self.most);
        let gone: Vec<_> = held.drain(..excess).collect();
        // A child takes its folder with it, which others need not wait for.
        drop(held);
        drop(gone);
    }

    /// Takes the child out that `is_wanted`: of several that which was used last.
    pub(crate) fn take(&self, is_wanted: impl Fn(&Warm) -> bool) -> Option<Warm> {
        let mut held = self.held();
        let at = held.iter().rposition(|(warm, _)| is_wanted(warm))?;
        Some(held.remove(at).0)
    }

    /// Says whether there is a child that `is_wanted`.
    pub(crate) fn has(&self, is_wanted: impl Fn(&Warm) -> bool) -> bool {
        self.held().iter().any(|(warm, _)| is_wanted(warm))
    }

    /// Answers how many children of the task there are, of whichever version and execution.
    pub(crate) fn count(&self, task: &EntityId) -> u32 {
        let count = self.held().iter().filter(|(warm, _)| warm.is_of(task)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Takes a child of the task out, of whichever version and execution, when there are more than `most`.
    pub(crate) fn take_excess(&self, task: &EntityId, most: usize) -> Option<Warm> {
        let mut held = self.held();
        let mut of_task = held.iter().enumerate().filter(|(_, (warm, _))| warm.is_of(task));
        let (at, _) = of_task.next()?;
        let count = 1 + of_task.count();
        (count > most).then(|| held.remove(at).0)
    }

    /// Lets those go that nobody used for `ttl`.
    pub(crate) fn expire(&self, ttl: Duration) {
        let mut held = self.held();
        let is_old = |(_, since): &mut (Warm, Instant)| since.elapsed() >= ttl;
        let gone: Vec<_> = held.extract_if(.., is_old).collect();
        drop(held);
        drop(gone);
    }

    /// Answers after which time [`Kept::expire`] may have something to do, `ttl` at most.
    pub(crate) fn next_expiry(&self, ttl: Duration) -> Duration {
        self.held().first().map_or(ttl, |(_, since)| ttl.saturating_sub(since.elapsed()))
    }

    /// Lets all of them go.
    pub(crate) fn clear(&self) {
        let gone = std::mem::take(&mut *self.held());
        drop(gone);
    }

    fn held(&self) -> MutexGuard<'_, Vec<(Warm, Instant)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
