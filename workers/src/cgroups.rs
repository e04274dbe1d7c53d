//! Limits of memory and processor that the kernel holds to: a control group for each process of user code.
//!
//! A process is put into its group before it has run any of the user's code, by itself: whoever forks it knows its number
//! later. All that it starts is in there with it. A process that runs one attempt or chunk after another keeps its group for
//! as long as it lives: the limits are its task's, and what one attempt left in its memory counts for the next. What was
//! there before (the interpreter, the SDK) is charged to nobody until it is written to.
//!
//! Both versions of the kernel's interface are spoken. With version 2 this process first moves into a group of its own below
//! the one that it was started in, because groups that hold processes cannot be divided.

mod find;
mod gauge;

pub use find::{CgroupError, Layout, Version};
pub(crate) use gauge::Gauge;

use skein_model::TaskResources;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// In what time a share of the processor is measured out, in microseconds: the kernel's own default.
const PERIOD_MICROS: u64 = 100_000;
/// The least that can be given of a period, in microseconds.
const QUOTA_MICROS_MIN: u64 = 1_000;
/// The shares of a whole core in version 1.
const SHARES: u64 = 1_024;
const PROCESSES: &str = "cgroup.procs";
/// How often it is looked whether killed processes are gone, and how long is waited in between.
const END_TRIES_MAX: u32 = 100;
const END_TRY_AGAIN: Duration = Duration::from_millis(20);

/// Where this process makes groups for the processes that it starts.
pub struct Cgroups {
    version: Version,
    /// The folders below which it does: one for memory and one for the processor, or one for both.
    roots: Vec<PathBuf>,
    next: AtomicU64,
    /// Groups of processes that are gone or going.
    left: Mutex<Vec<Vec<PathBuf>>>,
}

/// The group of one process. What is left in it is killed when this is dropped.
pub(crate) struct Cgroup {
    owner: Arc<Cgroups>,
    /// Its folders, the one for memory first.
    folders: Vec<PathBuf>,
    /// How often the kernel had killed something in it when that was last looked at.
    kills: u64,
}

impl Cgroups {
    /// Finds where this process may make groups, and makes the one that holds them.
    ///
    /// # Errors
    /// [`CgroupError`], which says what is missing and what to do.
    pub fn open() -> Result<Arc<Self>, CgroupError> {
        let read = |path: &str| {
            std::fs::read_to_string(path)
                .map_err(|source| CgroupError::Unreadable { path: path.into(), source })
        };
        let layout = Layout::of(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)?;
        Self::at(&layout, std::process::id())
    }

