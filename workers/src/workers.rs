//! The workers of one pool on one machine, as whoever composes a system sees them.

use crate::ahead;
use crate::config::Config;
use crate::container;
use crate::fast_task::{self, Service};
use crate::machine::Machine;
use crate::slot::{Phase, Slot};
use skein_idl::fasttask::fast_task_server::FastTaskServer;
use skein_log::{BlobStore, Inbox, TaskQueue};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long reports may take after everything has been stopped.
const LAST_REPORTS: Duration = Duration::from_secs(5);

/// Workers that run. Dropping them kills what they run and reports nothing.
pub struct Workers {
    machine: Arc<Machine>,
    slots: JoinSet<()>,
    phase: watch::Sender<Phase>,
    /// What goes on beside the slots.
    helpers: JoinSet<()>,
}

impl Workers {
    /// Starts `config.slots` workers. No interpreter is started before there is work that needs one.
    ///
    /// # Errors
    /// When the scratch folder cannot be set up.
    pub fn start(
        config: Config,
        queue: Arc<dyn TaskQueue>,
        inbox: Arc<dyn Inbox>,
        blobs: Arc<BlobStore>,
    ) -> io::Result<Self> {
        let (phase, closing) = watch::channel(Phase::Open);
        tracing::info!(pool = %config.pool, slots = config.slots, interpreter = %config.interpreter.display(), "workers start");
        let machine = Arc::new(Machine::new(config, blobs)?);
        let mut helpers = JoinSet::new();
        helpers.spawn(ahead::heed(Arc::clone(&queue), Arc::clone(&machine)));
        helpers.spawn(Arc::clone(&machine.usage).run());
        let cleared = Arc::clone(&machine);
        helpers.spawn(async move { container::remove_orphans(&cleared).await });
        let mut slots = JoinSet::new();
        for number in 0..machine.config.slots.get() {
            let slot = Slot {
                machine: Arc::clone(&machine),
                queue: Arc::clone(&queue),
                inbox: Arc::clone(&inbox),
                worker: format!("{}-{number}", machine.config.worker),
                phase: closing.clone(),
            };
            slots.spawn(slot.run());
        }
        let others = Slot {
            worker: format!("{}-others", machine.config.worker),
            phase: closing,
            machine: Arc::clone(&machine),
            queue,
            inbox,
        };
        slots.spawn(fast_task::serve::run(others));
        Ok(Self { machine, slots, phase, helpers })
    }

    /// Answers the service that workers of actor environments connect to which somebody else starts, to be served where clients
    /// are. Until one is connected, and for every environment of which none is, tasks run in processes of this machine's own.
    pub fn fast_task(&self) -> FastTaskServer<Service> {
        FastTaskServer::new(Service(Arc::clone(&self.machine.bridges)))
    }

    /// Takes no more work and waits for what runs, at most `grace`; what is not done by then is stopped and handed
    /// back as interrupted, which nobody pays for. Afterwards no process of user code is left.
    pub async fn drain(mut self, grace: Duration) {
        self.phase.send_replace(Phase::Closing);
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            self.phase.send_replace(Phase::Closed);
            let last = self.machine.config.kill_grace + LAST_REPORTS;
            if tokio::time::timeout(last, self.ended()).await.is_err() {
                tracing::warn!("some results could not be reported; their work will be offered again");
            }
        }
        self.slots.shutdown().await;
        self.helpers.shutdown().await;
        self.machine.ahead.end().await;
        self.machine.kept.clear();
        self.machine.environments.end().await;
        self.machine.programs.end().await;
        if let Some(groups) = &self.machine.config.cgroups {
            groups.end().await;
        }
    }

    async fn ended(&mut self) {
        while self.slots.join_next().await.is_some() {}
    }
}
