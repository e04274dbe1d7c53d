//! One attempt of a task node, from its inputs to what became of it.

mod begin;
mod direct;
mod result;

use crate::child::{Child, Exit};
use crate::failure;
use crate::machine::Machine;
use crate::stop::{Stop, Stopping};
use crate::warm::Warm;
use begin::Begun;
use skein_model::Work;
use skein_model::command::Outcome;
use skein_protocol::messages::Told;
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

/// The process that an attempt runs in.
enum Host {
    /// It is there for this attempt alone.
    Own(Child),
    /// It runs one attempt after another.
    Shared(Box<Warm>),
}

impl Host {
    const fn child(&self) -> &Child {
        match self {
            Self::Own(child) => child,
            Self::Shared(warm) => &warm.child,
        }
    }

    const fn child_mut(&mut self) -> &mut Child {
        match self {
            Self::Own(child) => child,
            Self::Shared(warm) => &mut warm.child,
        }
    }
}

/// Runs one try of a task node; calls `started` when user code begins. A process that the task shares is kept.
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
        begun = begin::begin(machine, work) => begun,
    };
    let Begun { mut prepared, interface, mut host } = match begun {
        Ok(begun) => begun,
        Err(failure) => return Ended::Reported(Outcome::Failed(failure)),
    };
    started();
    let mut finished = None;
    let waited = wait(&mut host, work.timeout, stop, &mut finished).await;
    let exit = match waited {
        Wait::Exited(exit) => exit,
        Wait::TimedOut | Wait::Stopped(_) => host.child().end(machine.config.kill_grace).await,
    };
    let tail = host.child().capture.end().await;
    if let Host::Shared(warm) = host
        && finished.is_some()
        && warm.keep(machine, work).await
    {
        prepared.folder.may_be_kept();
    }
    match waited {
        Wait::Stopped(stopping) => stopped(stopping),
        Wait::TimedOut => {
            Ended::Reported(Outcome::Failed(failure::timed_out(work.timeout.unwrap_or_default())))
        }
        Wait::Exited(_) => {
            // A process that ends badly fails its attempt, whatever the function returned.
            Ended::Reported(match finished.filter(|_| exit == Exit::Code(0)) {
                Some(Told { is_direct: true, value, .. }) => {
                    direct::outcome(machine, work, interface.as_ref(), value).await
                }
                Some(Told { outputs: Some(outputs), .. }) => direct::store(machine, work, outputs).await,
                Some(_) | None => result::collect(machine, work, &prepared, exit, &tail).await,
            })
        }
    }
}

fn stopped(stopping: Stopping) -> Ended<Outcome> {
    match stopping {
        Stopping::Drained => Ended::Reported(Outcome::Failed(failure::interrupted())),
        Stopping::Withdrawn | Stopping::No => Ended::Withdrawn,
    }
}

async fn wait(
    host: &mut Host,
    timeout: Option<Duration>,
    stop: &mut Stop,
    finished: &mut Option<Told>,
) -> Wait {
    let expired = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        exit = end_of(host, finished) => Wait::Exited(exit),
        stopping = stop.stopped() => Wait::Stopped(stopping),
        () = expired => Wait::TimedOut,
    }
}

/// Waits until the attempt has ended, which is not always the end of its process.
async fn end_of(host: &mut Host, finished: &mut Option<Told>) -> Exit {
    let is_shared = matches!(host, Host::Shared(_));
    loop {
        match host.child_mut().receive::<Told>().await {
            Ok(Some(Told { ended: Some(code), .. })) => return Exit::Code(code),
            Ok(Some(told)) if told.is_finished => {
                *finished = Some(told);
                if is_shared {
                    return Exit::Code(0);
                }
            }
            Ok(Some(_)) => {}
            // A process that more attempts were to share is not waited for: what it says is worth nothing any more.
            Ok(None) | Err(_) if is_shared => return host.child().end(Duration::ZERO).await,
            Ok(None) | Err(_) => return host.child().exited().await,
        }
    }
}
