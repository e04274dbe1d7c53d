//! How fast the core decides and replays: `cargo run --release -p skein-benches --bin bench-core`.

use bytes::Bytes;
use skein_benches::figures;
use skein_core::{Execution, Plan};
use skein_idl::flyteidl::core;
use skein_model::command::Outcome;
use skein_model::event::{Created, FinishedChunk, ItemRange, Settings};
use skein_model::{
    Attempt, BlobRef, Command, DataRef, EntityId, EntityKind, Event, ExecutionId, NodeId, Timestamp, codec,
};
use std::hint::black_box;
use std::sync::Arc;

/// The nodes of the chain that is decided and replayed.
const CHAIN: usize = 10_000;
/// The items of the map that is decided.
const ITEMS: u32 = 1_000_000;
/// The items of one chunk.
const CHUNK: u32 = 1_000;

fn main() {
    let plan = Arc::new(Plan::parse(workflow(CHAIN)).expect("a good workflow"));
    let journal = run_chain(&plan).1;
    figures::per_second("decide and apply: commands of a chain", "commands", || run_chain(&plan).0);
    figures::per_second("replay: events of a chain, already decoded", "events", || replay(&plan, &journal));
    let bodies: Vec<Bytes> = journal
        .iter()
        .map(|event| codec::encode(std::slice::from_ref(event)).expect("it is small"))
        .collect();
    figures::per_second("replay: events of a chain, from their encoding", "events", || {
        let mut execution = Execution::new(Arc::clone(&plan));
        for body in &bodies {
            for event in codec::decode::<Event>(1, body).expect("it was encoded here") {
                execution.apply(&event);
            }
        }
        black_box(execution.phase());
        bodies.len() as u64
    });
    let map = Arc::new(Plan::parse(map()).expect("a good workflow"));
    figures::per_second("decide and apply: items of a map in chunks of 1 000", "items", || run_map(&map));
}

fn replay(plan: &Arc<Plan>, journal: &[Event]) -> u64 {
    let mut execution = Execution::new(Arc::clone(plan));
    journal.iter().for_each(|event| execution.apply(event));
    black_box(execution.phase());
    journal.len() as u64
}

fn run_chain(plan: &Arc<Plan>) -> (u64, Vec<Event>) {
    let mut world = World::new(plan);
    for place in 0..CHAIN {
        let node = NodeId::new(format!("n{place}"));
        world.send(&Command::InputsResolved {
            node: node.clone(),
            inputs: DataRef::empty(),
            items: None,
            case: None,
        });
        world.send(&Command::AttemptStarted {
            node: node.clone(),
            attempt: Attempt(0),
            worker: "w".to_owned(),
            place: None,
        });
        let outcome = Outcome::Succeeded { outputs: DataRef::empty(), deck: None };
        world.send(&Command::AttemptFinished { node, attempt: Attempt(0), outcome, began: None, used: None });
    }
    world.send(&Command::OutputsResolved { outputs: DataRef::empty() });
    assert!(world.execution.phase().is_terminal());
    (world.commands, world.journal)
}

fn run_map(plan: &Arc<Plan>) -> u64 {
    let mut world = World::new(plan);
    let node = NodeId::new("n0");
    world.send(&Command::InputsResolved {
        node: node.clone(),
        inputs: DataRef::empty(),
        items: Some(ITEMS),
        case: None,
    });
    for start in (0..ITEMS).step_by(CHUNK as usize) {
        let chunk = FinishedChunk {
            range: ItemRange { start, end: start + CHUNK },
            attempt: Attempt(0),
            outputs: DataRef::empty(),
            failures: Vec::new(),
            returned: Vec::new(),
            micros: 1,
            worker: "w".to_owned(),
            used: None,
        };
        world.send(&Command::ItemsFinished { node: node.clone(), chunk });
    }
    world.send(&Command::MapAssembled { node, outputs: DataRef::empty() });
    u64::from(ITEMS)
}

struct World {
    execution: Execution,
    journal: Vec<Event>,
    commands: u64,
}

impl World {
    fn new(plan: &Arc<Plan>) -> Self {
        let mut execution = Execution::new(Arc::clone(plan));
        let created = Event::Created(Box::new(created()));
        execution.apply(&created);
        let mut world = Self { execution, journal: vec![created], commands: 0 };
        world.send(&Command::Start);
        world
    }

    fn send(&mut self, command: &Command) {
        let events = self.execution.decide(command, Timestamp::EPOCH).expect("the command fits");
        for event in events {
            self.execution.apply(&event);
            black_box(self.execution.effects_of(&event));
            self.journal.push(event);
        }
        self.commands += 1;
    }
}

fn created() -> Created {
    let entity = EntityId {
        kind: EntityKind::Workflow,
        project: "p".to_owned(),
        domain: "d".to_owned(),
        name: "w".to_owned(),
        version: "v".to_owned(),
    };
    Created {
        execution: ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name: "x".to_owned() },
        launched: entity.clone(),
        workflow: entity,
        plan: BlobRef { uri: String::new(), size: 0, digest: 0 },
        inputs: DataRef::empty(),
        user_inputs: DataRef::empty(),
        spec: Bytes::new(),
        settings: Settings::default(),
        data_prefix: String::new(),
        raw_prefix: String::new(),
        principal: String::new(),
        parent: None,
    }
}

fn workflow(length: usize) -> core::CompiledWorkflowClosure {
    let nodes = (0..length).map(|place| core::Node {
        id: format!("n{place}"),
        upstream_node_ids: (place > 0).then(|| format!("n{}", place - 1)).into_iter().collect(),
        target: Some(core::node::Target::TaskNode(reference())),
        ..Default::default()
    });
    closure(nodes.collect())
}

fn map() -> core::CompiledWorkflowClosure {
    let inner = core::Node { target: Some(core::node::Target::TaskNode(reference())), ..Default::default() };
    let array = core::ArrayNode { node: Some(Box::new(inner)), ..Default::default() };
    let target = core::node::Target::ArrayNode(Box::new(array));
    closure(vec![core::Node { id: "n0".to_owned(), target: Some(target), ..Default::default() }])
}

fn closure(nodes: Vec<core::Node>) -> core::CompiledWorkflowClosure {
    let template = core::WorkflowTemplate { nodes, ..Default::default() };
    let container = core::Container { args: vec!["pyflyte-execute".to_owned()], ..Default::default() };
    let task = core::TaskTemplate {
        id: Some(core::Identifier { name: "t".to_owned(), ..Default::default() }),
        target: Some(core::task_template::Target::Container(container)),
        ..Default::default()
    };
    core::CompiledWorkflowClosure {
        primary: Some(core::CompiledWorkflow { template: Some(template), ..Default::default() }),
        tasks: vec![core::CompiledTask { template: Some(task) }],
        ..Default::default()
    }
}

fn reference() -> core::TaskNode {
    let id = core::Identifier { name: "t".to_owned(), ..Default::default() };
    core::TaskNode { reference: Some(core::task_node::Reference::ReferenceId(id)), ..Default::default() }
}
