//! The warm children of a machine that nobody uses at present.

use crate::places::Group;
use crate::warm::Warm;
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

    /// Keeps a child. When there are too many, that goes which was not used for the longest time, and of actor environments,
    /// which were promised to be there for a while, only where there is nothing else.
    pub(crate) fn put(&self, warm: Warm) {
        let mut held = self.held();
        held.push((warm, Instant::now()));
        let mut gone = Vec::new();
        while held.len() > self.most {
            let at = held.iter().position(|(warm, _)| warm.ttl.is_none()).unwrap_or(0);
            gone.push(held.remove(at));
        }
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

    /// Answers how many children there are that count together, of whichever version and execution.
    pub(crate) fn count(&self, group: &Group) -> u32 {
        let count = self.held().iter().filter(|(warm, _)| warm.group == *group).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Takes a child of the group out, of whichever version and execution, when there are more than `most`.
    pub(crate) fn take_excess(&self, group: &Group, most: usize) -> Option<Warm> {
        let mut held = self.held();
        let mut of_group = held.iter().enumerate().filter(|(_, (warm, _))| warm.group == *group);
        let (at, _) = of_group.next()?;
        let count = 1 + of_group.count();
        (count > most).then(|| held.remove(at).0)
    }

    /// Lets those go that nobody used for `ttl`, or for the time that they have of their own.
    pub(crate) fn expire(&self, ttl: Duration) {
        let mut held = self.held();
        let is_old = |(warm, since): &mut (Warm, Instant)| since.elapsed() >= warm.ttl.unwrap_or(ttl);
        let gone: Vec<_> = held.extract_if(.., is_old).collect();
        drop(held);
        drop(gone);
    }

    /// Answers after which time [`Kept::expire`] may have something to do, `ttl` at most.
    pub(crate) fn next_expiry(&self, ttl: Duration) -> Duration {
        let left = |(warm, since): &(Warm, Instant)| warm.ttl.unwrap_or(ttl).saturating_sub(since.elapsed());
        self.held().iter().map(left).min().map_or(ttl, |least| least.min(ttl))
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