    /// Makes the group that holds the others, below those that process `id` is in.
    ///
    /// # Errors
    /// As [`Cgroups::open`].
    pub fn at(layout: &Layout, id: u32) -> Result<Arc<Self>, CgroupError> {
        if layout.version == Version::Two {
            find::divide(&layout.folders[0], id)?;
        }
        let mut roots = Vec::new();
        for folder in &layout.folders {
            find::sweep(folder);
            let root = folder.join(find::name(id));
            let unwritable = |source| CgroupError::Unwritable { path: root.clone(), source };
            match std::fs::create_dir(&root) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unwritable(error)),
                Ok(()) | Err(_) => {}
            }
            if layout.version == Version::Two {
                find::hand_down(&root).map_err(unwritable)?;
            }
            roots.push(root);
        }
        Ok(Arc::new(Self { version: layout.version, roots, next: AtomicU64::new(0), left: Mutex::default() }))
    }

    /// Says where it makes groups, for whoever starts it.
    pub fn place(&self) -> &Path {
        &self.roots[0]
    }

    /// Answers the version of the kernel's interface.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Makes a group for one process that asks for `resources`; none when those say nothing that can be held to.
    ///
    /// # Errors
    /// Those of the kernel.
    pub(crate) fn make(self: &Arc<Self>, resources: &TaskResources) -> io::Result<Option<Cgroup>> {
        self.sweep();
        let settings = self.settings(resources);
        if settings.is_empty() {
            return Ok(None);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folders: Vec<PathBuf> = self.roots.iter().map(|root| root.join(number.to_string())).collect();
        let group = Cgroup { owner: Arc::clone(self), folders, kills: 0 };
        for folder in &group.folders {
            std::fs::create_dir(folder)?;
        }
        for Setting { of, file, value, is_needed } in settings {
            let folder = group.folders.get(of).unwrap_or(&group.folders[0]);
            let written = std::fs::write(folder.join(file), &value);
            if is_needed && let Err(error) = written {
                let path = folder.join(file);
                return Err(io::Error::new(error.kind(), format!("{value} to {}: {error}", path.display())));
            }
        }
        Ok(Some(group))
    }

    fn settings(&self, resources: &TaskResources) -> Vec<Setting> {
        const MEMORY: usize = 0;
        const CPU: usize = 1;
        let mut all = Vec::new();
        let mut add = |of, file, value, is_needed| all.push(Setting { of, file, value, is_needed });
        let quota = |millis: u64| (millis * PERIOD_MICROS / 1_000).max(QUOTA_MICROS_MIN);
        if let Some(bytes) = resources.limits.memory_bytes {
            match self.version {
                Version::One => {
                    add(MEMORY, "memory.limit_in_bytes", bytes.to_string(), true);
                    // Where the kernel counts swap; without, there is none, or it is not limited.
                    add(MEMORY, "memory.memsw.limit_in_bytes", bytes.to_string(), false);
                }
                Version::Two => {
                    add(MEMORY, "memory.max", bytes.to_string(), true);
                    add(MEMORY, "memory.swap.max", "0".to_owned(), false);
                    // All of an attempt goes when one of its processes has to: half of it is worth nothing.
                    add(MEMORY, "memory.oom.group", "1".to_owned(), false);
                }
            }
        }
        if let Some(millis) = resources.limits.cpu_millis {
            match self.version {
                Version::One => {
                    add(CPU, "cpu.cfs_period_us", PERIOD_MICROS.to_string(), true);
                    add(CPU, "cpu.cfs_quota_us", quota(millis).to_string(), true);
                }
                Version::Two => add(CPU, "cpu.max", format!("{} {PERIOD_MICROS}", quota(millis)), true),
            }
        }
        if let Some(millis) = resources.requests.cpu_millis {
            let shares = (millis * SHARES / 1_000).clamp(2, 262_144);
            match self.version {
                Version::One => add(CPU, "cpu.shares", shares.to_string(), false),
                // What is 2 to 262144 in version 1 is 1 to 10000 in version 2.
                Version::Two => {
                    add(CPU, "cpu.weight", (1 + (shares - 2) * 9_999 / 262_142).to_string(), false);
                }
            }
        }
        all
    }

    /// Removes the groups that nothing is left in; says whether there are no others.
    fn sweep(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain_mut(|folders| {
            folders.retain(|folder| !is_removed(folder));
            !folders.is_empty()
        });
        left.is_empty()
    }

    /// Removes all groups of processes that have been killed, when those are gone; it waits no longer than that may take.
    pub(crate) async fn end(&self) {
        for _ in 0..END_TRIES_MAX {
            if self.sweep() {
                break;
            }
            tokio::time::sleep(END_TRY_AGAIN).await;
        }
        for root in &self.roots {
            let _kept_where_something_runs = std::fs::remove_dir(root);
        }
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.sweep();
        for root in &self.roots {
            let _kept_where_something_runs = std::fs::remove_dir(root);
        }
    }
}

/// One thing that a group is told: which of its folders, the file, and what is written there.
struct Setting {
    of: usize,
    file: &'static str,
    value: String,
    /// Whether the limit does not hold without it.
    is_needed: bool,
}

