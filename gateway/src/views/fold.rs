//! What an event of an execution changes in the tables: pure, so that a rebuild gives what the first fold gave.

use serde::{Deserialize, Serialize};
use skein_idl::flyteidl::core;
use skein_model::cache::CacheFound;
use skein_model::event::{CachedItems, Created, FinishedChunk};
use skein_model::{
    Attempt, BlobRef, CacheKey, CacheSource, Charge, DataRef, Event, ExecutionId, ExecutionPhase, Failure,
    Job, NodeId, NodePhase, Timestamp, Used,
};

/// One change of the tables, by one event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change<'e> {
    /// A new execution.
    Created(&'e Created),
    /// The execution is in another phase.
    Phase(ExecutionPhase),
    /// The execution has outputs.
    Outputs(&'e DataRef),
    /// The execution has an error.
    Error(Error),
    /// Somebody ended it.
    Abort {
        /// Why.
        cause: &'e str,
        /// Who.
        principal: &'e str,
    },
    /// It was archived or brought back.
    Archived {
        /// Whether it is archived now.
        archived: bool,
        /// Who did it.
        principal: &'e str,
    },
    /// The start node, which hands out the inputs.
    StartNode,
    /// The end node, which took the outputs.
    EndNode(&'e DataRef),
    /// What is inside a node has begun or is done.
    Inside(&'e NodeId, InsideEdge<'e>),
    /// A task made the nodes inside its node.
    Made(&'e NodeId, MadeNodes),
    /// The node launched an execution.
    Child(&'e NodeId, &'e ExecutionId),
    /// A gate waits for a signal of an encoded type.
    SignalAsked(&'e str, &'e [u8]),
    /// A signal has an encoded value.
    SignalSet(&'e str, &'e [u8]),
    /// The end node will never run, if the plan's policy is to show that.
    EndNodeSkipped,
    /// A node changed.
    Node(&'e NodeId, NodeChange<'e>),
    /// The cache has answered for a node, or was given its outputs.
    Cache(&'e NodeId, CacheChange<'e>),
    /// The cache had the outputs of items of a map.
    CachedItems(&'e NodeId, &'e CachedItems),
    /// A try changed.
    Attempt(&'e NodeId, Attempt, AttemptChange<'e>),
    /// A connector told of a try's job.
    Job(&'e NodeId, Attempt, &'e Job),
    /// The node is a map of so many items.
    Map(&'e NodeId, u32),
    /// Items of a map ended; so many of them are tried again.
    Chunk(&'e NodeId, &'e FinishedChunk, usize),
    /// What still runs of a map's one task execution ends as its node does.
    EndMap(&'e NodeId, core::task_execution::Phase, Option<Error>),
}

/// An end of what is inside a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum InsideEdge<'e> {
    /// Its start node hands out what the node was given.
    Start(Attempt),
    /// Its start node hands out nothing: its task has given the nodes their values as it made them.
    StartMade(Attempt),
    /// Its end node takes the outputs.
    End(Attempt, &'e DataRef),
}

/// What is kept of nodes that a task made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MadeNodes {
    /// Where the task left them.
    pub(crate) spec: String,
    /// They, compiled.
    pub(crate) plan: BlobRef,
}

/// What changed in a node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeChange<'e> {
    pub(super) phase: NodePhase,
    pub(super) inputs: Option<&'e DataRef>,
    pub(super) outputs: Option<&'e DataRef>,
    pub(super) error: Option<Error>,
}

/// What changed between a node and the cache.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CacheChange<'e> {
    pub(super) status: core::CatalogCacheStatus,
    /// The key, where it is told.
    pub(super) key: Option<CacheKey>,
    /// Whose outputs the entry holds, when they are another's.
    pub(super) source: Option<&'e CacheSource>,
    /// Whether the node's task will run now, or does not yet and perhaps never will; none when it has run.
    pub(super) runs: Option<bool>,
}

impl<'e> CacheChange<'e> {
    fn looked_up(key: Option<CacheKey>, found: &'e CacheFound) -> Self {
        use core::CatalogCacheStatus as Status;
        let (status, source, runs) = match found {
            CacheFound::Hit { source, .. } => (Status::CacheHit, Some(source), false),
            CacheFound::Missing { .. } => (Status::CacheMiss, None, true),
            CacheFound::Waiting { .. } => (Status::CacheMiss, None, false),
            CacheFound::Skipped { .. } => (Status::CacheSkipped, None, true),
            CacheFound::Failed { .. } => (Status::CacheLookupFailure, None, true),
        };
        Self { status, key, source, runs: Some(runs) }
    }

    fn stored(failure: Option<&str>) -> Self {
        use core::CatalogCacheStatus as Status;
        let status = if failure.is_none() { Status::CachePopulated } else { Status::CachePutFailure };
        Self { status, key: None, source: None, runs: None }
    }
}

/// What changed in a try.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AttemptChange<'e> {
    pub(super) phase: core::task_execution::Phase,
    pub(super) worker: Option<&'e str>,
    /// Where there, when that is not its default environment.
    pub(super) place: Option<&'e str>,
    /// How long before it was recorded it happened.
    pub(super) micros_ago: u64,
    /// When it may begin at the earliest, if that is later than at once.
    pub(super) not_before: Option<Timestamp>,
    /// Why it is asked for on demand although it may run on capacity that can be taken away.
    pub(super) moved: Option<&'e str>,
    pub(super) outputs: Option<&'e DataRef>,
    pub(super) deck: Option<&'e str>,
    pub(super) error: Option<Error>,
    /// What it used of its machine.
    pub(super) used: Option<Used>,
}

/// How one record changes the counts of a map's items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Items that have outputs now.
    pub(super) succeeded: u32,
    /// Items that have failed for good.
    pub(super) failed: u32,
    /// Items that are tried once more.
    pub(super) retried: u32,
}

