//! Asks the catalog for a node's outputs, gives it them, and keeps the reservation of whoever computes them.

mod readable;

pub(crate) use readable::unreadable;

use super::{Done, answer};
use crate::execution::Msg;
use crate::ports::Ports;
use ractor::{ActorRef, ActorStatus};
use skein_catalog::{CatalogError, Kept, Reserved};
use skein_core::execution::{Caching, NodeState};
use skein_core::{Execution, Plan};
use skein_log::{BlobError, ReadError};
use skein_model::cache::{CacheFound, CacheRule, key_of_inputs};
use skein_model::event::Created;
use skein_model::{Attempt, CacheKey, CacheSource, Command, DataRef, ExecutionId, NodeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tracing::warn;

/// How long somebody who waits for an entry waits at most before looking again: it may be another engine that makes it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The reservations that this engine holds.
#[derive(Default)]
pub(crate) struct Reservations {
    held: Mutex<BTreeMap<(ExecutionId, NodeId), Held>>,
    /// Rings when an entry was made or a reservation given up.
    changed: Notify,
}

struct Held {
    key: CacheKey,
    renewing: AbortHandle,
}

/// A node that has to do with the cache, taken from an execution's state.
struct Subject {
    rule: CacheRule,
    source: CacheSource,
    inputs: DataRef,
    overwrites: bool,
}

impl Subject {
    fn of(execution: &Execution, node: &NodeId) -> Option<Self> {
        let place = execution.find(node)?;
        let (inputs, attempt) = execution.node(node)?.tried()?;
        let created = execution.created()?;
        Some(Self {
            rule: execution.plan().nodes[place].cache.clone()?,
            source: source_of(execution.plan(), place, created, attempt),
            inputs: inputs.clone(),
            overwrites: created.settings.overwrite_cache,
        })
    }
}

/// Answers what a node's outputs are the outputs of.
pub(crate) fn source_of(plan: &Plan, place: usize, created: &Created, attempt: Attempt) -> CacheSource {
    let node = &plan.nodes[place];
    let task = plan.template(place).id.as_ref();
    CacheSource {
        execution: created.execution.clone(),
        node: node.id.clone(),
        attempt,
        task_version: task.map(|id| id.version.clone()).unwrap_or_default(),
    }
}

/// Asks for a node's outputs and answers the execution; with `wait` not before they are there or the node's to compute.
pub(crate) fn look_up(
    ports: &Arc<Ports>,
    execution: &Execution,
    node: &NodeId,
    wait: bool,
    to: ActorRef<Msg>,
) {
    let Some(subject) = Subject::of(execution, node) else { return };
    let subject = Arc::new(subject);
    let asker = to.clone();
    answer(to, Arc::clone(ports), move |ports| {
        let (subject, asker) = (Arc::clone(&subject), asker.clone());
        async move { look_until(&ports, &subject, wait, &asker).await }
    });
}

async fn look_until(ports: &Ports, subject: &Subject, wait: bool, asker: &ActorRef<Msg>) -> Done {
    loop {
        // Before it looks, so that nothing is missed that happens while it does.
        let changed = ports.reservations.changed.notified();
        let (key, found) = match look(ports, subject).await {
            Ok(found) => found,
            Err(reason) => return Done::Later(reason),
        };
        let is_busy = matches!(found, CacheFound::Waiting { .. });
        if !(wait && is_busy) {
            let node = subject.source.node.clone();
            return Done::answer(Command::CacheLookedUp { node, key, found });
        }
        // Nobody rings for a reservation that expires.
        drop(tokio::time::timeout(LOOK_AGAIN.min(ports.config.reservation), changed).await);
        if matches!(asker.get_status(), ActorStatus::Stopped | ActorStatus::Stopping) {
            return Done::Handed;
        }
    }
}

/// Looks once; an error says why it has to be done again.
async fn look(ports: &Ports, subject: &Subject) -> Result<(Option<CacheKey>, CacheFound), String> {
    let rule = &subject.rule;
    let key = match key(ports, subject).await? {
        Ok(key) => key,
        Err(reason) => return Ok((None, CacheFound::Failed { reason })),
    };
    let mut reason = String::new();
    if !subject.overwrites {
        match ports.catalog.look_up(&rule.dataset, &[key]).await {
            Ok(entries) => {
                // What a map kept of an item stands among others' outputs; a task in Rust may be run both ways.
                if let Some(entry) = entries.into_iter().next().flatten().filter(|entry| entry.item.is_none())
                {
                    match unreadable(ports, &entry.outputs).await.map_err(|fault| fault.to_string())? {
                        None => {
                            let (source, outputs) = (entry.source, entry.outputs);
                            return Ok((Some(key), CacheFound::Hit { source, outputs }));
                        }
                        Some(fault) => reason = format!("the entry of {} is gone: {fault}", entry.source),
                    }
                }
            }
            Err(fault) => return failed(key, fault),
        }
    }
    let mut reserved = false;
    if rule.serialize {
        match reserve(ports, subject, key).await {
            Ok(Reserved::Ours) => reserved = true,
            Ok(Reserved::Theirs { owner, .. }) => return Ok((Some(key), CacheFound::Waiting { owner })),
            Err(fault) => return failed(key, fault),
        }
    }
    Ok((
        Some(key),
        if subject.overwrites {
            CacheFound::Skipped { reserved }
        } else {
            CacheFound::Missing { reason, reserved }
        },
    ))
}

/// Answers the key, or why there is none: whoever runs with such inputs says the same.
async fn key(ports: &Ports, subject: &Subject) -> Result<Result<CacheKey, String>, String> {
    let inputs = match ports.blobs.load(&subject.inputs).await {
        Ok(inputs) => inputs,
        Err(fault @ BlobError::Unavailable { .. }) => return Err(fault.to_string()),
        Err(fault) => return Ok(Err(fault.to_string())),
    };
    Ok(key_of_inputs(&inputs, &subject.rule.ignored).map_err(|fault| fault.to_string()))
}

/// A cache that cannot be asked costs a node nothing but the time to run; a log that cannot be reached is waited for, as for
/// everything.
fn failed(key: CacheKey, fault: CatalogError) -> Result<(Option<CacheKey>, CacheFound), String> {
    match fault {
        CatalogError::Read(ReadError::Unavailable { .. }) => Err(fault.to_string()),
        fault => {
            warn!(%fault, "the cache cannot be asked");
            Ok((Some(key), CacheFound::Failed { reason: fault.to_string() }))
        }
    }
}

async fn reserve(ports: &Ports, subject: &Subject, key: CacheKey) -> Result<Reserved, CatalogError> {
    let now = (ports.clock)();
    let until = now.after(ports.config.reservation);
    ports.catalog.reserve(&subject.rule.dataset, key, &subject.source, now, until).await
}

/// Gives a node's outputs to the cache and answers the execution.
pub(crate) fn store(ports: &Arc<Ports>, execution: &Execution, node: &NodeId, to: ActorRef<Msg>) {
    let Some(subject) = Subject::of(execution, node) else { return };
    let caching = execution.node(node).and_then(NodeState::caching);
    let Some(Caching::Storing { key, outputs, .. }) = caching else { return };
    let kept =
        Kept { keys: vec![*key], outputs: outputs.clone(), source: subject.source.clone(), items: false };
    let is_waited_for = subject.rule.serialize;
    let (dataset, node) = (subject.rule.dataset, node.clone());
    answer(to, Arc::clone(ports), move |ports| {
        let (dataset, kept, node) = (dataset.clone(), kept.clone(), node.clone());
        async move {
            let failure = match ports.catalog.keep(&dataset, kept, (ports.clock)()).await {
                Ok(()) => None,
                Err(fault) => {
                    warn!(%fault, %dataset, "outputs cannot be given to the cache");
                    Some(fault.to_string())
                }
            };
            if is_waited_for {
                ports.reservations.changed.notify_waiters();
            }
            Done::answer(Command::CacheStored { node, failure })
        }
    });
}

/// Renews a node's reservation until it is released or its execution's actor is gone.
pub(crate) fn hold(
    ports: &Arc<Ports>,
    execution: &Execution,
    node: &NodeId,
    key: CacheKey,
    holder: &ActorRef<Msg>,
) {
    let Some(subject) = Subject::of(execution, node) else { return };
    let id = (subject.source.execution.clone(), node.clone());
    let (renewed, holder) = (Arc::clone(ports), holder.clone());
    let renewing = tokio::spawn(async move {
        while !matches!(holder.get_status(), ActorStatus::Stopped | ActorStatus::Stopping) {
            match reserve(&renewed, &subject, key).await {
                Ok(Reserved::Ours) => {}
                // Both compute it: what is kept last counts, and either is right.
                Ok(Reserved::Theirs { owner, .. }) => {
                    warn!(node = %subject.source, %owner, "a reservation in the cache has expired and is another's");
                    return;
                }
                Err(fault) => warn!(%fault, "a reservation in the cache cannot be renewed"),
            }
            tokio::time::sleep(renewed.config.reservation / 3).await;
        }
    });
    let held = Held { key, renewing: renewing.abort_handle() };
    let before = ports.reservations.held.lock().unwrap_or_else(PoisonError::into_inner).insert(id, held);
    if let Some(before) = before {
        before.renewing.abort();
    }
}

/// Gives up the reservation that a node holds, if it does.
pub(crate) fn release(ports: &Arc<Ports>, execution: &Execution, node: &NodeId) {
    let (Some(place), Some(created)) = (execution.find(node), execution.created()) else { return };
    let Some(rule) = execution.plan().nodes[place].cache.clone() else { return };
    let owner = source_of(execution.plan(), place, created, Attempt::default());
    let id = (owner.execution.clone(), owner.node.clone());
    let held = ports.reservations.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    let Some(Held { key, renewing }) = held else { return };
    renewing.abort();
    let ports = Arc::clone(ports);
    tokio::spawn(async move {
        if let Err(fault) = ports.catalog.release(&rule.dataset, key, &owner, (ports.clock)()).await {
            warn!(%fault, "a reservation in the cache cannot be given up: it expires");
        }
        ports.reservations.changed.notify_waiters();
    });
}
