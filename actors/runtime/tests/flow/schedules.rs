//! Schedules in a whole engine. Time is tokio's and stands still: a minute passes as soon as everybody waits.

use bytes::Bytes;
use prost::Message as _;
use skein_idl::flyteidl::admin::execution_metadata::ExecutionMode;
use skein_idl::flyteidl::admin::{self, schedule::ScheduleExpression};
use skein_idl::flyteidl::core;
use skein_log::faulty::{Faults, FaultyLog};
use skein_log::memory::{MemoryInbox, MemoryLog, MemoryQueue};
use skein_log::{BlobStore, Cursor, EventLog, read_last_two};
use skein_model::event::Created;
use skein_model::schedule::{History, tick_name};
use skein_model::{
    CatchUp, Category, CauseId, DataRef, EntityId, EntityKind, Event, ExecutionId, Head, JournalId, Record,
    RegistryEvent, ScheduleEvent, ScheduleRule, ScheduleRules, Timestamp, codec,
};
use skein_runtime::{Clock, Config, Engine, Metrics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// When the clock is started: 23 November 2026, 11:30:44 UTC.
const BEGIN: i64 = 1_795_433_444;
const MINUTE: i64 = 60;

struct World {
    log: Arc<dyn EventLog>,
    blobs: Arc<BlobStore>,
    clock: Clock,
    /// By how much the clock was set, in seconds.
    step: Arc<AtomicI64>,
    rules: ScheduleRules,
    metrics: Metrics,
    engine: Option<Engine>,
    _folder: TempDir,
}

impl World {
    async fn start() -> Self {
        Self::over(Arc::new(MemoryLog::default())).await
    }

    async fn over(log: Arc<dyn EventLog>) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let blobs = Arc::new(BlobStore::local(folder.path()).expect("the folder is there"));
        let (begin, step) = (Instant::now(), Arc::new(AtomicI64::new(0)));
        let steps = Arc::clone(&step);
        let clock: Clock = Arc::new(move || {
            let passed = i64::try_from(begin.elapsed().as_micros()).expect("a test is short");
            Timestamp::from_micros((BEGIN + steps.load(Ordering::Relaxed)) * 1_000_000 + passed)
        });
        let (rules, metrics) = (ScheduleRules::default(), Metrics::default());
        let mut world = Self { log, blobs, clock, step, rules, metrics, engine: None, _folder: folder };
        world.register_workflow().await;
        world.engine = Some(world.engine().await);
        world
    }

    async fn engine(&self) -> Engine {
        Engine::start(
            Config { schedule_rules: self.rules.clone(), ..Config::default() },
            self.metrics.clone(),
            Arc::clone(&self.log),
            Arc::new(MemoryInbox::new(64, Duration::from_secs(5))),
            Arc::new(MemoryQueue::new(Duration::from_secs(60))),
            Arc::clone(&self.blobs),
            Arc::clone(&self.clock),
        )
        .await
        .expect("the log can be read")
    }

    async fn stop(&mut self) {
        self.engine.take().expect("it runs").stop().await;
    }

    async fn go_on(&mut self) {
        self.engine = Some(self.engine().await);
    }

    async fn pass(&self, seconds: i64) {
        tokio::time::sleep(Duration::from_secs(seconds.unsigned_abs())).await;
    }

    async fn register_workflow(&self) {
        let template = core::WorkflowTemplate {
            nodes: vec![core::Node { id: "end-node".to_owned(), ..Default::default() }],
            ..Default::default()
        };
        let closure = core::CompiledWorkflowClosure {
            primary: Some(core::CompiledWorkflow { template: Some(template), ..Default::default() }),
            ..Default::default()
        };
        let closure = closure.encode_to_vec().into();
        let closure = self.blobs.put(&self.blobs.url("w"), closure).await.expect("a disk");
        self.register(id(EntityKind::Workflow, "v"), DataRef::Blob(closure)).await;
    }

    /// Registers a version of the launch plan, whose input `at` is given the time.
    async fn launch_plan(&self, version: &str, expression: ScheduleExpression) {
        let simple = core::literal_type::Type::Simple(core::SimpleType::Datetime.into());
        let r#type = Some(core::LiteralType { r#type: Some(simple), ..Default::default() });
        let parameter = core::Parameter {
            var: Some(core::Variable { r#type, ..Default::default() }),
            behavior: Some(core::parameter::Behavior::Required(true)),
        };
        let schedule = admin::Schedule {
            schedule_expression: Some(expression),
            kickoff_time_input_arg: "at".to_owned(),
        };
        let metadata = admin::LaunchPlanMetadata { schedule: Some(schedule), ..Default::default() };
        let parameters = core::ParameterMap { parameters: [("at".to_owned(), parameter)].into() };
        let plan = admin::LaunchPlan {
            id: None,
            spec: Some(admin::LaunchPlanSpec {
                workflow_id: Some(id(EntityKind::Workflow, "v").to_proto()),
                entity_metadata: Some(metadata),
                ..Default::default()
            }),
            closure: Some(admin::LaunchPlanClosure {
                expected_inputs: Some(parameters),
                ..Default::default()
            }),
        };
        let closure = DataRef::Inline(plan.encode_to_vec().into());
        self.register(id(EntityKind::LaunchPlan, version), closure).await;
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
        self.record(&journal, codec::encode(&[event]).expect("it is small")).await;
    }

    async fn activate(&self, version: &str) {
        let (version, principal) = (version.to_owned(), String::new());
        let event = RegistryEvent::Activated { version, principal };
        self.record(&name(), codec::encode(&[event]).expect("it is small")).await;
    }

    async fn deactivate(&self, version: &str) {
        let (version, principal) = (version.to_owned(), String::new());
        let event = RegistryEvent::Deactivated { version, principal };
        self.record(&name(), codec::encode(&[event]).expect("it is small")).await;
    }

    async fn record(&self, journal: &JournalId, body: Bytes) {
        let time = (self.clock)();
        loop {
            let head = self.log.head(journal).await.expect("the log is there");
            let record = Record { time, cause: CauseId(0), trace: None, closes: true, body: body.clone() };
            if self.log.append(journal, head, record).await.is_ok() {
                return;
            }
            let records = self.log.read(journal, Head::EMPTY).await.expect("the log is there");
            if records.last().is_some_and(|last| last.record.time == time && last.record.body == body) {
                return;
            }
        }
    }

    /// All executions in the order in which they were created, each with its time in seconds since the beginning.
    async fn started(&self) -> Vec<(i64, Created)> {
        let end = self.log.end(Category::Execution).await.expect("the log is there");
        let mut journals = self.log.open_journals(Category::Execution).await.expect("the log is there");
        journals.extend(self.ended(&end).await);
        let mut started = BTreeMap::new();
        for journal in journals {
            let records = self.log.read(&journal, Head::EMPTY).await.expect("the log is there");
            let events: Vec<Event> =
                codec::decode(records[0].schema, &records[0].record.body).expect("an event");
            let Some(Event::Created(created)) = events.into_iter().next() else { panic!("it was created") };
            let spec = admin::ExecutionSpec::decode(created.spec.clone()).expect("a spec");
            let at = spec.metadata.and_then(|metadata| metadata.scheduled_at).expect("it has a time");
            started.insert(at.seconds - BEGIN, *created);
        }
        started.into_iter().collect()
    }

    /// The journals of executions that have ended.
    async fn ended(&self, end: &Cursor) -> Vec<JournalId> {
        use futures::StreamExt as _;
        let mut records = self.log.follow(Category::Execution, Cursor::default());
        let (mut seen, mut ended) = (Cursor::default(), Vec::new());
        while end.0.iter().enumerate().any(|(at, end)| seen.0.get(at).copied().unwrap_or(0) < *end) {
            let followed = records.next().await.expect("there is more").expect("the log is there");
            seen.advance(followed.position);
            if followed.envelope.record.closes {
                ended.push(followed.envelope.journal);
            }
        }
        ended
    }

    async fn times(&self) -> Vec<i64> {
        self.started().await.into_iter().map(|(at, _)| at).collect()
    }

    /// Where the schedule is, from its journals.
    async fn history(&self) -> History {
        let ticks = |segment| JournalId::ticks("p", "development", "lp", segment);
        match read_last_two(&*self.log, ticks).await.expect("the log is there") {
            Some((_, _, records)) => History::of(&records).expect("ticks were written"),
            None => History::default(),
        }
    }
}

fn id(kind: EntityKind, version: &str) -> EntityId {
    let name = if kind == EntityKind::Workflow { "w" } else { "lp" };
    EntityId {
        kind,
        project: "p".to_owned(),
        domain: "development".to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
    }
}

fn name() -> JournalId {
    JournalId::entity_name(EntityKind::LaunchPlan, "p", "development", "lp")
}

fn every_minutes(value: u32) -> ScheduleExpression {
    ScheduleExpression::Rate(admin::FixedRate { value, unit: admin::FixedRateUnit::Minute.into() })
}

fn cron(schedule: &str) -> ScheduleExpression {
    let schedule = schedule.to_owned();
    ScheduleExpression::CronSchedule(admin::CronSchedule { schedule, ..Default::default() })
}

fn with_catch_up(word: &str) -> ScheduleRules {
    let given = [("catch_up".to_owned(), skein_model::task_settings::Given::Text(word.to_owned()))];
    ScheduleRules::new(vec![ScheduleRule::read(&given.into()).expect("it is right")])
}

#[tokio::test(start_paused = true)]
async fn a_rate_counts_from_the_activation_and_each_execution_knows_its_time() {
    let world = World::start().await;
    world.launch_plan("v1", every_minutes(1)).await;
    world.pass(100).await;
    assert!(world.times().await.is_empty(), "what is not active starts nothing");
    world.activate("v1").await;
    world.pass(2 * MINUTE + 30).await;
    let started = world.started().await;
    assert_eq!(started.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [160, 220]);
    for (at, created) in started {
        let scheduled = Timestamp::from_micros((BEGIN + at) * 1_000_000);
        assert_eq!(created.execution.name, tick_name("p", "development", "lp", scheduled));
        let spec = admin::ExecutionSpec::decode(created.spec.clone()).expect("a spec");
        let metadata = spec.metadata.expect("it says how it came to be");
        assert_eq!(metadata.mode(), ExecutionMode::Scheduled);
        assert_eq!(spec.launch_plan, Some(id(EntityKind::LaunchPlan, "v1").to_proto()));
        let inputs = world.blobs.load(&created.inputs).await.expect("they are stored");
        let inputs = core::LiteralMap::decode(inputs).expect("a map");
        let expected = skein_model::literals::encode_datetime(scheduled);
        assert_eq!(inputs.literals["at"].encode_to_vec(), expected);
    }
    assert_eq!(world.metrics.ticks.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn cron_fires_at_the_minute_and_a_deactivation_stops_it() {
    let world = World::start().await;
    world.launch_plan("v1", cron("*/1 * * * *")).await;
    world.activate("v1").await;
    // 11:30:44 is 16 seconds before a minute.
    world.pass(80).await;
    assert_eq!(world.times().await, [16, 76]);
    world.deactivate("v1").await;
    world.pass(10 * MINUTE).await;
    assert_eq!(world.times().await, [16, 76]);
}

#[tokio::test(start_paused = true)]
async fn another_version_that_is_activated_replaces_the_first() {
    let world = World::start().await;
    world.launch_plan("v1", cron("*/1 * * * *")).await;
    world.launch_plan("v2", every_minutes(2)).await;
    world.activate("v1").await;
    world.pass(30).await;
    world.activate("v2").await;
    world.pass(4 * MINUTE + 10).await;
    let started = world.started().await;
    let versions: Vec<_> =
        started.iter().map(|(at, created)| (*at, created.launched.version.as_str())).collect();
    assert_eq!(versions, [(16, "v1"), (150, "v2"), (270, "v2")]);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_while_no_engine_ran_is_started_by_the_next_and_nothing_twice() {
    let mut world = World::start().await;
    world.launch_plan("v1", every_minutes(1)).await;
    world.activate("v1").await;
    world.pass(90).await;
    world.stop().await;
    world.pass(3 * MINUTE).await;
    assert_eq!(world.times().await, [60]);
    world.go_on().await;
    world.pass(1).await;
    assert_eq!(world.times().await, [60, 120, 180, 240]);
    world.stop().await;
    world.go_on().await;
    world.pass(MINUTE).await;
    assert_eq!(world.times().await, [60, 120, 180, 240, 300]);
    assert_eq!(world.metrics.ticks.get(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_says_of_missed_times_is_kept_to_and_what_is_left_out_is_recorded() {
    let mut world = World::start().await;
    world.launch_plan("v1", every_minutes(1)).await;
    world.activate("v1").await;
    world.pass(90).await;
    world.stop().await;
    world.pass(3 * MINUTE).await;
    world.rules = with_catch_up("last");
    world.go_on().await;
    world.pass(1).await;
    assert_eq!(world.times().await, [60, 240]);
    let skip = world.history().await.skipped.expect("two were left out");
    let seconds = |at: Timestamp| at.as_micros() / 1_000_000 - BEGIN;
    assert_eq!((seconds(skip.first), seconds(skip.last), skip.ticks), (120, 180, 2));
    assert_eq!((skip.catch_up, world.metrics.ticks_skipped.get()), (CatchUp::Latest(1), 2));
}

#[tokio::test(start_paused = true)]
async fn two_engines_that_believe_to_be_the_only_one_start_each_time_once() {
    let world = World::start().await;
    let rival = world.engine().await;
    world.launch_plan("v1", every_minutes(1)).await;
    world.activate("v1").await;
    // More than one journal of ticks holds.
    world.pass(300 * MINUTE + 30).await;
    let expected: Vec<i64> = (1..=300).map(|minute| minute * MINUTE).collect();
    assert_eq!(world.times().await, expected);
    assert_eq!(world.metrics.ticks.get(), 300, "of both together");
    rival.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_or_forward_starts_nothing_twice_and_loses_nothing() {
    let world = World::start().await;
    world.launch_plan("v1", every_minutes(1)).await;
    world.activate("v1").await;
    world.pass(130).await;
    assert_eq!(world.times().await, [60, 120]);
    world.step.store(-100, Ordering::Relaxed);
    world.pass(100).await;
    assert_eq!(world.times().await, [60, 120], "it is 130 again");
    world.pass(60).await;
    assert_eq!(world.times().await, [60, 120, 180]);
    world.step.store(200, Ordering::Relaxed);
    world.pass(61).await;
    assert_eq!(world.times().await, [60, 120, 180, 240, 300, 360, 420, 480, 540]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_whose_engine_died_before_it_was_started_is_started_by_the_next() {
    let mut world = World::start().await;
    world.launch_plan("v1", every_minutes(60)).await;
    world.activate("v1").await;
    world.pass(1).await;
    world.stop().await;
    let at = Timestamp::from_micros((BEGIN + 3_600) * 1_000_000);
    let execution = tick_name("p", "development", "lp", at);
    let event = ScheduleEvent::Ticked { version: "v1".to_owned(), at, execution };
    let ticks = JournalId::ticks("p", "development", "lp", 0);
    world.record(&ticks, codec::encode(&[event]).expect("it is small")).await;
    // Not even a deactivation undoes what was decided before it.
    world.deactivate("v1").await;
    world.go_on().await;
    world.pass(1).await;
    assert_eq!(world.times().await, [3_600]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_started_is_recorded_with_why_and_the_next_time_is_tried_again() {
    let world = World::start().await;
    world.launch_plan("v1", every_minutes(1)).await;
    world.activate("v1").await;
    let project = |archived| RegistryEvent::ProjectPut {
        project: "p".to_owned(),
        name: "p".to_owned(),
        description: String::new(),
        archived,
        labels: BTreeMap::new(),
    };
    let journal = JournalId::project("p");
    world.record(&journal, codec::encode(&[project(true)]).expect("it is small")).await;
    world.pass(70).await;
    assert!(world.times().await.is_empty());
    let last = world.history().await.last.expect("its time came");
    assert_eq!(last.refused.as_deref(), Some("project [p] is not active"));
    world.record(&journal, codec::encode(&[project(false)]).expect("it is small")).await;
    world.pass(60).await;
    assert_eq!(world.times().await, [120]);
    let execution = ExecutionId::parse("p", "development", &last.execution).expect("a good id");
    let head = world.log.head(&JournalId::execution(&execution)).await.expect("the log is there");
    assert_eq!(head, Head::EMPTY, "what was refused stays so");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_loses_records_and_answers_delays_times_and_neither_doubles_nor_loses_them() {
    let faults = Faults { lost_acknowledgements: 200, lost_appends: 200, delays: 100 };
    for seed in 0..5 {
        let mut world = World::over(Arc::new(FaultyLog::new(MemoryLog::default(), seed, faults))).await;
        world.launch_plan("v1", every_minutes(1)).await;
        world.activate("v1").await;
        for _ in 0..5 {
            world.pass(4 * MINUTE).await;
            world.stop().await;
            world.go_on().await;
        }
        world.pass(30).await;
        let expected: Vec<i64> = (1..=20).map(|minute| minute * MINUTE).collect();
        assert_eq!(world.times().await, expected, "seed {seed}");
    }
}
