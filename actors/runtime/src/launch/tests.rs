//! What is launched from within is what a user would have launched.

use super::*;
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::metrics::Metrics;
use crate::notify::{Notifier, Notify};
use crate::ports::Clock;
use skein_catalog::Catalog;
use skein_idl::flyteidl::core::literal::Value;
use skein_idl::flyteidl::core::parameter::Behavior;
use skein_idl::flyteidl::core::{primitive, scalar};
use skein_log::faulty::{Faults, FaultyLog};
use skein_log::memory::{MemoryInbox, MemoryLog, MemoryQueue};
use skein_log::{BlobStore, EventLog};
use skein_model::{PoolId, Timestamp};
use std::time::Duration;
use tempfile::TempDir;

struct World {
    ports: Ports,
    _folder: TempDir,
}

async fn ports(log: Arc<dyn EventLog>, blobs: Arc<BlobStore>) -> Ports {
    let queue = Arc::new(MemoryQueue::new(Duration::from_secs(60)));
    let clock: Clock = Arc::new(|| Timestamp::from_micros(1_000_000));
    let (told, metrics) = (Notify::default(), Metrics::default());
    let notifier = Notifier::start(told, Arc::clone(&log), Arc::clone(&clock), metrics.clone()).await;
    Ports {
        config: Config::default(),
        dispatch: Arc::new(Dispatch::new(queue, PoolId("default".to_owned()), 1)),
        to_connectors: None,
        blobs,
        clock,
        plans: Default::default(),
        templates: Default::default(),
        launchables: Default::default(),
        announced: Default::default(),
        metrics,
        catalog: Catalog::new(Arc::clone(&log), skein_catalog::MEMORY_MAX),
        reservations: Default::default(),
        notifier: notifier.expect("the log can be read").0,
        inbox: Arc::new(MemoryInbox::new(1, Duration::from_secs(1))),
        log,
    }
}

