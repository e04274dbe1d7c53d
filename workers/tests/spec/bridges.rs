//! Workers of actor environments that connect, and are given tasks.

use crate::actors::actor;
use crate::reuse::{int, shared};
use crate::support::{House, PATIENCE, integer, integers, map, range, simple};
use prost::Message as _;
use skein_idl::fasttask::fast_task_client::FastTaskClient;
use skein_idl::fasttask::heartbeat_response::Operation;
use skein_idl::fasttask::{Capacity, HeartbeatRequest, HeartbeatResponse, TaskStatus};
use skein_idl::flyteidl::core::{ContainerError, ErrorDocument, SimpleType};
use skein_log::{Stop, TaskQueue as _};
use skein_model::command::Outcome;
use skein_model::{Charge, FailureCause, Work};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

/// A worker of the environment, as far as it speaks.
struct Bridge {
    worker: &'static str,
    slots: i32,
    says: mpsc::Sender<HeartbeatRequest>,
    hears: Streaming<HeartbeatResponse>,
}

impl Bridge {
    /// Connects, and waits until it is known.
    async fn connect(house: &House, worker: &'static str, slots: i32) -> Self {
        let service = house.workers.as_ref().expect("they run").fast_task();
        let (says, said) = mpsc::channel(16);
        let hears = FastTaskClient::new(service).heartbeat(ReceiverStream::new(said)).await;
        let mut bridge = Self { worker, slots, says, hears: hears.unwrap().into_inner() };
        // What is answered to an unknown task shows that everything before it was heard.
        bridge.says("nothing", 5).await;
        assert_eq!(bridge.hears().await.operation(), Operation::Delete);
        bridge
    }

    async fn send(&self, said: HeartbeatRequest) {
        self.says.send(said).await.unwrap();
    }

    async fn says(&self, task: &str, phase: i32) {
        self.tells(TaskStatus { task_id: task.to_owned(), phase, ..TaskStatus::default() }).await;
    }

    async fn tells(&self, status: TaskStatus) {
        let capacity = Capacity { execution_limit: self.slots, ..Capacity::default() };
        self.send(HeartbeatRequest {
            worker_id: self.worker.to_owned(),
            queue_id: "p_d_env_1".to_owned(),
            capacity: Some(capacity),
            task_statuses: vec![status],
        })
        .await;
    }

    async fn hears(&mut self) -> HeartbeatResponse {
        self.next().await.expect("an answer").expect("a message")
    }

    async fn next(&mut self) -> Result<Option<HeartbeatResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.hears.message()).await.expect("an answer in time")
    }

    async fn assigned(&mut self) -> Assigned {
        let told = self.hears().await;
        assert_eq!(told.operation(), Operation::Assign, "{told:?}");
        Assigned(told)
    }

    async fn is_told(&mut self, operation: Operation, task: &Assigned) {
        let told = self.hears().await;
        assert_eq!((told.operation(), &told.task_id), (operation, &task.0.task_id));
    }
}

struct Assigned(HeartbeatResponse);

impl Assigned {
    fn id(&self) -> &str {
        &self.0.task_id
    }

    fn word_after(&self, option: &str) -> PathBuf {
        let at = self.0.cmd.iter().position(|word| word == option).expect(option);
        PathBuf::from(&self.0.cmd[at + 1])
    }

    fn leaves(&self, name: &str, body: Vec<u8>) {
        let folder = self.word_after("--output-prefix");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), body).unwrap();
    }
}

async fn doubling(house: &House) -> Work {
    let mut work = shared(house, "double", 21, int(), "x").await;
    work.actor = Some(actor("1"));
    work
}

async fn doubled(house: &mut House) {
    let (_, outcome) = house.beginning_and_end().await;
    let Outcome::Succeeded { outputs, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(house.load(&outputs).await.literals["o0"], integer(42));
}

#[tokio::test]
async fn a_worker_is_given_a_task_and_what_it_leaves_is_its_result() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    let mut work = doubling(&house).await;
    work.env.push(("OF".to_owned(), "the task".to_owned()));
    house.offer(work).await;
    let task = bridge.assigned().await;
    assert_eq!(task.0.cmd[0], "pyflyte-fast-execute");
    assert!(task.word_after("--additional-distribution").is_file());
    let inputs = std::fs::read(task.word_after("--inputs")).unwrap();
    assert_eq!(inputs, map([("x", integer(21))]).encode_to_vec());
    assert_eq!(task.0.env_vars["OF"], "the task");
    assert_eq!((task.0.namespace.as_str(), task.0.exec_id.as_ref().unwrap().name.as_str()), ("p-d", "x"));
    bridge.says(task.id(), 5).await;
    bridge.is_told(Operation::Ack, &task).await;
    task.leaves("outputs.pb", map([("o0", integer(42))]).encode_to_vec());
    bridge.says(task.id(), 6).await;
    bridge.is_told(Operation::Delete, &task).await;
    let (worker, outcome) = house.beginning_and_end().await;
    assert_eq!(worker.as_deref(), Some("w of p_d_env_1"));
    let Outcome::Succeeded { outputs, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(house.load(&outputs).await.literals["o0"], integer(42));
    bridge.says(task.id(), 6).await;
    bridge.is_told(Operation::Delete, &task).await;
}

#[tokio::test]
async fn what_a_worker_leaves_is_judged_as_that_of_every_attempt() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    let error =
        ContainerError { code: "USER:Boom".to_owned(), message: "boom".to_owned(), ..Default::default() };
    let document = ErrorDocument { error: Some(error) }.encode_to_vec();
    for (left, code, charge) in [
        (Some(("error.pb", document)), "USER:Boom", Charge::User),
        (Some(("outputs.pb", b"\xff\xff".to_vec())), "OutputsUnreadable", Charge::User),
        (None, "OutputsNotFound", Charge::User),
    ] {
        house.offer(doubling(&house).await).await;
        let task = bridge.assigned().await;
        if let Some((name, body)) = left {
            task.leaves(name, body);
        }
        bridge.says(task.id(), 6).await;
        bridge.is_told(Operation::Delete, &task).await;
        let (_, outcome) = house.beginning_and_end().await;
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!((failure.code.as_str(), failure.charge), (code, charge));
    }
}

