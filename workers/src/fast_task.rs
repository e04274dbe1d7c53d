//! The service `fasttask.FastTask`: workers of actor environments that somebody else starts, as union's `unionai-actor-bridge`,
//! take the tasks of their environment here, in the place of this machine's own processes.
//!
//! What is decided is in [`state`]; here are the streams, the clock, and who waits for what.

pub(crate) mod serve;
pub mod state;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use skein_idl::fasttask::fast_task_server::FastTask;
use skein_idl::fasttask::{HeartbeatRequest, HeartbeatResponse};
use skein_model::{Work, WorkKind};
use state::{Action, State, StreamId, Verdict, WorkerKey};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How many messages wait for a worker that does not read. It has stalled then, and its stream is ended.
const UNREAD_MAX: usize = 1_024;
/// How many streams there may be.
const STREAMS_MAX: usize = 1_024;
/// How often it is looked for what was not heard of.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Answer = Result<HeartbeatResponse, Status>;

/// All streams of a machine.
pub(crate) struct Bridges {
    begun: Instant,
    /// What the ids of tasks end with, so that those of an earlier server are known for what they are.
    epoch: u128,
    next: AtomicU64,
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    state: State,
    streams: BTreeMap<StreamId, mpsc::Sender<Answer>>,
    waiting: BTreeMap<String, mpsc::UnboundedSender<Verdict>>,
    is_closed: bool,
}

/// A place for a task at a worker. The task is given up when this is dropped before its end.
pub(crate) struct Kept {
    pub worker: WorkerKey,
    pub id: String,
    verdicts: mpsc::UnboundedReceiver<Verdict>,
    bridges: Arc<Bridges>,
}

impl Bridges {
    pub(crate) fn new() -> Arc<Self> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            begun: Instant::now(),
            epoch: since.as_micros(),
            next: AtomicU64::new(0),
            inner: Mutex::default(),
            changed: watch::Sender::new(()),
        })
    }

    /// Says whether work is for a worker of its environment that is connected, and not for this machine's own processes. The
    /// items of maps are for those in any case: a worker knows no chunks.
    pub(crate) fn serves(&self, work: &Work) -> bool {
        let Some(actor) = &work.actor else { return false };
        work.kind == WorkKind::Task && self.inner().state.serves(&actor.queue())
    }

    /// Says whether a worker takes work now.
    pub(crate) fn takes(&self, work: &Work) -> bool {
        let Some(actor) = &work.actor else { return false };
        work.kind == WorkKind::Task && self.inner().state.takes(&actor.queue())
    }

    /// Says whether any worker takes one more task.
    pub(crate) fn has_room(&self) -> bool {
        self.inner().state.has_room()
    }

    /// Keeps a place for work at a worker of its environment; none when all are full, or it is for none.
    pub(crate) fn keep(self: &Arc<Self>, work: &Work) -> Option<Kept> {
        let actor = work.actor.as_ref().filter(|_| work.kind == WorkKind::Task)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!(
            "{}-{}-{}-{:x}-{number}",
            work.id.execution.name, work.id.node, work.id.attempt, self.epoch
        );
        let mut inner = self.inner();
        let worker = inner.state.keep(id.clone(), &actor.queue(), self.begun.elapsed())?;
        let (sender, verdicts) = mpsc::unbounded_channel();
        inner.waiting.insert(id.clone(), sender);
        drop(inner);
        Some(Kept { worker, id, verdicts, bridges: Arc::clone(self) })
    }

    /// Tells when there may be room that was not there before, or a worker that was not.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Gives up what was not heard of for too long, again and again.
    pub(crate) async fn look(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.does(|state, now| state.passes(now));
        }
    }

    /// Ends all streams, and takes no others.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.is_closed = true;
        for (_, stream) in std::mem::take(&mut inner.streams) {
            // One that is full does not read why.
            let _ = stream.try_send(Err(Status::unavailable("the server ends")));
        }
    }

    fn opens(&self) -> Result<(StreamId, mpsc::Receiver<Answer>), Status> {
        let stream = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(UNREAD_MAX);
        let mut inner = self.inner();
        if inner.is_closed {
            return Err(Status::unavailable("the server ends"));
        }
        if inner.state.streams() >= STREAMS_MAX {
            return Err(Status::resource_exhausted(format!(
                "there are {STREAMS_MAX} streams of workers already"
            )));
        }
        inner.state.opens(stream, self.begun.elapsed());
        inner.streams.insert(stream, sender);
        Ok((stream, receiver))
    }

    fn hears(&self, stream: StreamId, said: HeartbeatRequest) -> Result<(), Status> {
        let mut heard = Ok(());
        self.does(|state, now| {
            state.hears(stream, said, now).unwrap_or_else(|why| {
                heard = Err(Status::invalid_argument(why));
                Vec::new()
            })
        });
        heard
    }

    /// Decides, and does what follows from it; says whether all that was to be said was taken.
    fn does(&self, decide: impl FnOnce(&mut State, Duration) -> Vec<Action>) -> bool {
        let mut inner = self.inner();
        let mut actions = decide(&mut inner.state, self.begun.elapsed());
        let (has_changed, mut is_taken) = (!actions.is_empty(), true);
        // What cannot be said to a worker ends its stream, from which more may follow.
        while !actions.is_empty() {
            let stalled: Vec<_> = actions.drain(..).filter_map(|action| inner.perform(action)).collect();
            for stream in stalled {
                tracing::warn!(stream, "a worker does not read what it is told, and its stream is ended");
                is_taken = false;
                inner.streams.remove(&stream);
                actions.extend(inner.state.leaves(stream, self.begun.elapsed()));
            }
        }
        drop(inner);
        if has_changed {
            self.changed.send_replace(());
        }
        is_taken
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Does one thing; answers a stream that took no more.
    fn perform(&mut self, action: Action) -> Option<StreamId> {
        match action {
            Action::Send(stream, message) => {
                let sent = self.streams.get(&stream)?.try_send(Ok(*message));
                return sent.is_err().then_some(stream);
            }
            Action::Tell(task, verdict) => {
                // Whoever waited may have given up at this moment.
                if let Some(waiting) = self.waiting.get(&task) {
                    let _ = waiting.send(verdict);
                }
            }
            Action::Close(stream, why) => {
                tracing::warn!(stream, why, "the stream of a worker is ended");
                if let Some(closed) = self.streams.remove(&stream) {
                    let _ = closed.try_send(Err(Status::aborted(why)));
                }
            }
            Action::Joined(WorkerKey { queue, worker }, room) => tracing::warn!(
                queue,
                worker,
                slots = room.slots,
                backlog = room.backlog,
                "a worker that this server did not start takes the tasks of an actor environment"
            ),
            Action::Left(WorkerKey { queue, worker }) => {
                tracing::warn!(queue, worker, "a worker of an actor environment has gone")
            }
            Action::Odd { worker: WorkerKey { queue, worker }, task, phase } => {
                tracing::warn!(queue, worker, task, phase, "a worker says a phase that there is not");
            }
        }
        None
    }
}