impl Cgroup {
    /// Lists the files by which a process enters the group, when it writes 0 to them.
    pub(crate) fn entries(&self) -> Vec<String> {
        self.folders.iter().map(|folder| folder.join(PROCESSES).display().to_string()).collect()
    }

    /// Says whether the kernel has killed something in it, because it had no memory left, since this was asked last.
    pub(crate) fn was_out_of_memory(&mut self) -> bool {
        let file = match self.owner.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = std::fs::read_to_string(self.folders[0].join(file)).unwrap_or_default();
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        let (before, now) = (self.kills, kills.unwrap_or(self.kills));
        self.kills = now;
        now > before
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Only version 2 has it: what left the process's own group and session ends too.
        let _only_there = std::fs::metadata(self.folders[0].join("cgroup.kill"))
            .and_then(|_| std::fs::write(self.folders[0].join("cgroup.kill"), "1"));
        let mut folders = std::mem::take(&mut self.folders);
        folders.retain(|folder| !is_removed(folder));
        if !folders.is_empty() {
            self.owner.left.lock().unwrap_or_else(PoisonError::into_inner).push(folders);
        }
    }
}

/// Removes the folder of a group; says whether it is gone.
fn is_removed(folder: &Path) -> bool {
    match std::fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_model::resources::Amounts;

    fn resources() -> TaskResources {
        let limits = Amounts { cpu_millis: Some(500), memory_bytes: Some(64 << 20), ..Amounts::default() };
        let requests = Amounts { cpu_millis: Some(250), ..limits };
        TaskResources { requests, limits, ..TaskResources::default() }
    }

    fn settings(version: Version, resources: &TaskResources) -> Vec<(usize, &'static str, String)> {
        let groups = Cgroups { version, roots: Vec::new(), next: AtomicU64::new(0), left: Mutex::default() };
        groups
            .settings(resources)
            .into_iter()
            .map(|setting| (setting.of, setting.file, setting.value))
            .collect()
    }

    #[test]
    fn limits_are_what_the_kernel_is_told_in_either_version() {
        let one = settings(Version::One, &resources());
        let told = |of, file, value: &str| (of, file, value.to_owned());
        assert_eq!(
            one,
            [
                told(0, "memory.limit_in_bytes", "67108864"),
                told(0, "memory.memsw.limit_in_bytes", "67108864"),
                told(1, "cpu.cfs_period_us", "100000"),
                told(1, "cpu.cfs_quota_us", "50000"),
                told(1, "cpu.shares", "256"),
            ]
        );
        let two = settings(Version::Two, &resources());
        assert_eq!(
            two,
            [
                told(0, "memory.max", "67108864"),
                told(0, "memory.swap.max", "0"),
                told(0, "memory.oom.group", "1"),
                told(1, "cpu.max", "50000 100000"),
                told(1, "cpu.weight", "10"),
            ]
        );
        assert!(settings(Version::Two, &TaskResources::default()).is_empty());
    }

    #[test]
    fn a_kill_for_want_of_memory_is_told_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let groups = Arc::new(Cgroups {
            version: Version::Two,
            roots: vec![folder.path().to_owned()],
            next: AtomicU64::new(0),
            left: Mutex::default(),
        });
        let mut group = groups.make(&resources()).expect("a folder").expect("there is something to hold to");
        let events = |kills: u32| {
            let text = format!("low 0\nhigh 0\nmax 9\noom 1\noom_kill {kills}\noom_group_kill 0\n");
            std::fs::write(folder.path().join("0/memory.events"), text).expect("a file");
        };
        assert!(!group.was_out_of_memory());
        events(0);
        assert!(!group.was_out_of_memory());
        events(1);
        assert!(group.was_out_of_memory());
        assert!(!group.was_out_of_memory());
        assert_eq!(
            std::fs::read_to_string(folder.path().join("0/memory.max")).expect("it is written"),
            "67108864"
        );
        assert!(group.entries()[0].ends_with("/0/cgroup.procs"));
    }
}
