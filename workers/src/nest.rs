//! Nests: children that have a task imported and fork a child of their own for each attempt of it.
//!
//! An attempt in a child of a nest finds what its module did when it was imported, and nothing of other attempts. Where that
//! would differ from importing it anew (`nest.py` looks), there is no nest, and each attempt imports for itself.

use crate::capture::Capture;
use crate::child::Tie;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::plain::Interface;
use crate::scratch::Folder;
use crate::warm;
use crate::warm::load_of;
use crate::zygote::Zygote;
use skein_model::{Failure, Work};
use skein_protocol::messages::{NestJob, Nested};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long importing a task may take. After that each attempt imports for itself, on its own time.
const IMPORT_MAX: Duration = Duration::from_secs(60);
/// How many nests are kept. One holds some ten megabytes of its own, and its task's imports.
const NESTS_MAX: usize = 8;

/// A nest.
pub(crate) struct Nest {
    zygote: Arc<Zygote>,
    /// Whether its task's function can be called directly.
    pub is_fast: bool,
}

/// What a nest lives on: its process goes when this goes.
pub(crate) struct Ground {
    _tie: Tie,
    /// Reads what it prints, which is nothing of interest.
    _capture: Capture,
    _folder: Folder,
}

/// One for each task that was seen; none in it for a task that is not to be forked from where it was imported.
type Cell = Arc<OnceCell<Option<Arc<Nest>>>>;

/// The nests of an interpreter, the one that was used last at the end.
#[derive(Default)]
pub(crate) struct Nests {
    known: Mutex<Vec<(u64, Cell)>>,
}

impl Nests {
    fn cell(&self, key: u64) -> Cell {
        let mut known = self.known();
        let cell = match known.iter().position(|(of, _)| *of == key) {
            Some(at) => {
                let (_, cell) = known.remove(at);
                // One whose process is gone is made again.
                let is_dead =
                    cell.get().is_some_and(|nest| nest.as_ref().is_some_and(|nest| !nest.zygote.is_alive()));
                if is_dead { Cell::default() } else { cell }
            }
            None => Cell::default(),
        };
        if known.len() >= NESTS_MAX {
            known.remove(0);
        }
        known.push((key, Arc::clone(&cell)));
        cell
    }

    /// Answers how many there are, and whether one of them has children.
    pub(crate) fn state(&self) -> (usize, bool) {
        let known = self.known();
        let nests = known.iter().filter_map(|(_, cell)| cell.get()?.as_ref());
        let (mut count, mut is_used) = (0, false);
        for nest in nests {
            count += 1;
            is_used |= Arc::strong_count(&nest.zygote) > 1;
        }
        (count, is_used)
    }

    /// Lets all of them go.
    pub(crate) fn clear(&self) {
        self.known().clear();
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Cell)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nest {
    /// Answers the nest of a task, made when there is none yet; none when the task is not to have one.
    ///
    /// # Errors
    /// When there is no interpreter to be had.
    pub(crate) async fn of(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<Option<Arc<Self>>, Failure> {
        let cell = prepared.interpreter.nests.cell(warm::key_of_task(work));
        let made = cell.get_or_try_init(|| Self::make(machine, work, prepared, interface)).await?;
        Ok(made.clone())
    }

    /// Answers what forks.
    pub(crate) fn zygote(&self) -> Arc<Zygote> {
        Arc::clone(&self.zygote)
    }

    async fn make(
        machine: &Machine,
        work: &Work,
        prepared: &Prepared,
        interface: Option<&Interface>,
    ) -> Result<Option<Arc<Self>>, Failure> {
        let folder = machine.folder(prepared.code.as_ref()).map_err(|error| failure::not_started(&error))?;
        let setting = machine.setting_for_all(work, prepared, &folder);
        let forked = prepared.interpreter.fork(&folder.progress()).await;
        let mut child = forked.map_err(|error| failure::not_started(&error))?;
        let job = NestJob { nest: load_of(setting, interface, machine.config.fast_path) };
        let within = work.timeout.map_or(IMPORT_MAX, |timeout| timeout.min(IMPORT_MAX));
        let said = match child.send(&job).await {
            Ok(()) => tokio::time::timeout(within, child.receive::<Nested>()).await.ok(),
            Err(_) => None,
        };
        let said = said.and_then(Result::ok).flatten();
        let task = work.task.name.as_str();
        match said {
            Some(Nested { obstacle: Some(None), slow, ended: None }) => {
                if let Some(reason) = &slow {
                    tracing::debug!(task, reason, "attempts go through the SDK's dispatch");
                }
                let (tie, frames, capture) = child.into_parts();
                let ground = Ground { _tie: tie, _capture: capture, _folder: folder };
                let zygote = Zygote::on(ground, frames).map_err(|error| failure::not_started(&error))?;
                Ok(Some(Arc::new(Self { zygote: Arc::new(zygote), is_fast: slow.is_none() })))
            }
            Some(Nested { obstacle: Some(Some(reason)), .. }) => {
                tracing::debug!(task, reason, "each attempt imports its task anew");
                Ok(None)
            }
            // What ends the process when it is imported, or never comes to an end, will do so in each attempt, which is
            // where it belongs.
            Some(_) | None => Ok(None),
        }
    }
}
