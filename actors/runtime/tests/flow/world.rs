//! An engine with everything round it, and workflows whose tasks add one.

use super::random::nodes::{Does, Tasks};
use bytes::Bytes;
use futures::stream::BoxStream;
use prost::Message as _;
use skein_core::Plan;
use skein_idl::flyteidl::core;
use skein_log::memory::{MemoryInbox, MemoryLog, MemoryQueue};
use skein_log::{
    AppendError, BlobStore, EventLog, Inbox as _, Lease, QueueError, Refusal, SendError, TaskQueue as _,
};
use skein_model::command::Outcome;
use skein_model::event::{Created, FinishedChunk, ItemRange, Settings};
use skein_model::literals::{self, encode_integer, encode_literal_map};
use skein_model::{
    CauseId, Command, DataRef, EntityId, EntityKind, Event, ExecutionId, Failure, Head, JournalId, PoolId,
    Record, TaskRules, Timestamp, Work, WorkId, codec, paths,
};
use skein_runtime::{Clock, Config, Engine, Metrics, Notify};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// Small enough that a map of some hundred items is put together piece by piece.
const OUTPUTS_AT_ONCE_MAX: u64 = 1_000;
/// Who waits for somebody of another engine looks again after this.
const RESERVATION: Duration = Duration::from_millis(100);

pub struct World {
    pub log: Arc<dyn EventLog>,
    inbox: Arc<MemoryInbox>,
    queue: Arc<MemoryQueue>,
    blobs: Arc<BlobStore>,
    engine: Engine,
    metrics: Metrics,
    folder: TempDir,
}

/// What a worker answers.
#[derive(Clone)]
pub enum Answer {
    AddOne,
    /// As [`Answer::AddOne`], of as many items of a chunk; the others are late, and go back.
    AddOneToSome(u32),
    Fail(Failure),
    /// What the task of that name does in a random workflow.
    ByTask(Arc<Tasks>),
}

fn queue() -> Arc<MemoryQueue> {
    Arc::new(MemoryQueue::new(Duration::from_secs(60)))
}

/// The time of tokio, which tests may have stand still.
fn clock() -> Clock {
    let start = tokio::time::Instant::now();
    Arc::new(move || START.after(start.elapsed()))
}

const START: Timestamp = Timestamp::from_micros(1_000_000);

