//! Tasks that are containers with a command of their own, which know nothing of the SDK: inputs become files and words of the
//! command, and files become outputs (contract 7.1).
//!
//! ```text
//!  literals ──value──► files ──┐                          ┌──outputs──► parse ──► literals
//!                              ├──► engine, or host ──────┤
//!  template ──task───► order ──┘                          └──capture──► log parts
//! ```
//!
//! What they declare (`task`), what their inputs say (`value`, `text`) and what their outputs mean (`parse`) is pure.

mod engine;
mod find;
mod host;
mod inputs;
mod outputs;
mod parse;
mod task;
mod text;
mod value;

pub use engine::Engine;
pub use find::{Containers, Mode, find};

use crate::attempt::{Ended, stopped};
use crate::child::Exit;
use crate::environment;
use crate::failure;
use crate::machine::Machine;
use crate::scratch::Folder;
use crate::stop::{Stop, Stopping};
use crate::usage::{Target, Watched};
use engine::Order;
use prost::Message as _;
use skein_idl::flyteidl::core::TaskTemplate;
use skein_model::command::Outcome;
use skein_model::{Failure, SecretRequest, Work};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use task::Task;

/// A container that runs, or its command without one.
enum Running {
    Engine(Box<engine::Running>),
    Host(host::Running),
}

/// A try whose command runs.
struct Begun {
    task: Task,
    folder: Folder,
    running: Running,
    /// Where it runs, in words.
    place: String,
}

enum Wait {
    Exited(Result<Exit, Failure>),
    TimedOut,
    Stopped(Stopping),
}

/// Runs one try of a container task; calls `started` with where it runs when its command begins. The container is gone when
/// this returns, and goes when it is dropped.
pub(crate) async fn run(
    machine: &Machine,
    work: &Work,
    stop: &mut Stop,
    watched: &Watched,
    started: impl FnOnce(Option<String>),
) -> Ended<Outcome> {
    let mut early = stop.clone();
    let begun = tokio::select! {
        biased;
        stopping = early.stopped() => return stopped(stopping),
        begun = begin(machine, work) => begun,
    };
    let Begun { task, folder, running, place } = match begun {
        Ok(begun) => begun,
        Err(failure) => return Ended::Reported(Outcome::Failed(failure)),
    };
    started(Some(place));
    if let Some(target) = running.target().await {
        watched.runs(target);
    }
    let waited = wait(&running, work.timeout, stop).await;
    watched.rests();
    if !matches!(waited, Wait::Exited(_)) {
        running.end(machine.config.kill_grace).await;
    }
    let tail = running.finish().await;
    Ended::Reported(match waited {
        Wait::Stopped(stopping) => return stopped(stopping),
        Wait::TimedOut => Outcome::Failed(failure::timed_out(work.timeout.unwrap_or_default())),
        Wait::Exited(Err(failure)) => Outcome::Failed(failure),
        Wait::Exited(Ok(exit)) => outcome(machine, work, &task, &folder, exit, &tail).await,
    })
}

async fn wait(running: &Running, timeout: Option<Duration>, stop: &mut Stop) -> Wait {
    let expired = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        exit = running.exited() => Wait::Exited(exit),
        stopping = stop.stopped() => Wait::Stopped(stopping),
        () = expired => Wait::TimedOut,
    }
}

/// Refuses what a container is not given, rather than run it without.
fn refused(machine: &Machine, work: &Work, template: &TaskTemplate) -> Result<(), String> {
    if let Some(why) = machine.config.offer.as_ref().and_then(|offer| offer.refusal(&work.resources)) {
        return Err(why);
    }
    if SecretRequest::all_of(template).map_err(|fault| fault.to_string())?.is_empty() {
        return match &machine.config.containers {
            Containers::Engine(_) if work.resources.gpus() > 0 => Err(
                "it asks for GPUs, which containers of an engine are not given yet; start with --containers host, or make it a Python task"
                    .to_owned(),
            ),
            Containers::Engine(_) | Containers::Host | Containers::None(_) => Ok(()),
        };
    }
    Err("it asks for secrets, which container tasks are not given yet; take its secret_requests out, or make it a Python task".to_owned())
}

