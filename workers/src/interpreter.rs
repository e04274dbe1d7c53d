//! The interpreter of a pool, or the program that has a task: there while it is used, and for a while after.

use crate::capture::Capture;
use crate::child::Child;
use crate::config::Config;
use crate::environment;
use crate::nest::Nests;
use crate::zygote::{Origin, StartError, Zygote};
use skein_log::BlobStore;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Mutex;

/// Gives children, and starts the zygote that they come from when there is none.
pub(crate) struct Interpreter {
    config: Arc<Config>,
    origin: Origin,
    blobs: Arc<BlobStore>,
    zygote: Mutex<Option<Arc<Zygote>>>,
    /// What user code there gets of this process's environment.
    pub environment: BTreeMap<String, String>,
    /// The tasks that are imported and can be forked.
    pub nests: Nests,
}

impl Interpreter {
    pub(crate) fn new(config: Arc<Config>, origin: Origin, blobs: Arc<BlobStore>) -> Arc<Self> {
        let environment = environment::base(&config, &origin);
        let (zygote, nests) = (Mutex::new(None), Nests::default());
        Arc::new(Self { config, origin, blobs, zygote, environment, nests })
    }

    /// Names it.
    pub(crate) fn name(&self) -> String {
        self.origin.name()
    }

    /// Forks a child.
    ///
    /// # Errors
    /// When no zygote can be started.
    pub(crate) async fn fork(self: &Arc<Self>, page: &Path) -> Result<Child, StartError> {
        let zygote = self.zygote().await?;
        self.fork_from(zygote, page)
    }

    /// Forks a child from a zygote, or a nest, that is there.
    ///
    /// # Errors
    /// When there are no more files to be had.
    pub(crate) fn fork_from(&self, zygote: Arc<Zygote>, page: &Path) -> Result<Child, StartError> {
        Child::fork(zygote, page, |log| Capture::start(log, Arc::clone(&self.blobs), self.config.log))
            .map_err(|source| StartError::Spawn { origin: self.origin.name(), source })
    }

    async fn zygote(self: &Arc<Self>) -> Result<Arc<Zygote>, StartError> {
        let mut current = self.zygote.lock().await;
        if let Some(zygote) = current.as_ref().filter(|zygote| zygote.is_alive()) {
            return Ok(Arc::clone(zygote));
        }
        let zygote = Arc::new(Zygote::start(&self.config, &self.origin).await?);
        *current = Some(Arc::clone(&zygote));
        tokio::spawn(end_when_idle(Arc::downgrade(self), Arc::downgrade(&zygote), self.config.idle_ttl));
        Ok(zygote)
    }

    /// Says whether it is there.
    pub(crate) async fn is_started(&self) -> bool {
        self.zygote.lock().await.as_ref().is_some_and(|zygote| zygote.is_alive())
    }

    /// Ends the zygote and with it all children.
    pub(crate) async fn end(&self) {
        self.nests.clear();
        self.zygote.lock().await.take();
    }
}

/// Ends a zygote that nobody has had a child of for `ttl`.
async fn end_when_idle(interpreter: Weak<Interpreter>, zygote: Weak<Zygote>, ttl: Duration) {
    let step = ttl / 4;
    let mut idle = Duration::ZERO;
    loop {
        tokio::time::sleep(step).await;
        let Some(interpreter) = interpreter.upgrade() else { return };
        let mut current = interpreter.zygote.lock().await;
        // One reference is the interpreter's own, each child has another, and nests are children that may be idle.
        let (nests, is_used) = interpreter.nests.state();
        idle = if is_used || zygote.strong_count() > 1 + nests { Duration::ZERO } else { idle + step };
        if zygote.strong_count() == 0 {
            return;
        }
        if idle >= ttl {
            interpreter.nests.clear();
            current.take();
            return;
        }
    }
}
