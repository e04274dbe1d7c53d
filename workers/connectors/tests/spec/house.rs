//! A queue, an inbox, a store, and connectors that are called.

use crate::fake::Fake;
use prost::Message as _;
use skein_connectors::{Config, Connector, Connectors, Pace};
use skein_idl::flyteidl::core::{
    LiteralType, SimpleType, TaskTemplate, TypedInterface, Variable, VariableMap, literal_type,
};
use skein_log::conformance::task_queue::work;
use skein_log::memory::{MemoryInbox, MemoryQueue};
use skein_log::{BlobStore, Inbox as _, Refusal, Stop, TaskQueue as _};
use skein_model::command::Outcome;
use skein_model::job::POOL;
use skein_model::{Command, ConnectorWork, DataRef, Failure, Job, PoolId, Timestamp, Work};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// How long whatever is awaited may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct House {
    pub folder: TempDir,
    pub connector: Connector,
    pub fake: Fake,
    pub blobs: Arc<BlobStore>,
    inbox: Arc<MemoryInbox>,
    pub queue: Arc<MemoryQueue>,
    connectors: Option<Connectors>,
    commands: mpsc::UnboundedReceiver<Command>,
    /// Whether executions want to know of jobs.
    wanted: Arc<std::sync::atomic::AtomicBool>,
    /// What was told of jobs since the last outcome.
    pub told: Vec<Job>,
    pub began: usize,
}

impl House {
    /// One whose connector is given up after a short while.
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Connector)) -> Self {
        let fake = Fake::start().await;
        let folder = tempfile::tempdir().unwrap();
        let mut connector = Connector::new(&fake.url).unwrap();
        connector.call_timeout = Duration::from_millis(300);
        connector.give_up_after = Duration::from_millis(600);
        change(&mut connector);
        let blobs = Arc::new(BlobStore::local(&folder.path().join("blobs")).unwrap());
        let inbox = Arc::new(MemoryInbox::new(64, Duration::from_secs(10)));
        let wanted = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (tell, commands) = mpsc::unbounded_channel();
        tokio::spawn(answer(Arc::clone(&inbox), Arc::clone(&wanted), tell));
        let queue = Arc::new(MemoryQueue::new(Duration::from_secs(30)));
        let mut house = Self {
            folder,
            connector,
            fake,
            blobs,
            inbox,
            queue,
            connectors: None,
            commands,
            wanted,
            told: Vec::new(),
            began: 0,
        };
        house.start();
        house
    }

    /// Starts calling connectors.
    pub fn start(&mut self) {
        let clock = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
        };
        let config = Config {
            pace: Pace {
                first: Duration::from_millis(5),
                most: Duration::from_millis(40),
                words: Duration::ZERO,
            },
            orphans_after: Duration::from_millis(50),
            ..Config::new(
                vec![self.connector.clone()],
                self.folder.path().join("connectors"),
                Arc::new(clock),
            )
        };
        std::fs::create_dir_all(&config.folder).unwrap();
        let (queue, inbox) = (self.queue.clone(), self.inbox.clone());
        self.connectors = Some(Connectors::start(config, queue, inbox, Arc::clone(&self.blobs)).unwrap());
    }

    /// Ends it as a crash would, with all that it had in memory.
    pub fn crash(&mut self) {
        self.connectors = None;
        self.queue = Arc::new(MemoryQueue::new(Duration::from_secs(30)));
        self.told.clear();
    }

    /// Has executions refuse whatever is told of jobs that were made, as those that have ended do.
    pub fn nobody_wants_jobs(&self) {
        self.wanted.store(false, std::sync::atomic::Ordering::SeqCst);
    }

    /// Makes work of a task of this type whose output `o0` is a whole number.
    pub async fn work(&self, task_type: &str) -> Work {
        let integer = LiteralType {
            r#type: Some(literal_type::Type::Simple(SimpleType::Integer.into())),
            ..LiteralType::default()
        };
        let variable = Variable { r#type: Some(integer), ..Variable::default() };
        let outputs = VariableMap { variables: [("o0".to_owned(), variable)].into() };
        let template = TaskTemplate {
            r#type: task_type.to_owned(),
            interface: Some(TypedInterface { outputs: Some(outputs), ..TypedInterface::default() }),
            ..TaskTemplate::default()
        };
        let uri = self.blobs.url("template.pb");
        let template = self.blobs.put(&uri, template.encode_to_vec().into()).await.unwrap();
        Work {
            template,
            inputs: DataRef::empty(),
            output_prefix: self.blobs.url("out/0"),
            input_uri: self.blobs.url("in/inputs.pb"),
            timeout: None,
            connector: Some(Box::new(ConnectorWork { attempts_max: 1, ..ConnectorWork::default() })),
            ..work(&PoolId(POOL.to_owned()), "e", "n0", 0)
        }
    }

    pub async fn offer(&self, work: Work) {
        self.queue.offer(work).await.unwrap();
    }

    pub async fn withdraw(&self, work: &Work) {
        self.queue.withdraw(Stop::Work(work.id.clone())).await.unwrap();
    }

    /// Waits for the next command.
    pub async fn next(&mut self) -> Command {
        tokio::time::timeout(PATIENCE, self.commands.recv()).await.expect("it comes in time").unwrap()
    }

    /// Waits until a job is told of that was made.
    pub async fn job(&mut self) -> Job {
        loop {
            if let Command::JobReported { job, .. } = self.next().await
                && job.resource_meta.is_some()
            {
                return *job;
            }
        }
    }

    /// Waits until the attempt has ended.
    pub async fn outcome(&mut self) -> Outcome {
        loop {
            match self.next().await {
                Command::JobReported { job, .. } => self.told.push(*job),
                Command::AttemptStarted { .. } => self.began += 1,
                Command::AttemptFinished { outcome, .. } => return outcome,
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn failure(&mut self) -> Failure {
        match self.outcome().await {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a call was made so often.
    pub async fn called(&self, call: &str, times: usize) {
        tokio::time::timeout(PATIENCE, self.fake.called(call, times)).await.expect("it is called in time");
    }
}

async fn answer(
    inbox: Arc<MemoryInbox>,
    wanted: Arc<std::sync::atomic::AtomicBool>,
    tell: mpsc::UnboundedSender<Command>,
) {
    while let Some(mail) = inbox.receive().await {
        let is_job = matches!(&mail.command, Command::JobReported { job, .. } if job.resource_meta.is_some());
        let answer = if is_job && !wanted.load(std::sync::atomic::Ordering::SeqCst) {
            Err(Refusal::Invalid("over".to_owned()))
        } else {
            drop(tell.send(mail.command));
            Ok(())
        };
        drop(mail.answer.send(answer));
    }
}