async fn begin(machine: &Machine, work: &Work) -> Result<Begun, Failure> {
    let not_started = |error: &(dyn std::error::Error + 'static)| failure::not_started(error);
    let template = machine.template(&work.template).await.map_err(|error| not_started(&error))?;
    let told = |what: String| failure::bad_task(format!("task {}: {what}", work.task.name));
    let task = Task::of(&template, work.image.as_deref(), &work.resources).map_err(told)?;
    refused(machine, work, &template).map_err(told)?;
    if let Containers::None(why) = &machine.config.containers {
        return Err(failure::no_containers(&work.task.name, why));
    }
    let encoded = machine.blobs.load(&work.inputs).await.map_err(|error| not_started(&error))?;
    let values = inputs::read(machine, &encoded).await?;
    let argv = work.args.iter().map(|word| value::render(word, &values)).collect::<Result<Vec<_>, _>>();
    let argv =
        argv.map_err(|name| told(format!("its command names the input {name}, which it does not have")))?;
    check_words(&argv, &work.env).map_err(told)?;
    let folder = machine.folder(None).map_err(|error| not_started(&error))?;
    for path in [folder.files(), folder.outputs()] {
        // Whoever the container's user is.
        let made = async {
            tokio::fs::create_dir_all(&path).await?;
            tokio::fs::set_permissions(&path, Permissions::from_mode(0o777)).await
        };
        made.await.map_err(|error| not_started(&error))?;
    }
    if task.inputs.is_used {
        inputs::write(machine, &task, &encoded, &values, &folder.files()).await?;
    }
    let (running, place) = start(machine, work, &task, argv, &folder).await?;
    Ok(Begun { task, folder, running, place })
}

async fn start(
    machine: &Machine,
    work: &Work,
    task: &Task,
    argv: Vec<String>,
    folder: &Folder,
) -> Result<(Running, String), Failure> {
    match &machine.config.containers {
        Containers::Engine(engine) => {
            let order = Order {
                task,
                work,
                argv: &argv,
                env: environment::of_container(&work.env),
                inputs: &folder.files(),
                outputs: &folder.outputs(),
            };
            let running = engine.start(&machine.config, &machine.blobs, order).await?;
            Ok((
                Running::Engine(Box::new(running)),
                format!("a container of {} by {}", task.image, engine.name),
            ))
        }
        Containers::Host => {
            let running = host::start(machine, work, task, argv, folder).await?;
            let place =
                format!("a mount namespace of the worker's machine, without its image {}", task.image);
            Ok((Running::Host(running), place))
        }
        Containers::None(why) => Err(failure::no_containers(&work.task.name, why)),
    }
}

/// Checks what becomes a command line and variables; a value of an input may hold anything.
fn check_words(argv: &[String], env: &[(String, String)]) -> Result<(), String> {
    if argv.iter().any(|word| word.contains('\0')) {
        return Err("its command would hold the character NUL, which no command line can".to_owned());
    }
    match env
        .iter()
        .find(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
    {
        Some((name, _)) => Err(format!(
            "there is a variable {name:?}; its name has to be without = and neither name nor value may hold NUL"
        )),
        None => Ok(()),
    }
}

/// Answers what became of a try: what its container says of itself, how it ended, what it left.
async fn outcome(
    machine: &Machine,
    work: &Work,
    task: &Task,
    folder: &Folder,
    exit: Exit,
    tail: &str,
) -> Outcome {
    let place = folder.outputs();
    if task.outputs.is_used {
        match outputs::said_error(&place) {
            Ok(None) => {}
            Ok(Some(said)) => return Outcome::Failed(failure::container_said(said)),
            Err(error) => {
                return Outcome::Failed(failure::bad_output(format!("the error cannot be taken: {error}")));
            }
        }
    }
    if let Some(failure) = failure::from_exit(&work.id, exit, tail) {
        return Outcome::Failed(failure);
    }
    let prefix = work.raw_prefix.as_deref().unwrap_or(&work.output_prefix);
    match outputs::collect(machine, task, &place, prefix).await {
        Ok(outputs) => crate::attempt::store(machine, work, outputs.encode_to_vec().into()).await,
        Err(failure) => Outcome::Failed(failure),
    }
}

impl Running {
    async fn target(&self) -> Option<Target> {
        match self {
            Self::Engine(running) => running.target().await,
            Self::Host(running) => Some(running.target()),
        }
    }

    async fn exited(&self) -> Result<Exit, Failure> {
        match self {
            Self::Engine(running) => running.exited().await,
            Self::Host(running) => Ok(running.exited().await),
        }
    }

    async fn end(&self, grace: Duration) {
        match self {
            Self::Engine(running) => running.end(grace).await,
            Self::Host(running) => running.end(grace).await,
        }
    }

    async fn finish(self) -> String {
        match self {
            Self::Engine(running) => running.finish().await,
            Self::Host(running) => running.finish().await,
        }
    }
}

/// Removes the containers that an earlier process of the same folder left.
pub(crate) async fn remove_orphans(machine: &Machine) {
    if let Containers::Engine(engine) = &machine.config.containers {
        engine.remove_orphans(&machine.config).await;
    }
}
