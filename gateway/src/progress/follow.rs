//! Executions that somebody watches: each is read by one task, however many watch, and by none when nobody does.
//!
//! ```text
//!  views ──a batch was folded──► one task an execution ──at most one read a second──► all who watch it
//! ```

use super::Progress;
use crate::error::ApiError;
use crate::shared::Shared;
use skein_model::{Category, ExecutionId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// The least time between two reads of one execution. More often than a person looks, it would only cost.
const PERIOD: Duration = Duration::from_secs(1);
/// How long after that a read waits for the log to move: rates and times change also while nothing ends, and whoever
/// watches is to know that there is still somebody there.
const REST_MAX: Duration = Duration::from_secs(4);

/// One state of an execution, encoded once for all who watch it.
#[derive(Debug)]
pub(crate) struct Update {
    /// The progress as JSON, in one line.
    pub(crate) json: String,
    /// Whether the execution has ended, so that no other follows.
    pub(crate) is_last: bool,
}

impl Update {
    /// Encodes a progress.
    ///
    /// # Errors
    /// [`ApiError::Internal`] when it cannot be encoded.
    pub(crate) fn of(progress: &Progress) -> Result<Self, ApiError> {
        let json = serde_json::to_string(progress)
            .map_err(|error| ApiError::internal("an execution's progress as JSON", &error))?;
        Ok(Self { json, is_last: progress.phase.is_terminal() })
    }
}

/// What those who watch an execution share.
type Sender = Arc<watch::Sender<Arc<Update>>>;

/// All executions that somebody watches now.
#[derive(Default)]
pub(crate) struct Watched {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: BTreeMap<ExecutionId, (Sender, AbortHandle)>,
    is_closed: bool,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers how many they are.
    pub(crate) fn count(&self) -> i64 {
        i64::try_from(self.lock().open.len()).unwrap_or(i64::MAX)
    }

    /// Ends every watch, and lets none begin: a server that is to end waits for nobody who only looks.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for (_, task) in std::mem::take(&mut state.open).into_values() {
            task.abort();
        }
    }

    /// Says whether the server is about to end.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Ends the watch of an execution unless somebody has come who watches; says whether it ended.
    fn leave(&self, id: &ExecutionId, sender: &Sender) -> bool {
        let mut state = self.lock();
        let is_left = sender.receiver_count() == 0;
        if is_left {
            state.open.remove(id);
        }
        is_left
    }
}

/// Watches an execution whose state is `first`. What is received is the newest state, and the end comes after the last.
///
/// # Errors
/// [`ApiError::Unavailable`] when the server is about to end.
pub(crate) fn watch(
    shared: &Arc<Shared>,
    id: &ExecutionId,
    first: Update,
) -> Result<watch::Receiver<Arc<Update>>, ApiError> {
    let mut state = shared.watched.lock();
    if state.is_closed {
        return Err(ApiError::Unavailable("the server is ending; ask again".to_owned()));
    }
    if let Some((sender, _)) = state.open.get(id) {
        return Ok(sender.subscribe());
    }
    let is_last = first.is_last;
    let (sender, receiver) = watch::channel(Arc::new(first));
    if !is_last {
        let sender = Arc::new(sender);
        let task = tokio::spawn(follow(Arc::clone(shared), id.clone(), Arc::clone(&sender)));
        state.open.insert(id.clone(), (sender, task.abort_handle()));
    }
    Ok(receiver)
}

async fn follow(shared: Arc<Shared>, id: ExecutionId, sender: Sender) {
    let mut moves = shared.views.moves(Category::Execution);
    loop {
        let pause = async {
            sleep(PERIOD).await;
            // That the views have stopped shows when they are read.
            drop(timeout(REST_MAX, moves.changed()).await);
        };
        tokio::select! {
            () = sender.closed() => {
                if shared.watched.leave(&id, &sender) {
                    return;
                }
                continue;
            }
            () = pause => {}
        }
        match super::read(&shared, &id).await.and_then(|progress| Update::of(&progress)) {
            Ok(update) => {
                let is_last = update.is_last;
                sender.send_replace(Arc::new(update));
                if is_last {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, execution = %id, "an execution cannot be watched any longer");
                break;
            }
        }
    }
    shared.watched.lock().open.remove(&id);
}
