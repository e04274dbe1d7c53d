//! Which worker of an actor environment has which task: decided from what was said and when, without a clock, a stream or a
//! task of its own.
//!
//! - A worker gets a task of its queue while it has a free slot, workers in the order of their ids; then while there is room in its backlog.
//! - A status counts only from the worker that has the task, and only while it has it. To every other one the answer is DELETE, which
//!   ends both the task there and its being told of.
//! - A task whose worker has said nothing of it for [`SILENT_MAX`], or has been away for [`AWAY_MAX`], is lost.
//! - Of two streams of one worker the later counts: a worker whose connection broke comes again before that is noticed.

use skein_idl::fasttask::heartbeat_response::Operation;
use skein_idl::fasttask::{Capacity, HeartbeatRequest, HeartbeatResponse, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long nothing may be heard of a task, or of a worker, before it is given up.
pub const SILENT_MAX: Duration = Duration::from_secs(90);
/// How long a worker may be away whose stream has ended. They come again within a few seconds of a server's start.
pub const AWAY_MAX: Duration = Duration::from_secs(30);
/// The longest id of a worker or queue, in bytes.
const ID_BYTES_MAX: usize = 1_024;
/// The longest reason that is passed on, in characters.
const REASON_CHARS_MAX: usize = 4_096;

/// One stream, by a number that no other has.
pub type StreamId = u64;

/// A worker. Workers of one queue are in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerKey {
    /// The environment, as [`skein_model::Actor::queue`] names it.
    pub queue: String,
    /// The worker's id.
    pub worker: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Say this.
    Send(StreamId, Box<HeartbeatResponse>),
    /// Tell whoever waits for a task what became of it.
    Tell(String, Verdict),
    /// End a stream, for this reason.
    Close(StreamId, String),
    /// Note that a worker takes tasks from now on.
    Joined(WorkerKey, Room),
    /// Note that a worker takes none any more.
    Left(WorkerKey),
    /// Note a status that means nothing.
    Odd {
        /// Who said it.
        worker: WorkerKey,
        /// Of which task.
        task: String,
        /// The number that is no phase.
        phase: i32,
    },
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// User code runs.
    Began,
    /// It has ended by itself: what it left says how.
    Finished,
    /// The worker could not run it.
    Failed {
        /// Why, in the worker's words.
        reason: String,
        /// Whether trying again cannot help.
        is_permanent: bool,
        /// Whether the worker takes it on itself.
        is_systems: bool,
    },
    /// Nobody knows any more; why, in words.
    Lost(String),
}

/// How much a worker takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// How many tasks it runs at once.
    pub slots: usize,
    /// How many more may wait at it.
    pub backlog: usize,
}

#[derive(Debug)]
struct Worker {
    /// None while it is away.
    stream: Option<StreamId>,
    room: Room,
    /// When it was heard last, or went away.
    since: Duration,
}

#[derive(Debug)]
struct Task {
    worker: WorkerKey,
    stage: Stage,
    since: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A place is kept for it.
    Kept,
    /// It was assigned.
    Assigned,
    /// User code runs.
    Runs,
}

/// All workers and their tasks. Times are those since whatever moment the caller counts from.
#[derive(Debug, Default)]
pub struct State {
    /// The streams, with the worker that each turned out to be, and since when there is nothing from it.
    streams: BTreeMap<StreamId, (Option<WorkerKey>, Duration)>,
    workers: BTreeMap<WorkerKey, Worker>,
    tasks: BTreeMap<String, Task>,
}

impl State {
    /// Notes a stream on which nothing was said yet.
    pub fn opens(&mut self, stream: StreamId, now: Duration) {
        self.streams.insert(stream, (None, now));
    }

    /// Answers how many streams there are.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes what was said on a stream.
    ///
    /// # Errors
    /// What is wrong with it, naming the field; the stream is to be ended then.
    pub fn hears(
        &mut self,
        stream: StreamId,
        said: HeartbeatRequest,
        now: Duration,
    ) -> Result<Vec<Action>, String> {
        let Some((known, _)) = self.streams.get(&stream) else {
            return Err("another stream has taken this one's place".to_owned());
        };
        let key = WorkerKey {
            queue: checked("queue_id", said.queue_id)?,
            worker: checked("worker_id", said.worker_id)?,
        };
        if let Some(known) = known.as_ref().filter(|known| **known != key) {
            return Err(format!(
                "this stream is of worker_id {:?} of queue_id {:?}, and now says {:?} of {:?}; open one for each",
                known.worker, known.queue, key.worker, key.queue
            ));
        }
        let room = said.capacity.map_or(Ok(None), |capacity| room(&capacity).map(Some))?;
        let mut actions = self.joins(stream, &key, room, now);
        for status in said.task_statuses {
            self.reads(stream, &key, status, now, &mut actions);
        }
        Ok(actions)
    }

