//! A worker with everything round it: a queue, an inbox whose owner says yes to all, a blob store, user code.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use skein_idl::flyteidl::core::{
    Literal, LiteralCollection, LiteralMap, LiteralType, Primitive, Scalar, SimpleType, TaskTemplate,
    TypedInterface, Variable, VariableMap, literal, literal_type, primitive, scalar,
};
use skein_log::memory::{MemoryInbox, MemoryQueue};
use skein_log::printed;
use skein_log::{BlobStore, Inbox, TaskQueue};
use skein_model::command::Outcome;
use skein_model::event::{FinishedChunk, ItemRange};
use skein_model::work::WorkKind;
use skein_model::{
    Attempt, BlobRef, Command, DataRef, EntityId, EntityKind, ExecutionId, Failure, Life, NodeId, PoolId,
    Work, WorkId,
};
use skein_workers::{Config, Workers};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long anything may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const LEASE_TTL: Duration = Duration::from_secs(6);

pub(crate) struct House {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) blobs: Arc<BlobStore>,
    pub(crate) workers: Option<Workers>,
    pub(crate) said: mpsc::UnboundedReceiver<Command>,
    archive: BlobRef,
    works: AtomicU32,
}

/// Answers the interpreter that has the SDK.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("SKEIN_TEST_PYTHON").map(PathBuf::from).expect(
        "SKEIN_TEST_PYTHON is not set: run `cargo xtask test`, which makes an interpreter with the SDK",
    )
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(BlobStore::local(&folder.path().join("blobs")).unwrap());
        let archive = blobs.put(&blobs.url("code.tar.gz"), archive()).await.unwrap();
        let queue = Arc::new(MemoryQueue::new(LEASE_TTL));
        let inbox = Arc::new(MemoryInbox::new(64, Duration::from_secs(5)));
        let (sender, said) = mpsc::unbounded_channel();
        let owned = Arc::clone(&inbox);
        tokio::spawn(async move {
            while let Some(mail) = owned.receive().await {
                let _ = sender.send(mail.command);
                let _ = mail.answer.send(Ok(()));
            }
        });
        let mut config = Config::new(pool(), python(), folder.path().join("scratch"));
        config.slots = 2.try_into().unwrap();
        config.bytecode = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bytecode");
        change(&mut config);
        let workers =
            Workers::start(config, Arc::clone(&queue) as _, Arc::clone(&inbox) as _, Arc::clone(&blobs))
                .unwrap();
        Self { folder, queue, blobs, workers: Some(workers), said, archive, works: AtomicU32::new(0) }
    }

    /// A file for user code to leave a trace in, alone in its folder.
    pub(crate) fn witness(&self) -> PathBuf {
        let folder = self.folder.path().join("witness");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("w")
    }

    pub(crate) async fn template(
        &self,
        inputs: &[(&str, LiteralType)],
        output: Option<LiteralType>,
    ) -> BlobRef {
        let variables = |pairs: Vec<(&str, LiteralType)>| {
            let variable = |r#type| Variable { r#type: Some(r#type), ..Variable::default() };
            Some(VariableMap {
                variables: pairs.into_iter().map(|(n, t)| (n.to_owned(), variable(t))).collect(),
            })
        };
        let interface = TypedInterface {
            inputs: variables(inputs.to_vec()),
            outputs: variables(output.into_iter().map(|r#type| ("o0", r#type)).collect()),
        };
        let template = TaskTemplate { interface: Some(interface), ..TaskTemplate::default() };
        let bytes = Bytes::from(template.encode_to_vec());
        let uri = self.blobs.url(&format!("templates/{:x}", xxhash_rust::xxh3::xxh3_64(&bytes)));
        self.blobs.put(&uri, bytes).await.unwrap()
    }

    /// One try of a task of `single.py` that takes an integer.
    pub(crate) async fn task(&self, name: &str, x: i64, output: Option<LiteralType>) -> Work {
        let template = self.template(&[("x", simple(SimpleType::Integer))], output).await;
        let inputs = map([("x", integer(x))]);
        self.work(name, template, WorkKind::Task, None, "pyflyte-execute", "", inputs)
    }

    /// One try of a task of another module, that takes an integer and tells something.
    pub(crate) async fn task_of(&self, module: &str, name: &str) -> Work {
        let mut work = self.task(name, 1, Some(simple(SimpleType::String))).await;
        let at = work.args.iter().position(|arg| arg == "task-module").unwrap();
        module.clone_into(&mut work.args[at + 1]);
        let prefix = format!("{}/{}", work.output_prefix, work.id.attempt);
        let before = std::mem::replace(&mut work.output_prefix, prefix.clone());
        for arg in work.args.iter_mut().filter(|arg| **arg == before) {
            prefix.clone_into(arg);
        }
        for (name, value) in &mut work.env {
            if name == "FLYTE_ATTEMPT_NUMBER" {
                *value = work.id.attempt.to_string();
            }
        }
        work
    }

    /// The text that an attempt returned.
    pub(crate) async fn told(&mut self, work: Work) -> String {
        let outcome = self.outcome(work).await;
        let Outcome::Succeeded { outputs, deck: None } = outcome else { panic!("{outcome:?}") };
        let literal = self.load(&outputs).await.literals.remove("o0").unwrap();
        let Some(literal::Value::Scalar(scalar)) = literal.value else { panic!("no scalar") };
        match scalar.value {
            Some(scalar::Value::Primitive(Primitive {
                value: Some(primitive::Value::StringValue(text)),
            })) => text,
            other => panic!("{other:?}"),
        }
    }

    /// Items of a map of a task of `maps.py`, of which `x` differs by item.
    pub(crate) async fn items(
        &self,
        name: &str,
        range: ItemRange,
        (x, values): (LiteralType, Vec<Literal>),
        bound: Vec<(&str, LiteralType, Literal)>,
        output: Option<LiteralType>,
    ) -> Work {
        let mut types = vec![("x", list_of(x))];
        types.extend(bound.iter().map(|(name, r#type, _)| (*name, r#type.clone())));
        let template = self.template(&types, output.map(list_of)).await;
        let names: Vec<_> = bound.iter().map(|(name, _, _)| (*name).to_owned()).collect();
        let vars = names.join(",");
        let mut literals = vec![("x", collection(values))];
        literals.extend(bound.into_iter().map(|(name, _, literal)| (name, literal)));
        let kind = WorkKind::Items { bound: names, of: range.end, within: None };
        self.work(name, template, kind, Some(range), "pyflyte-map-execute", &vars, map(literals))
    }

    #[expect(clippy::too_many_arguments, reason = "one place puts a piece of work together")]
    fn work(
        &self,
        name: &str,
        template: BlobRef,
        kind: WorkKind,
        items: Option<ItemRange>,
        command: &str,
        vars: &str,
        inputs: LiteralMap,
    ) -> Work {
        let task = entity(EntityKind::Task, name);
        let run = items.map_or("0".to_owned(), |items| format!("0/{}-{}", items.start, items.end));
        let prefix = self.blobs.url(&format!("metadata/p-d-x/n0/{name}/{run}"));
        let input_uri = self.blobs.url(&format!("metadata/p-d-x/n0/{name}/inputs.pb"));
        let raw = self.blobs.url("raw/p-d-x");
        let (module, resolver, loader) = match items {
            None => ("single", "flytekit.core.python_auto_container.default_task_resolver", Vec::new()),
            Some(_) => (
                "maps",
                "flytekit.core.array_node_map_task.ArrayNodeMapTaskResolver",
                vec!["vars", vars, "resolver", "flytekit.core.python_auto_container.default_task_resolver"],
            ),
        };
        let mut args = vec![
            "pyflyte-fast-execute",
            "--additional-distribution",
            &self.archive.uri,
            "--dest-dir",
            ".",
            "--",
            command,
            "--inputs",
            &input_uri,
            "--output-prefix",
            &prefix,
            "--raw-output-data-prefix",
            &raw,
            "--checkpoint-path",
            "",
            "--prev-checkpoint",
            "\"\"",
            "--resolver",
            resolver,
            "--",
        ];
        args.extend(loader);
        args.extend(["task-module", module, "task-name", name]);
        let witness = self.witness().display().to_string();
        let env = [
            ("WITNESS", witness.as_str()),
            ("FLYTE_INTERNAL_EXECUTION_ID", "x"),
            ("FLYTE_INTERNAL_EXECUTION_PROJECT", "p"),
            ("FLYTE_INTERNAL_EXECUTION_DOMAIN", "d"),
            ("FLYTE_ATTEMPT_NUMBER", "0"),
        ];
        Work {
            id: WorkId {
                execution: ExecutionId::parse("p", "d", "x").unwrap(),
                node: NodeId::new("n0"),
                // Each its own: an offer of what is still held changes nothing.
                attempt: Attempt(self.works.fetch_add(1, Ordering::Relaxed)),
                items,
            },
            pool: pool(),
            task,
            template,
            kind,
            rank: 0,
            isolation: None,
            life: Life::default(),
            processes_max: None,
            actor: None,
            resources: skein_model::TaskResources::default(),
            image: None,
            raw_prefix: None,
            connector: None,
            args: args.into_iter().map(str::to_owned).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            inputs: DataRef::Inline(inputs.encode_to_vec().into()),
            input_uri,
            output_prefix: prefix,
            timeout: None,
            workflow: entity(EntityKind::Workflow, "wf"),
            trace: None,
        }
    }

    pub(crate) async fn offer(&self, work: Work) {
        self.queue.offer(work).await.unwrap();
    }

    /// Runs one try and answers how it ended.
    pub(crate) async fn outcome(&mut self, work: Work) -> Outcome {
        self.offer(work).await;
        loop {
            match self.next().await {
                Command::AttemptFinished { outcome, .. } => return outcome,
                Command::AttemptStarted { .. } => {}
                other => panic!("not asked for: {other:?}"),
            }
        }
    }

    /// Answers how the next try ended, and the worker that its start was told of, on its own or with the end.
    pub(crate) async fn beginning_and_end(&mut self) -> (Option<String>, Outcome) {
        let mut told = None;
        loop {
            match self.next().await {
                Command::AttemptStarted { worker, .. } => told = Some(worker),
                Command::AttemptFinished { outcome, began, .. } => {
                    assert!(told.is_none() || began.is_none(), "told twice");
                    return (told.or(began.map(|began| began.worker)), outcome);
                }
                other => panic!("not asked for: {other:?}"),
            }
        }
    }

    pub(crate) async fn failure(&mut self, work: Work) -> Failure {
        match self.outcome(work).await {
            Outcome::Failed(failure) => failure,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Runs one range of items and answers what became of them.
    pub(crate) async fn chunk(&mut self, work: Work) -> FinishedChunk {
        self.offer(work).await;
        loop {
            match self.next().await {
                Command::ItemsFinished { chunk, .. } => return chunk,
                // Of an attempt that ran before.
                Command::AttemptStarted { .. } => {}
                other => panic!("not asked for: {other:?}"),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Command {
        tokio::time::timeout(PATIENCE, self.said.recv()).await.expect("a report in time").expect("an inbox")
    }

    /// Answers all that was printed under `prefix`.
    pub(crate) async fn log(&self, prefix: &str) -> String {
        let mut text = Vec::new();
        for uri in self.blobs.list(&skein_model::paths::log_folder(prefix)).await.unwrap() {
            assert_eq!(skein_model::paths::log_start(&uri), Some(text.len() as u64));
            let object = self.blobs.get(&uri, printed::ENCODED_BYTES_MAX).await.unwrap();
            for frame in printed::frames(object).unwrap() {
                text.extend_from_slice(&frame.text().unwrap());
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(crate) async fn load(&self, outputs: &DataRef) -> LiteralMap {
        LiteralMap::decode(self.blobs.load(outputs).await.unwrap()).unwrap()
    }

    /// The elements of the one output of a chunk.
    pub(crate) async fn elements(&self, chunk: &FinishedChunk) -> Vec<Literal> {
        match self.load(&chunk.outputs).await.literals.remove("o0").and_then(|literal| literal.value) {
            Some(literal::Value::Collection(collection)) => collection.literals,
            None => Vec::new(),
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn pool() -> PoolId {
    PoolId("default".to_owned())
}

fn entity(kind: EntityKind, name: &str) -> EntityId {
    let [project, domain, version] = ["p", "d", "1"].map(str::to_owned);
    EntityId { kind, project, domain, name: name.to_owned(), version }
}

fn archive() -> Bytes {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tasks");
    for name in [
        "single.py",
        "maps.py",
        "corpus.py",
        "imported.py",
        "asking.py",
        "threading_module.py",
        "connecting.py",
        "waiting.py",
        "exiting.py",
        "gated.py",
        "beside.txt",
    ] {
        builder.append_path_with_name(tasks.join(name), format!("./{name}")).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap().into()
}

pub(crate) fn simple(simple: SimpleType) -> LiteralType {
    LiteralType { r#type: Some(literal_type::Type::Simple(simple.into())), ..LiteralType::default() }
}

pub(crate) fn list_of(inner: LiteralType) -> LiteralType {
    LiteralType {
        r#type: Some(literal_type::Type::CollectionType(Box::new(inner))),
        ..LiteralType::default()
    }
}

pub(crate) fn map_of(inner: LiteralType) -> LiteralType {
    LiteralType { r#type: Some(literal_type::Type::MapValueType(Box::new(inner))), ..LiteralType::default() }
}

pub(crate) fn primitive(value: primitive::Value) -> Literal {
    let scalar = Scalar { value: Some(scalar::Value::Primitive(Primitive { value: Some(value) })) };
    Literal { value: Some(literal::Value::Scalar(Box::new(scalar))), ..Literal::default() }
}

pub(crate) fn integer(value: i64) -> Literal {
    primitive(primitive::Value::Integer(value))
}

pub(crate) fn string(value: &str) -> Literal {
    primitive(primitive::Value::StringValue(value.to_owned()))
}

pub(crate) fn collection(literals: Vec<Literal>) -> Literal {
    Literal { value: Some(literal::Value::Collection(LiteralCollection { literals })), ..Literal::default() }
}

pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Literal)>) -> LiteralMap {
    LiteralMap { literals: entries.into_iter().map(|(name, literal)| (name.to_owned(), literal)).collect() }
}

pub(crate) fn integers(range: ItemRange) -> (LiteralType, Vec<Literal>) {
    (simple(SimpleType::Integer), (range.start..range.end).map(|x| integer(x.into())).collect())
}

pub(crate) const fn range(start: u32, end: u32) -> ItemRange {
    ItemRange { start, end }
}

/// Says whether a process with this id is there and not just waiting to be reaped.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !matches!(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()), Some('Z' | 'X'))
    })
}

/// Waits until `condition` holds, as long as a loaded machine may need. What is waited for are real processes and their
/// files: only by asking again can it be known how far they are.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