impl Counted {
    /// Counts a chunk of which so many items are tried again. Items that were handed back without being run count
    /// nowhere: they come again in another chunk.
    pub(super) fn of(chunk: &FinishedChunk, again: usize) -> Self {
        let returned: u32 = chunk.returned.iter().map(|range| range.len()).sum();
        let failures = count(chunk.failures.len());
        let retried = count(again);
        Self {
            succeeded: chunk.range.len().saturating_sub(failures).saturating_sub(returned),
            failed: failures.saturating_sub(retried),
            retried,
        }
    }
}

/// A chunk lists no item twice, so that it lists no more of them than a map may have.
fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Error {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) kind: core::execution_error::ErrorKind,
}

impl From<&Failure> for Error {
    fn from(failure: &Failure) -> Self {
        use core::execution_error::ErrorKind;
        let kind = match failure.charge {
            Charge::User => ErrorKind::User,
            Charge::System | Charge::Interruption => ErrorKind::System,
        };
        Self { code: failure.code.clone(), message: failure.message.clone(), kind }
    }
}

impl<'e> NodeChange<'e> {
    const fn to(phase: NodePhase) -> Self {
        Self { phase, inputs: None, outputs: None, error: None }
    }
}

impl<'e> AttemptChange<'e> {
    const fn to(phase: core::task_execution::Phase) -> Self {
        Self {
            phase,
            worker: None,
            place: None,
            micros_ago: 0,
            not_before: None,
            moved: None,
            outputs: None,
            deck: None,
            error: None,
            used: None,
        }
    }

    fn queued(not_before: Option<Timestamp>) -> Self {
        Self { not_before, ..Self::to(core::task_execution::Phase::Queued) }
    }

    fn started(worker: &'e str, micros_ago: u64, place: Option<&'e str>) -> Self {
        let running = core::task_execution::Phase::Running;
        Self { worker: Some(worker), place, micros_ago, ..Self::to(running) }
    }
}