impl World {
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("the folder is there"));
        Self::over(Arc::new(MemoryLog::default()), queue(), blobs, folder, TaskRules::default()).await
    }

    /// As [`World::start`], on another log.
    pub async fn start_on(log: Arc<dyn EventLog>) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("the folder is there"));
        Self::over(log, queue(), blobs, folder, TaskRules::default()).await
    }

    /// As [`World::start`], with somebody to be told of ends.
    pub async fn start_telling(notify: Notify) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("the folder is there"));
        let log = Arc::new(MemoryLog::default());
        Self::over_telling(log, queue(), blobs, folder, TaskRules::default(), notify).await
    }

    async fn over(
        log: Arc<dyn EventLog>,
        queue: Arc<MemoryQueue>,
        blobs: Arc<BlobStore>,
        folder: TempDir,
        rules: TaskRules,
    ) -> Self {
        Self::over_telling(log, queue, blobs, folder, rules, Notify::default()).await
    }

    async fn over_telling(
        log: Arc<dyn EventLog>,
        queue: Arc<MemoryQueue>,
        blobs: Arc<BlobStore>,
        folder: TempDir,
        rules: TaskRules,
        notify: Notify,
    ) -> Self {
        let inbox = Arc::new(MemoryInbox::new(64, Duration::from_secs(5)));
        let metrics = Metrics::default();
        let engine = Engine::start(
            Config {
                rules,
                outputs_at_once_max: OUTPUTS_AT_ONCE_MAX,
                reservation: RESERVATION,
                notify,
                ..Config::default()
            },
            metrics.clone(),
            Arc::clone(&log),
            inbox.clone(),
            queue.clone(),
            Arc::clone(&blobs),
            clock(),
        )
        .await
        .expect("the log can be read");
        Self { log, inbox, queue, blobs, engine, metrics, folder }
    }

    /// Ends the engine with all it had in memory, and starts another on the same log.
    pub async fn restart(self) -> Self {
        self.restart_with(TaskRules::default()).await
    }

    /// As [`World::restart`], with other rules.
    pub async fn restart_with(self, rules: TaskRules) -> Self {
        self.engine.stop().await;
        Self::over(self.log, queue(), self.blobs, self.folder, rules).await
    }

    /// As [`World::restart`], with somebody to be told of ends.
    pub async fn restart_telling(self, notify: Notify) -> Self {
        self.engine.stop().await;
        Self::over_telling(self.log, queue(), self.blobs, self.folder, TaskRules::default(), notify).await
    }

    /// Ends the engine, and starts another on the same log and the same queue: its workers go on.
    pub async fn restart_beside_workers(self) -> Self {
        self.engine.stop().await;
        Self::over(self.log, self.queue, self.blobs, self.folder, TaskRules::default()).await
    }

    /// Puts work into the queue behind the engine's back.
    pub async fn offer(&self, work: Work) {
        self.queue.offer(work).await.expect("the queue is there");
    }

    /// Lists what workers have or could have.
    pub async fn held(&self) -> Vec<WorkId> {
        let mut held = self.queue.held(&PoolId("default".to_owned())).await.expect("the queue is there");
        held.sort_unstable();
        held
    }

    /// Runs what was leased before, and reports it.
    pub async fn finish(&self, lease: Lease) {
        let command = respond(&lease.work, &Answer::AddOne, &self.blobs).await;
        self.send(&lease.work.id.execution, command).await.expect("it is wanted");
        self.queue.complete(lease.id).await.expect("the lease holds");
    }

    /// A second engine that believes it owns everything as well.
    pub async fn rival(&self) -> Engine {
        Engine::start(
            Config::default(),
            Metrics::default(),
            Arc::clone(&self.log),
            Arc::new(MemoryInbox::new(64, Duration::from_secs(5))),
            self.queue.clone(),
            Arc::clone(&self.blobs),
            clock(),
        )
        .await
        .expect("the log can be read")
    }

    pub fn plan(&self, closure: &core::CompiledWorkflowClosure) -> Arc<Plan> {
        Arc::new(Plan::parse(closure.clone()).expect("a good workflow"))
    }

    pub async fn create(
        &self,
        name: &str,
        closure: &core::CompiledWorkflowClosure,
        inputs: &[(&str, i64)],
    ) -> ExecutionId {
        let literals: Vec<_> = inputs.iter().map(|(name, value)| (*name, encode_integer(*value))).collect();
        let inputs = encode_literal_map(literals.iter().map(|(name, value)| (*name, value.as_ref())));
        self.append_created(name, closure, inputs).await
    }

    /// As [`World::create`], with settings.
    pub async fn create_with(
        &self,
        name: &str,
        closure: &core::CompiledWorkflowClosure,
        settings: Settings,
    ) -> ExecutionId {
        let inputs = encode_literal_map([("x", encode_integer(1).as_ref())]);
        self.append_created_with(name, closure, inputs, settings).await
    }

    pub async fn create_list(
        &self,
        name: &str,
        closure: &core::CompiledWorkflowClosure,
        items: &[i64],
    ) -> ExecutionId {
        let items: Vec<Bytes> = items.iter().map(|item| encode_integer(*item)).collect();
        let list = literals::encode_collection(&items);
        self.append_created(name, closure, encode_literal_map([("x", list.as_ref())])).await
    }

    /// Creates an execution whose list stands in the blob store by itself, as one that the SDK has offloaded.
    pub async fn create_stored(
        &self,
        name: &str,
        closure: &core::CompiledWorkflowClosure,
        uri: &str,
    ) -> ExecutionId {
        let metadata = core::LiteralOffloadedMetadata { uri: uri.to_owned(), ..Default::default() };
        let value = core::literal::Value::OffloadedMetadata(metadata);
        let literal = core::Literal { value: Some(value), ..Default::default() }.encode_to_vec();
        self.append_created(name, closure, encode_literal_map([("x", literal.as_slice())])).await
    }

    /// Stores an object, and answers where.
    pub async fn store(&self, name: &str, bytes: Bytes) -> String {
        self.blobs.put(&self.blobs.url(name), bytes).await.expect("a disk").uri
    }

    async fn append_created(
        &self,
        name: &str,
        closure: &core::CompiledWorkflowClosure,
        inputs: Bytes,
    ) -> ExecutionId {
        self.append_created_with(name, closure, inputs, Settings::default()).await
    }

    async fn append_created_with(
        &self,
        name: &str,
        closure: &core::CompiledWorkflowClosure,
        inputs: Bytes,
        settings: Settings,
    ) -> ExecutionId {
        let id = ExecutionId::parse("p", "d", name).expect("a good id");
        let plan =
            self.blobs.put(&self.blobs.url("plan"), closure.encode_to_vec().into()).await.expect("a disk");
        let inputs = self.blobs.store(&self.blobs.url("inputs"), inputs).await.expect("a disk");
        let entity = EntityId {
            kind: EntityKind::Workflow,
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: "w".to_owned(),
            version: "v".to_owned(),
        };
        let created = Created {
            execution: id.clone(),
            launched: entity.clone(),
            workflow: entity,
            plan,
            user_inputs: inputs.clone(),
            inputs,
            spec: Bytes::new(),
            settings,
            data_prefix: paths::data_prefix(self.blobs.root(), &id),
            raw_prefix: paths::raw_prefix(self.blobs.root(), &id),
            principal: "tester".to_owned(),
            recovers: None,
            parent: None,
        };
        let body = codec::encode(&[Event::Created(Box::new(created))]).expect("it is small");
        let record = Record { time: clock()(), cause: CauseId(0), trace: None, closes: false, body };
        let journal = JournalId::execution(&id);
        loop {
            match self.log.append(&journal, Head::EMPTY, record.clone()).await {
                Err(AppendError::Unknown { .. }) => {}
                Err(AppendError::Conflict { .. }) => return id,
                appended => return appended.map(|_| id).expect("the name is free"),
            }
        }
    }

    pub async fn send(&self, id: &ExecutionId, command: Command) -> Result<(), Refusal> {
        loop {
            match self.inbox.send(id, command.clone()).await {
                Ok(()) => return Ok(()),
                Err(SendError::Refused(refusal)) => return Err(refusal),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    /// Hears what workers are told to prepare for.
    pub async fn announcements(&self) -> BoxStream<'static, Arc<Work>> {
        self.queue.announcements(&PoolId("default".to_owned())).await.expect("the queue is there")
    }

    pub async fn lease(&self) -> Lease {
        self.queue.lease(&PoolId("default".to_owned()), "idle").await.expect("the queue is there")
    }

    /// Starts a worker that answers everything alike.
    pub fn work(&self, answer: Answer) -> JoinHandle<()> {
        let (queue, inbox, blobs) =
            (Arc::clone(&self.queue), Arc::clone(&self.inbox), Arc::clone(&self.blobs));
        tokio::spawn(async move {
            loop {
                let lease =
                    queue.lease(&PoolId("default".to_owned()), "w").await.expect("the queue is there");
                let command = respond(&lease.work, &answer, &blobs).await;
                while let Err(fault) = inbox.send(&lease.work.id.execution, command.clone()).await {
                    if matches!(fault, SendError::Refused(_)) {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                match queue.complete(lease.id).await {
                    // It was withdrawn meanwhile.
                    Ok(()) | Err(QueueError::LeaseEnded) => {}
                    Err(fault) => panic!("the queue is there: {fault}"),
                }
            }
        })
    }

    pub async fn events(&self, journal: &JournalId) -> Vec<Event> {
        let envelopes = self.log.read(journal, Head::EMPTY).await.expect("the log is whole");
        envelopes
            .iter()
            .flat_map(|envelope| {
                codec::decode::<Event>(envelope.schema, &envelope.record.body).expect("ours")
            })
            .collect()
    }

    /// Waits until something has happened to an execution; answers when that was recorded.
    pub async fn until(&self, id: &ExecutionId, has: impl Fn(&Event) -> bool) -> Timestamp {
        let journal = JournalId::execution(id);
        let mut records = self.log.follow(journal.category(), skein_log::Cursor::default());
        while let Some(record) = futures::StreamExt::next(&mut records).await {
            let envelope = record.expect("the log is whole").envelope;
            let events: Vec<Event> =
                codec::decode(envelope.schema, &envelope.record.body).expect("it is readable");
            if envelope.journal == journal && events.iter().any(&has) {
                return envelope.record.time;
            }
        }
        panic!("the log has ended")
    }

    /// Waits until an execution has ended; answers its events.
    pub async fn finished(&self, id: &ExecutionId) -> Vec<Event> {
        let journal = JournalId::execution(id);
        let mut records = self.log.follow(journal.category(), skein_log::Cursor::default());
        while let Some(record) = futures::StreamExt::next(&mut records).await {
            let envelope = record.expect("the log is whole").envelope;
            if envelope.journal == journal && envelope.record.closes {
                break;
            }
        }
        self.settled().await;
        self.events(&journal).await
    }

    /// Waits until no execution has an actor any more; each has then compared its state with its journal.
    pub async fn settled(&self) {
        while self.metrics.executions_active.get() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.metrics.replays_that_differ.get(), 0, "replay must equal live");
    }

    pub async fn outputs(&self, events: &[Event]) -> Vec<(String, Vec<i64>)> {
        let Some(Event::Succeeded { outputs }) = events.last() else {
            panic!("it ended with {:?}", events.last())
        };
        let bytes = self.blobs.load(outputs).await.expect("the outputs are there");
        let map = core::LiteralMap::decode(bytes).expect("a literal map");
        map.literals.into_iter().map(|(name, literal)| (name, integers(&literal))).collect()
    }
}

async fn respond(work: &Work, answer: &Answer, blobs: &BlobStore) -> Command {
    let (node, attempt) = (work.id.node.clone(), work.id.attempt);
    let outcome = match answer {
        Answer::Fail(failure) => Outcome::Failed(failure.clone()),
        Answer::ByTask(tasks) if work.id.items.is_none() => {
            let bytes = blobs.load(&work.inputs).await.expect("the inputs are there");
            let map = core::LiteralMap::decode(bytes).expect("a literal map");
            let numbers: Vec<i64> = map.literals.values().flat_map(integers).collect();
            match tasks.does(&work.task.name, &numbers, attempt.0) {
                Does::Fails(failure) => Outcome::Failed(failure),
                Does::Gives(number) => {
                    let number = encode_integer(number);
                    let outputs = DataRef::Inline(encode_literal_map([("o0", number.as_ref())]));
                    Outcome::Succeeded { outputs, deck: None }
                }
                Does::Makes(spec) => {
                    let uri = format!("{}/futures.pb", work.output_prefix);
                    let spec = blobs.put(&uri, spec).await.expect("a disk").uri;
                    Outcome::MadeNodes { spec, deck: None }
                }
            }
        }
        Answer::AddOne | Answer::AddOneToSome(_) | Answer::ByTask(_) => {
            let bytes = blobs.load(&work.inputs).await.expect("the inputs are there");
            let map = core::LiteralMap::decode(bytes).expect("a literal map");
            let numbers: Vec<Bytes> =
                map.literals.values().flat_map(integers).map(|number| encode_integer(number + 1)).collect();
            let Some(range) = work.id.items else {
                let outputs = DataRef::Inline(encode_literal_map([("o0", numbers[0].as_ref())]));
                let outcome = Outcome::Succeeded { outputs, deck: None };
                return Command::AttemptFinished { node, attempt, outcome, began: None, used: None };
            };
            let most = if let Answer::AddOneToSome(most) = answer { *most } else { u32::MAX };
            let rest = ItemRange { start: range.end.min(range.start.saturating_add(most)), end: range.end };
            let list = literals::encode_collection(&numbers[..(rest.start - range.start) as usize]);
            let outputs = encode_literal_map([("o0", list.as_ref())]);
            let uri = paths::outputs(&work.output_prefix);
            let chunk = FinishedChunk {
                range,
                attempt,
                outputs: blobs.store(&uri, outputs).await.expect("a disk"),
                failures: Vec::new(),
                returned: if rest.is_empty() { Vec::new() } else { vec![rest] },
                micros: u64::from(range.len()) * 100,
                worker: "w".to_owned(),
                used: None,
            };
            return Command::ItemsFinished { node, chunk };
        }
    };
    Command::AttemptFinished { node, attempt, outcome, began: None, used: None }
}

fn integers(literal: &core::Literal) -> Vec<i64> {
    use core::{literal, primitive, scalar};
    match &literal.value {
        Some(literal::Value::Collection(list)) => list.literals.iter().flat_map(integers).collect(),
        Some(literal::Value::Scalar(scalar)) => match &scalar.value {
            Some(scalar::Value::Primitive(core::Primitive {
                value: Some(primitive::Value::Integer(number)),
            })) => {
                vec![*number]
            }
            other => panic!("not a number: {other:?}"),
        },
        other => panic!("not a number: {other:?}"),
    }
}

/// A workflow of tasks that each take `x` from the one before.
pub fn chain(length: usize) -> core::CompiledWorkflowClosure {
    let nodes = (0..length).map(|place| {
        let before =
            if place == 0 { ("start-node".to_owned(), "x") } else { (format!("n{}", place - 1), "o0") };
        core::Node {
            id: format!("n{place}"),
            inputs: vec![promise("x", &before.0, before.1)],
            upstream_node_ids: vec![before.0],
            target: Some(core::node::Target::TaskNode(reference())),
            ..Default::default()
        }
    });
    closure(nodes.collect(), &format!("n{}", length - 1))
}

/// A workflow that maps the task over its input `x`.
pub fn map() -> core::CompiledWorkflowClosure {
    let inner = core::Node { target: Some(core::node::Target::TaskNode(reference())), ..Default::default() };
    let array = core::ArrayNode { node: Some(Box::new(inner)), ..Default::default() };
    let node = core::Node {
        id: "n0".to_owned(),
        inputs: vec![promise("x", "start-node", "x")],
        target: Some(core::node::Target::ArrayNode(Box::new(array))),
        ..Default::default()
    };
    closure(vec![node], "n0")
}

/// A workflow that waits at a gate, and gives what comes of that.
pub fn gate(condition: core::gate_node::Condition) -> core::CompiledWorkflowClosure {
    let node = core::Node {
        id: "n0".to_owned(),
        target: Some(core::node::Target::GateNode(core::GateNode { condition: Some(condition) })),
        ..Default::default()
    };
    closure(vec![node], "n0")
}

fn closure(mut nodes: Vec<core::Node>, last: &str) -> core::CompiledWorkflowClosure {
    nodes.push(core::Node {
        id: "end-node".to_owned(),
        inputs: vec![promise("o0", last, "o0")],
        ..Default::default()
    });
    let variable = core::Variable::default();
    let outputs = core::VariableMap { variables: [("o0".to_owned(), variable)].into() };
    let task = core::TaskTemplate {
        id: Some(task_id()),
        interface: Some(core::TypedInterface { inputs: None, outputs: Some(outputs) }),
        target: Some(core::task_template::Target::Container(core::Container {
            args: vec!["pyflyte-execute".to_owned(), "{{.input}}".to_owned()],
            ..Default::default()
        })),
        ..Default::default()
    };
    let template = core::WorkflowTemplate { nodes, ..Default::default() };
    core::CompiledWorkflowClosure {
        primary: Some(core::CompiledWorkflow { template: Some(template), ..Default::default() }),
        tasks: vec![core::CompiledTask { template: Some(task) }],
        ..Default::default()
    }
}

fn task_id() -> core::Identifier {
    core::Identifier { name: "t".to_owned(), version: "v".to_owned(), ..Default::default() }
}

fn reference() -> core::TaskNode {
    core::TaskNode {
        reference: Some(core::task_node::Reference::ReferenceId(task_id())),
        ..Default::default()
    }
}

fn promise(var: &str, node: &str, output: &str) -> core::Binding {
    let promise =
        core::OutputReference { node_id: node.to_owned(), var: output.to_owned(), ..Default::default() };
    core::Binding {
        var: var.to_owned(),
        binding: Some(core::BindingData {
            value: Some(core::binding_data::Value::Promise(promise)),
            ..Default::default()
        }),
    }
}
