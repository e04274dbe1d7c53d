//! Who a process is, as soon as somebody has said.

use super::tree::Process;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// More than a line of `/proc/PID/stat` has: fifty numbers and a name of 64 bytes at most.
const STAT_BYTES_MAX: usize = 2048;

/// A process that is there, was there, or is to come.
#[derive(Debug, Default)]
pub(crate) struct Pid {
    /// 0 while nobody has said, and when it is gone.
    number: AtomicU32,
    /// Where its times are read: opening the file takes four times as long as reading it, and a process that is used again is
    /// asked each time that it is.
    stat: OnceLock<Option<File>>,
}

impl Pid {
    /// Notes who it is.
    pub(crate) fn tell(&self, number: u32) {
        self.number.store(number, Ordering::Release);
    }

    /// Notes that it is gone: its number is another's by now, or soon.
    pub(crate) fn forget(&self) {
        self.tell(0);
    }

    /// Answers its number.
    pub(super) fn number(&self) -> Option<u32> {
        Some(self.number.load(Ordering::Acquire)).filter(|number| *number != 0)
    }

    /// Answers the processor time of it and of its children that have ended.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let number = self.number()?;
        let open = || File::open(format!("/proc/{number}/stat")).ok();
        let file = self.stat.get_or_init(open).as_ref()?;
        let mut line = [0; STAT_BYTES_MAX];
        let length = file.read_at(&mut line, 0).ok()?;
        Some(Process::parse(number, &String::from_utf8_lossy(&line[..length]))?.cpu)
    }
}
