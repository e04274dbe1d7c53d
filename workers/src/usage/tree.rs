//! Processes and their descendants, as `/proc` shows them.
//!
//! All that user code starts descends from the process of its attempt: whoever loses its parent is adopted by that process,
//! and goes with it.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How many processes of one piece of work are looked at. More is a bomb.
const PROCESSES_MAX: usize = 4_096;

/// How the kernel tells who descends from whom, for one look.
pub(super) struct Kernel {
    /// The children of each process, where the kernel keeps no lists of them.
    searched: Option<HashMap<u32, Vec<u32>>>,
}

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pid: u32,
    /// When it was born, in ticks since the machine started.
    pub born: u64,
    /// The processor time of it and of its children that have ended.
    pub cpu: Duration,
    /// The memory that it has, in bytes.
    pub resident_bytes: u64,
}

impl Kernel {
    pub(super) fn new() -> Self {
        let own = std::process::id();
        let is_listed = std::fs::exists(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        Self { searched: (!is_listed).then(search) }
    }

    /// Lists a process and all that descend from it, itself first; nothing when it is gone.
    pub(super) fn tree(&self, root: u32) -> Vec<Process> {
        let mut found: Vec<Process> = Process::read(root).into_iter().collect();
        let mut at = 0;
        while at < found.len() && found.len() < PROCESSES_MAX {
            found.extend(self.children(found[at].pid).into_iter().filter_map(Process::read));
            at += 1;
        }
        found
    }

    fn children(&self, pid: u32) -> Vec<u32> {
        if let Some(searched) = &self.searched {
            return searched.get(&pid).cloned().unwrap_or_default();
        }
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        lists
            .flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
            .collect()
    }
}

/// Asks all processes for their parents.
fn search() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Some(stat) = read(pid, "stat") else { continue };
        if let Some(parent) = fields(&stat).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

fn read(pid: u32, file: &str) -> Option<String> {
    let bytes = std::fs::read(format!("/proc/{pid}/{file}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Splits what follows the name of a process, which may hold anything: its state is field 0, field 3 of the manual.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().collect())
}

impl Process {
    /// Looks at a process; none when it is gone.
    pub(super) fn read(pid: u32) -> Option<Self> {
        Self::parse(pid, &read(pid, "stat")?)
    }

    /// Takes it from what the kernel says of it in `/proc/PID/stat`.
    pub(super) fn parse(pid: u32, stat: &str) -> Option<Self> {
        Self::of(pid, stat, clock_ticks(), page_bytes())
    }

    fn of(pid: u32, stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Self> {
        let fields = fields(stat)?;
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        // Of a child that has not been waited for yet the kernel still tells what it used, and its parent has that later.
        let ticks = [11, 12, 13, 14].into_iter().map(number).sum::<Option<u64>>()?;
        let cpu = Duration::from_micros(ticks.saturating_mul(1_000_000) / ticks_per_second.max(1));
        let resident_bytes = number(21)?.saturating_mul(page_bytes);
        Some(Self { pid, born: number(19)?, cpu, resident_bytes })
    }

    /// Answers what birth a process would have that was born at `moment`.
    pub(super) fn birth_at(moment: Instant) -> u64 {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = uptime.split(' ').next().and_then(|seconds| seconds.split_once('.'));
        let parsed = seconds.and_then(|(whole, part)| {
            Some(whole.parse::<u64>().ok()? * 100 + part.get(..2)?.parse::<u64>().ok()?)
        });
        let ago = u64::try_from(moment.elapsed().as_millis() / 10).unwrap_or(u64::MAX);
        parsed.unwrap_or_default().saturating_sub(ago).saturating_mul(clock_ticks()) / 100
    }

    /// Answers the most memory that it had at any time, in bytes; 0 when it is gone.
    pub(super) fn resident_max(&self) -> u64 {
        let status = read(self.pid, "status").unwrap_or_default();
        kib_of(&status, "VmHWM:").unwrap_or_default().saturating_mul(1024)
    }

    /// Answers its memory in bytes, of which pages that it shares count in part; all of it where the kernel does not tell.
    pub(super) fn proportional_bytes(&self) -> u64 {
        let told = read(self.pid, "smaps_rollup").and_then(|rollup| kib_of(&rollup, "Pss:"));
        told.map_or(self.resident_bytes, |kib| kib.saturating_mul(1024))
    }
}

fn kib_of(lines: &str, name: &str) -> Option<u64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// How many ticks the kernel's clock has in a second.
fn clock_ticks() -> u64 {
    const AT_CLKTCK: usize = 17;
    static TICKS: OnceLock<u64> = OnceLock::new();
    *TICKS.get_or_init(|| told_at_start(AT_CLKTCK).unwrap_or(100))
}

fn page_bytes() -> u64 {
    const AT_PAGESZ: usize = 6;
    static BYTES: OnceLock<u64> = OnceLock::new();
    *BYTES.get_or_init(|| told_at_start(AT_PAGESZ).unwrap_or(4096))
}

/// Answers what the kernel tells every program when it starts it (getauxval(3)).
fn told_at_start(what: usize) -> Option<u64> {
    let pairs = std::fs::read("/proc/self/auxv").ok()?;
    let word = |bytes: &[u8]| Some(usize::from_ne_bytes(bytes.try_into().ok()?));
    let size = size_of::<usize>();
    let found = pairs.chunks_exact(2 * size).find(|pair| word(&pair[..size]) == Some(what))?;
    word(&found[size..]).map(|value| value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_holds() {
        let stat =
            "42 (a) R (b) S 7 42 42 0 -1 4194304 1 2 3 4 150 50 7 3 20 0 1 0 1462883 2654208 367 184467 9 9";
        let process = Process::of(42, stat, 100, 4096).expect("it is whole");
        assert_eq!(process.cpu, Duration::from_millis(2_100));
        assert_eq!((process.born, process.resident_bytes), (1_462_883, 367 * 4096));
        assert_eq!(Process::of(42, "42 (a) S 7 42", 100, 4096), None);
        assert!(clock_ticks() >= 100 && page_bytes().is_power_of_two());
        assert_eq!(kib_of("Rss:   9 kB\nPss:                 331 kB\nPss_Dirty: 1 kB\n", "Pss:"), Some(331));
    }

    #[test]
    fn a_tree_is_a_process_and_all_that_descend_from_it() {
        use std::io::{BufRead as _, BufReader};
        let begun = Process::birth_at(Instant::now()).saturating_sub(1);
        let mut shell = std::process::Command::new("/bin/sh")
            .args(["-c", "sh -c 'echo $$; exec sleep 1000' & wait"])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().expect("it is piped")).read_line(&mut line).expect("a line");
        let inner: u32 = line.trim().parse().expect("a number");
        for kernel in [Kernel::new(), Kernel { searched: Some(search()) }] {
            let tree: Vec<u32> = kernel.tree(shell.id()).iter().map(|process| process.pid).collect();
            assert_eq!(tree, [shell.id(), inner]);
        }
        let born = Process::read(inner).expect("it runs").born;
        assert!((begun..=Process::birth_at(Instant::now()) + 1).contains(&born));
        shell.kill().expect("it runs");
        shell.wait().expect("it was killed");
        assert!(Kernel::new().tree(shell.id()).is_empty());
        let inner = rustix::process::Pid::from_raw(inner.cast_signed()).expect("a number of a process");
        rustix::process::kill_process(inner, rustix::process::Signal::KILL).expect("it runs");
    }
}
