//! What the attempts of this machine use of it: memory, processor time, accelerators; looked at while they run.
//!
//! ```text
//!  slots ──watch──► list of what runs ◄──every 500 ms── one task ──► /proc, control groups, NVML
//!                                                          │
//!                                                          └──steps──► series ──object──► blob store ◄── gateway
//! ```
//!
//! One task looks at everything that runs, and sleeps when nothing does. An attempt that ends before it is looked at for the
//! first time leaves nothing, and costs an entry in a list (and, where its process is used again, one read of a file):
//! most attempts last some milliseconds, and what they used is not worth what it would cost to know. A process that runs
//! one attempt after another is charged to each for the processor time since it began, and for all of its memory, whoever
//! left it there. Of a map the item counts that runs when it is looked at.

mod driver;
mod pid;
mod sense;
mod tree;
mod watched;

pub(crate) use pid::Pid;
pub(crate) use sense::Target;
pub(crate) use watched::{Kept, Watched};

use crate::gpus::Device;
use driver::Meters;
use skein_log::BlobStore;
use skein_log::usage::TICK_MS;
use skein_model::Work;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use watched::Watch;

/// How often it is looked.
const TICK: Duration = Duration::from_millis(TICK_MS);

/// Everything that is looked at.
pub(crate) struct Usage {
    watches: Mutex<Vec<Arc<Watch>>>,
    /// Rings when the list is no longer empty.
    begun: Notify,
    blobs: Arc<BlobStore>,
    meters: Arc<Meters>,
    gpus: Vec<Device>,
}

impl Usage {
    pub(crate) fn new(blobs: Arc<BlobStore>, gpus: Option<&[Device]>) -> Arc<Self> {
        Arc::new(Self {
            watches: Mutex::default(),
            begun: Notify::new(),
            blobs,
            meters: Arc::new(Meters::nvml()),
            gpus: gpus.unwrap_or_default().to_vec(),
        })
    }

    /// Looks at a piece of work from now on, until what this answers is dropped; there is something to be seen as soon as it is
    /// told which process runs it.
    pub(crate) fn watch(self: &Arc<Self>, work: &Arc<Work>) -> Watched {
        let watch = Arc::new(Watch::new(Arc::clone(work)));
        let mut watches = self.watches();
        watches.push(Arc::clone(&watch));
        if watches.len() == 1 {
            self.begun.notify_one();
        }
        drop(watches);
        Watched::new(Arc::clone(self), watch)
    }

    fn forget(&self, watch: &Arc<Watch>) {
        let mut watches = self.watches();
        if let Some(at) = watches.iter().position(|known| Arc::ptr_eq(known, watch)) {
            watches.swap_remove(at);
        }
    }

    fn watches(&self) -> MutexGuard<'_, Vec<Arc<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks, for as long as the workers run.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut stores = JoinSet::new();
        loop {
            if self.watches().is_empty() {
                self.begun.notified().await;
            }
            tokio::time::sleep(TICK).await;
            while stores.try_join_next().is_some() {}
            let watches = self.watches().clone();
            let usage = Arc::clone(&self);
            // Files of the kernel, but many of them, and a driver.
            let looked = tokio::task::spawn_blocking(move || usage.look(watches)).await;
            for watch in looked.unwrap_or_default() {
                let blobs = Arc::clone(&self.blobs);
                stores.spawn(async move { watch.store(&blobs).await });
            }
        }
    }

    /// Looks at everything once; answers what is to be stored.
    fn look(&self, watches: Vec<Arc<Watch>>) -> Vec<Arc<Watch>> {
        let kernel = tree::Kernel::new();
        let is_due = |watch: &Arc<Watch>| watch.look(&kernel, &self.meters, &self.gpus);
        watches.into_iter().filter(is_due).collect()
    }
}
