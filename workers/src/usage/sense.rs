//! What is known of the processes of one piece of work, and what they have used since the last look.

use super::pid::Pid;
use super::tree::{Kernel, Process};
use crate::cgroups::Gauge;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much of the time exact readings of memory may take: one part in so many. They walk through all pages of a process.
const EXACT_PART: u32 = 50;

/// The processes that run a piece of work.
#[derive(Clone)]
pub(crate) struct Target {
    /// The first of them, of which all others descend.
    pub pid: Arc<Pid>,
    /// The page on which it notes which item runs; none where there are no items.
    pub page: Option<Arc<File>>,
    /// Their control group, if they have one.
    pub gauge: Option<Gauge>,
    /// Whether it may have run something else before.
    pub is_shared: bool,
    /// The item that it begins with.
    pub first_item: Option<u32>,
}

/// What is known of them.
#[derive(Clone)]
pub(super) struct Sense {
    target: Target,
    began: Instant,
    /// Processor time that was used before, by others.
    base: Duration,
    /// Processor time at the last look, without that.
    cpu: Duration,
    /// When the first process was born, in the kernel's ticks; none before it was seen. Numbers of processes come again.
    born: Option<u64>,
    /// Which of several readings is exact, and what it was.
    exact: Exact,
}

#[derive(Clone, Copy, Default)]
struct Exact {
    not_before: Option<Instant>,
    /// What their memory is together, and what it would be if they shared none.
    proportional: u64,
    resident: u64,
}

/// What is seen at a moment.
pub(super) struct Seen {
    pub at: Instant,
    pub memory_bytes: u64,
    /// The most that a process of its own had at any time; 0 where that is not its own.
    pub resident_max: u64,
    pub cpu: Duration,
    pub item: Option<u32>,
}

impl Target {
    /// A process of its own, without items.
    pub(crate) fn of_process(number: u32) -> Self {
        let pid = Arc::new(Pid::default());
        pid.tell(number);
        Self { pid, page: None, gauge: None, is_shared: false, first_item: None }
    }

    /// Answers the item that runs.
    fn item(&self) -> Option<u32> {
        let mut bytes = [0; 8];
        self.page.as_ref()?.read_exact_at(&mut bytes, 0).ok()?;
        u32::try_from(i64::from_ne_bytes(bytes)).ok()
    }
}

impl Sense {
    /// Begins to look. Of processes that ran something else before it is noted what they have used.
    pub(super) fn new(target: Target) -> Self {
        let mut base = Duration::ZERO;
        if target.is_shared {
            let group = target.gauge.as_ref().and_then(Gauge::cpu);
            base = group.or_else(|| target.pid.cpu()).unwrap_or_default();
        }
        Self { target, began: Instant::now(), base, cpu: Duration::ZERO, born: None, exact: Exact::default() }
    }

    /// Says whether both are of the same run of the same processes.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.target.pid, &other.target.pid) && self.began == other.began
    }

    /// Looks; none when there is nothing to be seen.
    pub(super) fn look(&mut self, kernel: &Kernel) -> Option<Seen> {
        let item = self.target.item();
        let processes = self.target.pid.number().map(|pid| kernel.tree(pid)).unwrap_or_default();
        let processes = self.own(processes);
        let group = self.target.gauge.as_ref();
        let (memory, cpu) = (group.and_then(Gauge::memory), group.and_then(Gauge::cpu));
        if processes.is_empty() && (memory.is_none() || cpu.is_none()) {
            return None;
        }
        let cpu = cpu.unwrap_or_else(|| processes.iter().map(|process| process.cpu).sum());
        let cpu = cpu.saturating_sub(self.base);
        let resident_max = match processes.first() {
            // What the group is charged with is less, and not what the process shows.
            Some(first) if memory.is_none() && !self.target.is_shared => first.resident_max(),
            _ => 0,
        };
        let memory_bytes = memory.unwrap_or_else(|| self.memory(&processes));
        let more = cpu.saturating_sub(self.cpu);
        self.cpu = cpu;
        Some(Seen { at: Instant::now(), memory_bytes, resident_max, cpu: more, item })
    }

    /// Takes out what is another's: all, if the first process is not the one that was seen before. Of what descends from a
    /// process that was used before, and was there before this began, the time before counts for nobody.
    fn own(&mut self, processes: Vec<Process>) -> Vec<Process> {
        let Some(first) = processes.first() else { return processes };
        match self.born {
            Some(born) if born != first.born => return Vec::new(),
            Some(_) => {}
            None => {
                self.born = Some(first.born);
                if self.target.is_shared && self.target.gauge.is_none() {
                    let began = Process::birth_at(self.began);
                    let is_left = |process: &&Process| process.born < began;
                    let left: Duration =
                        processes.iter().skip(1).filter(is_left).map(|process| process.cpu).sum();
                    self.base += left;
                }
            }
        }
        processes
    }

    /// Answers the memory of some processes: of one what it has, of several what they have together. Pages that they share
    /// count once, and a part of those that they share with others.
    fn memory(&mut self, processes: &[Process]) -> u64 {
        let resident: u64 = processes.iter().map(|process| process.resident_bytes).sum();
        if processes.len() < 2 {
            return resident;
        }
        let began = Instant::now();
        if self.exact.not_before.is_none_or(|at| began >= at) {
            let proportional: u64 = processes.iter().map(Process::proportional_bytes).sum();
            let not_before = Some(began + began.elapsed() * EXACT_PART);
            self.exact = Exact { not_before, proportional, resident };
        }
        let Exact { proportional, resident: then, .. } = self.exact;
        let scaled = u128::from(resident) * u128::from(proportional) / u128::from(then.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(is_shared: bool) -> Sense {
        Sense::new(Target { is_shared, ..Target::of_process(std::process::id()) })
    }

    fn cpu(sense: &mut Sense) -> Duration {
        sense.look(&Kernel::new()).expect("this process runs").cpu
    }

    #[test]
    fn a_process_that_ran_before_is_charged_for_the_difference() {
        let deadline = Duration::from_millis(200);
        // The kernel counts in hundredths of a second.
        while cpu(&mut own(false)) < deadline {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
        }
        let mut shared = own(true);
        let first = cpu(&mut shared);
        assert!(cpu(&mut own(false)) >= deadline, "whoever begins with it has all of its time");
        assert!(first < cpu(&mut own(false)), "whoever comes later does not: {first:?}");
    }

    #[test]
    fn a_process_that_is_gone_or_was_never_named_shows_nothing() {
        assert!(Sense::new(Target::of_process(0)).look(&Kernel::new()).is_none());
        let mut child = std::process::Command::new("/bin/true").spawn().expect("a program");
        let pid = child.id();
        child.wait().expect("it ends");
        assert!(Sense::new(Target::of_process(pid)).look(&Kernel::new()).is_none());
    }

    #[test]
    fn the_item_that_runs_stands_on_the_page() {
        let page = tempfile::tempfile().expect("a file");
        let target = Target {
            page: Some(Arc::new(page.try_clone().expect("a second handle"))),
            first_item: Some(4),
            ..Target::of_process(std::process::id())
        };
        let mut sense = Sense::new(target);
        for (number, item) in [(7_i64, Some(7)), (-1, None)] {
            page.write_all_at(&number.to_ne_bytes(), 0).expect("a file");
            assert_eq!(sense.look(&Kernel::new()).expect("this process runs").item, item);
        }
    }
}
