//! What the machine says of this process, and where it may run.

/// Keeps this process, and every thread that it starts from now on, to one core; answers which. None where the system
/// does not let it.
pub fn to_one_core() -> Option<usize> {
    pin()
}

#[cfg(target_os = "linux")]
fn pin() -> Option<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).ok()?;
    let core = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core))?;
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(None, &one).ok()?;
    Some(core)
}

#[cfg(not(target_os = "linux"))]
const fn pin() -> Option<usize> {
    None
}

/// Answers the memory of this process that is in use, in KiB; 0 where the system does not say.
pub fn memory_kib() -> u64 {
    status("VmRSS:")
}

/// Answers the most memory of this process that was in use at once since [`forget_peak`], in KiB.
pub fn peak_kib() -> u64 {
    status("VmHWM:")
}

/// Lets the peak begin anew at what is in use.
pub fn forget_peak() {
    // Where it cannot be done, the peak is that of the whole process: more, never less.
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