/// Answers what `event` changes.
pub(super) fn changes(event: &Event) -> Vec<Change<'_>> {
    use core::task_execution::Phase;
    match event {
        Event::Created(created) => vec![Change::Created(created)],
        Event::Started => vec![Change::Phase(ExecutionPhase::Running), Change::StartNode],
        Event::NodeQueued { node } => vec![Change::Node(node, NodeChange::to(NodePhase::Queued))],
        Event::NodeStarted { node, inputs } => {
            let change = NodeChange { inputs: Some(inputs), ..NodeChange::to(NodePhase::Running) };
            vec![Change::Node(node, change)]
        }
        Event::InsideStarted { .. }
        | Event::InsideSucceeded { .. }
        | Event::InsideFailing { .. }
        | Event::BranchTaken { .. }
        | Event::NodesMade { .. }
        | Event::AttemptMadeNodes { .. }
        | Event::ChildLaunched { .. }
        | Event::SignalAsked { .. }
        | Event::SignalSet { .. } => changes_inside(event),
        Event::CacheLookedUp { node, key, found } => cached(node, CacheChange::looked_up(*key, found)),
        Event::CacheStored { node, failure } => cached(node, CacheChange::stored(failure.as_deref())),
        Event::ItemsCached { node, items } => vec![Change::CachedItems(node, items)],
        Event::AttemptQueued { node, attempt, not_before } => {
            vec![Change::Attempt(node, *attempt, AttemptChange::queued(*not_before))]
        }
        Event::AttemptMoved { node, attempt, reason } => {
            let change = AttemptChange { moved: Some(reason), ..AttemptChange::to(Phase::Queued) };
            vec![Change::Attempt(node, *attempt, change)]
        }
        Event::AttemptStarted { node, attempt, worker, micros_ago, place } => {
            let change = AttemptChange::started(worker, *micros_ago, place.as_deref());
            vec![Change::Attempt(node, *attempt, change)]
        }
        Event::JobReported { node, attempt, job } => vec![Change::Job(node, *attempt, job)],
        Event::AttemptSucceeded { node, attempt, outputs, deck, used } => {
            let (outputs, deck, used) = (Some(outputs), deck.as_deref(), *used);
            let change = AttemptChange { outputs, deck, used, ..AttemptChange::to(Phase::Succeeded) };
            vec![Change::Attempt(node, *attempt, change)]
        }
        Event::AttemptFailed { node, attempt, failure, used } => {
            let (error, used) = (Some(failure.into()), *used);
            let change = AttemptChange { error, used, ..AttemptChange::to(Phase::Failed) };
            vec![Change::Attempt(node, *attempt, change)]
        }
        Event::AttemptAborted { node, attempt } => {
            vec![Change::Attempt(node, *attempt, AttemptChange::to(Phase::Aborted))]
        }
        Event::LateResultIgnored { .. } => vec![],
        Event::MapStarted { node, size } => vec![Change::Map(node, *size)],
        Event::ItemsFinished { node, chunk, again } => vec![Change::Chunk(node, chunk, again.len())],
        Event::NodeSucceeded { node, outputs } => {
            let change = NodeChange { outputs: Some(outputs), ..NodeChange::to(NodePhase::Succeeded) };
            vec![Change::Node(node, change), Change::EndMap(node, Phase::Succeeded, None)]
        }
        Event::NodeRecovered { node, inputs, outputs } => node_recovered(node, inputs, outputs),
        Event::ItemsRecovered { node, items } => vec![Change::CachedItems(node, items)],
        Event::NodeFailed { node, failure } => node_ended(node, NodePhase::Failed, failure.into()),
        Event::NodeTimedOut { node, failure } => node_ended(node, NodePhase::TimedOut, failure.into()),
        Event::NodeAborted { node, reason } => node_aborted(node, reason),
        Event::NodeSkipped { node } => vec![Change::Node(node, NodeChange::to(NodePhase::Skipped))],
        Event::Failing { .. }
        | Event::Aborting { .. }
        | Event::Succeeding
        | Event::Succeeded { .. }
        | Event::Failed { .. }
        | Event::Aborted => changes_at_the_end(event),
        Event::Archived { archived, principal } => vec![Change::Archived { archived: *archived, principal }],
    }
}

/// Answers what is changed by what ends an execution, or is about to.
fn changes_at_the_end(event: &Event) -> Vec<Change<'_>> {
    match event {
        Event::Failing { failure } => {
            vec![Change::Phase(ExecutionPhase::Failing), Change::Error(failure.into())]
        }
        Event::Aborting { cause, principal } => {
            vec![Change::Phase(ExecutionPhase::Aborting), Change::Abort { cause, principal }]
        }
        Event::Succeeding => vec![Change::Phase(ExecutionPhase::Succeeding)],
        Event::Succeeded { outputs } => {
            vec![Change::Phase(ExecutionPhase::Succeeded), Change::Outputs(outputs), Change::EndNode(outputs)]
        }
        Event::Failed { failure } => {
            vec![Change::Phase(ExecutionPhase::Failed), Change::Error(failure.into()), Change::EndNodeSkipped]
        }
        Event::Aborted => vec![Change::Phase(ExecutionPhase::Aborted)],
        _ => vec![],
    }
}

/// Answers what is changed by what happens to nodes that have others inside, that wait, or that launch executions.
fn changes_inside(event: &Event) -> Vec<Change<'_>> {
    use core::task_execution::Phase;
    match event {
        Event::InsideStarted { node } => vec![Change::Inside(node, InsideEdge::Start(Attempt(0)))],
        Event::InsideSucceeded { node, attempt, outputs } => {
            vec![Change::Inside(node, InsideEdge::End(*attempt, outputs))]
        }
        Event::NodesMade { node, attempt, spec, plan } => {
            let made = MadeNodes { spec: spec.clone(), plan: plan.clone() };
            vec![
                Change::Node(node, NodeChange::to(NodePhase::DynamicRunning)),
                Change::Made(node, made),
                Change::Inside(node, InsideEdge::StartMade(*attempt)),
            ]
        }
        Event::AttemptMadeNodes { node, attempt, deck, used, .. } => {
            let (deck, used) = (deck.as_deref(), *used);
            vec![Change::Attempt(
                node,
                *attempt,
                AttemptChange { deck, used, ..AttemptChange::to(Phase::Succeeded) },
            )]
        }
        Event::ChildLaunched { node, child } => vec![Change::Child(node, child)],
        Event::SignalAsked { signal, r#type, .. } => vec![Change::SignalAsked(signal, r#type)],
        Event::SignalSet { signal, value, .. } => vec![Change::SignalSet(signal, value)],
        _ => vec![],
    }
}

