//! Programs that have tasks of their own: each is started when work needs it, and is there for a while after.

use crate::config::Config;
use crate::failure;
use crate::interpreter::Interpreter;
use crate::zygote::Origin;
use rustix::fs::{Access, access};
use skein_log::BlobStore;
use skein_model::{Failure, Work};
use skein_protocol::{NativeCommand, native};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How many programs may be known before those are forgotten that do not run.
const KNOWN_MAX: usize = 64;

/// The programs that work needed, by path and digest: one that is built anew is another.
pub(crate) struct Programs {
    config: Arc<Config>,
    blobs: Arc<BlobStore>,
    known: Mutex<BTreeMap<(String, String), Arc<Interpreter>>>,
}

impl Programs {
    pub(crate) fn new(config: Arc<Config>, blobs: Arc<BlobStore>) -> Self {
        Self { config, blobs, known: Mutex::default() }
    }

    /// Answers where the processes of a task come from. A program that runs already goes on as it is; one that does not is
    /// looked at: it must be the one that the task was registered from.
    ///
    /// # Errors
    /// What the user is told when it is not.
    pub(crate) async fn of(&self, work: &Work, command: &NativeCommand) -> Result<Arc<Interpreter>, Failure> {
        let key = (command.program.clone(), command.digest.clone());
        let known = self.known.lock().await.get(&key).cloned();
        if let Some(program) = &known
            && program.is_started().await
        {
            return Ok(Arc::clone(program));
        }
        check(work, command).await?;
        let mut programs = self.known.lock().await;
        if programs.len() >= KNOWN_MAX {
            let mut running = BTreeMap::new();
            for (key, program) in std::mem::take(&mut *programs) {
                if program.is_started().await {
                    running.insert(key, program);
                }
            }
            *programs = running;
        }
        let program = programs.entry(key).or_insert_with(|| {
            let origin = Origin::Program { path: PathBuf::from(&command.program) };
            Interpreter::new(Arc::clone(&self.config), origin, Arc::clone(&self.blobs))
        });
        Ok(Arc::clone(program))
    }

    /// Ends all of them, and with them all that they run.
    pub(crate) async fn end(&self) {
        for program in std::mem::take(&mut *self.known.lock().await).into_values() {
            program.end().await;
        }
    }
}

async fn check(work: &Work, command: &NativeCommand) -> Result<(), Failure> {
    let path = PathBuf::from(&command.program);
    let (task, program, wanted) = (&work.task.name, &command.program, &command.digest);
    let advice =
        "put the program that was registered there, or register a new version from where the program is now";
    if !path.is_absolute() {
        let message = format!(
            "task {task} names the program {program:?}: an absolute path is needed, so register it again"
        );
        return Err(failure::program("ProgramNotFound", message));
    }
    match digest(path.clone()).await {
        Ok(found) if found == *wanted => access(&path, Access::EXEC_OK).map_err(|_| {
            let message = format!("the program {program} of task {task} may not be run: chmod +x {program}");
            failure::program("ProgramUnusable", message)
        }),
        Ok(found) => Err(failure::program(
            "ProgramChanged",
            format!(
                "task {task} was registered from the program {program} with the digest {wanted}, but what is there has {found}: {advice}"
            ),
        )),
        Err(error) => Err(failure::program(
            "ProgramNotFound",
            format!("task {task} needs the program {program}, which cannot be read ({error}): {advice}"),
        )),
    }
}

async fn digest(path: PathBuf) -> io::Result<String> {
    let digest = move || native::digest(Path::new(&path));
    tokio::task::spawn_blocking(digest).await.map_err(io::Error::other).flatten()
}

#[cfg(test)]
mod tests {
    use skein_protocol::native::COMMAND;

    #[test]
    fn the_command_that_registration_writes_is_the_one_that_the_engine_runs() {
        assert_eq!(COMMAND, skein_model::runnable::NATIVE_COMMAND);
    }
}
