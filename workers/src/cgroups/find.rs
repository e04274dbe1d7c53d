//! Where a process may make control groups: what the kernel says of the ones that it is in, and whether they can be written.

use std::io;
use std::path::{Path, PathBuf};

/// What the group of a process that makes groups is called, before its number.
const PREFIX: &str = "skein-";
/// What the group is called that such a process moves into, after its number.
const SELF: &str = "-self";
const CONTROLLERS: [&str; 2] = ["memory", "cpu"];
const DIVIDED: &str = "cgroup.subtree_control";

/// The version of the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One tree for each resource.
    One,
    /// One tree for all.
    Two,
}

/// Why no groups can be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// The kernel does not say which groups there are.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// What cannot be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are none for what is to be limited.
    #[error(
        "no control groups for {missing} are mounted, neither of version 2 nor of version 1: without them limits cannot be \
         held to; leave --resources enforce out"
    )]
    None {
        /// The resource.
        missing: &'static str,
    },
    /// They cannot be written.
    #[error(
        "the control group {} cannot be made: run as root, or in a group of your own: \
         `systemd-run --user --scope -p Delegate=yes skein up …`; or leave --resources enforce out",
        path.display()
    )]
    Unwritable {
        /// The group.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has processes in it that are not ours, and can therefore not be divided.
    #[error(
        "the control group {} has other processes in it and cannot be divided: start in a group of your own: \
         `systemd-run --user --scope -p Delegate=yes skein up …`; or leave --resources enforce out",
        path.display()
    )]
    Shared {
        /// The group.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The group has no right to limit this.
    #[error(
        "the control group {} may not limit {missing}: start in one that may: \
         `systemd-run --user --scope -p Delegate=yes skein up …`; or leave --resources enforce out",
        path.display()
    )]
    NotDelegated {
        /// The group.
        path: PathBuf,
        /// The resource.
        missing: &'static str,
    },
}

/// The groups that a process is in, as far as limits are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Which version they are of.
    pub version: Version,
    /// Their folders: for memory and for the processor, or the one for both.
    pub folders: Vec<PathBuf>,
}

impl Layout {
    /// Finds them in what `/proc/self/cgroup` and `/proc/self/mountinfo` say.
    ///
    /// # Errors
    /// [`CgroupError::None`] when there are none for memory, or none for the processor.
    pub fn of(groups: &str, mounts: &str) -> Result<Self, CgroupError> {
        let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
        let unified = path_of(groups, |controllers| controllers.is_empty());
        let two = mounts.iter().find(|mount| mount.kind == "cgroup2");
        if let (Some(path), Some(mount)) = (unified, two) {
            let has_memory = std::fs::read_to_string(mount.point.join("cgroup.controllers"))
                .is_ok_and(|text| text.split_whitespace().any(|controller| controller == CONTROLLERS[0]));
            let has_one = mounts.iter().any(|mount| mount.has(CONTROLLERS[0]));
            if has_memory || !has_one {
                return Ok(Self { version: Version::Two, folders: vec![mount.folder(path)] });
            }
        }
        let mut folders = Vec::new();
        for controller in CONTROLLERS {
            let path = path_of(groups, |controllers| controllers.split(',').any(|one| one == controller));
            let mount = mounts.iter().find(|mount| mount.has(controller));
            let (Some(path), Some(mount)) = (path, mount) else {
                return Err(CgroupError::None { missing: controller });
            };
            folders.push(mount.folder(path));
        }
        Ok(Self { version: Version::One, folders })
    }
}

/// A line of `/proc/self/mountinfo`.
struct Mount<'m> {
    /// Which part of the tree is mounted.
    root: &'m str,
    point: PathBuf,
    kind: &'m str,
    options: &'m str,
}

impl<'m> Mount<'m> {
    fn parse(line: &'m str) -> Option<Self> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let mut kind = kind.split(' ');
        Some(Self { root, point: PathBuf::from(point), kind: kind.next()?, options: kind.nth(1)? })
    }

    /// Says whether it is the tree of version 1 for a resource.
    fn has(&self, controller: &str) -> bool {
        self.kind == "cgroup" && self.options.split(',').any(|option| option == controller)
    }

    /// Answers the folder of a group.
    fn folder(&self, path: &str) -> PathBuf {
        // Of a container the kernel says the path on the machine, of which only the end is mounted.
        let inner = if self.root == "/" { path } else { path.strip_prefix(self.root).unwrap_or("/") };
        self.point.join(inner.trim_start_matches('/'))
    }
}

/// Answers the path of the group whose controllers are those that are looked for.
fn path_of(groups: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
    groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        is_wanted(controllers).then_some(path)
    })
}

