//! Writes what events change into the tables.

mod execution;
mod notices;
mod registry;

pub(super) use execution::apply_execution;
pub(super) use registry::apply_registry;

use super::blobs::encode;
use rusqlite::{OptionalExtension, Transaction, params};
use skein_log::Cursor;
use skein_model::{
    Category, Dataset, Event, ExecutionId, Interruptible, NotificationEvent, RegistryEvent, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

/// A record of the log as the tables take it: decoded, and with what the events only name.
pub(super) enum Decoded {
    /// A record of an execution.
    Execution {
        /// Which.
        id: ExecutionId,
        /// When.
        at: Timestamp,
        /// What happened.
        events: Vec<Event>,
        /// The plan, when the record is the first of its execution.
        plan: Arc<Plan>,
        /// The plans of nodes that tasks made, in the order of the events that name them.
        made: Vec<Plan>,
    },
    /// A record of the registry.
    Registry {
        /// The name of its journal.
        key: String,
        /// When.
        at: Timestamp,
        /// What happened.
        events: Vec<RegistryEvent>,
        /// What a launch plan names, when the record is the first of one.
        launch: Option<LaunchFacts>,
    },
    /// A record of the notices of an execution.
    Notices {
        /// Of which.
        execution: ExecutionId,
        /// When.
        at: Timestamp,
        /// What happened.
        events: Vec<NotificationEvent>,
    },
}

/// What the tables know of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<PlanNode>,
    /// Whether a failure leaves the end node to be shown as skipped: with the policy that lets other nodes finish.
    pub(super) skips_end: bool,
}

/// What the tables know of one node of a plan.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlanNode {
    pub(crate) id: String,
    /// Its id in the workflow that it is a node of.
    pub(super) spec_id: String,
    /// The node that it is inside of.
    pub(crate) parent: Option<String>,
    pub(crate) kind: PlanNodeKind,
    /// The task that it runs; one without a name when it runs none.
    pub(crate) task: skein_idl::flyteidl::core::Identifier,
    pub(super) task_type: String,
    /// The nodes that it waits for.
    pub(crate) upstream: Vec<String>,
    /// Whether it runs only when the execution fails.
    pub(crate) handles_failure: bool,
    /// How long one try may run; none is no limit.
    pub(crate) timeout: Option<Duration>,
    /// Where its outputs are kept for others, if they are.
    pub(crate) cache: Option<Dataset>,
    /// Which of its tries may run on capacity that can be taken away.
    pub(super) interruptible: Interruptible,
    /// The actor environment whose processes run it, if it has one.
    pub(crate) actor: Option<skein_model::ActorEnvironment>,
    /// What it asks for of a machine.
    pub(crate) resources: skein_model::TaskResources,
    /// What its task says of how it is run.
    pub(crate) settings: skein_model::TaskSettings,
}

/// What a node is, as far as it matters to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlanNodeKind {
    /// It runs a task.
    Task,
    /// It runs a task for each item.
    Map,
    /// It has other nodes inside.
    Workflow,
    /// One of the nodes inside runs.
    Branch,
    /// It lets time pass.
    Sleep(Duration),
    /// It waits for a signal.
    Signal(String),
    /// It launches an execution.
    Launch,
}

/// What the tables know of a launch plan beside its id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LaunchFacts {
    pub(super) workflow: skein_idl::flyteidl::core::Identifier,
    pub(super) schedule_type: i64,
}

/// Writes one record.
///
/// # Errors
/// SQLite's; the whole batch is given up then.
pub(super) fn apply(tx: &Transaction<'_>, decoded: &Decoded) -> Result<(), rusqlite::Error> {
    match decoded {
        Decoded::Execution { id, at, events, plan, made } => {
            let mut made = made.iter();
            events.iter().try_for_each(|event| {
                let made = matches!(event, Event::NodesMade { .. }).then(|| made.next()).flatten();
                apply_execution(tx, id, *at, event, made.unwrap_or(plan))
            })
        }
        Decoded::Registry { key, at, events, launch } => {
            events.iter().try_for_each(|event| apply_registry(tx, key, *at, event, launch.as_ref()))
        }
        Decoded::Notices { execution, at, events } => {
            events.iter().try_for_each(|event| notices::apply(tx, execution, *at, event))
        }
    }
}

/// Notes how far a category has been folded.
///
/// # Errors
/// SQLite's.
pub(super) fn store_cursor(
    tx: &Transaction<'_>,
    category: Category,
    cursor: &Cursor,
) -> Result<(), rusqlite::Error> {
    tx.prepare_cached("INSERT OR REPLACE INTO cursors VALUES (?1, ?2)")?
        .execute(params![category.word(), encode(cursor)])?;
    Ok(())
}

/// Answers how far a category has been folded.
///
/// # Errors
/// SQLite's.
pub(super) fn load_cursor(
    connection: &rusqlite::Connection,
    category: Category,
) -> Result<Cursor, rusqlite::Error> {
    let stored: Option<Vec<u8>> = connection
        .query_row("SELECT cursor FROM cursors WHERE category = ?1", [category.word()], |row| row.get(0))
        .optional()?;
    Ok(stored.and_then(|bytes| rmp_serde::from_slice(&bytes).ok()).unwrap_or_default())
}
