//! A child: takes one task, and then attempts or chunks of it, one after another, until the worker has no more.

mod chunk;
mod single;

use crate::context;
use crate::panics;
use crate::processes;
use crate::task::Task;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::dup2_stdin;
use serde::Serialize;
use skein_protocol::messages::{ChunkJob, Ended, Job, Load, Loaded};
use skein_protocol::{NativeCommand, frames};
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

/// Says by the name of a task what to do with a call of it.
type Find<'p> = dyn Fn(&str) -> Option<&'p Task> + 'p;

/// The worker, as a child sees it.
struct Worker {
    reading: BufReader<UnixStream>,
    writing: UnixStream,
    progress: File,
}

impl Worker {
    fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.writing.write_all(&frames::encode(message)?)
    }

    /// Notes which item runs, where it can be read when this process is dead.
    fn note_item(&self, item: Option<u32>) {
        context::set_item(item);
        let number = item.map_or(-1, i64::from);
        // A page that cannot be written to names no item: who ended this process is found out without it.
        let _ = self.progress.write_all_at(&number.to_ne_bytes(), 0);
    }
}

/// Has what was printed leave the process, so that it belongs to whoever printed it.
fn flush() {
    // Nobody reads it then.
    let _ = io::stdout().flush();
}

/// Serves as the child whose zygote is `parent`, and whose progress page is the file `page` of that.
///
/// # Errors
/// When the process cannot be set up, or the worker breaks the protocol.
pub(crate) fn run<'p>(parent: i32, page: &str, find: &Find<'p>) -> io::Result<()> {
    processes::settle_under(parent)?;
    let progress = File::options().write(true).open(format!("/proc/{parent}/fd/{page}"))?;
    let socket = UnixStream::from(fcntl_dupfd_cloexec(io::stdin(), 3)?);
    dup2_stdin(File::open("/dev/null")?)?;
    panics::note();
    let mut worker = Worker { reading: BufReader::new(socket.try_clone()?), writing: socket, progress };
    let served = serve(&mut worker, find);
    if served.is_ok() {
        flush();
        // A worker that has gone does not hear it.
        let _ = worker.send(&Ended { ended: 0 });
    }
    served
}

/// The task that a child has, and what is said of it when it has none.
struct Loading<'p> {
    task: Option<&'p Task>,
    name: String,
}

fn serve<'p>(worker: &mut Worker, find: &Find<'p>) -> io::Result<()> {
    let mut loading: Option<Loading<'p>> = None;
    while let Some(job) = frames::read::<Job>(&mut worker.reading)? {
        match (job, &loading) {
            (Job { load: Some(load), .. }, _) => loading = Some(load_task(worker, load, find)?),
            (Job { single: Some(single), .. }, Some(loading)) => {
                let (once, secret) = (single.once, single.setting.secret.clone());
                single::run(worker, loading, single)?;
                context::forget(&secret);
                if once {
                    return Ok(());
                }
            }
            (Job { chunk: Some(chunk), setting: Some(setting), .. }, Some(loading)) => {
                let secret = setting.secret.clone();
                chunk::run(worker, loading, ChunkJob { chunk, setting })?;
                context::forget(&secret);
            }
            (_, None) => return Err(io::Error::other("the worker sent work before its task")),
            (_, Some(_)) => return Err(io::Error::other("the worker sent a job that a program cannot do")),
        }
    }
    Ok(())
}

fn load_task<'p>(worker: &mut Worker, load: Load, find: &Find<'p>) -> io::Result<Loading<'p>> {
    context::settle(&load.setting)?;
    let name = match NativeCommand::parse(&load.setting.argv) {
        Some(Ok(command)) => command.task,
        Some(Err(missing)) => return Err(io::Error::other(missing)),
        None => return Err(io::Error::other("the command line is not that of a task of a program")),
    };
    let task = find(&name);
    let loaded = match task {
        None => Some("the program has no such task".to_owned()),
        Some(_) if !load.plain => Some("the interface is not made of plain values".to_owned()),
        Some(_) => None,
    };
    context::forget(&load.setting.secret);
    worker.send(&Loaded { loaded: Some(loaded), pid: Some(std::process::id()), ended: None })?;
    Ok(Loading { task, name })
}