impl Kept {
    /// Hands the task to the worker; says whether it is still there.
    pub(crate) fn assign(&self, message: HeartbeatResponse) -> bool {
        let mut is_sent = false;
        let message = HeartbeatResponse { task_id: self.id.clone(), ..message };
        let is_taken = self.bridges.does(|state, now| {
            let action = state.assign(message, now);
            is_sent = action.is_some();
            action.into_iter().collect()
        });
        is_sent && is_taken
    }

    /// Waits for what becomes of it.
    pub(crate) async fn verdict(&mut self) -> Verdict {
        let verdict = self.verdicts.recv().await;
        verdict.unwrap_or_else(|| Verdict::Lost("nobody knows of it any more".to_owned()))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.bridges.inner().waiting.remove(&self.id);
        self.bridges.does(|state, _| state.gives_up(&self.id).into_iter().collect());
        // A place is free.
        self.bridges.changed.send_replace(());
    }
}

/// Serves the streams of workers of actor environments; made by [`crate::Workers::fast_task`].
#[derive(Clone)]
pub struct Service(pub(crate) Arc<Bridges>);

#[tonic::async_trait]
impl FastTask for Service {
    type HeartbeatStream = BoxStream<'static, Answer>;

    async fn heartbeat(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let (stream, answers) = self.0.opens()?;
        let peer = request.remote_addr();
        tokio::spawn(read(Arc::clone(&self.0), stream, peer, request.into_inner()));
        Ok(Response::new(ReceiverStream::new(answers).boxed()))
    }
}

/// Takes what is said on a stream until it ends, or something is said on it that cannot be.
async fn read(
    bridges: Arc<Bridges>,
    stream: StreamId,
    peer: Option<SocketAddr>,
    mut said: Streaming<HeartbeatRequest>,
) {
    tracing::info!(stream, ?peer, "a worker of an actor environment connects");
    let why = loop {
        match said.message().await {
            Ok(Some(request)) => {
                if let Err(status) = bridges.hears(stream, request) {
                    tracing::warn!(stream, ?peer, why = status.message(), "a worker is refused");
                    let refused = bridges.inner().streams.remove(&stream);
                    if let Some(refused) = refused {
                        let _ = refused.try_send(Err(status));
                    }
                    break "it was refused".to_owned();
                }
            }
            Ok(None) => break "it ended the stream".to_owned(),
            Err(status) => break status.message().to_owned(),
        }
    };
    tracing::info!(stream, ?peer, why, "the stream of a worker has ended");
    bridges.inner().streams.remove(&stream);
    bridges.does(|state, now| state.leaves(stream, now));
}
