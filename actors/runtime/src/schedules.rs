//! Starts launch plans at the times of their schedules.
//!
//! Which versions are active is followed in the log, from its beginning; where each schedule is stands in its ticks. One timer
//! waits for the earliest time of all. When that has come, the schedule is visited: whatever is due is decided, recorded, and
//! started, one time after the other.

mod ticks;
mod visit;

use crate::ports::Ports;
use futures::StreamExt as _;
use skein_log::{Cursor, Followed, ReadError};
use skein_model::codec::{self, CodecError};
use skein_model::{Category, RegistryEvent, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use ticks::Ticks;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{error, warn};

/// The wait before the log is followed again after it could not be read.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);
/// The longest wait for a time: the timers of a process do not see that a clock was set, or that the machine slept.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How many schedules are visited at once: at midnight many are due.
const VISITS_MAX: usize = 32;

/// A launch plan, whichever of its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) project: String,
    pub(crate) domain: String,
    pub(crate) name: String,
}

/// A version that is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Activation {
    pub(crate) version: String,
    /// When it became that.
    pub(crate) since: Timestamp,
}

/// What a visit found.
struct Visited {
    name: Name,
    /// When the next time is; none when there is none.
    next: Option<Timestamp>,
    /// Where the ticks are, to go on from.
    ticks: Option<Ticks>,
}

/// What is known of a launch plan that was active at some time.
#[derive(Default)]
struct Known {
    active: Option<Activation>,
    /// Whether the visit under way is still wanted.
    wanted: Arc<AtomicBool>,
    is_visited: bool,
    /// Whether it has to be visited anew.
    is_changed: bool,
    ticks: Option<Ticks>,
    next: Option<Timestamp>,
}

struct Schedules {
    ports: Arc<Ports>,
    known: BTreeMap<Name, Known>,
    due: BTreeSet<(Timestamp, Name)>,
    visits: JoinSet<Visited>,
    places: Arc<Semaphore>,
}

/// Runs until the engine ends.
pub(crate) async fn run(ports: Arc<Ports>) {
    let mut schedules = Schedules {
        ports,
        known: BTreeMap::new(),
        due: BTreeSet::new(),
        visits: JoinSet::new(),
        places: Arc::new(Semaphore::new(VISITS_MAX)),
    };
    let mut seen = Cursor::default();
    // What is in the log by now is read before anything is started: what was active once may no longer be.
    let end = loop {
        match schedules.ports.log.end(Category::Registry).await {
            Ok(end) => break end,
            Err(reason) => warn!(%reason, "the log cannot say where it ends, asking again"),
        }
        tokio::time::sleep(FOLLOW_AGAIN).await;
    };
    loop {
        let fault = schedules.follow(&mut seen, &end).await;
        match fault {
            Some(ReadError::Unavailable { reason }) => {
                warn!(reason, "the log cannot be followed, trying again")
            }
            Some(damage) => {
                error!(%damage, "the log is damaged: schedules start nothing any more");
                return;
            }
            None => {}
        }
        tokio::time::sleep(FOLLOW_AGAIN).await;
    }
}

impl Schedules {
    /// Follows activations from `seen` on and starts what is due; answers why the log cannot be followed any more.
    async fn follow(&mut self, seen: &mut Cursor, end: &Cursor) -> Option<ReadError> {
        let mut records = self.ports.log.follow(Category::Registry, seen.clone());
        loop {
            let is_caught_up =
                end.0.iter().enumerate().all(|(shard, end)| seen.0.get(shard).copied().unwrap_or(0) >= *end);
            if is_caught_up {
                self.visit_due();
            }
            let wait = self.due.first().map(|(at, _)| at.since((self.ports.clock)()).min(WAIT_MAX));
            tokio::select! {
                followed = records.next() => match followed? {
                    Ok(followed) => {
                        seen.advance(followed.position);
                        self.note(&followed);
                    }
                    Err(fault) => return Some(fault),
                },
                Some(visited) = self.visits.join_next() => match visited {
                    Ok(visited) => self.take(visited),
                    Err(fault) => error!(%fault, "a visit of a schedule broke off: it starts nothing until the next start"),
                },
                () = tokio::time::sleep(wait.unwrap_or_default()), if is_caught_up && wait.is_some() => {}
            }
        }
    }

    /// Takes a record of the registry, if it is about what is active.
    fn note(&mut self, Followed { envelope, .. }: &Followed) {
        let Some((project, domain, name)) = envelope.journal.as_launch_plan_name() else { return };
        let events: Result<Vec<RegistryEvent>, CodecError> =
            codec::decode(envelope.schema, &envelope.record.body);
        let events = match events {
            Ok(events) => events,
            Err(fault) => {
                error!(%fault, journal = %envelope.journal, "a record of the registry cannot be read");
                return;
            }
        };
        let name = Name { project: project.to_owned(), domain: domain.to_owned(), name: name.to_owned() };
        for event in events {
            let active = match event {
                RegistryEvent::Activated { version, .. } => {
                    Some(Activation { version, since: envelope.record.time })
                }
                RegistryEvent::Deactivated { .. } => None,
                RegistryEvent::Registered { .. }
                | RegistryEvent::NameUpdated { .. }
                | RegistryEvent::ProjectPut { .. }
                | RegistryEvent::AttributePut { .. }
                | RegistryEvent::SecretPut { .. }
                | RegistryEvent::SecretDeleted { .. }
                | RegistryEvent::SecretKeysUsed { .. } => continue,
            };
            let known = self.known.entry(name.clone()).or_default();
            known.active = active;
            known.wanted.store(false, Ordering::Relaxed);
            known.is_changed = true;
            self.plan(&name, Some(Timestamp::EPOCH));
        }
    }

    /// Says when a launch plan is to be visited next.
    fn plan(&mut self, name: &Name, next: Option<Timestamp>) {
        let Some(known) = self.known.get_mut(name) else { return };
        if let Some(old) = known.next.take() {
            self.due.remove(&(old, name.clone()));
        }
        known.next = next;
        self.due.extend(next.map(|at| (at, name.clone())));
    }

    /// Visits all that are due.
    fn visit_due(&mut self) {
        let now = (self.ports.clock)();
        while let Some((_, name)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            self.plan(&name, None);
            let Some(known) = self.known.get_mut(&name).filter(|known| !known.is_visited) else { continue };
            known.is_visited = true;
            known.is_changed = false;
            known.wanted = Arc::new(AtomicBool::new(true));
            let visit = visit::Visit {
                ports: Arc::clone(&self.ports),
                name: name.clone(),
                active: known.active.clone(),
                wanted: Arc::clone(&known.wanted),
            };
            let (ticks, places) = (known.ticks.take(), Arc::clone(&self.places));
            self.visits.spawn(async move {
                // Never closed.
                let _place = places.acquire().await;
                let (next, ticks) = visit.run(ticks).await;
                Visited { name, next, ticks }
            });
        }
    }

    fn take(&mut self, Visited { name, next, ticks }: Visited) {
        let Some(known) = self.known.get_mut(&name) else { return };
        known.is_visited = false;
        known.ticks = ticks;
        let next = if known.is_changed { Some(Timestamp::EPOCH) } else { next };
        self.plan(&name, next);
    }
}
