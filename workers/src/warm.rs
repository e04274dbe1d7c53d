//! Warm children: each has one task loaded, and runs chunk after chunk, or attempt after attempt, of it. One of an actor
//! environment loads whichever of its tasks comes next, and what was imported for the others stays.

use crate::ahead::Making;
use crate::child::Child;
use crate::command_line::CommandLine;
use crate::config::{Config, FastPath};
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::nest::Nest;
use crate::places::Group;
use crate::plain::Interface;
use crate::resident;
use crate::scratch::Folder;
use skein_model::{Failure, Isolation, Life, Work, WorkKind};
use skein_protocol::messages::{Load, LoadJob, Loaded, Setting};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Variables that differ between executions of one task.
const OF_EXECUTION: [&str; 3] = [
    "FLYTE_INTERNAL_EXECUTION_ID",
    "FLYTE_INTERNAL_EXECUTION_WORKFLOW",
    "FLYTE_INTERNAL_EXECUTION_LAUNCHPLAN",
];
/// The variable that tells which try it is.
pub(crate) const OF_ATTEMPT: &str = "FLYTE_ATTEMPT_NUMBER";

/// A warm child.
pub(crate) struct Warm {
    pub child: Child,
    /// Whether its task's function can be called directly.
    pub is_fast: bool,
    /// What it has in common with the work that it is for.
    pub key: u64,
    /// What it counts with.
    pub group: Group,
    /// How long it is kept without being used, if its environment says so.
    pub ttl: Option<Duration>,
    /// Which task it has loaded.
    loaded: u64,
    /// Its process id; none when it did not come so far as to tell it.
    pid: Option<u32>,
    born: Instant,
    /// How many chunks or attempts it was given: the number of the last of them.
    pub chunks: u32,
    /// Its resident memory in MiB after the first chunk; none before, or where nobody tells.
    resident_first: Option<u64>,
    /// Whether the task shares no process between its items.
    is_for_once: bool,
    /// Where it keeps its progress page and temporary files, when those are not in the folder of its one piece of work;
    /// goes when it goes.
    pub folder: Option<Folder>,
}

