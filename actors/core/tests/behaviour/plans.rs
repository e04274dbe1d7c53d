//! Workflows in words, and a harness that reads as given, when, then.

use bytes::Bytes;
use skein_core::{Effect, Execution, NodeState, Plan, Recovery, Rejection};
use skein_idl::flyteidl::core;
use skein_model::cache::{CacheFound, CacheKey, CacheSource};
use skein_model::command::Outcome;
use skein_model::event::{CachedItems, Created, FinishedChunk, ItemFailure, ItemRange, Settings};
use skein_model::{
    Attempt, BlobRef, Charge, Command, DataRef, EntityId, EntityKind, Event, ExecutionId, Failure,
    FailureCause, NodeId, TimeLimit, Timestamp, types,
};
use std::sync::Arc;
use std::time::Duration;

/// A workflow that is put together node by node.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    nodes: Vec<core::Node>,
    /// Workflows that nodes run, by the names of those nodes.
    inner: Vec<(String, Sketch)>,
    retries: u32,
    after_executable: bool,
    failure_node: bool,
    max_parallelism: u32,
    cached: bool,
    interruptible: bool,
}

pub fn workflow() -> Sketch {
    Sketch::default()
}

impl Sketch {
    pub fn task(self, id: &str, upstream: &[&str]) -> Self {
        let target = core::node::Target::TaskNode(reference());
        self.node(id, upstream, target)
    }

    pub fn map(self, id: &str, upstream: &[&str], min_success_ratio: f32) -> Self {
        let inner =
            core::Node { target: Some(core::node::Target::TaskNode(reference())), ..Default::default() };
        let array = core::ArrayNode {
            node: Some(Box::new(inner)),
            success_criteria: Some(core::array_node::SuccessCriteria::MinSuccessRatio(min_success_ratio)),
            ..Default::default()
        };
        self.node(id, upstream, core::node::Target::ArrayNode(Box::new(array)))
    }

    /// Has all items of the last node, a map, run to their end when too many have failed already.
    pub fn running_all(mut self) -> Self {
        match self.nodes.last_mut().and_then(|node| node.target.as_mut()) {
            Some(core::node::Target::ArrayNode(array)) => array.run_all_sub_nodes = true,
            other => panic!("{other:?}"),
        }
        self
    }

    /// Has the last node take its input `x` from the output `o0` of `from`.
    pub fn taking(mut self, from: &str) -> Self {
        let promise =
            core::OutputReference { node_id: from.to_owned(), var: "o0".to_owned(), ..Default::default() };
        let data = core::BindingData {
            value: Some(core::binding_data::Value::Promise(promise)),
            ..Default::default()
        };
        let binding = core::Binding { var: "x".to_owned(), binding: Some(data) };
        self.nodes.last_mut().unwrap().inputs.push(binding);
        self
    }

    /// Has a node run another workflow as part of the execution.
    pub fn runs(mut self, id: &str, upstream: &[&str], inner: Self) -> Self {
        let name = format!("{id}-{}", self.inner.len());
        let target = sub_workflow(&name);
        self.inner.push((name, inner));
        self.node(id, upstream, target)
    }

    /// Has a node run the first of two cases that holds: a task `a`, or a task `b`.
    pub fn branch(self, id: &str, upstream: &[&str]) -> Self {
        let case = |own: &str| core::IfBlock {
            condition: Some(core::BooleanExpression::default()),
            then_node: Some(Box::new(core::Node {
                id: own.to_owned(),
                target: Some(core::node::Target::TaskNode(reference())),
                ..Default::default()
            })),
        };
        let branch = core::BranchNode {
            if_else: Some(Box::new(core::IfElseBlock {
                case: Some(Box::new(case("a"))),
                other: vec![case("b")],
                default: Some(core::if_else_block::Default::Error(core::Error::default())),
            })),
        };
        self.node(id, upstream, core::node::Target::BranchNode(Box::new(branch)))
    }

    /// Has a node let ten seconds pass.
    pub fn sleep(self, id: &str, upstream: &[&str]) -> Self {
        let duration = Some(prost_types::Duration { seconds: 10, nanos: 0 });
        let condition = core::gate_node::Condition::Sleep(core::SleepCondition { duration });
        self.gate(id, upstream, condition)
    }

