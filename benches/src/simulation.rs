//! The real engine on a real log, with workers that answer at once: what is measured is the engine alone.

use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::core;
use skein_inner::values;
use skein_log::embedded::EmbeddedLog;
use skein_log::memory::{MemoryInbox, MemoryLog, MemoryQueue};
use skein_log::{BlobStore, Cursor, EventLog, Inbox as _, Lease, SendError, TaskQueue as _};
use skein_model::command::{Began, Outcome};
use skein_model::event::{Created, FinishedChunk, Settings};
use skein_model::{
    BlobRef, Category, CauseId, Command, DataRef, EntityId, EntityKind, Envelope, Event, ExecutionId, Head,
    JournalId, PoolId, Record, Timestamp, Work, codec, paths,
};
use skein_runtime::{Clock, Config, Engine, Metrics};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;

/// How many nodes of one execution run at once, as the SDK asks for by default.
const PARALLELISM: u32 = 25;
/// How many workers answer at once.
const WORKERS: usize = 4;
/// How many executions are created at once.
const CLIENTS: usize = 64;

/// Where the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kept {
    /// In memory: nothing but the engine.
    Memory,
    /// On the disk, as `skein up` does by default.
    Embedded,
}

/// What a simulated worker does.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long it says that an item took, in microseconds, at least 1; chunks are cut by that.
    pub item_micros: u64,
    /// After how many items all workers stop answering.
    pub items_max: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { item_micros: 1, items_max: u64::MAX }
    }
}

/// An engine with all it needs but workers.
pub struct Simulation {
    log: Arc<dyn EventLog>,
    inbox: Arc<MemoryInbox>,
    queue: Arc<MemoryQueue>,
    blobs: Arc<BlobStore>,
    engine: Engine,
    metrics: Metrics,
}

impl Simulation {
    /// Opens the log under `folder`, or an empty one in memory, and starts an engine, which takes up what is under way.
    pub async fn start(kept: Kept, folder: &Path) -> Self {
        let log: Arc<dyn EventLog> = match kept {
            Kept::Memory => Arc::new(MemoryLog::default()),
            Kept::Embedded => {
                let log = folder.join("log");
                let open = tokio::task::spawn_blocking(move || EmbeddedLog::open(&log));
                Arc::new(open.await.expect("it does not panic").expect("a folder of ours"))
            }
        };
        let inbox = Arc::new(MemoryInbox::new(4_096, Duration::from_secs(10)));
        let queue = Arc::new(MemoryQueue::new(Duration::from_secs(600)));
        let blobs = Arc::new(BlobStore::local(&folder.join("blobs")).expect("a folder of ours"));
        let metrics = Metrics::default();
        let engine = Engine::start(
            Config::default(),
            metrics.clone(),
            Arc::clone(&log),
            inbox.clone(),
            queue.clone(),
            Arc::clone(&blobs),
            clock(),
        )
        .await
        .expect("the log can be read");
        Self { log, inbox, queue, blobs, engine, metrics }
    }

    /// Ends the engine.
    pub async fn stop(self) {
        self.engine.stop().await;
    }

    /// Keeps a workflow where executions find it.
    pub async fn plan(&self, closure: &core::CompiledWorkflowClosure) -> BlobRef {
        self.blobs.put(&self.blobs.url("plan"), closure.encode_to_vec().into()).await.expect("a disk")
    }

    /// Keeps the inputs of a map over `items` integers.
    pub async fn list(&self, items: u32) -> DataRef {
        let pieces = Box::pin(futures::stream::iter(values::integers(items).map(Ok::<_, std::io::Error>)));
        DataRef::Blob(self.blobs.put_stream(&self.blobs.url("list"), pieces, u64::MAX).await.expect("a disk"))
    }

    /// Creates `count` executions, many at once; answers when all are durable.
    pub async fn create_many(&self, count: usize, plan: &BlobRef, inputs: &DataRef) {
        let clients = (0..CLIENTS.min(count)).map(|client| {
            let (log, root) = (Arc::clone(&self.log), self.blobs.root().to_owned());
            let (plan, inputs) = (plan.clone(), inputs.clone());
            tokio::spawn(async move {
                for number in (client..count).step_by(CLIENTS) {
                    create(&log, &root, &format!("x{number}"), &plan, &inputs).await;
                }
            })
        });
        for client in futures::future::join_all(clients).await {
            client.expect("no client panics");
        }
    }

    /// Waits until `count` executions have actors.
    pub async fn under_way(&self, count: usize) {
        while usize::try_from(self.metrics.executions_active.get()).unwrap_or(0) < count {
            tokio::task::yield_now().await;
        }
    }

    /// Starts workers, which answer what they are handed at once and until they are aborted.
    pub fn work(&self, pace: Pace) -> Vec<JoinHandle<()>> {
        let answers = Arc::new(Answers { pace, known: Mutex::default() });
        let worker = |number| {
            let (queue, inbox) = (Arc::clone(&self.queue), Arc::clone(&self.inbox));
            let (blobs, answers) = (Arc::clone(&self.blobs), Arc::clone(&answers));
            tokio::spawn(async move {
                let name = format!("w{number}");
                while let Ok(lease) = queue.lease(&pool(), &name).await {
                    let command = answers.of(&lease.work, &blobs).await;
                    report(&inbox, &queue, lease, command).await;
                }
            })
        };
        (0..WORKERS).map(worker).collect()
    }