    fn joins(&mut self, stream: StreamId, key: &WorkerKey, room: Option<Room>, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        self.streams.insert(stream, (Some(key.clone()), now));
        let worker = self.workers.entry(key.clone()).or_insert(Worker {
            stream: None,
            room: Room::default(),
            since: now,
        });
        worker.since = now;
        worker.room = room.unwrap_or(worker.room);
        if worker.stream != Some(stream) {
            if let Some(before) = worker.stream.replace(stream) {
                self.streams.remove(&before);
                let why = format!("worker_id {:?} of this queue has opened another stream", key.worker);
                actions.push(Action::Close(before, why));
            }
            actions.push(Action::Joined(key.clone(), worker.room));
        }
        actions
    }

    fn reads(
        &mut self,
        stream: StreamId,
        key: &WorkerKey,
        status: TaskStatus,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let id = status.task_id.clone();
        let Some(task) =
            self.tasks.get_mut(&id).filter(|task| task.worker == *key && task.stage != Stage::Kept)
        else {
            actions.push(answer(stream, &status, Operation::Delete));
            return;
        };
        let verdict = match status.phase {
            // Not ready, waiting, queued, initializing.
            1..=4 => None,
            5 => (task.stage != Stage::Runs).then_some(Verdict::Began),
            6 => Some(Verdict::Finished),
            phase @ (7 | 8) => Some(Verdict::Failed {
                reason: status.reason.chars().take(REASON_CHARS_MAX).collect(),
                is_permanent: phase == 8,
                is_systems: status.system_failure,
            }),
            10 => Some(Verdict::Lost(format!("worker {} has given it up: {}", key.worker, status.reason))),
            phase => {
                actions.push(Action::Odd { worker: key.clone(), task: id, phase });
                return;
            }
        };
        task.since = now;
        match verdict {
            None => actions.push(answer(stream, &status, Operation::Ack)),
            Some(Verdict::Began) => {
                task.stage = Stage::Runs;
                actions.extend([Action::Tell(id, Verdict::Began), answer(stream, &status, Operation::Ack)]);
            }
            Some(ended) => {
                self.tasks.remove(&id);
                actions.extend([Action::Tell(id, ended), answer(stream, &status, Operation::Delete)]);
            }
        }
    }

    /// Notes the end of a stream. Its worker may come again.
    pub fn leaves(&mut self, stream: StreamId, now: Duration) -> Vec<Action> {
        let Some((Some(key), _)) = self.streams.remove(&stream) else { return Vec::new() };
        match self.workers.get_mut(&key).filter(|worker| worker.stream == Some(stream)) {
            Some(worker) => {
                (worker.stream, worker.since) = (None, now);
                vec![Action::Left(key)]
            }
            None => Vec::new(),
        }
    }

    /// Says whether tasks of a queue are for its workers: one is there that takes any.
    pub fn serves(&self, queue: &str) -> bool {
        self.there(queue).any(|(_, worker)| worker.room.slots + worker.room.backlog > 0)
    }

    /// Says whether a worker of a queue takes one more task.
    pub fn takes(&self, queue: &str) -> bool {
        self.chosen(queue).is_some()
    }

    /// Says whether any worker takes one more task.
    pub fn has_room(&self) -> bool {
        let queues: BTreeSet<&str> = self.workers.keys().map(|key| key.queue.as_str()).collect();
        queues.into_iter().any(|queue| self.takes(queue))
    }

    /// Keeps a place for a task at a worker of its queue; answers which, or none when all are full.
    pub fn keep(&mut self, id: String, queue: &str, now: Duration) -> Option<WorkerKey> {
        let worker = self.chosen(queue)?;
        self.tasks.insert(id, Task { worker: worker.clone(), stage: Stage::Kept, since: now });
        Some(worker)
    }

    /// Assigns a task to the worker that has a place for it; none when that has gone away meanwhile, and the place with it.
    pub fn assign(&mut self, message: HeartbeatResponse, now: Duration) -> Option<Action> {
        let task = self.tasks.get_mut(&message.task_id)?;
        let Some(stream) = self.workers.get(&task.worker).and_then(|worker| worker.stream) else {
            self.tasks.remove(&message.task_id);
            return None;
        };
        (task.stage, task.since) = (Stage::Assigned, now);
        let message = HeartbeatResponse { operation: Operation::Assign.into(), ..message };
        Some(Action::Send(stream, Box::new(message)))
    }