fn cached<'e>(node: &'e NodeId, change: CacheChange<'e>) -> Vec<Change<'e>> {
    vec![Change::Cache(node, change)]
}

fn node_recovered<'e>(node: &'e NodeId, inputs: &'e DataRef, outputs: &'e DataRef) -> Vec<Change<'e>> {
    let (inputs, outputs) = (Some(inputs), Some(outputs));
    vec![Change::Node(node, NodeChange { inputs, outputs, ..NodeChange::to(NodePhase::Recovered) })]
}

fn node_aborted<'e>(node: &'e NodeId, reason: &str) -> Vec<Change<'e>> {
    let error = Error {
        code: "NodeAborted".to_owned(),
        message: reason.to_owned(),
        kind: core::execution_error::ErrorKind::Unknown,
    };
    let change = NodeChange { error: Some(error), ..NodeChange::to(NodePhase::Aborted) };
    vec![Change::Node(node, change), Change::EndMap(node, core::task_execution::Phase::Aborted, None)]
}

fn node_ended(node: &NodeId, phase: NodePhase, error: Error) -> Vec<Change<'_>> {
    let change = NodeChange { error: Some(error.clone()), ..NodeChange::to(phase) };
    vec![Change::Node(node, change), Change::EndMap(node, core::task_execution::Phase::Failed, Some(error))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::core::execution_error::ErrorKind;
    use skein_idl::flyteidl::core::task_execution;
    use skein_model::FailureCause;

    fn failure(charge: Charge) -> Failure {
        Failure { code: "C".to_owned(), message: "m".to_owned(), cause: FailureCause::OutOfMemory, charge }
    }

    #[test]
    fn a_fault_of_the_system_is_never_shown_as_the_users() {
        assert_eq!(Error::from(&failure(Charge::User)).kind, ErrorKind::User);
        assert_eq!(Error::from(&failure(Charge::System)).kind, ErrorKind::System);
        assert_eq!(Error::from(&failure(Charge::Interruption)).kind, ErrorKind::System);
    }

    #[test]
    fn a_failed_map_ends_its_one_task_execution_with_the_nodes_error() {
        let event = Event::NodeFailed { node: NodeId::new("n0"), failure: failure(Charge::User) };
        let changes = changes(&event);
        assert!(matches!(
            &changes[1],
            Change::EndMap(_, task_execution::Phase::Failed, Some(Error { code, .. })) if code == "C"
        ));
    }

    #[test]
    fn items_that_were_handed_back_are_counted_when_they_have_run() {
        use skein_model::event::{ItemFailure, ItemRange};
        let failed = |index| ItemFailure { index, failure: failure(Charge::User) };
        let chunk = FinishedChunk {
            range: ItemRange { start: 0, end: 10 },
            attempt: Attempt(0),
            outputs: DataRef::empty(),
            failures: vec![failed(1), failed(2), failed(3)],
            returned: vec![ItemRange { start: 6, end: 10 }],
            micros: 1,
            worker: "w".to_owned(),
            used: None,
        };
        assert_eq!(Counted::of(&chunk, 2), Counted { succeeded: 3, failed: 1, retried: 2 });
    }

    #[test]
    fn a_late_result_changes_nothing() {
        let event = Event::LateResultIgnored { node: NodeId::new("n0"), attempt: Attempt(0) };
        assert_eq!(changes(&event), vec![]);
    }

    #[test]
    fn an_aborted_node_says_what_ended_it_and_blames_nobody() {
        let event = Event::NodeAborted { node: NodeId::new("n0"), reason: "Workflow aborted.".to_owned() };
        let expected = Error {
            code: "NodeAborted".to_owned(),
            message: "Workflow aborted.".to_owned(),
            kind: ErrorKind::Unknown,
        };
        assert!(
            matches!(&changes(&event)[0], Change::Node(_, NodeChange { error: Some(error), .. }) if *error == expected)
        );
    }
}
