//! One forked child, as whoever uses it sees it.

use crate::capture::Capture;
use crate::cgroups::{Cgroup, Cgroups};
use crate::frames::{Frames, ReceiveError};
use crate::usage::{Pid, Target};
use crate::zygote::{Birth, Forked, Zygote};
use rustix::process::Signal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use skein_model::TaskResources;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// How long a child that has closed its connection may take to end by itself. The kernel closes files last but one when a
/// process ends.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a killed child may take to be gone. A process that the kernel cannot end is waiting for a disk.
const DEATH_TIMEOUT: Duration = Duration::from_secs(10);
/// The size of the page on which a child notes which item runs.
const PROGRESS_BYTES: u64 = 4096;

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody knows: the zygote ended before it could say, or could not fork.
    Lost,
}

impl Exit {
    /// Takes it from what the zygote says.
    pub(crate) const fn of(status: Option<i32>) -> Self {
        match status {
            Some(status @ ..0) => Self::Signal(status.saturating_neg()),
            Some(code) => Self::Code(code),
            None => Self::Lost,
        }
    }
}

/// What a child's life hangs on: its process group is killed when this is dropped.
pub(crate) struct Tie {
    number: u64,
    zygote: Arc<Zygote>,
    exit: watch::Receiver<Option<Exit>>,
}

/// A child. Its process group is killed when it is dropped.
pub(crate) struct Child {
    tie: Tie,
    frames: Frames,
    pid: Arc<Pid>,
    progress: Arc<File>,
    /// What it prints.
    pub capture: Capture,
    /// The control group that it is to be in. Gone after it: what is left there then is killed.
    group: Option<Cgroup>,
}

impl Child {
    /// Forks a child; `page` is where its progress page is to be made.
    ///
    /// # Errors
    /// When there are no more files to be had.
    pub(crate) fn fork(
        zygote: Arc<Zygote>,
        page: &Path,
        capture: impl FnOnce(pipe::Receiver) -> Capture,
    ) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (log_write, log_read) = pipe::pipe()?;
        let progress = File::options().read(true).write(true).create(true).truncate(true).open(page)?;
        progress.set_len(PROGRESS_BYTES)?;
        progress.write_all_at(&(-1_i64).to_ne_bytes(), 0)?;
        let birth = Birth {
            socket: theirs.into(),
            log: log_write.into_blocking_fd()?,
            progress: progress.try_clone()?.into(),
        };
        let Forked { number, exit, pid } = zygote.fork(birth);
        let frames = Frames::new(UnixStream::from_std(ours)?);
        let tie = Tie { number, zygote, exit };
        let progress = Arc::new(progress);
        Ok(Self { tie, frames, pid, progress, capture: capture(log_read), group: None })
    }

    /// Has it in a control group as soon as it settles; one that is in a group stays there.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(crate) fn confine(&mut self, groups: &Arc<Cgroups>, resources: &TaskResources) -> io::Result<()> {
        if self.group.is_none() {
            self.group = groups.make(resources)?;
        }
        Ok(())
    }

    /// Lists the files by which it enters its control group.
    pub(crate) fn groups(&self) -> Vec<String> {
        self.group.as_ref().map(Cgroup::entries).unwrap_or_default()
    }

    /// Says whether the kernel has killed it, or something that it started, for want of memory since this was asked last.
    pub(crate) fn was_out_of_memory(&mut self) -> bool {
        self.group.as_mut().is_some_and(Cgroup::was_out_of_memory)
    }

    /// Answers how it is looked at, beginning with `first_item` if it runs items; `is_shared` is whether it may have run
    /// something before.
    pub(crate) fn target(&self, is_shared: bool, first_item: Option<u32>) -> Target {
        Target {
            pid: Arc::clone(&self.pid),
            page: first_item.map(|_| Arc::clone(&self.progress)),
            gauge: self.group.as_ref().map(Cgroup::gauge),
            is_shared,
            first_item,
        }
    }

    /// Sends it a message.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) async fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.frames.send(message).await
    }

    /// Waits for its next message; none when it has gone. May be dropped while it waits.
    ///
    /// # Errors
    /// When it says what is no message of this kind.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        let mut exit = self.tie.exit.clone();
        let received = tokio::select! {
            biased;
            received = self.frames.receive() => received,
            // Descendants may hold its socket open. What it said last is there, but perhaps not noticed yet.
            _ = exited(&mut exit) => self.frames.receive_arrived(),
        };
        match received {
            Err(error) if error.is_end() => Ok(None),
            received => received,
        }
    }

    /// Waits for the end of a child that has closed its connection; none when it did not end by itself, and was killed.
    pub(crate) async fn leaves(&self) -> Option<Exit> {
        match tokio::time::timeout(LEAVE_TIMEOUT, self.exited()).await {
            Ok(exit) => Some(exit),
            Err(_) => {
                self.end(Duration::ZERO).await;
                None
            }
        }
    }

    /// Says whether it is there and has said nothing unasked.
    pub(crate) fn is_quiet(&self) -> bool {
        self.frames.is_quiet() && self.tie.exit.borrow().is_none()
    }

    /// Waits until it has ended.
    pub(crate) async fn exited(&self) -> Exit {
        exited(&mut self.tie.exit.clone()).await
    }

    /// Takes it apart, for whoever speaks another language with it.
    pub(crate) fn into_parts(self) -> (Tie, Frames, Capture) {
        (self.tie, self.frames, self.capture)
    }

    /// Answers the item that it runs; none when it runs none.
    pub(crate) fn item(&self) -> Option<u32> {
        let mut bytes = [0; 8];
        self.progress.read_exact_at(&mut bytes, 0).ok()?;
        u32::try_from(i64::from_ne_bytes(bytes)).ok()
    }

    /// Ends it and all of its process group: SIGTERM, and SIGKILL for what is left after `grace`.
    pub(crate) async fn end(&self, grace: Duration) -> Exit {
        if !grace.is_zero() {
            self.tie.zygote.kill(self.tie.number, Signal::TERM);
            if let Ok(exit) = tokio::time::timeout(grace, self.exited()).await {
                return exit;
            }
        }
        self.tie.zygote.kill(self.tie.number, Signal::KILL);
        tokio::time::timeout(DEATH_TIMEOUT, self.exited()).await.unwrap_or(Exit::Lost)
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.zygote.kill(self.number, Signal::KILL);
        }
    }
}

async fn exited(exit: &mut watch::Receiver<Option<Exit>>) -> Exit {
    match exit.wait_for(Option::is_some).await {
        Ok(exit) => exit.unwrap_or(Exit::Lost),
        Err(_) => Exit::Lost,
    }
}
