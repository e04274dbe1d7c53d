//! What was written once can be read for ever: one file for every form in which something is stored.
//!
//! A file is never changed. A new form gets a new one, written by `SKEIN_WRITE_GOLDEN=1 cargo test -p skein-model`.

mod nested;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use skein_model::accelerators::{Accelerator, Part};
use skein_model::cache::CacheFound;
use skein_model::codec;
use skein_model::command::{Began, Outcome};
use skein_model::envelope::{SCHEMA, TraceContext};
use skein_model::event::{CachedItems, Created, FinishedChunk, ItemFailure, ItemRange, Settings};
use skein_model::notification::{Channel, Ended, MailService};
use skein_model::resources::{Amounts, SharedMemory};
use skein_model::work::{Isolation, Life, Work, WorkId, WorkKind};
use skein_model::{
    Actor, Attempt, BlobRef, CacheKey, CacheSource, CatalogEvent, CauseId, Charge, Command, ConnectorWork,
    DataRef, Dataset, EntityId, EntityKind, Envelope, Event, ExecutionId, ExecutionPhase, Failure,
    FailureCause, Head, Job, JobPhase, JournalId, NodeId, Notification, NotificationEvent, PoolId, Quota,
    Record, RegistryEvent, Sealed, SecretId, SecretKind, TaskResources, TimeLimit, Timestamp, Used,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn node() -> NodeId {
    NodeId::new("n0")
}

fn attempt() -> Attempt {
    Attempt(2)
}

fn inline() -> DataRef {
    DataRef::Inline(Bytes::from_static(&[0x0a, 0x00, 0xff]))
}

fn blob_ref() -> BlobRef {
    BlobRef { uri: "file:///store/outputs.pb".to_owned(), size: 4096, digest: 0x0123_4567_89ab_cdef }
}

fn blob() -> DataRef {
    DataRef::Blob(blob_ref())
}

fn entity(kind: EntityKind) -> EntityId {
    EntityId {
        kind,
        project: "flytesnacks".to_owned(),
        domain: "development".to_owned(),
        name: "module.name".to_owned(),
        version: "v1".to_owned(),
    }
}

fn execution() -> ExecutionId {
    ExecutionId {
        project: "flytesnacks".to_owned(),
        domain: "development".to_owned(),
        name: "abc".to_owned(),
    }
}

fn failure_by(cause: FailureCause, charge: Charge) -> Failure {
    Failure { code: "USER:RuntimeError".to_owned(), message: "it broke: ä".to_owned(), cause, charge }
}

fn failure() -> Failure {
    failure_by(FailureCause::TaskRaised { recoverable: true }, Charge::User)
}

fn failures() -> Vec<Failure> {
    vec![
        failure(),
        failure_by(FailureCause::SdkFault { recoverable: false }, Charge::System),
        failure_by(FailureCause::ExitCode(3), Charge::User),
        failure_by(FailureCause::Signal(9), Charge::Interruption),
        failure_by(FailureCause::OutOfMemory, Charge::User),
        failure_by(FailureCause::OutputsNotFound, Charge::User),
        failure_by(FailureCause::OutputsUnreadable, Charge::User),
        failure_by(FailureCause::TimedOut, Charge::User),
        failure_by(FailureCause::WorkerLost, Charge::System),
        failure_by(FailureCause::Interrupted, Charge::Interruption),
        failure_by(FailureCause::StartFailed, Charge::System),
        failure_by(FailureCause::InputsUnresolvable, Charge::User),
        failure_by(FailureCause::InvalidRequest, Charge::User),
    ]
}

/// Every phase, and all fields or as few as there may be.
fn jobs() -> [Job; 5] {
    [
        JobPhase::Unreachable,
        JobPhase::Queued,
        JobPhase::WaitingForResources,
        JobPhase::Initializing,
        JobPhase::Running,
    ]
    .map(|phase| {
        let is_full = phase == JobPhase::Running;
        let bytes = |of: &'static [u8]| Bytes::from_static(of);
        Job {
            connector: "http://localhost:8000".to_owned(),
            resource_meta: is_full.then(|| bytes(&[0xff, 0])),
            since: Timestamp::from_micros(7),
            phase,
            message: "half".to_owned(),
            logs: if is_full { vec![bytes(&[0x0a, 0])] } else { Vec::new() },
            custom_info: if is_full { bytes(&[1]) } else { Bytes::new() },
        }
    })
}

/// Causes that there were not at first.
fn failures_added() -> Vec<Failure> {
    vec![
        failure_by(FailureCause::ConnectorFault, Charge::System),
        failure_by(FailureCause::JobUnresolved, Charge::System),
    ]
}

fn pairs() -> BTreeMap<String, String> {
    BTreeMap::from([("key".to_owned(), "value".to_owned())])
}

fn created() -> Created {
    Created {
        execution: execution(),
        launched: entity(EntityKind::LaunchPlan),
        workflow: entity(EntityKind::Workflow),
        plan: blob_ref(),
        inputs: blob(),
        user_inputs: inline(),
        spec: Bytes::from_static(&[1, 2]),
        settings: Settings {
            max_parallelism: 25,
            interruptible: Some(true),
            overwrite_cache: true,
            envs: pairs(),
            labels: pairs(),
            annotations: pairs(),
            tags: vec!["tag".to_owned()],
            quota: Quota::default(),
            notifications: Vec::new(),
            tells_nobody: false,
        },
        data_prefix: "file:///store/metadata/x".to_owned(),
        raw_prefix: "file:///store/raw/x".to_owned(),
        principal: "somebody".to_owned(),
        parent: None,
    }
}

fn chunk() -> FinishedChunk {
    FinishedChunk {
        range: ItemRange { start: 100, end: 200 },
        attempt: attempt(),
        outputs: blob(),
        failures: vec![ItemFailure { index: 150, failure: failure() }],
        returned: vec![ItemRange { start: 190, end: 200 }],
        micros: 1_500_000,
        worker: "worker-1".to_owned(),
        used: None,
    }
}

fn cache_source() -> CacheSource {
    CacheSource { execution: execution(), node: node(), attempt: attempt(), task_version: "v1".to_owned() }
}

fn cache_answers() -> Vec<(Option<CacheKey>, CacheFound)> {
    let key = Some(CacheKey(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    vec![
        (key, CacheFound::Hit { source: cache_source(), outputs: blob() }),
        (key, CacheFound::Missing { reason: String::new(), reserved: false }),
        (key, CacheFound::Missing { reason: "gone".to_owned(), reserved: true }),
        (key, CacheFound::Waiting { owner: cache_source() }),
        (key, CacheFound::Skipped { reserved: true }),
        (None, CacheFound::Failed { reason: "no inputs".to_owned() }),
    ]
}

fn cached_items() -> CachedItems {
    CachedItems { range: ItemRange { start: 100, end: 200 }, absent: vec![150, 151], outputs: blob() }
}

fn notification_events() -> Vec<(&'static str, Vec<NotificationEvent>)> {
    let ended = Box::new(Ended {
        execution: execution(),
        launched: entity(EntityKind::LaunchPlan),
        workflow: entity(EntityKind::Workflow),
        phase: ExecutionPhase::Failed,
        at: Timestamp::from_micros(7),
        code: "USER:RuntimeError".to_owned(),
        message: "boom".to_owned(),
    });
    let mail = |service| Channel::Mail { service, recipient: "a@example.org".to_owned() };
    let services = [MailService::Email, MailService::PagerDuty, MailService::Slack];
    let webhook = Channel::Webhook { name: "ops".to_owned() };
    let channels = services.into_iter().map(mail).chain([webhook]).collect();
    let not_sent = |again| NotificationEvent::NotSent {
        notice: 1,
        tries: 2,
        reason: "it answers 500".to_owned(),
        again,
    };
    vec![
        ("Awaited", vec![NotificationEvent::Awaited]),
        ("Ended", vec![NotificationEvent::Ended { ended, channels }]),
        ("Sent", vec![NotificationEvent::Sent { notice: 0, tries: 1 }]),
        ("NotSent", vec![not_sent(Some(Timestamp::from_micros(9))), not_sent(None)]),
        ("ResendAsked", vec![NotificationEvent::ResendAsked { notice: 1, principal: "somebody".to_owned() }]),
    ]
}

fn catalog_events() -> Vec<(&'static str, Vec<CatalogEvent>)> {
    let dataset = Dataset {
        project: "flytesnacks".to_owned(),
        domain: "development".to_owned(),
        task: "module.name".to_owned(),
        version: "1".to_owned(),
        interface: 7,
    };
    let keys = CacheKey::join([CacheKey(1), CacheKey(2)]);
    let stored = |first, items| CatalogEvent::Stored {
        keys: keys.clone(),
        outputs: inline(),
        first,
        source: cache_source(),
        items,
    };
    let evicted = |keys| CatalogEvent::Evicted { keys, principal: "somebody".to_owned() };
    let until = Timestamp::from_micros(5);
    vec![
        ("Opened", vec![CatalogEvent::Opened { dataset }]),
        ("Stored", vec![stored(0, false), stored(16_384, true)]),
        ("Evicted", vec![evicted(None), evicted(Some(keys.clone()))]),
        ("Reserved", vec![CatalogEvent::Reserved { owner: cache_source(), until }]),
        ("Released", vec![CatalogEvent::Released]),
    ]
}

/// Every event, several where it has several forms.
fn events() -> Vec<(&'static str, Vec<Event>)> {
    let plain = Created { settings: Settings::default(), inputs: DataRef::empty(), ..created() };
    let empty = FinishedChunk { failures: vec![], returned: vec![], outputs: DataRef::empty(), ..chunk() };
    let (node, attempt, worker) = (node(), attempt(), "worker-1".to_owned());
    let principal = || "somebody".to_owned();
    vec![
        ("Created", vec![Event::Created(Box::new(created())), Event::Created(Box::new(plain))]),
        ("Started", vec![Event::Started]),
        ("NodeQueued", vec![Event::NodeQueued { node: node.clone() }]),
        (
            "NodeStarted",
            [inline(), blob()].map(|inputs| Event::NodeStarted { node: node.clone(), inputs }).into(),
        ),
        (
            "AttemptQueued",
            [None, Some(Timestamp::from_micros(-7))]
                .map(|not_before| Event::AttemptQueued { node: node.clone(), attempt, not_before })
                .into(),
        ),
        (
            "AttemptMoved",
            vec![Event::AttemptMoved { node: node.clone(), attempt, reason: "no capacity".to_owned() }],
        ),
        (
            "AttemptStarted",
            vec![Event::AttemptStarted { node: node.clone(), attempt, worker, micros_ago: 0, place: None }],
        ),
        (
            "AttemptSucceeded",
            [None, Some("file:///deck.html".to_owned())]
                .map(|deck| Event::AttemptSucceeded {
                    node: node.clone(),
                    attempt,
                    outputs: inline(),
                    deck,
                    used: None,
                })
                .into(),
        ),
        (
            "AttemptFailed",
            failures()
                .into_iter()
                .map(|failure| Event::AttemptFailed { node: node.clone(), attempt, failure, used: None })
                .collect(),
        ),
        (
            "JobReported",
            jobs().map(|job| Event::JobReported { node: node.clone(), attempt, job: Box::new(job) }).into(),
        ),
        ("AttemptAborted", vec![Event::AttemptAborted { node: node.clone(), attempt }]),
        ("LateResultIgnored", vec![Event::LateResultIgnored { node: node.clone(), attempt }]),
        ("MapStarted", vec![Event::MapStarted { node: node.clone(), size: 100_000 }]),
        (
            "ItemsFinished",
            [(chunk(), vec![150]), (empty, vec![])]
                .map(|(chunk, again)| Event::ItemsFinished { node: node.clone(), chunk, again })
                .into(),
        ),
        (
            "CacheLookedUp",
            cache_answers()
                .into_iter()
                .map(|(key, found)| Event::CacheLookedUp { node: node.clone(), key, found })
                .collect(),
        ),
        ("ItemsCached", vec![Event::ItemsCached { node: node.clone(), items: cached_items() }]),
        (
            "CacheStored",
            [None, Some("full".to_owned())]
                .map(|failure| Event::CacheStored { node: node.clone(), failure })
                .into(),
        ),
        ("NodeSucceeded", vec![Event::NodeSucceeded { node: node.clone(), outputs: blob() }]),
        ("NodeFailed", vec![Event::NodeFailed { node: node.clone(), failure: failure() }]),
        ("NodeTimedOut", vec![Event::NodeTimedOut { node: node.clone(), failure: failure() }]),
        (
            "NodeAborted",
            vec![Event::NodeAborted { node: node.clone(), reason: "Workflow aborted.".to_owned() }],
        ),
        ("NodeSkipped", vec![Event::NodeSkipped { node }]),
        ("Failing", vec![Event::Failing { failure: failure() }]),
        ("Aborting", vec![Event::Aborting { cause: "enough".to_owned(), principal: principal() }]),
        ("Succeeding", vec![Event::Succeeding]),
        ("Succeeded", vec![Event::Succeeded { outputs: inline() }]),
        ("Failed", vec![Event::Failed { failure: failure() }]),
        ("Aborted", vec![Event::Aborted]),
        ("Archived", vec![Event::Archived { archived: true, principal: principal() }]),
    ]
}

fn registry_events() -> Vec<(&'static str, Vec<RegistryEvent>)> {
    let registered = |kind| RegistryEvent::Registered {
        id: entity(kind),
        digest: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
        closure: blob(),
        task_type: "python-task".to_owned(),
        short_description: "What it does.".to_owned(),
        docs: None,
    };
    let (version, principal) = (|| "v1".to_owned(), || "somebody".to_owned());
    vec![
        (
            "Registered",
            [EntityKind::Task, EntityKind::Workflow, EntityKind::LaunchPlan].map(registered).into(),
        ),
        ("Activated", vec![RegistryEvent::Activated { version: version(), principal: principal() }]),
        ("Deactivated", vec![RegistryEvent::Deactivated { version: version(), principal: principal() }]),
        (
            "NameUpdated",
            vec![RegistryEvent::NameUpdated {
                description: "what it is".to_owned(),
                archived: true,
                principal: principal(),
            }],
        ),
        (
            "ProjectPut",
            vec![RegistryEvent::ProjectPut {
                project: "flytesnacks".to_owned(),
                name: "Snacks".to_owned(),
                description: "examples".to_owned(),
                archived: false,
                labels: pairs(),
            }],
        ),
        (
            "AttributePut",
            [None, Some(Bytes::from_static(&[1]))]
                .map(|value| RegistryEvent::AttributePut {
                    domain: "development".to_owned(),
                    workflow: String::new(),
                    resource: 7,
                    value,
                })
                .into(),
        ),
        (
            "SecretPut",
            [SecretKind::Generic, SecretKind::ImagePull]
                .map(|kind| RegistryEvent::SecretPut {
                    id: secret(),
                    kind,
                    created: Timestamp::from_micros(1_700_000_000_000_000),
                    sealed: Sealed {
                        key: "0123456789abcdef".to_owned(),
                        nonce: Bytes::from_static(&[7; 24]),
                        ciphertext: Bytes::from_static(&[0xff, 0, 1]),
                    },
                    principal: principal(),
                })
                .into(),
        ),
        ("SecretDeleted", vec![RegistryEvent::SecretDeleted { id: secret(), principal: principal() }]),
        (
            "SecretKeysUsed",
            vec![RegistryEvent::SecretKeysUsed { keys: vec!["0123456789abcdef".to_owned(), "b".to_owned()] }],
        ),
    ]
}

fn secret() -> SecretId {
    SecretId {
        project: "flytesnacks".to_owned(),
        domain: "development".to_owned(),
        name: "db-password".to_owned(),
    }
}

fn times_up() -> Vec<Command> {
    let (node, attempt) = (node(), attempt());
    [
        TimeLimit::Interruptible { node: node.clone(), attempt },
        TimeLimit::Queued { node: node.clone(), attempt },
        TimeLimit::Node { node },
        TimeLimit::Execution,
    ]
    .map(|limit| Command::TimeUp { limit, after: Duration::from_millis(1_500) })
    .into()
}

fn commands() -> Vec<(&'static str, Vec<Command>)> {
    let (node, attempt) = (node(), attempt());
    let succeeded = Outcome::Succeeded { outputs: inline(), deck: Some("file:///deck.html".to_owned()) };
    let principal = || "somebody".to_owned();
    vec![
        ("Start", vec![Command::Start]),
        (
            "InputsResolved",
            [None, Some(100_000)]
                .map(|items| Command::InputsResolved {
                    node: node.clone(),
                    inputs: blob(),
                    items,
                    case: None,
                })
                .into(),
        ),
        ("InputsFailed", vec![Command::InputsFailed { node: node.clone(), failure: failure() }]),
        (
            "CacheLookedUp",
            cache_answers()
                .into_iter()
                .map(|(key, found)| Command::CacheLookedUp { node: node.clone(), key, found })
                .collect(),
        ),
        (
            "CacheStored",
            [None, Some("full".to_owned())]
                .map(|failure| Command::CacheStored { node: node.clone(), failure })
                .into(),
        ),
        ("TimeUp", times_up()),
        ("ItemsCached", vec![Command::ItemsCached { node: node.clone(), items: cached_items() }]),
        (
            "AttemptStarted",
            vec![Command::AttemptStarted {
                node: node.clone(),
                attempt,
                worker: "worker-1".to_owned(),
                place: None,
            }],
        ),
        (
            "JobReported",
            jobs().map(|job| Command::JobReported { node: node.clone(), attempt, job: Box::new(job) }).into(),
        ),
        (
            "AttemptFinished",
            [succeeded, Outcome::Failed(failure())]
                .map(|outcome| Command::AttemptFinished {
                    node: node.clone(),
                    attempt,
                    outcome,
                    began: None,
                    used: None,
                })
                .into(),
        ),
        ("ItemsFinished", vec![Command::ItemsFinished { node: node.clone(), chunk: chunk() }]),
        ("MapAssembled", vec![Command::MapAssembled { node, outputs: blob() }]),
        ("OutputsResolved", vec![Command::OutputsResolved { outputs: inline() }]),
        ("OutputsFailed", vec![Command::OutputsFailed { failure: failure() }]),
        ("Terminate", vec![Command::Terminate { cause: "enough".to_owned(), principal: principal() }]),
        ("Archive", vec![Command::Archive { archived: true, principal: principal() }]),
    ]
}

fn works() -> Vec<(&'static str, Vec<Work>)> {
    let work = |kind, items, timeout| Work {
        id: WorkId { execution: execution(), node: node(), attempt: attempt(), items },
        pool: PoolId("default".to_owned()),
        task: entity(EntityKind::Task),
        template: blob_ref(),
        kind,
        args: vec!["pyflyte-execute".to_owned(), String::new()],
        env: vec![("NAME".to_owned(), "value".to_owned())],
        inputs: blob(),
        input_uri: "file:///store/inputs.pb".to_owned(),
        output_prefix: "file:///store/n0/data/2".to_owned(),
        timeout,
        workflow: entity(EntityKind::Workflow),
        trace: timeout.map(|_| TraceContext { trace_id: 1, span_id: 2 }),
        rank: 0,
        isolation: None,
        life: Life::default(),
        processes_max: None,
        actor: None,
        resources: TaskResources::default(),
        image: None,
        raw_prefix: None,
        connector: None,
    };
    let items = WorkKind::Items { bound: vec!["y".to_owned()], of: 100_000, within: None };
    let range = Some(ItemRange { start: 100, end: 200 });
    vec![
        ("Task", vec![work(WorkKind::Task, None, Some(Duration::from_millis(1_500)))]),
        ("Items", vec![work(items, range, None)]),
    ]
}

fn resources() -> TaskResources {
    let requests = Amounts { cpu_millis: Some(500), memory_bytes: Some(1 << 30), ..Amounts::default() };
    let limits = Amounts { storage_bytes: Some(1 << 40), gpus: Some(2), ..requests };
    TaskResources {
        requests,
        limits,
        accelerator: Some(Accelerator {
            device: "nvidia-tesla-a100".to_owned(),
            part: Part::Of("1g.5gb".to_owned()),
        }),
        shared_memory: Some(SharedMemory { path: "/dev/shm".to_owned(), bytes: Some(1 << 20) }),
    }
}

fn file(family: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(family).join(format!("{name}.mpk"))
}

/// Answers the names of an enum's variants, which serde tells whoever asks for one that there is not.
fn variants_of<T: DeserializeOwned>() -> BTreeSet<String> {
    let refusal = match T::deserialize(StrDeserializer::<Error>::new("?")) {
        Ok(_) => panic!("there is no variant of this name"),
        Err(error) => error.to_string(),
    };
    // "unknown variant `?`, expected one of `A`, `B`, `C`", or "expected `A` or `B`".
    let (_, names) = refusal.split_once("expected ").expect("serde lists what it expected");
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn check<T>(family: &str, known: &BTreeSet<String>, examples: &[(&'static str, Vec<T>)])
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let named: BTreeSet<String> = examples.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(&named, known, "every form of {family} has examples here");
    for (name, values) in examples {
        let (file, encoded) = (file(family, name), codec::encode(values).expect("an example is small"));
        if !file.exists() && std::env::var_os("SKEIN_WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder that can be made");
            std::fs::write(&file, &encoded).expect("a file that can be written");
        }
        let golden = std::fs::read(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; SKEIN_WRITE_GOLDEN=1 writes it", file.display()));
        let decoded: Vec<T> =
            codec::decode(SCHEMA, &golden).unwrap_or_else(|error| panic!("{family} {name}: {error}"));
        assert_eq!(&decoded, values, "{family} {name} means what it meant");
        assert_eq!(encoded, golden, "{family} {name} is written as it was");
    }
}

#[test]
fn every_event_is_read_and_written_as_ever() {
    check("event", &variants_of::<Event>(), &[events(), nested::events()].concat());
}

#[test]
fn every_catalog_event_is_read_and_written_as_ever() {
    check("catalog", &variants_of::<CatalogEvent>(), &catalog_events());
}

#[test]
fn every_event_of_notices_is_read_and_written_as_ever() {
    check("notification", &variants_of::<NotificationEvent>(), &notification_events());
}

#[test]
fn every_registry_event_is_read_and_written_as_ever() {
    check("registry", &variants_of::<RegistryEvent>(), &registry_events());
}

#[test]
fn every_command_is_read_and_written_as_ever() {
    check("command", &variants_of::<Command>(), &[commands(), nested::commands()].concat());
}

#[test]
fn every_kind_of_work_is_read_and_written_as_ever() {
    check("work", &variants_of::<WorkKind>(), &works());
}

#[test]
fn what_was_added_to_a_form_is_read_and_written_as_ever() {
    let started = Event::AttemptStarted {
        node: node(),
        attempt: Attempt(1),
        worker: "w".to_owned(),
        micros_ago: 250,
        place: None,
    };
    check("added", &BTreeSet::from(["AttemptStarted".to_owned()]), &[("AttemptStarted", vec![started])]);
    let began = Some(Began { worker: "w".to_owned(), micros_ago: 250, place: None });
    let outcome = Outcome::Succeeded { outputs: DataRef::empty(), deck: None };
    let finished = Command::AttemptFinished { node: node(), attempt: Attempt(1), outcome, began, used: None };
    check("added", &BTreeSet::from(["AttemptFinished".to_owned()]), &[("AttemptFinished", vec![finished])]);
    let isolations = Isolation::ALL.map(|(_, isolation)| isolation).to_vec();
    check("added", &BTreeSet::from(["Isolation".to_owned()]), &[("Isolation", isolations)]);
    let life = Life { attempts_max: Some(100), seconds_max: Some(3_600), growth_mib_max: Some(512) };
    let (_, work) = works().swap_remove(0);
    let bounded: Vec<_> =
        work.iter().map(|work| Work { life, processes_max: Some(2), ..work.clone() }).collect();
    check("added", &BTreeSet::from(["Life".to_owned()]), &[("Life", bounded)]);
    let actor = Actor {
        environment: "p/d/env/0123456789abcde".to_owned(),
        image: "image".to_owned(),
        slots: 2,
        backlog: 1,
        ttl: Duration::from_secs(90),
    };
    let warm: Vec<_> = work.iter().map(|work| Work { actor: Some(actor.clone()), ..work.clone() }).collect();
    check("added", &BTreeSet::from(["Actor".to_owned()]), &[("Actor", warm)]);
    let asking: Vec<_> = work.into_iter().map(|work| Work { resources: resources(), ..work }).collect();
    check("added", &BTreeSet::from(["Resources".to_owned()]), &[("Resources", asking)]);
    let failures = BTreeSet::from(["Failures".to_owned()]);
    check("added", &failures, &[("Failures", failures_added())]);
    let connector = ConnectorWork {
        job: jobs().into_iter().next_back(),
        was_started: true,
        attempts_max: 3,
        labels: pairs(),
        annotations: pairs(),
    };
    let (_, elsewhere) = works().swap_remove(0);
    let elsewhere: Vec<_> = elsewhere
        .into_iter()
        .map(|work| Work { connector: Some(Box::new(connector.clone())), ..work })
        .collect();
    check("added", &BTreeSet::from(["Connector".to_owned()]), &[("Connector", elsewhere)]);
    let told = Settings {
        notifications: vec![Notification {
            phases: vec![ExecutionPhase::Failed, ExecutionPhase::TimedOut],
            service: MailService::PagerDuty,
            recipients: vec!["a@example.org".to_owned()],
        }],
        tells_nobody: true,
        ..Settings::default()
    };
    check("added", &BTreeSet::from(["Told".to_owned()]), &[("Told", vec![told])]);
    let quota = Quota { defaults: resources().requests, limits: resources().limits };
    check("added", &BTreeSet::from(["Quota".to_owned()]), &[("Quota", vec![quota])]);
}

#[test]
fn what_came_with_nodes_within_nodes_is_read_and_written_as_ever() {
    check("added", &BTreeSet::from(["Nested".to_owned()]), &[("Nested", nested::added())]);
    let child = Event::Created(Box::new(Created { parent: Some(nested::parent()), ..created() }));
    check("added", &BTreeSet::from(["Child".to_owned()]), &[("Child", vec![child])]);
    let refused = vec![failure_by(FailureCause::Refused, Charge::User)];
    check("added", &BTreeSet::from(["Refused".to_owned()]), &[("Refused", refused)]);
}

#[test]
fn what_was_used_is_read_and_written_as_ever() {
    let used = Some(Used {
        memory_bytes: 220 << 20,
        cpu_micros: 75_000_000,
        cpu_millis: 980,
        gpu_memory_bytes: None,
        gpu_percent: Some(87),
    });
    let (node, attempt, outputs) = (node(), Attempt(1), DataRef::empty());
    let outcome = Outcome::Succeeded { outputs: outputs.clone(), deck: None };
    let finished = Command::AttemptFinished { node: node.clone(), attempt, outcome, began: None, used };
    check("added", &BTreeSet::from(["FinishedUsed".to_owned()]), &[("FinishedUsed", vec![finished])]);
    let chunk = FinishedChunk { used, ..chunk() };
    let events = vec![
        Event::AttemptSucceeded { node: node.clone(), attempt, outputs, deck: None, used },
        Event::AttemptFailed { node: node.clone(), attempt, failure: failure(), used },
        Event::ItemsFinished { node, chunk, again: Vec::new() },
    ];
    check("added", &BTreeSet::from(["Used".to_owned()]), &[("Used", events)]);
}

#[test]
fn every_cause_of_failure_has_an_example() {
    let all = [failures(), failures_added(), vec![failure_by(FailureCause::Refused, Charge::User)]].concat();
    let written = codec::encode(&all).expect("examples are small");
    for cause in variants_of::<FailureCause>() {
        assert!(written.windows(cause.len()).any(|window| window == cause.as_bytes()), "{cause}");
    }
}

#[test]
fn a_field_that_an_older_program_does_not_know_is_passed_over() {
    // `[{"NodeQueued": {"node": "n0", "later": 1}}]`
    let body = b"\x91\x81\xaaNodeQueued\x82\xa4node\xa2n0\xa5later\x01";
    let events: Vec<Event> = codec::decode(SCHEMA, body).expect("an event with one field more");
    assert_eq!(events, [Event::NodeQueued { node: node() }]);
}

#[test]
fn a_record_from_a_newer_program_and_a_damaged_one_are_refused() {
    assert!(matches!(codec::decode::<Event>(SCHEMA + 1, &[0x90]), Err(codec::CodecError::Schema { .. })));
    assert!(matches!(codec::decode::<Event>(SCHEMA, &[0x91, 0x81]), Err(codec::CodecError::Malformed(_))));
}

#[test]
fn the_digest_of_a_record_is_what_it_was() {
    let record = |trace, closes| Record {
        time: Timestamp::from_micros(1_700_000_000_000_000),
        cause: CauseId(0x0123_4567_89ab_cdef),
        trace,
        closes,
        body: codec::encode(&[Event::Started]).expect("an event is small"),
    };
    let first = Envelope::seal(JournalId::execution(&execution()), Head::EMPTY, record(None, false));
    let trace = Some(TraceContext { trace_id: 1, span_id: 2 });
    let second = Envelope::seal(JournalId::execution(&execution()), first.head(1), record(trace, true));
    assert_eq!((first.schema, second.version.0), (1, 2));
    assert_eq!(
        format!("{:016x} {:016x}", first.digest.0, second.digest.0),
        "433b85d250677711 a0900de8681a5bf0"
    );
}

#[test]
fn the_cause_that_a_command_names_is_what_it_was() {
    let archive = Command::Archive { archived: true, principal: "someone".to_owned() };
    assert_eq!(
        format!("{:016x} {:016x}", Command::Start.cause().0, archive.cause().0),
        "dbc70a3045ca9ac2 5360c10a53e47425"
    );
}
