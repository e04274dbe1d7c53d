//! The warm child of a slot: it has one task loaded, and runs chunk after chunk of it.

use crate::child::Child;
use crate::config::{Config, FastPath};
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::plain::Interface;
use crate::protocol::{Load, LoadJob, Loaded};
use crate::scratch::Folder;
use skein_model::{Failure, Work};
use std::collections::BTreeMap;

/// A warm child.
pub(crate) struct Warm {
    pub child: Child,
    /// Whether its task's function can be called directly.
    pub is_fast: bool,
    key: u64,
    chunks: u32,
    /// Where it keeps its progress page and temporary files; goes when it goes.
    _folder: Folder,
}

impl Warm {
    /// Says whether another child should take its place.
    pub(super) const fn is_worn_out(&self, config: &Config) -> bool {
        self.chunks >= config.chunks_per_interpreter
    }

    /// Makes sure that the child in `warm` has the task of `work` loaded.
    ///
    /// # Errors
    /// When there is no child to be had.
    pub(super) async fn ready<'a>(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
        warm: &'a mut Option<Self>,
    ) -> Result<&'a mut Self, Failure> {
        let key = key(work, prepared);
        if warm.as_ref().is_some_and(|warm| warm.key != key) {
            *warm = None;
        }
        let ready = match warm.take() {
            Some(warm) => warm,
            None => Self::load(machine, work, prepared, interface, key).await?,
        };
        let ready = warm.insert(ready);
        ready.chunks += 1;
        Ok(ready)
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
        let may = interface.filter(|_| machine.config.fast_path == FastPath::On);
        let load = Load {
            setting: &setting,
            plain: may.is_some(),
            inputs: may.map_or_else(BTreeMap::new, shapes),
            output: may.and_then(|interface| interface.output.as_ref()).map(|(_, shape)| shape.to_string()),
        };
        let loaded = match child.send(&LoadJob { load }).await {
            Ok(()) => child.receive::<Loaded>().await.ok().flatten(),
            Err(_) => None,
        };
        if let Some(Loaded { loaded: Some(reason) }) = &loaded {
            tracing::debug!(task = work.task.name, reason, "items go through the SDK's dispatch");
        }
        let is_fast = matches!(loaded, Some(Loaded { loaded: None }));
        Ok(Self { child, is_fast, key, chunks: 0, _folder: folder })
    }
}

fn shapes(interface: &Interface) -> BTreeMap<&str, String> {
    interface.inputs.iter().map(|(name, shape)| (name.as_str(), shape.to_string())).collect()
}

/// Answers what two pieces of work must have in common to run in one process.
fn key(work: &Work, prepared: &Prepared) -> u64 {
    let env = work.env.iter().filter(|(name, _)| name != super::ATTEMPT_VARIABLE);
    let parts = (&work.task, &work.template, prepared.line.identity(), env.collect::<Vec<_>>());
    let bytes = rmp_serde::to_vec(&parts).expect("names and strings have a MessagePack form");
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
