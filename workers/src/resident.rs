//! How much memory a process holds, as the kernel tells it.

/// How many KiB one MiB has.
const KIB_OF_MIB: u64 = 1024;

/// Answers the resident memory of a process in MiB; none when it is gone, or where the kernel does not tell (it does on Linux).
pub(crate) fn mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(kib_of(&status)? / KIB_OF_MIB)
}

fn kib_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_it_in_kib() {
        assert_eq!(kib_of("Name:\tpython\nVmHWM:\t  9 kB\nVmRSS:\t   81920 kB\nThreads:\t1\n"), Some(81_920));
        assert_eq!(kib_of("Name:\tkthreadd\n"), None);
    }
}
