//! Warm children: each has one task loaded, and runs chunk after chunk, or attempt after attempt, of it.

use crate::child::Child;
use crate::config::Config;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::nest::Nest;
use crate::plain::Interface;
use crate::protocol::{Load, LoadJob, Loaded};
use crate::scratch::Folder;
use skein_model::{Failure, Isolation, Work};

/// How many warm children a slot keeps: the tasks of a workflow take turns, and an interpreter holds some ten megabytes
/// of its own.
const KEPT_MAX: usize = 4;
/// Variables that differ between executions of one task.
const OF_EXECUTION: [&str; 3] = [
    "FLYTE_INTERNAL_EXECUTION_ID",
    "FLYTE_INTERNAL_EXECUTION_WORKFLOW",
    "FLYTE_INTERNAL_EXECUTION_LAUNCHPLAN",
];
/// The variable that tells which try it is.
pub(crate) const OF_ATTEMPT: &str = "FLYTE_ATTEMPT_NUMBER";

/// The warm children of a slot, the one that was used last at the end.
#[derive(Default)]
pub(crate) struct Kept {
    held: Vec<Warm>,
}

impl Kept {
    /// Says whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Lets all of them go.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
    }

    /// Keeps a child for later, unless it is worn out or was to be used once.
    pub(crate) fn put(&mut self, warm: Warm, config: &Config) {
        if warm.chunks >= config.chunks_per_interpreter || warm.is_for_once {
            return;
        }
        if self.held.len() >= KEPT_MAX {
            self.held.remove(0);
        }
        self.held.push(warm);
    }

    fn take(&mut self, key: u64) -> Option<Warm> {
        let at = self.held.iter().position(|warm| warm.key == key)?;
        Some(self.held.remove(at))
    }
}

/// A warm child.
pub(crate) struct Warm {
    pub child: Child,
    /// Whether its task's function can be called directly.
    pub is_fast: bool,
    key: u64,
    chunks: u32,
    /// Whether the task shares no process between its items.
    is_for_once: bool,
    /// Whether it was forked from where the task was imported, and knows nothing of the work that it is for.
    pub is_forked: bool,
    /// Where it keeps its progress page and temporary files, when those are not in the folder of its one piece of work;
    /// goes when it goes.
    _folder: Option<Folder>,
}

impl Warm {
    /// Takes a child out of `kept` that has the task of `work` loaded, or makes one. Whoever used it and finds it good
    /// puts it back.
    ///
    /// # Errors
    /// When there is no child to be had.
    pub(crate) async fn ready(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        kept: &mut Kept,
    ) -> Result<Self, Failure> {
        let key = key(work, prepared);
        let mut ready = match kept.take(key) {
            Some(warm) => warm,
            None => Self::make(machine, work, prepared, interface, key).await?,
        };
        ready.chunks += 1;
        Ok(ready)
    }

    async fn make(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        key: u64,
    ) -> Result<Self, Failure> {
        if work.isolation == Some(Isolation::Fork)
            && let Some(nest) = Nest::of(machine, work, prepared, interface).await?
        {
            let forked = machine.interpreter.fork_from(nest.zygote(), &prepared.folder.progress());
            let child = forked.map_err(|error| failure::not_started(&error))?;
            child.capture.begin(&work.output_prefix).await;
            let is_fast = nest.is_fast;
            return Ok(Self {
                child,
                is_fast,
                key,
                chunks: 0,
                is_for_once: true,
                is_forked: true,
                _folder: None,
            });
        }
        Self::load(machine, work, prepared, interface, key).await
    }

    async fn load(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        key: u64,
    ) -> Result<Self, Failure> {
        let folder = machine.folder(prepared.code.as_ref()).map_err(|error| failure::not_started(&error))?;
        let setting = machine.setting(work, prepared.line.argv.clone(), &folder, prepared.code.as_ref());
        let forked = machine.interpreter.fork(&folder.progress()).await;
        let mut child = forked.map_err(|error| failure::not_started(&error))?;
        // What the user's module prints when it is imported belongs to the chunk that needs it.
        child.capture.begin(&work.output_prefix).await;
        let load = Load::of(&setting, interface, machine.config.fast_path);
        let loaded = match child.send(&LoadJob { load }).await {
            Ok(()) => child.receive::<Loaded>().await.ok().flatten(),
            Err(_) => None,
        };
        if let Some(Loaded { loaded: Some(reason), .. }) = &loaded {
            tracing::debug!(task = work.task.name, reason, "items go through the SDK's dispatch");
        }
        let is_fast = matches!(loaded, Some(Loaded { loaded: None, ended: None }));
        let is_for_once = matches!(work.isolation, Some(Isolation::Fork | Isolation::Fresh));
        Ok(Self { child, is_fast, key, chunks: 0, is_for_once, is_forked: false, _folder: Some(folder) })
    }
}

/// Answers what two pieces of work must have in common to run in one process. Executions have their own, unless the
/// task says that it wants to share.
fn key(work: &Work, prepared: &Prepared) -> u64 {
    hash(work, prepared, work.isolation == Some(Isolation::Reuse))
}

/// Answers what all attempts of a task have in common, of whichever execution.
pub(crate) fn key_of_task(work: &Work, prepared: &Prepared) -> u64 {
    hash(work, prepared, true)
}

fn hash(work: &Work, prepared: &Prepared, is_shared: bool) -> u64 {
    let differs = |name: &str| name == OF_ATTEMPT || (is_shared && OF_EXECUTION.contains(&name));
    let env = work.env.iter().filter(|(name, _)| !differs(name));
    let parts = (&work.task, &work.template, prepared.line.identity(), env.collect::<Vec<_>>());
    let bytes = rmp_serde::to_vec(&parts).expect("names and strings have a MessagePack form");
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
