//! One attempt: a child of its own, from its inputs to its outcome.

mod result;

use crate::child::{Child, Exit};
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::protocol::{AttemptJob, Started};
use crate::stop::{Stop, Stopping};
use skein_model::command::Outcome;
use skein_model::{Failure, Work};
use std::time::Duration;

/// What became of a piece of work.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// It ended so; whoever offered it wants to know.
    Reported(T),
    /// Nobody wants to know.
    Withdrawn,
}

enum Wait {
    Exited(Exit),
    TimedOut,
    Stopped(Stopping),
}

/// Runs one try of a task node; calls `started` when user code begins.
pub(crate) async fn run(
    machine: &Machine,
    work: &Work,
    stop: &mut Stop,
    started: impl FnOnce(),
) -> Ended<Outcome> {
    let mut early = stop.clone();
    let begun = tokio::select! {
        biased;
        stopping = early.stopped() => return stopped(stopping),
        begun = begin(machine, work) => begun,
    };
    let (prepared, child) = match begun {
        Ok(begun) => begun,
        Err(failure) => return Ended::Reported(Outcome::Failed(failure)),
    };
    started();
    let waited = wait(&child, work.timeout, stop).await;
    let exit = match waited {
        Wait::Exited(exit) => exit,
        Wait::TimedOut | Wait::Stopped(_) => child.end(machine.config.kill_grace).await,
    };
    let tail = child.capture.end().await;
    match waited {
        Wait::Stopped(stopping) => stopped(stopping),
        Wait::TimedOut => {
            Ended::Reported(Outcome::Failed(failure::timed_out(work.timeout.unwrap_or_default())))
        }
        Wait::Exited(_) => Ended::Reported(result::collect(machine, work, &prepared, exit, &tail).await),
    }
}

fn stopped(stopping: Stopping) -> Ended<Outcome> {
    match stopping {
        Stopping::Drained => Ended::Reported(Outcome::Failed(failure::interrupted())),
        Stopping::Withdrawn | Stopping::No => Ended::Withdrawn,
    }
}

/// Brings an attempt to the point where user code runs, or the child that was to run it is gone.
async fn begin(machine: &Machine, work: &Work) -> Result<(Prepared, Child), Failure> {
    let mut prepared = machine.prepare(work).await?;
    let folder = &prepared.folder;
    let inputs = folder.inputs();
    tokio::fs::write(&inputs, &prepared.inputs).await.map_err(|error| failure::not_started(&error))?;
    prepared.line.redirect(&work.input_uri, &inputs.display().to_string());
    prepared.line.redirect(&work.output_prefix, &folder.outputs().display().to_string());
    let setting = machine.setting(work, prepared.line.argv.clone(), folder, prepared.code.as_ref());

    let forked = machine.interpreter.fork(&folder.progress()).await;
    let mut child = forked.map_err(|error| failure::not_started(&error))?;
    child.capture.begin(&work.output_prefix).await;
    // A child that is gone already is found by how it ended.
    let outputs = folder.outputs().display().to_string();
    let publish = machine.blobs.local_path(&work.output_prefix).map(|path| path.display().to_string());
    let job = AttemptJob { attempt: &setting, outputs: &outputs, publish: publish.as_deref() };
    if child.send(&job).await.is_ok() {
        let _ = child.receive::<Started>().await;
    }
    Ok((prepared, child))
}

async fn wait(child: &Child, timeout: Option<Duration>, stop: &mut Stop) -> Wait {
    let expired = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        exit = child.exited() => Wait::Exited(exit),
        stopping = stop.stopped() => Wait::Stopped(stopping),
        () = expired => Wait::TimedOut,
    }
}