#[tokio::test]
async fn how_a_worker_says_that_a_task_failed_says_whom_it_is_charged_to() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    for (phase, system_failure, cause, charge) in [
        (7, false, FailureCause::TaskRaised { recoverable: true }, Charge::User),
        (7, true, FailureCause::SdkFault { recoverable: true }, Charge::System),
        (8, false, FailureCause::TaskRaised { recoverable: false }, Charge::User),
        (10, false, FailureCause::WorkerLost, Charge::System),
    ] {
        house.offer(doubling(&house).await).await;
        let task = bridge.assigned().await;
        let (task_id, reason) = (task.id().to_owned(), "the worker's words".to_owned());
        bridge.tells(TaskStatus { task_id, phase, reason, system_failure, ..TaskStatus::default() }).await;
        bridge.is_told(Operation::Delete, &task).await;
        let (_, outcome) = house.beginning_and_end().await;
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!((failure.cause, failure.charge), (cause, charge));
        assert!(failure.message.contains("the worker's words"), "{}", failure.message);
    }
}

#[tokio::test]
async fn what_a_full_worker_has_no_room_for_waits_for_it_and_keeps_no_slot_from_others() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    for _ in 0..2 {
        let mut work = doubling(&house).await;
        work.actor = work.actor.map(|actor| skein_model::Actor { slots: 4, ..actor });
        house.offer(work).await;
    }
    let first = bridge.assigned().await;
    for _ in 0..3 {
        house.offer(house.task("double", 21, int()).await).await;
        doubled(&mut house).await;
    }
    bridge.says(first.id(), 7).await;
    bridge.is_told(Operation::Delete, &first).await;
    let second = bridge.assigned().await;
    assert_ne!(first.id(), second.id());
}

#[tokio::test]
async fn items_of_maps_and_what_no_worker_takes_run_in_processes_of_this_machine() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    let mut items = house
        .items("same_int", range(0, 4), integers(range(0, 4)), Vec::new(), Some(simple(SimpleType::Integer)))
        .await;
    items.actor = Some(actor("1"));
    let chunk = house.chunk(items).await;
    assert!(chunk.failures.is_empty(), "{chunk:?}");
    assert_eq!(house.elements(&chunk).await.len(), 4);
    bridge.slots = 0;
    bridge.says("nothing", 5).await;
    assert_eq!(bridge.hears().await.operation(), Operation::Delete);
    house.offer(doubling(&house).await).await;
    doubled(&mut house).await;
}

#[tokio::test]
async fn a_task_that_is_withdrawn_is_deleted_at_its_worker() {
    let house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    let work = doubling(&house).await;
    let id = work.id.clone();
    house.offer(work).await;
    let task = bridge.assigned().await;
    house.queue.withdraw(Stop::Work(id)).await.unwrap();
    bridge.is_told(Operation::Delete, &task).await;
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_deleted_and_its_time_begins_with_its_user_code() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    house.offer(Work { timeout: Some(Duration::from_millis(200)), ..doubling(&house).await }).await;
    let task = bridge.assigned().await;
    bridge.says(task.id(), 3).await;
    bridge.is_told(Operation::Ack, &task).await;
    bridge.says(task.id(), 5).await;
    bridge.is_told(Operation::Ack, &task).await;
    bridge.is_told(Operation::Delete, &task).await;
    let (_, outcome) = house.beginning_and_end().await;
    assert!(matches!(outcome, Outcome::Failed(failure) if failure.cause == FailureCause::TimedOut));
}

#[tokio::test]
async fn a_server_that_ends_hands_back_what_workers_have_and_ends_their_streams() {
    let mut house = House::open().await;
    let mut bridge = Bridge::connect(&house, "w", 1).await;
    house.offer(doubling(&house).await).await;
    let task = bridge.assigned().await;
    house.workers.take().expect("they run").drain(Duration::from_millis(100)).await;
    bridge.is_told(Operation::Delete, &task).await;
    assert_eq!(bridge.next().await.expect_err("the stream ends").code(), Code::Unavailable);
    let (_, outcome) = house.beginning_and_end().await;
    assert!(matches!(outcome, Outcome::Failed(failure) if failure.charge == Charge::Interruption));
}

#[tokio::test]
async fn who_says_what_cannot_be_is_refused_and_nobody_else_is() {
    let house = House::open().await;
    let mut good = Bridge::connect(&house, "w", 1).await;
    let mut bad = Bridge::connect(&house, "v", 1).await;
    bad.send(HeartbeatRequest { worker_id: "v".to_owned(), ..HeartbeatRequest::default() }).await;
    let refused = bad.next().await.expect_err("it is refused");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "queue_id is empty; it has to be a name")
    );
    let mut again = Bridge::connect(&house, "w", 1).await;
    let taken = good.next().await.expect_err("there is another");
    assert_eq!(taken.code(), Code::Aborted);
    again.says("old", 6).await;
    assert_eq!(again.hears().await.operation(), Operation::Delete);
}
