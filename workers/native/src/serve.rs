//! The zygote's side of the protocol: starts a child for whoever asks, signals and reaps. One thread, which runs no
//! user code.
//!
//! A child is this program, started anew: it takes a millisecond, and finds nothing of what an earlier one did.

use crate::processes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, waitpid};
use skein_protocol::{Control, PROTOCOL, Said, VERSION, frames};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

/// The word with which this program starts itself for a child; the process id of the zygote follows, and the number that
/// the child's progress page has there.
pub(crate) const CHILD: &str = "serve-child";
/// What comes with a request for a child: its socket, its log and its progress page.
const FILES_PER_CHILD: usize = 3;
/// How many files one message of the kernel holds at most.
const FILES_MAX: usize = 253;
const RECEIVED_BYTES: usize = 64 * 1024;

/// Serves the control socket, which is standard input, until the worker goes.
///
/// # Errors
/// Those of the socket.
pub(crate) fn run() -> io::Result<()> {
    processes::adopt_orphans()?;
    let control = UnixStream::from(fcntl_dupfd_cloexec(io::stdin(), 3)?);
    let mut zygote = Zygote { control, files: VecDeque::new(), children: Vec::new() };
    let versions = [(PROTOCOL, VERSION.to_string()), ("skein-task", env!("CARGO_PKG_VERSION").to_owned())];
    let ready = versions.map(|(name, version)| (name.to_owned(), version));
    zygote.say(&Said { ready: Some(BTreeMap::from(ready)), ..Said::default() })?;
    let ended = zygote.serve();
    processes::end_all();
    ended
}

struct Zygote {
    control: UnixStream,
    /// Files that came for children that were not asked for yet.
    files: VecDeque<OwnedFd>,
    children: Vec<Child>,
}

struct Child {
    number: u64,
    pid: Pid,
    /// Becomes readable when it has ended.
    end: OwnedFd,
    /// The child opens it by its number here, when it has come so far.
    _progress: OwnedFd,
}

impl Zygote {
    fn serve(&mut self) -> io::Result<()> {
        let mut received = bytes::BytesMut::new();
        loop {
            let (is_asked, ended) = self.wait()?;
            for pid in ended {
                self.bury(pid)?;
            }
            if !is_asked {
                continue;
            }
            if !self.receive(&mut received)? {
                return Ok(());
            }
            while let Some(body) = frames::split_off(&mut received)? {
                match frames::decode(&body)? {
                    Control::Fork { fork } => self.start(fork)?,
                    Control::Kill { kill, signal } => self.signal(kill, signal),
                }
            }
        }
    }

    /// Waits for the worker or the end of a child; answers whether the worker says something, and who has ended.
    fn wait(&self) -> io::Result<(bool, Vec<Pid>)> {
        let mut watched = vec![PollFd::new(&self.control, PollFlags::IN)];
        watched.extend(self.children.iter().map(|child| PollFd::new(&child.end, PollFlags::IN)));
        while let Err(error) = poll(&mut watched, None) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let is_due = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let of_children = self.children.iter().zip(&watched[1..]);
        let ended = of_children.filter(|(_, polled)| is_due(polled)).map(|(child, _)| child.pid).collect();
        Ok((is_due(&watched[0]), ended))
    }

    /// Takes what the worker sent, and the files that came with it; says whether the worker is still there.
    fn receive(&mut self, received: &mut bytes::BytesMut) -> io::Result<bool> {
        let mut part = vec![0; RECEIVED_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let answer = recvmsg(
            &self.control,
            &mut [IoSliceMut::new(&mut part)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                self.files.extend(files);
            }
        }
        received.extend_from_slice(&part[..answer.bytes]);
        Ok(answer.bytes > 0)
    }

    fn start(&mut self, number: u64) -> io::Result<()> {
        if self.files.len() < FILES_PER_CHILD {
            let found = self.files.len();
            let message =
                format!("child {number} was asked for with {found} files, and {FILES_PER_CHILD} are needed");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut files = self.files.drain(..FILES_PER_CHILD);
        let (Some(socket), Some(log), Some(progress)) = (files.next(), files.next(), files.next()) else {
            return Ok(());
        };
        drop(files);
        match start_child(number, socket, log, progress) {
            Ok(child) => {
                let pid = child.pid.as_raw_pid();
                self.children.push(child);
                self.say(&Said { forked: Some(number), pid, ..Said::default() })
            }
            // No memory or no process left at present: that is one child's misfortune, not everybody's.
            Err(error) => {
                eprintln!("cannot start a child: {error}");
                self.say(&Said { exited: Some(number), ..Said::default() })
            }
        }
    }

    fn signal(&self, number: u64, signal: i32) {
        let child = self.children.iter().find(|child| child.number == number);
        if let (Some(child), Some(signal)) = (child, Signal::from_named_raw(signal)) {
            processes::signal(child.pid, signal);
        }
    }

    /// Ends what a dead child left behind, then says how the child ended.
    fn bury(&mut self, pid: Pid) -> io::Result<()> {
        let Some(at) = self.children.iter().position(|child| child.pid == pid) else { return Ok(()) };
        let child = self.children.swap_remove(at);
        // Until it is reaped its id is its own, and so is the id of its group.
        processes::signal(pid, Signal::KILL);
        let status = match waitpid(Some(pid), WaitOptions::empty())? {
            Some((_, status)) => {
                status.exit_status().or_else(|| status.terminating_signal().map(|signal| -signal))
            }
            None => None,
        };
        self.end_orphans();
        self.say(&Said { exited: Some(child.number), status, ..Said::default() })
    }

    /// Ends whoever left the group of a child that is dead: we have adopted them, and adopt what they leave behind in turn.
    fn end_orphans(&self) {
        loop {
            let is_orphan = |pid: &Pid| self.children.iter().all(|known| known.pid != *pid);
            let orphans: Vec<Pid> = processes::children().into_iter().filter(is_orphan).collect();
            if orphans.is_empty() {
                return;
            }
            for orphan in orphans {
                processes::signal(orphan, Signal::KILL);
                let _ = waitpid(Some(orphan), WaitOptions::empty());
            }
        }
    }

    fn say(&mut self, said: &Said) -> io::Result<()> {
        self.control.write_all(&frames::encode(said)?)
    }
}

fn start_child(number: u64, socket: OwnedFd, log: OwnedFd, progress: OwnedFd) -> io::Result<Child> {
    // The same file also when another has taken its place since: a task's program is the one that was looked at.
    let spawned = Command::new("/proc/self/exe")
        .args([CHILD, &std::process::id().to_string(), &progress.as_raw_fd().to_string()])
        .stdin(Stdio::from(socket))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .spawn()?;
    let pid = i32::try_from(spawned.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("a process without an id"))?;
    let end = pidfd_open(pid, PidfdFlags::empty())?;
    // What a child's own programs must not inherit, and a child has no need to.
    fcntl_setfd(end.as_fd(), FdFlags::CLOEXEC)?;
    Ok(Child { number, pid, end, _progress: progress })
}