impl Warm {
    /// Takes a kept child that has the task of `work` loaded, or makes one. Whoever used it and finds it good calls
    /// [`Warm::keep`].
    ///
    /// # Errors
    /// When there is no child to be had.
    pub(crate) async fn ready(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<Self, Failure> {
        let key = key(work);
        let mut ready = loop {
            match machine.kept.take(|warm| warm.key == key) {
                // What an attempt left behind in it may end it at any time; that is no fault of the next one.
                Some(warm) if warm.is_past(&work.life) || !warm.child.is_quiet() => warm.end(work).await,
                Some(mut warm) if warm.loaded != key_of_task(work) => {
                    warm.turn_to(machine, work, prepared, interface).await?;
                    break warm;
                }
                Some(warm) => break warm,
                // One that is under way is worth waiting for: it was begun before.
                None if machine.ahead.is_over(key).await => {}
                None => {
                    let _making = Making::new(machine, key);
                    break Self::make(machine, work, prepared, interface, 0).await?;
                }
            }
        };
        ready.chunks += 1;
        Ok(ready)
    }

    /// Makes a child for whoever needs it next. What its task prints while it is imported is told by the first to use it.
    ///
    /// # Errors
    /// When there is no child to be had.
    pub(crate) async fn ahead(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<Self, Failure> {
        Self::load(machine, work, prepared, interface, None).await
    }

    /// Says whether it is for work with this key.
    pub(crate) const fn is_for(&self, key: u64) -> bool {
        self.key == key
    }

    /// Makes a child that is not kept; `kept` bytes of what its chunk has printed are there.
    ///
    /// # Errors
    /// When there is no child to be had.
    pub(crate) async fn for_once(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        kept: u64,
    ) -> Result<Self, Failure> {
        let made = Self::make(machine, work, prepared, interface, kept).await?;
        Ok(Self { is_for_once: true, chunks: 1, ..made })
    }

    /// Says whether it has run something before what it runs now.
    pub(crate) const fn is_used(&self) -> bool {
        self.chunks > 1
    }

    /// Keeps it for later, unless it is worn out or was to be used once; says whether it did.
    pub(crate) async fn keep(mut self, machine: &Machine, work: &Work) -> bool {
        // One that has accelerators keeps their memory for as long as it lives, and they are somebody else's next.
        let has_gpus = work.resources.gpus() > 0;
        if self.is_for_once || has_gpus || self.is_worn(&work.life, &machine.config) {
            self.end(work).await;
            return false;
        }
        machine.kept.put(self);
        true
    }

    /// Ends it. Where processes are counted, or have accelerators, it is waited for: the next one needs its place.
    pub(crate) async fn end(self, work: &Work) {
        if Group::most(work).is_some() || work.resources.gpus() > 0 {
            self.child.end(Duration::ZERO).await;
        }
    }

    /// Says whether it has run for the last time.
    fn is_worn(&mut self, life: &Life, config: &Config) -> bool {
        let chunks = life.attempts_max.unwrap_or(u32::MAX).min(config.chunks_per_interpreter);
        let reason = if self.chunks >= chunks {
            "it has run as often as it may"
        } else if self.is_past(life) {
            "it is as old as it may be"
        } else if life.growth_mib_max.is_some_and(|most| self.has_grown(most)) {
            "its memory has grown by as much as it may"
        } else {
            return false;
        };
        tracing::debug!(group = ?self.group, chunks = self.chunks, reason, "a process is replaced");
        true
    }

    /// Says whether its time is over.
    fn is_past(&self, life: &Life) -> bool {
        life.seconds_max.is_some_and(|most| self.born.elapsed() >= Duration::from_secs(most.into()))
    }

    /// Says whether it holds `most` MiB more than after its first chunk, which has brought in what every chunk needs.
    fn has_grown(&mut self, most: u32) -> bool {
        let Some(now) = self.pid.and_then(resident::mib) else { return false };
        let first = *self.resident_first.get_or_insert(now);
        now.saturating_sub(first) >= u64::from(most)
    }

    async fn make(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        kept: u64,
    ) -> Result<Self, Failure> {
        machine.make_room(work).await;
        if work.isolation == Some(Isolation::Fork)
            && work.resources.gpus() == 0
            && !prepared.line.is_native()
            && let Some(nest) = Nest::of(machine, work, prepared, interface).await?
        {
            let born = Instant::now();
            let forked = prepared.interpreter.fork_from(nest.zygote(), &prepared.folder.progress());
            let child = forked.map_err(|error| failure::not_started(&error))?;
            child.capture.begin_at(&work.output_prefix, kept).await;
            return Ok(Self::new(work, child, born, nest.is_fast));
        }
        Self::load(machine, work, prepared, interface, Some(kept)).await
    }

    async fn load(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        kept: Option<u64>,
    ) -> Result<Self, Failure> {
        let folder = machine.folder(prepared.code.as_ref()).map_err(|error| failure::not_started(&error))?;
        let setting = machine.setting(work, prepared, &folder);
        let born = Instant::now();
        let interpreter = machine.origin_of(work, prepared).await?;
        let forked = interpreter.fork(&folder.progress()).await;
        let mut child = forked.map_err(|error| match prepared.line.is_native() {
            true => failure::program_not_started(&error),
            false => failure::not_started(&error),
        })?;
        let setting = machine.confine(&mut child, work, setting)?;
        // What the user's module prints when it is imported belongs to the chunk that needs it.
        match kept {
            Some(kept) => child.capture.begin_at(&work.output_prefix, kept).await,
            None => child.capture.hold().await,
        }
        let load = load_of(setting, interface, machine.config.fast_path);
        let (is_fast, pid) = have_loaded(&mut child, work, load).await?;
        Ok(Self { pid, folder: Some(folder), ..Self::new(work, child, born, is_fast) })
    }

    /// Has it load another task of its environment. What the module prints meanwhile belongs to the work that needs it.
    async fn turn_to(
        &mut self,
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<(), Failure> {
        let folder = self.folder.as_ref().unwrap_or(&prepared.folder);
        let setting = machine.setting(work, prepared, folder);
        self.child.capture.begin_at(&work.output_prefix, 0).await;
        let load = load_of(setting, interface, machine.config.fast_path);
        (self.is_fast, _) = have_loaded(&mut self.child, work, load).await?;
        self.loaded = key_of_task(work);
        Ok(())
    }

    /// Answers the folder in which its work begins, when that is the same for all of it: that of an actor environment, whose
    /// `actor_cache` tells by it what belongs together.
    pub(crate) fn home(&self) -> Option<&Folder> {
        self.folder.as_ref().filter(|_| self.ttl.is_some())
    }

    /// One that has run nothing yet, in the folder of its one piece of work.
    fn new(work: &Work, child: Child, born: Instant, is_fast: bool) -> Self {
        Self {
            child,
            is_fast,
            key: key(work),
            group: Group::of(work),
            ttl: work.actor.as_ref().map(|actor| actor.ttl),
            loaded: key_of_task(work),
            pid: None,
            born,
            chunks: 0,
            resident_first: None,
            is_for_once: !lives_on(work),
            folder: None,
        }
    }
}

/// Has a child load a task; answers whether its function can be called directly, and its process id if it has told it.
async fn have_loaded(child: &mut Child, work: &Work, load: Load) -> Result<(bool, Option<u32>), Failure> {
    // A child that is gone already is found by how it ended.
    let _ = child.send(&LoadJob { load }).await;
    let loaded = match within(work.timeout, child.receive::<Loaded>()).await {
        None => return Err(failure::timed_out(work.timeout.unwrap_or_default())),
        Some(Err(error)) => return Err(failure::foreign(&failure::no_message(&error))),
        Some(Ok(Some(Loaded { loaded: None, ended: None, .. }))) => {
            return Err(failure::foreign(&failure::no_message(&"it has no loaded")));
        }
        Some(Ok(loaded)) => loaded,
    };
    if let Some(Loaded { loaded: Some(Some(reason)), .. }) = &loaded {
        tracing::debug!(task = work.task.name, reason, "items go through the SDK's dispatch");
    }
    let is_fast = matches!(loaded, Some(Loaded { loaded: Some(None), ended: None, .. }));
    Ok((is_fast, loaded.and_then(|loaded| loaded.pid)))
}

/// Says whether the process that runs `work` is kept for what comes next. Items share one unless their task asks for none
/// to; attempts share one only if it asks for that, and containers of their own never do.
pub(crate) const fn lives_on(work: &Work) -> bool {
    if work.raw_prefix.is_some() {
        return false;
    }
    match (&work.kind, work.isolation) {
        (_, Some(Isolation::Reuse)) | (WorkKind::Items { .. }, None) => true,
        (_, Some(Isolation::Fork | Isolation::Fresh)) | (WorkKind::Task, None) => false,
    }
}

/// Answers a task that may be called directly if `plain` is what it gets and gives, as far as `path` allows.
pub(crate) fn load_of(setting: Setting, plain: Option<&Interface>, path: FastPath) -> Load {
    let dispatch = path == FastPath::On;
    let plain = plain.filter(|_| dispatch);
    let shapes = |interface: &Interface| {
        interface.inputs.iter().map(|(name, shape)| (name.clone(), shape.to_string())).collect()
    };
    Load {
        setting,
        dispatch,
        plain: plain.is_some(),
        inputs: plain.map_or_else(BTreeMap::new, shapes),
        output: plain.and_then(|interface| interface.output.as_ref()).map(|(_, shape)| shape.to_string()),
    }
}

/// Waits for `future`, but not longer than the work may take; none when that was not enough.
pub(crate) async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}

/// Answers what two pieces of work must have in common to run in one process. Executions have their own, unless the
/// task says that it wants to share. The tasks of an actor environment share, as far as their code is of one archive and
/// they ask for the same of the machine; what differs between them in variables is set for each.
pub(crate) fn key(work: &Work) -> u64 {
    let Some(actor) = &work.actor else { return hash(work, work.isolation == Some(Isolation::Reuse)) };
    let archive = CommandLine::parse(&work.args).archive;
    hash_of(&(&actor.environment, &actor.image, &work.image, archive, &work.resources))
}

/// Answers what all attempts of a task have in common, of whichever execution.
pub(crate) fn key_of_task(work: &Work) -> u64 {
    hash(work, true)
}

fn hash(work: &Work, is_shared: bool) -> u64 {
    let differs = |name: &str| name == OF_ATTEMPT || (is_shared && OF_EXECUTION.contains(&name));
    let env = work.env.iter().filter(|(name, _)| !differs(name));
    let command = CommandLine::parse(&work.args).identity();
    let env = env.collect::<Vec<_>>();
    hash_of(&(&work.task, &work.template, &work.image, command, env, &work.resources))
}

fn hash_of(parts: &impl serde::Serialize) -> u64 {
    let bytes = rmp_serde::to_vec(parts).expect("names and strings have a MessagePack form");
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
