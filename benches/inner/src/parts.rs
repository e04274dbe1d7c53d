//! The parts, by name.

use crate::{values, workflows};
use bytes::Bytes;
use prost::Message as _;
use skein_core::schedule::{Claim, Schedule};
use skein_core::{Execution, Plan};
use skein_idl::flyteidl::core::CompiledWorkflowClosure;
use skein_model::command::{Began, Outcome};
use skein_model::event::{Created, FinishedChunk, ItemRange, Settings};
use skein_model::literals::{self, ChunkOutputs, Collection};
use skein_model::{
    Attempt, BlobRef, CauseId, Command, DataRef, EntityId, EntityKind, Envelope, Event, ExecutionId, Head,
    JournalId, NodeId, Record, Timestamp, codec,
};
use std::hint::black_box;
use std::sync::Arc;

/// A part of the engine.
#[derive(Clone, Copy)]
pub struct Part {
    /// What it is called, in the record of instruction counts too.
    pub name: &'static str,
    /// Makes what it needs; answers what runs it, as often as one likes, each time doing the same.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

/// All parts.
pub const PARTS: [Part; 12] = [
    Part { name: "plan-read-1000", prepare: || plan_read(1_000) },
    Part { name: "chain-decide-apply-1000", prepare: || chain(1_000) },
    Part { name: "map-decide-apply-1000000", prepare: || map(1_000_000, 16_384) },
    Part { name: "replay-chain-1000", prepare: || replay(1_000) },
    Part { name: "records-encode-1000", prepare: || encode(1_000) },
    Part { name: "records-decode-1000", prepare: || decode(1_000) },
    Part { name: "digest-chain-1000", prepare: || digests(1_000) },
    Part { name: "schedule-100-among-10", prepare: || schedule(10) },
    Part { name: "schedule-100-among-1000", prepare: || schedule(1_000) },
    Part { name: "schedule-100-among-10000", prepare: || schedule(10_000) },
    Part { name: "values-cut-100000", prepare: || cut(100_000, 1_000) },
    Part { name: "values-join-100000", prepare: || join(100_000, 1_000) },
];

/// Reads a workflow of so many nodes, as it lies in the blob store.
fn plan_read(nodes: usize) -> Box<dyn FnMut()> {
    let encoded = Bytes::from(workflows::chain(nodes).encode_to_vec());
    Box::new(move || {
        let closure = CompiledWorkflowClosure::decode(encoded.clone()).expect("it was encoded here");
        black_box(Plan::parse(closure).expect("a good workflow"));
    })
}

/// Decides and applies all steps of a chain.
fn chain(nodes: usize) -> Box<dyn FnMut()> {
    let plan = Arc::new(Plan::parse(workflows::chain(nodes)).expect("a good workflow"));
    Box::new(move || drop(black_box(run_chain(&plan, nodes))))
}

/// Decides and applies all chunks of a map.
fn map(items: u32, chunk: u32) -> Box<dyn FnMut()> {
    let plan = Arc::new(Plan::parse(workflows::map()).expect("a good workflow"));
    // That inputs are cut and counted is another part.
    let inputs = DataRef::Blob(BlobRef { uri: "u".to_owned(), size: 1, digest: 0 });
    Box::new(move || {
        let (mut execution, _) = begun(&plan, inputs.clone());
        let node = NodeId::new("n0");
        send(
            &mut execution,
            &Command::InputsResolved {
                node: node.clone(),
                inputs: inputs.clone(),
                items: Some(items),
                case: None,
            },
        );
        for start in (0..items).step_by(chunk as usize) {
            let chunk = finished(ItemRange { start, end: items.min(start + chunk) });
            black_box(send(&mut execution, &Command::ItemsFinished { node: node.clone(), chunk }));
        }
        assert!(execution.map_of(&node).is_some_and(skein_core::MapRun::is_complete));
    })
}

/// Folds the journal of a chain, decoded already.
fn replay(nodes: usize) -> Box<dyn FnMut()> {
    let plan = Arc::new(Plan::parse(workflows::chain(nodes)).expect("a good workflow"));
    let journal = run_chain(&plan, nodes);
    Box::new(move || {
        let mut execution = Execution::new(Arc::clone(&plan));
        journal.iter().flatten().for_each(|event| execution.apply(event));
        assert!(execution.phase().is_terminal());
    })
}

/// Encodes the records of a chain.
fn encode(nodes: usize) -> Box<dyn FnMut()> {
    let journal = journal_of_chain(nodes);
    Box::new(move || {
        for events in &journal {
            black_box(codec::encode(events).expect("they are small"));
        }
    })
}

/// Decodes the records of a chain.
fn decode(nodes: usize) -> Box<dyn FnMut()> {
    let bodies = bodies_of_chain(nodes);
    Box::new(move || {
        for body in &bodies {
            black_box(codec::decode::<Event>(1, body).expect("it was encoded here"));
        }
    })
}

/// Seals the records of a chain, each with a digest of all before it.
fn digests(nodes: usize) -> Box<dyn FnMut()> {
    let bodies = bodies_of_chain(nodes);
    let journal = JournalId::execution(&execution_id());
    Box::new(move || {
        let mut head = Head::EMPTY;
        for body in &bodies {
            let (time, cause, body) = (Timestamp::EPOCH, CauseId(0), body.clone());
            let record = Record { time, cause, trace: None, closes: false, body };
            head = Envelope::seal(journal.clone(), head, record).head(0);
        }
        black_box(head);
    })
}

/// Picks work a hundred times among that of so many executions; what was picked ends, and its execution offers more.
fn schedule(executions: u32) -> Box<dyn FnMut()> {
    let mut schedule = Schedule::default();
    let claim = |execution: u32| Claim {
        project: format!("p{}", execution % 7),
        execution: format!("x{execution}"),
        node: "n0".to_owned(),
        priority: 0,
        weight: 1,
        limits: Vec::new(),
        micros: 1_000,
    };
    for execution in 0..executions {
        schedule.offer((execution, 0_u32), claim(execution));
    }
    Box::new(move || {
        for _ in 0..100 {
            let (execution, number) = schedule.choose().expect("there is work").key;
            schedule.end(&(execution, number), Some(1_000));
            schedule.offer((execution, number.wrapping_add(1)), claim(execution));
        }
    })
}

/// Cuts a list into chunks, in its encoded form.
fn cut(items: u32, chunk: u32) -> Box<dyn FnMut()> {
    let encoded = values::list(items);
    Box::new(move || {
        let list = literals::literal_map_entry(&encoded, "x").expect("it is a map").expect("it has x");
        let list = Collection::of(&list).expect("it is a literal").expect("it is a list");
        for start in (0..items).step_by(chunk as usize) {
            black_box(list.slice(start as usize, (start + chunk) as usize).expect("there are as many"));
        }
    })
}

/// Joins the outputs of chunks to those of their map, in their encoded form.
fn join(items: u32, chunk: u32) -> Box<dyn FnMut()> {
    let outputs = values::booleans(chunk);
    let part = |start| ChunkOutputs {
        range: ItemRange { start, end: start + chunk },
        failed: Vec::new(),
        outputs: outputs.clone(),
    };
    let parts: Vec<ChunkOutputs> = (0..items).step_by(chunk as usize).map(part).collect();
    Box::new(move || {
        black_box(literals::assemble_map(["o0"], items, &parts).expect("they are lists"));
    })
}

fn bodies_of_chain(nodes: usize) -> Vec<Bytes> {
    let encode = |events: &Vec<Event>| codec::encode(events).expect("they are small");
    journal_of_chain(nodes).iter().map(encode).collect()
}

fn journal_of_chain(nodes: usize) -> Vec<Vec<Event>> {
    run_chain(&Arc::new(Plan::parse(workflows::chain(nodes)).expect("a good workflow")), nodes)
}

/// Runs a chain to its end; answers the events of each transition.
fn run_chain(plan: &Arc<Plan>, nodes: usize) -> Vec<Vec<Event>> {
    let (mut execution, mut journal) = begun(plan, DataRef::Inline(values::one()));
    for place in 0..nodes {
        let outcome = Outcome::Succeeded { outputs: DataRef::Inline(values::one()), deck: None };
        journal.push(send(
            &mut execution,
            &Command::AttemptFinished {
                node: NodeId::new(format!("n{place}")),
                attempt: Attempt(0),
                outcome,
                began: Some(Began { worker: "w".to_owned(), micros_ago: 1, place: None }),
                used: None,
            },
        ));
    }
    assert!(execution.phase().is_terminal());
    journal
}

/// Starts an execution; answers it with the events of its first two transitions.
fn begun(plan: &Arc<Plan>, inputs: DataRef) -> (Execution, Vec<Vec<Event>>) {
    let mut execution = Execution::new(Arc::clone(plan));
    let created = Event::Created(Box::new(created(inputs)));
    execution.apply(&created);
    let started = send(&mut execution, &Command::Start);
    (execution, vec![vec![created], started])
}

fn send(execution: &mut Execution, command: &Command) -> Vec<Event> {
    execution.advance(command, Timestamp::EPOCH).expect("the command fits").events
}

fn finished(range: ItemRange) -> FinishedChunk {
    FinishedChunk {
        range,
        attempt: Attempt(0),
        outputs: DataRef::Blob(BlobRef { uri: "u".to_owned(), size: 1, digest: 0 }),
        failures: Vec::new(),
        returned: Vec::new(),
        micros: 1,
        worker: "w".to_owned(),
        used: None,
    }
}

fn execution_id() -> ExecutionId {
    ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name: "x".to_owned() }
}

fn created(inputs: DataRef) -> Created {
    let workflow = EntityId {
        kind: EntityKind::Workflow,
        project: "p".to_owned(),
        domain: "d".to_owned(),
        name: "w".to_owned(),
        version: "v".to_owned(),
    };
    Created {
        execution: execution_id(),
        launched: workflow.clone(),
        workflow,
        plan: BlobRef { uri: String::new(), size: 0, digest: 0 },
        user_inputs: inputs.clone(),
        inputs,
        spec: Bytes::new(),
        settings: Settings::default(),
        data_prefix: String::new(),
        raw_prefix: String::new(),
        principal: String::new(),
        parent: None,
    }
}

#[cfg(test)]
mod tests {
    use super::PARTS;

    #[test]
    fn every_part_runs_as_often_as_one_likes() {
        for part in PARTS {
            let mut run = (part.prepare)();
            run();
            run();
        }
    }
}
