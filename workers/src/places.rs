//! How many attempts and chunks of a task run on a machine, where the task says how many may.

use crate::gpus::Grant;
use skein_model::{EntityId, Work};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What is counted together: the versions of a task, or the tasks of an actor environment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    Task { project: String, domain: String, name: String },
    Actor(String),
}

impl Group {
    /// Answers what `work` counts with.
    pub(crate) fn of(work: &Work) -> Self {
        if let Some(actor) = &work.actor {
            return Self::Actor(actor.environment.clone());
        }
        let EntityId { project, domain, name, .. } = &work.task;
        Self::Task { project: project.clone(), domain: domain.clone(), name: name.clone() }
    }

    /// Answers how many processes there may be at once of what `work` counts with; none is no limit.
    pub(crate) fn most(work: &Work) -> Option<u32> {
        work.actor.as_ref().map_or(work.processes_max, |actor| Some(actor.slots))
    }
}

/// The places of all tasks that have a limit.
pub(crate) struct Places {
    taken: Mutex<HashMap<Group, u32>>,
    freed: watch::Sender<()>,
}

/// The right to run one attempt or chunk, with the accelerators that it asked for; it is given up by dropping it.
pub(crate) struct Place {
    counted: Option<(Group, Arc<Places>)>,
    grant: Option<Grant>,
}

impl Places {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { taken: Mutex::default(), freed: watch::Sender::new(()) })
    }

    /// Takes a place for `work`; none when its task has as many as it may.
    pub(crate) fn take(self: &Arc<Self>, work: &Work) -> Option<Place> {
        let Some(most) = Group::most(work) else { return Some(Place::of_stopped()) };
        let group = Group::of(work);
        let mut taken = self.taken();
        let count = taken.entry(group.clone()).or_default();
        // The first always finds one, whatever the limit: work that nobody may run would wait for ever.
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        Some(Place { counted: Some((group, Arc::clone(self))), grant: None })
    }

    /// Answers how many places of a group are taken.
    pub(crate) fn count(&self, group: &Group) -> u32 {
        self.taken().get(group).copied().unwrap_or_default()
    }

    /// Tells when a place was given up, or when something else happened that a waiting slot has to look at.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.freed.subscribe()
    }

    /// Has everyone look who waits for a place.
    pub(crate) fn ring(&self) {
        self.freed.send_replace(());
    }

    fn release(&self, group: &Group) {
        let mut taken = self.taken();
        if let Some(count) = taken.get_mut(group) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(group);
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Group, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A place for work that will not run: it was stopped before it began.
    pub(crate) const fn of_stopped() -> Self {
        Self { counted: None, grant: None }
    }

    /// Gives it accelerators.
    #[must_use]
    pub(crate) fn with(mut self, grant: Grant) -> Self {
        self.grant = Some(grant);
        self
    }

    /// Gives it up without a word: whoever only tried to begin frees nothing that anybody waits for, and would wake itself.
    pub(crate) fn give_back(mut self) {
        if let Some((group, places)) = self.counted.take() {
            places.release(&group);
        }
    }

    /// Answers which accelerators it has, as processes are told; none when it asked for none.
    pub(crate) fn visible(&self) -> Option<String> {
        self.grant.as_ref().map(Grant::visible)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((group, places)) = self.counted.take() else { return };
        places.release(&group);
        places.ring();
    }
}