    /// Has a node wait for a number.
    pub fn signal(self, id: &str, upstream: &[&str], signal: &str) -> Self {
        let condition = core::gate_node::Condition::Signal(core::SignalCondition {
            signal_id: signal.to_owned(),
            r#type: Some(types::simple(core::SimpleType::Integer)),
            output_variable_name: "o0".to_owned(),
        });
        self.gate(id, upstream, condition)
    }

    /// Has a node wait until somebody says yes.
    pub fn approve(self, id: &str, upstream: &[&str], signal: &str) -> Self {
        let condition =
            core::gate_node::Condition::Approve(core::ApproveCondition { signal_id: signal.to_owned() });
        self.gate(id, upstream, condition)
    }

    fn gate(self, id: &str, upstream: &[&str], condition: core::gate_node::Condition) -> Self {
        let gate = core::GateNode { condition: Some(condition) };
        self.node(id, upstream, core::node::Target::GateNode(gate))
    }

    /// Has a node launch an execution of its own.
    pub fn launch(self, id: &str, upstream: &[&str]) -> Self {
        let id_of = core::Identifier {
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: "lp".to_owned(),
            version: "v".to_owned(),
            ..Default::default()
        };
        let reference = Some(core::workflow_node::Reference::LaunchplanRef(id_of));
        self.node(id, upstream, core::node::Target::WorkflowNode(core::WorkflowNode { reference }))
    }

    /// Gives the last node so many seconds.
    pub fn within(mut self, seconds: i64) -> Self {
        let timeout = Some(prost_types::Duration { seconds, nanos: 0 });
        self.nodes.last_mut().unwrap().metadata = Some(core::NodeMetadata { timeout, ..Default::default() });
        self
    }

    fn node(mut self, id: &str, upstream: &[&str], target: core::node::Target) -> Self {
        self.nodes.push(core::Node {
            id: id.to_owned(),
            upstream_node_ids: upstream.iter().map(|id| (*id).to_owned()).collect(),
            target: Some(target),
            ..Default::default()
        });
        self
    }

    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Has the outputs of every task and item kept for others.
    pub fn cached(mut self) -> Self {
        self.cached = true;
        self
    }

    /// Lets every task run on capacity that can be taken away.
    pub fn interruptible(mut self) -> Self {
        self.interruptible = true;
        self
    }

    pub fn fail_after_executable_nodes(mut self) -> Self {
        self.after_executable = true;
        self
    }

    pub fn with_failure_node(mut self) -> Self {
        self.failure_node = true;
        self
    }

    pub fn max_parallelism(mut self, limit: u32) -> Self {
        self.max_parallelism = limit;
        self
    }

    /// The workflow as it would be compiled, and all inside of it.
    fn template(&self, name: &str, all: &mut Vec<core::CompiledWorkflow>) -> core::WorkflowTemplate {
        for (name, inner) in &self.inner {
            let template = inner.template(name, all);
            all.push(core::CompiledWorkflow { template: Some(template), ..Default::default() });
        }
        let policy = i32::from(self.after_executable);
        let failure_node = self.failure_node.then(|| {
            let target = Some(core::node::Target::TaskNode(reference()));
            core::Node { id: "fn0".to_owned(), target, ..Default::default() }
        });
        core::WorkflowTemplate {
            id: Some(core::Identifier { name: name.to_owned(), ..Default::default() }),
            nodes: self.nodes.clone(),
            metadata: Some(core::WorkflowMetadata { on_failure: policy, ..Default::default() }),
            failure_node,
            metadata_defaults: Some(core::WorkflowMetadataDefaults { interruptible: self.interruptible }),
            ..Default::default()
        }
    }

    pub fn plan(&self) -> Arc<Plan> {
        Arc::new(Plan::parse(self.closure()).unwrap())
    }

    /// The plan of nodes that a try of a task made.
    pub fn made_by(&self, node: &NodeId, attempt: Attempt) -> Arc<Plan> {
        Arc::new(Plan::parse_made(self.closure(), Some((node, attempt))).unwrap())
    }