    /// Forgets a task that nobody wants any more, and has its worker end it.
    pub fn gives_up(&mut self, id: &str) -> Option<Action> {
        let task = self.tasks.remove(id)?;
        let stream = self.workers.get(&task.worker)?.stream?;
        (task.stage != Stage::Kept).then(|| delete(stream, id))
    }

    /// Gives up what was not heard of for too long.
    pub fn passes(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        let is_over = |since: Duration, most: Duration| now.saturating_sub(since) >= most;
        let silent: Vec<_> = self
            .streams
            .iter()
            .filter(|(_, (_, since))| is_over(*since, SILENT_MAX))
            .map(|(id, _)| *id)
            .collect();
        for stream in silent {
            let why = format!("nothing was heard on this stream for {} s", SILENT_MAX.as_secs());
            actions.push(Action::Close(stream, why));
            actions.extend(self.leaves(stream, now));
        }
        let lost = |task: &Task| {
            let WorkerKey { worker: name, queue } = &task.worker;
            let worker = self.workers.get(&task.worker);
            let is_away =
                worker.is_none_or(|worker| worker.stream.is_none() && is_over(worker.since, AWAY_MAX));
            if task.stage == Stage::Kept {
                None
            } else if is_away {
                Some(format!(
                    "worker {name} of {queue} went away and did not come again within {} s",
                    AWAY_MAX.as_secs()
                ))
            } else if is_over(task.since, SILENT_MAX) {
                Some(format!(
                    "worker {name} of {queue} has said nothing of it for {} s",
                    SILENT_MAX.as_secs()
                ))
            } else {
                None
            }
        };
        let lost: Vec<_> =
            self.tasks.iter().filter_map(|(id, task)| Some((id.clone(), lost(task)?))).collect();
        for (id, why) in lost {
            actions.extend(self.gives_up(&id));
            actions.push(Action::Tell(id, Verdict::Lost(why)));
        }
        self.workers.retain(|_, worker| worker.stream.is_some() || !is_over(worker.since, AWAY_MAX));
        actions
    }

    fn there<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = (&'a WorkerKey, &'a Worker)> {
        let first = WorkerKey { queue: queue.to_owned(), worker: String::new() };
        self.workers
            .range(first..)
            .take_while(move |(key, _)| key.queue == queue)
            .filter(|(_, worker)| worker.stream.is_some())
    }

    /// The worker that the next task of a queue goes to.
    fn chosen(&self, queue: &str) -> Option<WorkerKey> {
        let has = |key: &WorkerKey| self.tasks.values().filter(|task| task.worker == *key).count();
        let with = |most: fn(&Room) -> usize| {
            self.there(queue).find(|(key, worker)| has(key) < most(&worker.room)).map(|(key, _)| key.clone())
        };
        with(|room| room.slots).or_else(|| with(|room| room.slots.saturating_add(room.backlog)))
    }
}

fn checked(field: &str, id: String) -> Result<String, String> {
    match id.len() {
        0 => Err(format!("{field} is empty; it has to be a name")),
        1..=ID_BYTES_MAX => Ok(id),
        bytes => Err(format!("{field} has {bytes} bytes; it may have {ID_BYTES_MAX}")),
    }
}

fn room(capacity: &Capacity) -> Result<Room, String> {
    let limit = |field: &str, limit: i32| {
        usize::try_from(limit).map_err(|_| format!("capacity.{field} is {limit}; it has to be 0 or more"))
    };
    Ok(Room {
        slots: limit("execution_limit", capacity.execution_limit)?,
        backlog: limit("backlog_limit", capacity.backlog_limit)?,
    })
}

fn answer(stream: StreamId, status: &TaskStatus, operation: Operation) -> Action {
    let message = HeartbeatResponse {
        task_id: status.task_id.clone(),
        namespace: status.namespace.clone(),
        workflow_id: status.workflow_id.clone(),
        operation: operation.into(),
        exec_id: status.exec_id.clone(),
        enqueue_labels: status.enqueue_labels.clone(),
        ..HeartbeatResponse::default()
    };
    Action::Send(stream, Box::new(message))
}

fn delete(stream: StreamId, id: &str) -> Action {
    let message = HeartbeatResponse {
        task_id: id.to_owned(),
        operation: Operation::Delete.into(),
        ..HeartbeatResponse::default()
    };
    Action::Send(stream, Box::new(message))
}

#[cfg(test)]
mod tests;