/// Answers what the group of a process that makes groups is called.
pub(super) fn name(id: u32) -> String {
    format!("{PREFIX}{id}")
}

/// Moves process `id` out of a group of version 2 into one below it, and has the group hand its means down.
pub(super) fn divide(folder: &Path, id: u32) -> Result<(), CgroupError> {
    let controllers = folder.join("cgroup.controllers");
    let may = std::fs::read_to_string(&controllers)
        .map_err(|source| CgroupError::Unreadable { path: controllers, source })?;
    for missing in CONTROLLERS {
        if !may.split_whitespace().any(|controller| controller == missing) {
            return Err(CgroupError::NotDelegated { path: folder.to_owned(), missing });
        }
    }
    if hands_down(folder) {
        return Ok(());
    }
    let own = folder.join(format!("{}{SELF}", name(id)));
    let unwritable = |source| CgroupError::Unwritable { path: own.clone(), source };
    std::fs::create_dir_all(&own).map_err(unwritable)?;
    std::fs::write(own.join("cgroup.procs"), id.to_string()).map_err(unwritable)?;
    hand_down(folder).map_err(|source| {
        let _back = std::fs::write(folder.join("cgroup.procs"), id.to_string());
        let _gone = std::fs::remove_dir(&own);
        CgroupError::Shared { path: folder.to_owned(), source }
    })
}

fn hands_down(folder: &Path) -> bool {
    let down = std::fs::read_to_string(folder.join(DIVIDED)).unwrap_or_default();
    CONTROLLERS.iter().all(|wanted| down.split_whitespace().any(|controller| controller == *wanted))
}

/// Has a group of version 2 hand its means down.
pub(super) fn hand_down(folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(DIVIDED), CONTROLLERS.map(|controller| format!("+{controller}")).join(" "))
}

/// Removes what processes that are gone have left.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let id = id.strip_suffix(SELF).unwrap_or(id);
        let is_number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        if !is_number || Path::new("/proc").join(id).exists() {
            continue;
        }
        for inner in std::fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let _kept_where_something_runs = std::fs::remove_dir(inner.path());
        }
        let _kept_where_something_runs = std::fs::remove_dir(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "\
30 1 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 1 0:29 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
35 1 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn layout(groups: &str, mounts: &str) -> Result<Layout, String> {
        Layout::of(groups, mounts).map_err(|error| error.to_string())
    }

    #[test]
    fn where_both_versions_are_that_one_counts_that_limits_memory() {
        let groups = "4:memory:/user/7\n1:cpu,cpuacct:/\n0::/\n";
        assert_eq!(
            layout(groups, ONE),
            Ok(Layout {
                version: Version::One,
                folders: vec!["/sys/fs/cgroup/memory/user/7".into(), "/sys/fs/cgroup/cpu/".into()],
            })
        );
    }

    #[test]
    fn version_two_has_one_folder_also_in_a_container() {
        let mounts = "30 1 0:26 /docker/abc /sys/fs/cgroup rw,relatime - cgroup2 cgroup rw\n";
        let folders = |folder: &str| Ok(Layout { version: Version::Two, folders: vec![folder.into()] });
        assert_eq!(layout("0::/docker/abc\n", mounts), folders("/sys/fs/cgroup/"));
        assert_eq!(layout("0::/docker/abc/in\n", mounts), folders("/sys/fs/cgroup/in"));
        let mounts = mounts.replace("/docker/abc", "/");
        assert_eq!(layout("0::/user.slice/a.scope\n", &mounts), folders("/sys/fs/cgroup/user.slice/a.scope"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let refused = layout("1:cpu:/\n", ONE).expect_err("there is no group for memory");
        assert!(refused.starts_with("no control groups for memory are mounted"), "{refused}");
    }

    #[test]
    fn a_group_of_version_two_that_may_not_limit_or_cannot_be_divided_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path();
        std::fs::write(at.join("cgroup.controllers"), "cpuset pids memory\n").expect("a file");
        let refused = divide(at, 7).expect_err("it may not limit the processor").to_string();
        assert!(refused.contains("may not limit cpu: start in one that may"), "{refused}");
        std::fs::write(at.join("cgroup.controllers"), "cpu memory\n").expect("a file");
        std::fs::create_dir(at.join(DIVIDED)).expect("what cannot be written");
        let refused = divide(at, 7).expect_err("it cannot be divided").to_string();
        assert!(refused.contains("has other processes in it and cannot be divided"), "{refused}");
        std::fs::remove_dir(at.join(DIVIDED)).expect("it is empty");
        divide(at, 7).expect("it can be divided now");
        assert_eq!(std::fs::read_to_string(at.join(DIVIDED)).expect("it is written"), "+memory +cpu");
    }
}