    fn closure(&self) -> core::CompiledWorkflowClosure {
        let mut sub_workflows = Vec::new();
        let template = self.template("w", &mut sub_workflows);
        let task = core::TaskTemplate {
            id: Some(task_id()),
            metadata: Some(core::TaskMetadata {
                retries: Some(core::RetryStrategy { retries: self.retries }),
                discoverable: self.cached,
                discovery_version: "1".to_owned(),
                cache_serializable: self.cached,
                ..Default::default()
            }),
            interface: self.cached.then(interface),
            target: Some(core::task_template::Target::Container(core::Container {
                args: vec!["pyflyte-execute".to_owned()],
                ..Default::default()
            })),
            ..Default::default()
        };
        core::CompiledWorkflowClosure {
            primary: Some(core::CompiledWorkflow { template: Some(template), ..Default::default() }),
            sub_workflows,
            tasks: vec![core::CompiledTask { template: Some(task) }],
            ..Default::default()
        }
    }

    /// An execution that was created and has not started.
    pub fn created(&self) -> World {
        let mut world = World {
            execution: Execution::new(self.plan()),
            journal: Vec::new(),
            asked: Vec::new(),
            made: Vec::new(),
        };
        world.record(&[Event::Created(Box::new(created(self.max_parallelism)))]);
        world
    }

    /// An execution that takes over what another of this workflow left, and has started with all that followed at once.
    pub fn recovering(&self, other: &World) -> World {
        let mut world = self.about_to_recover(other);
        world.advance(&Command::Start).unwrap();
        world
    }

    /// The same before it starts.
    pub fn about_to_recover(&self, other: &World) -> World {
        let mut recovery = Recovery::default();
        let mut before = Execution::new(self.plan());
        for event in &other.journal {
            recovery.note(&before, event);
            if let Event::NodesMade { plan, .. } = event {
                let (name, made) = other.made.iter().find(|(name, _)| name == plan).unwrap();
                before.provide(name.clone(), Arc::clone(made));
            }
            before.apply(event);
        }
        let mut world = self.created();
        for (name, made) in &other.made {
            if recovery.made().any(|(_, _, plan)| plan == name) {
                world.execution.provide(name.clone(), Arc::clone(made));
                world.made.push((name.clone(), Arc::clone(made)));
            }
        }
        world.execution.recover(Arc::new(recovery));
        world
    }

    /// An execution that has started.
    pub fn started(&self) -> World {
        let mut world = self.created();
        world.send(&Command::Start).unwrap();
        world
    }

    /// An execution that has started, with all that followed from it at once.
    pub fn advanced(&self) -> World {
        let mut world = self.created();
        world.advance(&Command::Start).unwrap();
        world
    }
}

fn sub_workflow(name: &str) -> core::node::Target {
    let id = core::Identifier { name: name.to_owned(), ..Default::default() };
    let reference = Some(core::workflow_node::Reference::SubWorkflowRef(id));
    core::node::Target::WorkflowNode(core::WorkflowNode { reference })
}

fn task_id() -> core::Identifier {
    core::Identifier { name: "t".to_owned(), version: "v".to_owned(), ..Default::default() }
}

fn interface() -> core::TypedInterface {
    let variables = [("o0".to_owned(), core::Variable::default())].into_iter().collect();
    core::TypedInterface { outputs: Some(core::VariableMap { variables }), ..Default::default() }
}

fn reference() -> core::TaskNode {
    core::TaskNode {
        reference: Some(core::task_node::Reference::ReferenceId(task_id())),
        ..Default::default()
    }
}

fn entity(kind: EntityKind) -> EntityId {
    EntityId {
        kind,
        project: "p".to_owned(),
        domain: "d".to_owned(),
        name: "w".to_owned(),
        version: "v".to_owned(),
    }
}

pub fn execution_id() -> ExecutionId {
    ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name: "x".to_owned() }
}

