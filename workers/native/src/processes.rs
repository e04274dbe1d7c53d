//! What Linux offers so that no process outlives the one that answers for it.

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, kill_process_group, set_child_subreaper,
    set_parent_process_death_signal, setsid, wait,
};
use std::io;

/// Makes descendants whose parents die children of this process, so that it can end them.
///
/// # Errors
/// When the kernel has no such thing.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Makes this process the leader of a session and group of its own, which dies with `parent`.
///
/// # Errors
/// When that is not the parent any more, or the kernel refuses.
pub(crate) fn settle_under(parent: i32) -> io::Result<()> {
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(io::Error::other("the process that started this one has ended"));
    }
    adopt_orphans()
}

/// Signals the group of a child; the child alone when it has not come so far as to have one. Whoever has ended hears nothing.
pub(crate) fn signal(child: Pid, signal: Signal) {
    if kill_process_group(child, signal).is_err() {
        let _ = kill_process(child, signal);
    }
}

/// Lists the children of this process, those it adopted included. Only its main thread has any.
pub(crate) fn children() -> Vec<Pid> {
    let own = getpid().as_raw_pid();
    let listing = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    listing.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// Kills all children and what they leave behind, until there are none.
pub(crate) fn end_all() {
    loop {
        for child in children() {
            signal(child, Signal::KILL);
        }
        // Of whichever group.
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
