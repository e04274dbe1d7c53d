//! An engine that does what a test says.

use crate::definitions::{DOMAIN, PROJECT, integer, launch, launch_mapped, literals, register};
use crate::harness::Harness;
use prost::Message as _;
use skein_log::{EventLog as _, Inbox as _, Refusal};
use skein_model::event::{FinishedChunk, ItemFailure, ItemRange};
use skein_model::{
    Attempt, CauseId, Charge, Command, DataRef, Event, ExecutionId, Failure, FailureCause, JournalId, NodeId,
    Record, Timestamp, codec,
};
use std::sync::atomic::Ordering;

pub fn id(name: &str) -> ExecutionId {
    ExecutionId::parse(PROJECT, DOMAIN, name).unwrap()
}

pub fn node(name: &str) -> NodeId {
    NodeId::new(name)
}

/// `{variable: value}`
pub fn value(variable: &str, value: i64) -> DataRef {
    DataRef::Inline(literals(&[(variable, integer(value))]).encode_to_vec().into())
}

pub fn failure(code: &str, message: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.to_owned(),
        cause: FailureCause::TaskRaised { recoverable: false },
        charge: Charge::User,
    }
}

/// Appends one transition to an execution's journal, and waits until the gateway has seen it.
pub async fn append(harness: &Harness, execution: &str, events: &[Event]) {
    append_unseen(harness, execution, events).await;
    seen(harness, execution).await;
}

/// Appends one transition to an execution's journal.
pub async fn append_unseen(harness: &Harness, execution: &str, events: &[Event]) {
    let journal = JournalId::execution(&id(execution));
    let head = harness.log.head(&journal).await.unwrap();
    let time = Timestamp::from_micros(harness.now.fetch_add(1_000_000, Ordering::Relaxed));
    let body = codec::encode(events).unwrap();
    let record = Record { time, cause: CauseId(0), trace: None, closes: false, body };
    harness.log.append(&journal, head, record).await.unwrap();
}

/// Waits until the gateway has seen everything in the log: it refuses a name that is taken, but not before that.
pub async fn seen(harness: &Harness, execution: &str) {
    let launched = crate::definitions::launch_plan_id("m.w");
    let again = crate::definitions::execution(execution, launched, &[("x", integer(1))]);
    let refused = harness.admin().create_execution(again).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::AlreadyExists);
}

/// Runs one node of `m.w` to its end: input `x`, output `x + 1`.
pub async fn run_node(harness: &Harness, execution: &str, name: &str, x: i64) {
    let (node, attempt) = (node(name), Attempt(0));
    append_unseen(harness, execution, &[Event::NodeQueued { node: node.clone() }]).await;
    let started = Event::NodeStarted { node: node.clone(), inputs: value("x", x) };
    let queued = Event::AttemptQueued { node: node.clone(), attempt, not_before: None };
    append_unseen(harness, execution, &[started, queued]).await;
    let started = Event::AttemptStarted {
        node: node.clone(),
        attempt,
        worker: "w1".to_owned(),
        micros_ago: 0,
        place: None,
    };
    append_unseen(harness, execution, &[started]).await;
    let outputs = value("o0", x + 1);
    let succeeded = Event::AttemptSucceeded {
        node: node.clone(),
        attempt,
        outputs: outputs.clone(),
        deck: None,
        used: None,
    };
    append_unseen(harness, execution, &[succeeded, Event::NodeSucceeded { node, outputs }]).await;
}

/// Runs an execution of `m.w` with input 1 to its end.
pub async fn run(harness: &Harness, execution: &str) {
    append_unseen(harness, execution, &[Event::Started]).await;
    run_node(harness, execution, "n0", 1).await;
    run_node(harness, execution, "n1", 2).await;
    append_unseen(harness, execution, &[Event::Succeeding]).await;
    append(harness, execution, &[Event::Succeeded { outputs: value("o0", 3) }]).await;
}

/// Items of a map that ended; those in `failed` failed.
pub fn chunk(start: u32, end: u32, attempt: u32, failed: &[u32]) -> FinishedChunk {
    let failures = failed
        .iter()
        .map(|index| ItemFailure { index: *index, failure: failure("USER:RuntimeError", "odd") });
    FinishedChunk {
        range: ItemRange { start, end },
        attempt: Attempt(attempt),
        outputs: DataRef::empty(),
        failures: failures.collect(),
        returned: vec![],
        micros: 1,
        worker: "w1".to_owned(),
        used: None,
    }
}

/// Answers commands as an engine does: the first Terminate is taken, and the execution ends with the second.
pub async fn obey(harness: &Harness) {
    let mut terminated = 0;
    while let Some(mail) = harness.inbox.receive().await {
        let name = mail.execution.name.clone();
        let answer = match mail.command {
            Command::Terminate { cause, principal } if terminated == 0 => {
                terminated += 1;
                append_unseen(harness, &name, &[Event::Aborting { cause, principal }]).await;
                Ok(())
            }
            Command::Terminate { .. } if terminated == 1 => {
                terminated += 1;
                append_unseen(harness, &name, &[Event::Aborted]).await;
                Ok(())
            }
            Command::Terminate { .. } => Err(Refusal::FailedPrecondition(
                "Cannot abort an already terminated workflow execution".to_owned(),
            )),
            Command::Archive { archived, principal } => {
                append_unseen(harness, &name, &[Event::Archived { archived, principal }]).await;
                Ok(())
            }
            other => panic!("the gateway sent {other:?}"),
        };
        mail.answer.send(answer).unwrap();
    }
}

/// What the gateway wrote down of an execution's creation.
pub async fn created(harness: &Harness, execution: &str) -> skein_model::event::Created {
    let journal = JournalId::execution(&id(execution));
    let records = harness.log.read(&journal, skein_model::Head::EMPTY).await.unwrap();
    let events: Vec<Event> = codec::decode(records[0].schema, &records[0].record.body).unwrap();
    let Some(Event::Created(created)) = events.into_iter().next() else {
        panic!("the first event is another")
    };
    *created
}

/// An execution of `m.w`, of which nothing has run.
pub async fn launched() -> Harness {
    let harness = Harness::start().await;
    register(&harness).await;
    launch(&harness, "abc").await;
    harness
}

/// A map of so many items that has begun.
pub async fn with_map(size: u32) -> Harness {
    let harness = Harness::start().await;
    launch_mapped(&harness, "abc").await;
    append_unseen(&harness, "abc", &[Event::Started, Event::NodeQueued { node: node("n0") }]).await;
    let started = Event::NodeStarted { node: node("n0"), inputs: value("x", 1) };
    append(&harness, "abc", &[started, Event::MapStarted { node: node("n0"), size }]).await;
    harness
}