fn created(max_parallelism: u32) -> Created {
    Created {
        execution: execution_id(),
        launched: entity(EntityKind::LaunchPlan),
        workflow: entity(EntityKind::Workflow),
        plan: BlobRef { uri: "file:///plan".to_owned(), size: 0, digest: 0 },
        inputs: DataRef::empty(),
        user_inputs: DataRef::empty(),
        spec: Bytes::new(),
        settings: Settings { max_parallelism, ..Settings::default() },
        data_prefix: "file:///d".to_owned(),
        raw_prefix: "file:///r".to_owned(),
        principal: "tester".to_owned(),
        recovers: None,
        parent: None,
    }
}

/// An execution with its journal and all effects it ever asked for.
pub struct World {
    pub execution: Execution,
    pub journal: Vec<Event>,
    pub asked: Vec<Effect>,
    /// The plans of nodes that tasks made, by the names that events have for them.
    pub made: Vec<(BlobRef, Arc<Plan>)>,
}

pub const NOW: Timestamp = Timestamp::from_micros(1_000_000);

impl World {
    /// Decides a command, records its events and notes its effects; answers the events.
    pub fn send(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let events = self.execution.decide(command, NOW)?;
        self.record(&events);
        Ok(events)
    }

    /// Brings the nodes that a task made, and says what the execution is told of them.
    pub fn compiled(&mut self, id: &str, made: &Sketch) -> Command {
        let node = node(id);
        let plan = BlobRef { uri: format!("file:///{id}"), size: 0, digest: 0 };
        let attempt = match self.execution.node(&node) {
            Some(NodeState::Making(making)) => making.attempt,
            other => panic!("{id} is {other:?}"),
        };
        self.made.push((plan.clone(), made.made_by(&node, attempt)));
        self.execution.provide(plan.clone(), made.made_by(&node, attempt));
        Command::NodesCompiled { node, plan }
    }

    /// Folds the journal into another state, of the plan that the execution began with, and shows each event that was folded.
    pub fn fold(&self, first: Arc<Plan>, mut each: impl FnMut(&Execution, &Event)) -> Execution {
        let mut execution = Execution::new(first);
        for event in &self.journal {
            if let Event::NodesMade { plan, .. } = event {
                let (name, made) = self.made.iter().find(|(name, _)| name == plan).unwrap();
                execution.provide(name.clone(), Arc::clone(made));
            }
            execution.apply(event);
            each(&execution, event);
        }
        execution
    }

    /// Does the same with what follows at once; notes the effects that are left.
    pub fn advance(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let transition = self.execution.advance(command, NOW)?;
        self.journal.extend(transition.events.iter().cloned());
        self.asked.extend(transition.effects);
        Ok(transition.events)
    }

    fn record(&mut self, events: &[Event]) {
        for event in events {
            self.execution.apply(event);
            self.journal.push(event.clone());
            self.asked.extend(self.execution.effects_of(event));
        }
    }

    #[track_caller]
    pub fn when(mut self, command: Command) -> Then {
        let before = self.asked.len();
        let events = self.send(&command).unwrap();
        let effects = self.asked[before..].to_vec();
        Then { world: self, events, effects }
    }

    #[track_caller]
    pub fn at_once(mut self, command: Command) -> Then {
        let before = self.asked.len();
        let events = self.advance(&command).unwrap();
        let effects = self.asked[before..].to_vec();
        Then { world: self, events, effects }
    }

    /// Gives every node that asks for inputs its inputs, and so begins its first try.
    pub fn inputs(mut self, nodes: &[&str]) -> Self {
        for node in nodes {
            self.send(&inputs(node)).unwrap();
        }
        self
    }

    pub fn items(mut self, node: &str, size: u32) -> Self {
        self.send(&map_inputs(node, size)).unwrap();
        self
    }
}

/// What a command led to.
pub struct Then {
    world: World,
    events: Vec<Event>,
    effects: Vec<Effect>,
}

impl Then {
    #[track_caller]
    pub fn then(self, expected: &[Event]) -> World {
        assert_eq!(self.events, expected);
        self.world
    }

    #[track_caller]
    pub fn asks(self, expected: &[Effect]) -> Self {
        assert_eq!(self.effects, expected);
        self
    }
}

pub fn node(id: &str) -> NodeId {
    NodeId::new(id)
}

/// What is asked for when the first try of a node is queued.
pub fn first_try_of(id: &str) -> Effect {
    let (node, attempt) = (node(id), Attempt(0));
    Effect::RunAttempt { node, attempt, not_before: None, started: false, on_demand: false }
}

