//! Announces what follows on work that is offered, so that workers can import it while that runs.

use super::connectors;
use super::work::{self, Source};
use crate::ports::Ports;
use crate::settings::settings_of;
use skein_core::{Plan, Target};
use skein_model::event::ItemRange;
use skein_model::{Attempt, EntityId, ExecutionId, NodeId, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tracing::debug;

/// For how long an announcement counts: workers keep a process that nobody uses for a minute.
const COUNTS_FOR: Duration = Duration::from_secs(30);
/// The most announcements remembered. One that is forgotten is made again, which changes little.
const REMEMBERED_MAX: usize = 1024;

/// What was announced lately. Bounded, and of no consequence when it is lost.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    at: Mutex<BTreeMap<Subject, Timestamp>>,
}

/// What an announcement is about: what work must have in common to run in one process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// Any work of a task.
    Task(EntityId),
    /// That of one node.
    Node(ExecutionId, NodeId),
}

impl Announced {
    /// Notes an announcement; says whether it is news.
    fn note(&self, subject: Subject, now: Timestamp) -> bool {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if at.get(&subject).is_some_and(|before| now.since(*before) < COUNTS_FOR) {
            return false;
        }
        if at.len() >= REMEMBERED_MAX {
            at.clear();
        }
        at.insert(subject, now);
        true
    }
}

/// Announces what follows on the work of `source`. Nothing depends on it.
pub(crate) async fn what_follows(ports: &Ports, source: &Source<'_>) {
    for place in source.plan.follows_with_other_tasks(source.place) {
        let template = source.plan.template(place);
        if !matches!(connectors::way_to(ports, template), Ok(None)) {
            continue;
        }
        if !ports.announced.note(subject(ports, source, place), (ports.clock)()) {
            continue;
        }
        let next = Source { place, attempt: Attempt(0), on_demand: false, ..*source };
        let made = match &source.plan.nodes[place].target {
            Target::Task { .. } => work::of_nothing(ports, &next).await,
            Target::Map { .. } => {
                let range = ItemRange { start: 0, end: 0 };
                let none = work::Chunk { range, of: 0, inputs: bytes::Bytes::new(), within: None };
                work::of_items(ports, &next, none).await
            }
            // Only what runs a task follows.
            _ => continue,
        };
        let node = &source.plan.nodes[place].id;
        match made {
            Ok(work) => ports.dispatch.announce(work).await,
            Err(reason) => debug!(%reason, %node, "what comes next cannot be announced"),
        }
    }
}

fn subject(ports: &Ports, source: &Source<'_>, place: usize) -> Subject {
    let Source { plan, created, .. } = source;
    let is_map = matches!(plan.nodes[place].target, Target::Map { .. });
    match settings_of(&ports.config, plan, place, &created.execution).isolation {
        // Each execution has its own processes for the items of a map, unless the task says otherwise.
        None if is_map => Subject::Node(created.execution.clone(), plan.nodes[place].id.clone()),
        _ => Subject::Task(task_of(plan, place)),
    }
}

fn task_of(plan: &Plan, place: usize) -> EntityId {
    work::task_id(plan.template(place))
}
