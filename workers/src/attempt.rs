//! One attempt of a task node, from its inputs to what became of it.

mod begin;
mod bridged;
mod deck;
mod direct;
mod result;

use crate::child::{Child, Exit};
use crate::container;
use crate::failure;
use crate::machine::{Machine, Prepared};
use crate::plain::Interface;
use crate::stop::{Stop, Stopping};
use crate::usage::{Target, Watched};
use crate::warm::Warm;
use begin::Begun;
pub(crate) use bridged::bridged;
pub(crate) use direct::store;
use skein_model::Work;
use skein_model::command::Outcome;
use skein_protocol::messages::Told;
use std::time::Duration;
use tokio::task::JoinSet;

/// What became of a piece of work.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// It ended so; whoever offered it wants to know.
    Reported(T),
    /// Nobody wants to know.
    Withdrawn,
    /// None of it has run: it goes back to the queue as it is.
    GivenBack,
}

impl<T> Ended<T> {
    /// Makes something else of what is reported.
    pub(crate) fn map<R>(self, of: impl FnOnce(T) -> R) -> Ended<R> {
        match self {
            Self::Reported(report) => Ended::Reported(of(report)),
            Self::Withdrawn => Ended::Withdrawn,
            Self::GivenBack => Ended::GivenBack,
        }
    }
}

enum Wait {
    Exited(Exit),
    TimedOut,
    Stopped(Stopping),
    /// Nothing that its process says is worth anything any more; why, in words.
    Broken(String),
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

    /// The number of the attempt among those of its process.
    const fn job(&self) -> u32 {
        match self {
            Self::Own(_) => OWN_JOB,
            Self::Shared(warm) => warm.chunks,
        }
    }

    /// How it is looked at.
    fn target(&self) -> Target {
        self.child().target(matches!(self, Self::Shared(_)), None)
    }

    const fn child_mut(&mut self) -> &mut Child {
        match self {
            Self::Own(child) => child,
            Self::Shared(warm) => &mut warm.child,
        }
    }
}

/// The number of the one attempt of a process of its own.
const OWN_JOB: u32 = 1;

/// Runs one try of a task node; calls `started` when user code begins. A process that the task shares is kept.
pub(crate) async fn run(
    machine: &Machine,
    work: &Work,
    stop: &mut Stop,
    watched: &Watched,
    started: impl FnOnce(Option<String>),
) -> Ended<Outcome> {
    if work.raw_prefix.is_some() {
        return container::run(machine, work, stop, watched, started).await;
    }
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
    started(machine.environments.place(&prepared));
    watched.runs(host.target());
    let mut finished = None;
    let mut decks = JoinSet::new();
    let waited = tokio::select! {
        biased;
        waited = wait(&mut host, work.timeout, stop, &mut finished) => waited,
        never = deck::follow(machine, work, &prepared, &mut decks) => match never {},
    };
    watched.rests();
    let exit = match waited {
        Wait::Exited(exit) => exit,
        Wait::TimedOut | Wait::Stopped(_) => host.child().end(machine.config.kill_grace).await,
        Wait::Broken(_) => host.child().end(Duration::ZERO).await,
    };
    while decks.join_next().await.is_some() {}
    let tail = host.child().capture.end().await.tail;
    let was_out_of_memory = host.child_mut().was_out_of_memory();
    if work.resources.gpus() > 0 {
        // Not before it is gone are its accelerators free.
        host.child().end(machine.config.kill_grace).await;
    }
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
        Wait::Broken(why) => Ended::Reported(Outcome::Failed(failure::foreign(&why))),
        Wait::Exited(_) => {
            // A process that ends badly fails its attempt, whatever the function returned.
            let told = finished.filter(|_| exit == Exit::Code(0));
            let outcome = match told {
                Some(told) => told_or_left(machine, work, &prepared, interface.as_ref(), told, &tail).await,
                None => result::collect(machine, work, &prepared, exit, &tail).await,
            };
            Ended::Reported(match outcome {
                Outcome::Failed(failure) if was_out_of_memory => {
                    Outcome::Failed(failure::out_of_memory(work.resources.limits.memory_bytes, &failure))
                }
                outcome => outcome,
            })
        }
    }
}

/// Answers how an attempt ended whose process ended well: by what it told, or by what it left.
async fn told_or_left(
    machine: &Machine,
    work: &Work,
    prepared: &Prepared,
    interface: Option<&Interface>,
    told: Told,
    tail: &str,
) -> Outcome {
    match told {
        Told { is_direct: true, value, .. } => direct::outcome(machine, work, interface, value).await,
        Told { outputs: Some(outputs), .. } => direct::store(machine, work, outputs).await,
        _ => result::collect(machine, work, prepared, Exit::Code(0), tail).await,
    }
}

/// Answers what becomes of an attempt that was stopped.
pub(crate) fn stopped(stopping: Stopping) -> Ended<Outcome> {
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
        waited = end_of(host, finished) => waited,
        stopping = stop.stopped() => Wait::Stopped(stopping),
        () = expired => Wait::TimedOut,
    }
}

/// Waits until the attempt has ended, which is not always the end of its process.
async fn end_of(host: &mut Host, finished: &mut Option<Told>) -> Wait {
    let (is_shared, job) = (matches!(host, Host::Shared(_)), host.job());
    loop {
        match host.child_mut().receive::<Told>().await {
            Ok(Some(Told { ended: Some(code), .. })) => return Wait::Exited(Exit::Code(code)),
            Ok(Some(told)) if told.is_finished && told.job == Some(job) && finished.is_none() => {
                *finished = Some(told);
                if is_shared {
                    return Wait::Exited(Exit::Code(0));
                }
            }
            Ok(Some(told)) if told.is_finished => {
                let why = format!("it is finished with {:?} as its job, and this is {job}", told.job);
                return Wait::Broken(failure::no_message(&why));
            }
            Ok(Some(_)) => return Wait::Broken(failure::no_message(&"it is neither finished nor ended")),
            Err(error) => return Wait::Broken(failure::no_message(&error)),
            Ok(None) if is_shared => {
                return match host.child().leaves().await {
                    Some(exit) => Wait::Exited(exit),
                    None => Wait::Broken(failure::CLOSED.to_owned()),
                };
            }
            // What runs alone may leave its outputs without a word.
            Ok(None) => return Wait::Exited(host.child().exited().await),
        }
    }
}
