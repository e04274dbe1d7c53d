//! Starts and stops an engine: the wiring, readable in one sitting.

use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::engine::{EngineActor, Msg};
use crate::intake;
use crate::launch::Launchables;
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::perform::announce::Announced;
use crate::perform::cache::Reservations;
use crate::plans::Plans;
use crate::ports::{Clock, Ports, Templates};
use ractor::{Actor, ActorRef};
use skein_catalog::Catalog;
use skein_log::{BlobStore, EventLog, Inbox, QueueError, ReadError, TaskQueue};
use skein_model::job::POOL;
use skein_model::{Category, ExecutionId, PoolId};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tracing::info;

/// An engine that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log cannot be read.
    #[error("the executions that are under way cannot be listed")]
    Read(#[from] ReadError),
    /// The queue cannot be asked what workers have.
    #[error("the task queue cannot be asked what it holds")]
    Queue(#[from] QueueError),
    /// The supervisor cannot be started.
    #[error("the supervisor cannot be started: {0}")]
    Spawn(#[from] ractor::SpawnErr),
}

/// A running engine: owns every execution of its log.
pub struct Engine {
    supervisor: ActorRef<Msg>,
    notifier: Notifier,
    tasks: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts an engine, which takes up every execution that has not ended and follows the log for new ones.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: Config,
        metrics: Metrics,
        log: Arc<dyn EventLog>,
        inbox: Arc<dyn Inbox>,
        queue: Arc<dyn TaskQueue>,
        blobs: Arc<BlobStore>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        // Where to follow from is taken before what is open is listed: nothing can fall in between.
        let cursor = log.end(Category::Execution).await?;
        let open = log.open_journals(Category::Execution).await?;
        let open: BTreeSet<ExecutionId> =
            open.iter().filter_map(skein_model::JournalId::as_execution).collect();
        let dispatch = Dispatch::new(queue, config.pool.clone(), config.handed_out_max);
        let dispatch = dispatch.with_gpus(config.gpus.clone()).with_others(config.other_pools());
        let dispatch = Arc::new(dispatch);
        // Before any result can be recorded: what is done by then is not taken for out.
        dispatch.find(&open).await?;
        let to_connectors = config.connectors.as_ref().map(|to| {
            let queue = Arc::clone(&to.queue);
            Arc::new(Dispatch::new(queue, PoolId(POOL.to_owned()), to.jobs_max))
        });
        let settings = config.notify.clone();
        let (notifier, telling) =
            Notifier::start(settings, Arc::clone(&log), Arc::clone(&clock), metrics.clone()).await?;
        let catalog = Catalog::new(Arc::clone(&log), skein_catalog::MEMORY_MAX);
        let ports = Arc::new(Ports {
            config,
            log,
            inbox: Arc::clone(&inbox),
            dispatch,
            to_connectors,
            blobs,
            clock,
            plans: Plans::default(),
            templates: Templates::default(),
            launchables: Launchables::default(),
            announced: Announced::default(),
            metrics,
            catalog,
            reservations: Reservations::default(),
            notifier: notifier.clone(),
        });
        let (supervisor, running) = Actor::spawn(None, EngineActor { ports: Arc::clone(&ports) }, ()).await?;
        if !open.is_empty() {
            info!(executions = open.len(), "taking up executions that were under way");
        }
        for id in open {
            // The supervisor has only just been started.
            drop(supervisor.cast(Msg::TakeUp { id, first: None }));
        }
        let mut tasks = vec![
            running,
            tokio::spawn(intake::follow(Arc::clone(&ports), supervisor.clone(), cursor)),
            tokio::spawn(intake::mail(ports, supervisor.clone(), inbox)),
        ];
        tasks.extend(telling);
        Ok(Self { supervisor, notifier, tasks })
    }

    /// Stops the engine. What was not confirmed will be asked for again by whoever wants it.
    pub async fn stop(mut self) {
        self.supervisor.stop(None);
        self.notifier.stop();
        let running = self.tasks.remove(0);
        for task in &self.tasks {
            task.abort();
        }
        // An actor that panicked has been reported already.
        drop(running.await);
    }
}
