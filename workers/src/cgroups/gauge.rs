//! What a control group says of what its processes use.

use super::{Cgroup, Version};
use std::path::PathBuf;
use std::time::Duration;

/// Where to read of one group.
#[derive(Clone, Debug)]
pub(crate) struct Gauge {
    version: Version,
    memory: PathBuf,
    cpu: PathBuf,
}

impl Cgroup {
    /// Answers where to read what it uses.
    pub(crate) fn gauge(&self) -> Gauge {
        let memory = self.folders[0].clone();
        let cpu = self.folders.get(1).cloned().unwrap_or_else(|| memory.clone());
        Gauge { version: self.owner.version, memory, cpu }
    }
}

impl Gauge {
    /// Answers the memory that counts against the limit and cannot be had back for the asking, in bytes: without files that are
    /// only kept because there was room. This is what Kubernetes calls the working set.
    pub(crate) fn memory(&self) -> Option<u64> {
        let (current, inactive) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.current", "inactive_file"),
        };
        let current: u64 = self.read(&self.memory, current)?.trim().parse().ok()?;
        let stat = self.read(&self.memory, "memory.stat").unwrap_or_default();
        Some(current.saturating_sub(field(&stat, inactive).unwrap_or_default()))
    }

    /// Answers the processor time of all that was ever in it; none where that is counted elsewhere.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        match self.version {
            Version::One => {
                let nanos = self.read(&self.cpu, "cpuacct.usage")?.trim().parse().ok()?;
                Some(Duration::from_nanos(nanos))
            }
            Version::Two => {
                let stat = self.read(&self.cpu, "cpu.stat")?;
                Some(Duration::from_micros(field(&stat, "usage_usec")?))
            }
        }
    }

    fn read(&self, folder: &std::path::Path, file: &str) -> Option<String> {
        std::fs::read_to_string(folder.join(file)).ok()
    }
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_in_either_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).expect("a file");
        write("memory.current", "300\n");
        write("memory.usage_in_bytes", "200\n");
        write("memory.stat", "anon 1\nfile 2\ninactive_file 100\ntotal_inactive_file 50\n");
        write("cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
        write("cpuacct.usage", "2500000\n");
        let gauge = |version| {
            let folder = folder.path().to_owned();
            Gauge { version, memory: folder.clone(), cpu: folder }
        };
        assert_eq!(gauge(Version::Two).memory(), Some(200));
        assert_eq!(gauge(Version::One).memory(), Some(150));
        assert_eq!(gauge(Version::Two).cpu(), Some(Duration::from_micros(1_500)));
        assert_eq!(gauge(Version::One).cpu(), Some(Duration::from_micros(2_500)));
        std::fs::remove_file(folder.path().join("memory.current")).expect("it is there");
        assert_eq!(gauge(Version::Two).memory(), None, "a group that is gone says nothing");
    }
}
