//! A container's command without its image: on the machine as it is, in a mount namespace in which the folders of its attempt
//! lie where it expects them (`room.py`).

use super::task::Task;
use crate::capture::Printed;
use crate::child::{Child, Exit};
use crate::failure;
use crate::machine::Machine;
use crate::scratch::Folder;
use crate::usage::Target;
use skein_model::{Failure, Work};
use skein_protocol::messages::{AttemptJob, Room, Started};
use std::time::Duration;

/// How long making the room may take.
const ENTER_MAX: Duration = Duration::from_secs(60);

/// A command that runs.
pub(super) struct Running(Child);

/// Starts the command of a container task.
///
/// # Errors
/// What the user is told when the machine does not allow it.
pub(super) async fn start(
    machine: &Machine,
    work: &Work,
    task: &Task,
    argv: Vec<String>,
    folder: &Folder,
) -> Result<Running, Failure> {
    if argv.is_empty() {
        return Err(failure::bad_task(format!(
            "task {} has no command: what its image {} starts cannot be known without a container engine",
            work.task.name, task.image
        )));
    }
    machine.make_room(work).await;
    let interpreter = machine.environments.default();
    let forked = interpreter.fork(&folder.progress()).await;
    let mut child = forked.map_err(|error| failure::not_started(&error))?;
    child.capture.begin(&work.output_prefix).await;
    let shown = |path: std::path::PathBuf| path.display().to_string();
    let bind = |here, there: &std::path::Path| (shown(here), there.display().to_string());
    let job = AttemptJob {
        attempt: machine.command(work, interpreter, argv, folder, None),
        outputs: shown(folder.outputs()),
        publish: None,
        prefix: work.output_prefix.clone(),
        fresh: false,
        room: Some(Room {
            binds: vec![bind(folder.files(), &task.inputs.path), bind(folder.outputs(), &task.outputs.path)],
            staging: shown(folder.staging()),
        }),
    };
    child.send(&job).await.map_err(|error| failure::not_started(&error))?;
    match tokio::time::timeout(ENTER_MAX, child.receive::<Started>()).await {
        Ok(Ok(Some(Started { started: true, .. }))) => Ok(Running(child)),
        Ok(Ok(Some(Started { obstacle, .. }))) => {
            Err(failure::no_room(&task.image, &obstacle.unwrap_or_default()))
        }
        Ok(Ok(None) | Err(_)) => {
            Err(failure::engine("the process that was to make a room for the command is gone"))
        }
        Err(_) => {
            let seconds = ENTER_MAX.as_secs();
            Err(failure::engine(&format!("no room for the command was made within {seconds} s")))
        }
    }
}

impl Running {
    /// Waits until it has ended by itself. May be dropped while it waits.
    pub(super) async fn exited(&self) -> Exit {
        self.0.exited().await
    }

    /// Answers how it is looked at.
    pub(super) fn target(&self) -> Target {
        self.0.target(false, None)
    }

    /// Ends it and all that it started: SIGTERM, and SIGKILL for what is left after `grace`.
    pub(super) async fn end(&self, grace: Duration) {
        self.0.end(grace).await;
    }

    /// Takes the last of what it printed.
    pub(super) async fn finish(self) -> String {
        let Printed { tail, .. } = self.0.capture.end().await;
        tail
    }
}