    /// Takes the first work there is and keeps it; answers when it has it.
    pub async fn first_work(&self) -> Lease {
        self.queue.lease(&pool(), "w").await.expect("the queue is there")
    }

    /// Answers how many items of maps have been recorded as ended.
    pub fn items(&self) -> u64 {
        self.metrics.items.get()
    }

    /// Waits until `count` executions have ended.
    pub async fn ended(&self, count: usize) {
        let mut records = self.log.follow(Category::Execution, Cursor::default());
        let mut left = count;
        while left > 0 {
            let followed = futures::StreamExt::next(&mut records).await.expect("the log goes on");
            let envelope = followed.expect("the log is whole").envelope;
            left -= usize::from(envelope.record.closes);
        }
    }

    /// Reads the journal of an execution.
    pub async fn journal(&self, id: &ExecutionId) -> Vec<Envelope> {
        self.log.read(&JournalId::execution(id), Head::EMPTY).await.expect("the log is whole")
    }
}

/// Answers the time between the first node's start and its success, as the journal has it.
pub fn node_took(journal: &[Envelope]) -> Duration {
    let at = |wanted: fn(&Event) -> bool| {
        journal.iter().find(|envelope| events(envelope).iter().any(wanted)).expect("it ended").record.time
    };
    let start = at(|event| matches!(event, Event::NodeStarted { .. }));
    at(|event| matches!(event, Event::NodeSucceeded { .. })).since(start)
}

/// Decodes the events of a record.
pub fn events(envelope: &Envelope) -> Vec<Event> {
    codec::decode(envelope.schema, &envelope.record.body).expect("it was written here")
}

/// What workers answer. Of many chunks of one length the outputs are the same object, written once: what a worker
/// writes is not the engine's work.
struct Answers {
    pace: Pace,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    outputs: BTreeMap<u32, DataRef>,
    items: u64,
}

impl Answers {
    async fn of(&self, work: &Work, blobs: &BlobStore) -> Command {
        let (node, attempt) = (work.id.node.clone(), work.id.attempt);
        let Some(range) = work.id.items else {
            let outcome = Outcome::Succeeded { outputs: DataRef::Inline(values::one()), deck: None };
            let began = Some(Began { worker: "w".to_owned(), micros_ago: 1, place: None });
            return Command::AttemptFinished { node, attempt, outcome, began, used: None };
        };
        self.count(range.len()).await;
        let chunk = FinishedChunk {
            range,
            attempt,
            outputs: self.outputs(range.len(), blobs).await,
            failures: Vec::new(),
            returned: Vec::new(),
            micros: u64::from(range.len()) * self.pace.item_micros,
            worker: "w".to_owned(),
            used: None,
        };
        Command::ItemsFinished { node, chunk }
    }

    /// Counts items, and never comes back from those that are not to be answered.
    async fn count(&self, items: u32) {
        let answered = {
            let mut known = self.known();
            known.items += u64::from(items);
            known.items <= self.pace.items_max
        };
        if !answered {
            std::future::pending::<()>().await;
        }
    }

    async fn outputs(&self, items: u32, blobs: &BlobStore) -> DataRef {
        let known = self.known().outputs.get(&items).cloned();
        if let Some(outputs) = known {
            return outputs;
        }
        let uri = blobs.url(&format!("outputs/{items}"));
        let outputs = blobs.store(&uri, values::booleans(items)).await.expect("a disk");
        self.known().outputs.insert(items, outputs.clone());
        outputs
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn report(inbox: &MemoryInbox, queue: &MemoryQueue, lease: Lease, command: Command) {
    while let Err(fault) = inbox.send(&lease.work.id.execution, command.clone()).await {
        if matches!(fault, SendError::Refused(_)) {
            break;
        }
        tokio::task::yield_now().await;
    }
    queue.complete(lease.id).await.expect("the lease holds");
}

async fn create(
    log: &Arc<dyn EventLog>,
    root: &str,
    name: &str,
    plan: &BlobRef,
    inputs: &DataRef,
) -> ExecutionId {
    let id = ExecutionId::parse("p", "d", name).expect("a good id");
    let workflow = EntityId {
        kind: EntityKind::Workflow,
        project: "p".to_owned(),
        domain: "d".to_owned(),
        name: "w".to_owned(),
        version: "v".to_owned(),
    };
    let created = Created {
        execution: id.clone(),
        launched: workflow.clone(),
        workflow,
        plan: plan.clone(),
        user_inputs: inputs.clone(),
        inputs: inputs.clone(),
        spec: Bytes::new(),
        settings: Settings { max_parallelism: PARALLELISM, ..Settings::default() },
        data_prefix: paths::data_prefix(root, &id),
        raw_prefix: paths::raw_prefix(root, &id),
        principal: "bench".to_owned(),
        parent: None,
    };
    let body = codec::encode(&[Event::Created(Box::new(created))]).expect("it is small");
    let record = Record { time: clock()(), cause: CauseId(0), trace: None, closes: false, body };
    log.append(&JournalId::execution(&id), Head::EMPTY, record).await.expect("the name is free");
    id
}

fn pool() -> PoolId {
    PoolId("default".to_owned())
}

fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}