fn integer() -> core::LiteralType {
    let simple = core::literal_type::Type::Simple(core::SimpleType::Integer.into());
    core::LiteralType { r#type: Some(simple), ..Default::default() }
}

fn int(number: i64) -> core::Literal {
    let primitive = core::Primitive { value: Some(primitive::Value::Integer(number)) };
    let scalar = core::Scalar { value: Some(scalar::Value::Primitive(primitive)) };
    core::Literal { value: Some(Value::Scalar(Box::new(scalar))), ..Default::default() }
}

fn inputs(given: &[(&str, i64)]) -> Bytes {
    let literals = given.iter().map(|(name, number)| ((*name).to_owned(), int(*number))).collect();
    core::LiteralMap { literals }.encode_to_vec().into()
}

fn id(kind: EntityKind, name: &str) -> EntityId {
    EntityId {
        kind,
        project: "p".to_owned(),
        domain: "development".to_owned(),
        name: name.to_owned(),
        version: "v".to_owned(),
    }
}

fn workflow() -> EntityId {
    id(EntityKind::Workflow, "w")
}

/// A launch plan that needs `x`, has a default for `y`, a label, and at most 7 nodes at once.
fn plan() -> admin::LaunchPlan {
    let parameter = |behavior| core::Parameter {
        var: Some(core::Variable { r#type: Some(integer()), ..Default::default() }),
        behavior: Some(behavior),
    };
    let parameters = [
        ("x".to_owned(), parameter(Behavior::Required(true))),
        ("y".to_owned(), parameter(Behavior::Default(int(2)))),
    ];
    let expected_inputs = Some(core::ParameterMap { parameters: parameters.into() });
    let labels = admin::Labels { values: [("of".to_owned(), "the plan".to_owned())].into() };
    admin::LaunchPlan {
        id: Some(id(EntityKind::LaunchPlan, "lp").to_proto()),
        spec: Some(admin::LaunchPlanSpec {
            workflow_id: Some(workflow().to_proto()),
            labels: Some(labels),
            max_parallelism: 7,
            ..Default::default()
        }),
        closure: Some(admin::LaunchPlanClosure { expected_inputs, ..Default::default() }),
    }
}

/// A workflow of one task that wants two cores.
fn closure() -> core::CompiledWorkflowClosure {
    let task = core::Identifier { name: "t".to_owned(), ..Default::default() };
    let reference = core::task_node::Reference::ReferenceId(task.clone());
    let node = core::Node {
        id: "n0".to_owned(),
        target: Some(core::node::Target::TaskNode(core::TaskNode {
            reference: Some(reference),
            ..Default::default()
        })),
        ..Default::default()
    };
    let cpu = core::resources::ResourceEntry {
        name: core::resources::ResourceName::Cpu.into(),
        value: "2".to_owned(),
    };
    let container = core::Container {
        resources: Some(core::Resources { requests: vec![cpu], limits: Vec::new() }),
        ..Default::default()
    };
    let template = core::TaskTemplate {
        id: Some(task),
        target: Some(core::task_template::Target::Container(container)),
        ..Default::default()
    };
    let workflow = core::WorkflowTemplate { nodes: vec![node], ..Default::default() };
    core::CompiledWorkflowClosure {
        primary: Some(core::CompiledWorkflow { template: Some(workflow), ..Default::default() }),
        tasks: vec![core::CompiledTask { template: Some(template) }],
        ..Default::default()
    }
}

impl World {
    async fn new() -> Self {
        Self::over(MemoryLog::default()).await
    }

    /// With workflow and launch plan registered; `log` may misbehave from then on.
    async fn over(log: impl EventLog) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("the folder is there"));
        let world = Self { ports: ports(Arc::new(log), blobs).await, _folder: folder };
        let blobs = &world.ports.blobs;
        let closure = blobs.put(&blobs.url("w"), closure().encode_to_vec().into()).await.expect("a disk");
        world.register(workflow(), DataRef::Blob(closure)).await;
        let plan = DataRef::Inline(plan().encode_to_vec().into());
        world.register(id(EntityKind::LaunchPlan, "lp"), plan).await;
        world
    }

    async fn register(&self, id: EntityId, closure: DataRef) {
        let journal = JournalId::entity(&id);
        let event = RegistryEvent::Registered {
            id,
            digest: 0,
            closure,
            task_type: String::new(),
            short_description: String::new(),
            docs: None,
        };
        self.record(&journal, event).await;
    }

    async fn record(&self, journal: &JournalId, event: RegistryEvent) {
        let body = codec::encode(&[event]).expect("it is small");
        let time = (self.ports.clock)();
        let record = Record { time, cause: CauseId(0), trace: None, closes: true, body };
        let head = self.ports.log.head(journal).await.expect("the log is there");
        // A log that loses its answers has written all the same.
        drop(self.ports.log.append(journal, head, record).await);
    }

    async fn launch(&self, name: &str, given: &[(&str, i64)]) -> Result<Launched, LaunchError> {
        launch(&self.ports, wanted(name, given)).await
    }

    async fn created(&self, name: &str) -> Vec<Created> {
        let journal = JournalId::execution(&execution(name));
        let records = self.ports.log.read(&journal, Head::EMPTY).await.expect("the log is there");
        let events = records.iter().flat_map(|record| {
            codec::decode::<Event>(record.schema, &record.record.body).expect("events were written")
        });
        let created = events.filter_map(|event| match event {
            Event::Created(created) => Some(*created),
            _ => None,
        });
        created.collect()
    }
}

fn execution(name: &str) -> ExecutionId {
    ExecutionId::parse("p", "development", name).expect("a good id")
}

fn wanted(name: &str, given: &[(&str, i64)]) -> Launch {
    let mut metadata = admin::ExecutionMetadata { nesting: 1, ..Default::default() };
    metadata.set_mode(admin::execution_metadata::ExecutionMode::ChildWorkflow);
    Launch {
        execution: execution(name),
        launch_plan: id(EntityKind::LaunchPlan, "lp"),
        inputs: inputs(given),
        metadata,
        inherited: admin::ExecutionSpec::default(),
        principal: "somebody".to_owned(),
        trace: None,
    }
}

#[tokio::test]
async fn what_is_launched_has_the_defaults_of_its_launch_plan_and_says_how_it_came_to_be() {
    let world = World::new().await;
    let launched = world.launch("a", &[("x", 1)]).await.expect("all is there");
    assert!(launched.is_new);
    let [created] = &world.created("a").await[..] else { panic!("one record") };
    let all = world.ports.blobs.load(&created.inputs).await.expect("they are stored");
    assert_eq!(all, inputs(&[("x", 1), ("y", 2)]));
    let given = world.ports.blobs.load(&created.user_inputs).await.expect("they are stored");
    assert_eq!(given, inputs(&[("x", 1)]));
    assert_eq!((created.settings.max_parallelism, created.principal.as_str()), (7, "somebody"));
    let spec = admin::ExecutionSpec::decode(created.spec.clone()).expect("a spec");
    let metadata = spec.metadata.expect("it says how it came to be");
    assert_eq!((metadata.nesting, metadata.principal.as_str()), (1, "somebody"));
    assert_eq!(metadata.system_metadata.expect("always there").namespace, "p-development");
    assert_eq!(spec.launch_plan, Some(id(EntityKind::LaunchPlan, "lp").to_proto()));
}

#[tokio::test]
async fn what_is_handed_on_counts_before_what_the_launch_plan_says() {
    let world = World::new().await;
    let labels = admin::Labels { values: [("of".to_owned(), "the parent".to_owned())].into() };
    let inherited = admin::ExecutionSpec {
        labels: Some(labels),
        max_parallelism: 3,
        interruptible: Some(true),
        overwrite_cache: true,
        ..Default::default()
    };
    launch(&world.ports, Launch { inherited, ..wanted("a", &[("x", 1)]) }).await.expect("all is there");
    let [created] = &world.created("a").await[..] else { panic!("one record") };
    assert_eq!(created.settings.labels["of"], "the parent");
    assert_eq!((created.settings.max_parallelism, created.settings.interruptible), (3, Some(true)));
    assert!(created.settings.overwrite_cache);
}

#[tokio::test]
async fn launching_the_same_again_changes_nothing_and_something_else_under_its_name_is_refused() {
    let world = World::new().await;
    world.launch("a", &[("x", 1)]).await.expect("all is there");
    let again = world.launch("a", &[("x", 1)]).await.expect("it is the same");
    assert!(!again.is_new);
    let other = world.launch("a", &[("x", 2)]).await.expect_err("other inputs");
    assert!(matches!(other, LaunchError::Taken(_)));
    assert_eq!(other.fault(), Fault::User);
    assert_eq!(world.created("a").await.len(), 1);
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_counts_when_it_was_written() {
    let lost = Faults { lost_acknowledgements: 1_000, ..Faults::default() };
    let world = World::over(FaultyLog::new(MemoryLog::default(), 1, lost)).await;
    world.launch("a", &[("x", 1)]).await.expect("it is there");
    assert_eq!(world.created("a").await.len(), 1);
}

#[tokio::test]
async fn an_append_that_is_lost_is_to_be_tried_again() {
    let mut world = World::new().await;
    world.launch("a", &[("x", 1)]).await.expect("all is there");
    let lost = Faults { lost_appends: 1_000, ..Faults::default() };
    world.ports.log = Arc::new(FaultyLog::new(MemoryLog::default(), 1, lost));
    let fault = world.launch("b", &[("x", 1)]).await.expect_err("it is not there").fault();
    assert_eq!(fault, Fault::Passing);
}

#[tokio::test]
async fn faults_of_users_are_told_in_the_words_of_a_request() {
    let world = World::new().await;
    let told = async |request| {
        let error = launch(&world.ports, request).await.expect_err("it is wrong");
        assert_eq!(error.fault(), Fault::User, "{error}");
        error.to_string()
    };
    assert_eq!(told(wanted("a", &[])).await, "expected_inputs x missing");
    assert_eq!(told(wanted("a", &[("x", 1), ("z", 1)])).await, "invalid input z");
    let launch_plan = id(EntityKind::LaunchPlan, "other");
    assert_eq!(
        told(Launch { launch_plan, ..wanted("a", &[]) }).await,
        "launch plan launch_plan:p:development:other:v is not registered"
    );
}

#[tokio::test]
async fn a_project_s_limits_count_and_one_that_is_archived_takes_nothing() {
    let world = World::new().await;
    let project = JournalId::project("p");
    let limits = Some(admin::TaskResourceSpec { cpu: "1".to_owned(), ..Default::default() });
    let attributes = admin::TaskResourceAttributes { defaults: None, limits };
    let target = admin::matching_attributes::Target::TaskResourceAttributes(attributes);
    let value = admin::MatchingAttributes { target: Some(target) }.encode_to_vec();
    let put = |value: Option<Bytes>| RegistryEvent::AttributePut {
        domain: "development".to_owned(),
        workflow: String::new(),
        resource: admin::MatchableResource::TaskResource as i32,
        value,
    };
    world.record(&project, put(Some(value.into()))).await;
    let refused = world.launch("a", &[("x", 1)]).await.expect_err("two cores where one is allowed");
    assert!(refused.to_string().starts_with("node n0, task t: "), "{refused}");
    world.record(&project, put(None)).await;
    world.launch("a", &[("x", 1)]).await.expect("nothing is said any more");
    let archived = RegistryEvent::ProjectPut {
        project: "p".to_owned(),
        name: "p".to_owned(),
        description: String::new(),
        archived: true,
        labels: BTreeMap::new(),
    };
    world.record(&project, archived).await;
    let refused = world.launch("b", &[("x", 1)]).await.expect_err("it is archived");
    assert_eq!(refused.to_string(), "project [p] is not active");
}