pub fn outputs() -> DataRef {
    DataRef::Inline(Bytes::from_static(b"outputs"))
}

pub fn inputs(id: &str) -> Command {
    Command::InputsResolved { node: node(id), inputs: DataRef::empty(), items: None, case: None }
}

pub fn map_inputs(id: &str, size: u32) -> Command {
    Command::InputsResolved { node: node(id), inputs: DataRef::empty(), items: Some(size), case: None }
}

pub const KEY: CacheKey = CacheKey(7);

pub fn looked_up(id: &str, found: CacheFound) -> Command {
    Command::CacheLookedUp { node: node(id), key: Some(KEY), found }
}

pub fn missing(reserved: bool) -> CacheFound {
    CacheFound::Missing { reason: String::new(), reserved }
}

pub fn somebody() -> CacheSource {
    CacheSource {
        execution: ExecutionId { project: "p".to_owned(), domain: "d".to_owned(), name: "y".to_owned() },
        node: node("n0"),
        attempt: Attempt(0),
        task_version: "v".to_owned(),
    }
}

pub fn hit() -> CacheFound {
    CacheFound::Hit { source: somebody(), outputs: outputs() }
}

pub fn waiting() -> CacheFound {
    CacheFound::Waiting { owner: somebody() }
}

pub fn stored(id: &str) -> Command {
    Command::CacheStored { node: node(id), failure: None }
}

pub fn items_cached(id: &str, start: u32, end: u32, absent: &[u32]) -> Command {
    let range = ItemRange { start, end };
    let items = CachedItems { range, absent: absent.to_vec(), outputs: DataRef::empty() };
    Command::ItemsCached { node: node(id), items }
}

pub fn attempt_succeeds(id: &str, attempt: u32) -> Command {
    let outcome = Outcome::Succeeded { outputs: outputs(), deck: None };
    Command::AttemptFinished { node: node(id), attempt: Attempt(attempt), outcome, began: None, used: None }
}

pub fn attempt_makes_nodes(id: &str, attempt: u32) -> Command {
    let outcome = Outcome::MadeNodes { spec: format!("file:///{id}/futures.pb"), deck: None };
    Command::AttemptFinished { node: node(id), attempt: Attempt(attempt), outcome, began: None, used: None }
}

pub fn case(id: &str, case: u32) -> Command {
    Command::InputsResolved { node: node(id), inputs: DataRef::empty(), items: None, case: Some(case) }
}

pub fn attempt_fails(id: &str, attempt: u32, failure: Failure) -> Command {
    Command::AttemptFinished {
        node: node(id),
        attempt: Attempt(attempt),
        outcome: Outcome::Failed(failure),
        began: None,
        used: None,
    }
}

pub fn chunk_ends(
    id: &str,
    start: u32,
    end: u32,
    attempt: u32,
    failed: &[u32],
    failure: &Failure,
) -> Command {
    let chunk = FinishedChunk {
        range: ItemRange { start, end },
        attempt: Attempt(attempt),
        outputs: DataRef::empty(),
        failures: failed.iter().map(|i| ItemFailure { index: *i, failure: failure.clone() }).collect(),
        returned: Vec::new(),
        micros: 1,
        worker: "w".to_owned(),
        used: None,
    };
    Command::ItemsFinished { node: node(id), chunk }
}

pub fn recoverable() -> Failure {
    failure("USER:Recoverable", FailureCause::TaskRaised { recoverable: true }, Charge::User)
}

pub fn plain() -> Failure {
    failure("USER:RuntimeError", FailureCause::TaskRaised { recoverable: false }, Charge::User)
}

pub fn worker_lost() -> Failure {
    failure("WorkerLost", FailureCause::WorkerLost, Charge::System)
}

fn failure(code: &str, cause: FailureCause, charge: Charge) -> Failure {
    Failure { code: code.to_owned(), message: "why".to_owned(), cause, charge }
}

/// Something has taken as long as it may: ten seconds.
pub fn time_up(limit: TimeLimit) -> Command {
    Command::TimeUp { limit, after: Duration::from_secs(10) }
}
