//! Unpacks a gzipped tar file that somebody else made, and lets nothing out of its folder.

use crate::config::ArchiveLimits;
use flate2::read::GzDecoder;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};

/// An archive that is not unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// Not a gzipped tar file, or cut off.
    #[error("it is no gzipped tar file, or damaged: {0}")]
    Unreadable(#[source] io::Error),
    /// An entry that would lie elsewhere.
    #[error("entry {path:?} would leave the folder; paths must be relative and without \"..\"")]
    Outside {
        /// Its path.
        path: PathBuf,
    },
    /// A link that points elsewhere.
    #[error("entry {path:?} is a link to {target:?}, outside of the folder")]
    Link {
        /// Its path.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A device, a pipe or the like.
    #[error("entry {path:?} is neither a file, a folder nor a link")]
    Special {
        /// Its path.
        path: PathBuf,
    },
    /// More entries than allowed.
    #[error("it has more than {limit} entries")]
    Entries {
        /// The limit.
        limit: u64,
    },
    /// More bytes than allowed.
    #[error("it holds more than {limit} bytes")]
    Bytes {
        /// The limit.
        limit: u64,
    },
    /// A file that cannot be written; the archive may be fine.
    #[error("a file cannot be written")]
    Disk(#[source] io::Error),
}

/// Unpacks `bytes` into the folder `target`, which appears whole or not at all.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn unpack(bytes: &[u8], limits: ArchiveLimits, target: &Path) -> Result<(), UnpackError> {
    into_place(target, |folder| {
        let mut archive =
            Archive::new(Bounded { inner: GzDecoder::new(bytes), left: limits.unpacked_bytes_max });
        let bounded = |error| unreadable(error, limits);
        let mut entries = 0;
        for entry in archive.entries().map_err(bounded)? {
            entries += 1;
            if entries > limits.entries_max {
                return Err(UnpackError::Entries { limit: limits.entries_max });
            }
            place(entry.map_err(bounded)?, folder).map_err(|error| match error {
                UnpackError::Unreadable(error) => unreadable(error, limits),
                other => other,
            })?;
        }
        check_links(folder)
    })
}

/// Puts `bytes` as they are into the folder `target`, under `name`.
///
/// # Errors
/// Those of writing files.
pub(super) fn keep(bytes: &[u8], name: &str, target: &Path) -> Result<(), UnpackError> {
    into_place(target, |folder| std::fs::write(folder.join(name), bytes).map_err(UnpackError::Disk))
}

fn into_place(target: &Path, fill: impl FnOnce(&Path) -> Result<(), UnpackError>) -> Result<(), UnpackError> {
    let making = target.with_extension("part");
    let _ = std::fs::remove_dir_all(&making);
    std::fs::create_dir_all(&making).map_err(UnpackError::Disk)?;
    let filled = fill(&making);
    if filled.is_err() {
        let _ = std::fs::remove_dir_all(&making);
        return filled;
    }
    std::fs::rename(&making, target).map_err(UnpackError::Disk)
}

fn place<R: Read>(mut entry: Entry<'_, R>, folder: &Path) -> Result<(), UnpackError> {
    let path = entry.path().map_err(UnpackError::Unreadable)?.into_owned();
    if inside(&path).is_none() {
        return Err(UnpackError::Outside { path });
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse | EntryType::Directory => {}
        EntryType::Symlink => {
            let target = link_target(&entry)?;
            if target.is_absolute() {
                return Err(UnpackError::Link { path, target });
            }
        }
        EntryType::Link => {
            let target = link_target(&entry)?;
            if inside(&target).is_none() {
                return Err(UnpackError::Link { path, target });
            }
        }
        // Headers of the format itself, which stand for nothing on the disk.
        EntryType::XGlobalHeader | EntryType::XHeader => return Ok(()),
        _ => return Err(UnpackError::Special { path }),
    }
    // Checks again, against what is on the disk by now: a path may lead through a link that came before.
    match entry.unpack_in(folder) {
        Ok(true) => Ok(()),
        Ok(false) => Err(UnpackError::Outside { path }),
        Err(error) if is_about_the_archive(&error) => Err(UnpackError::Unreadable(error)),
        Err(error) => Err(UnpackError::Disk(error)),
    }
}

fn link_target<R: Read>(entry: &Entry<'_, R>) -> Result<PathBuf, UnpackError> {
    let target = entry.link_name().map_err(UnpackError::Unreadable)?;
    Ok(target.map(|target| target.into_owned()).unwrap_or_default())
}

/// Answers the path without `.`; none when it is absolute or goes up.
fn inside(path: &Path) -> Option<PathBuf> {
    path.components()
        .filter(|part| !matches!(part, Component::CurDir))
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        })
        .collect()
}

/// Checks where links lead once all is in place: before, what a path means may still change.
fn check_links(folder: &Path) -> Result<(), UnpackError> {
    let mut open = vec![(folder.to_path_buf(), 0)];
    while let Some((path, depth)) = open.pop() {
        for entry in std::fs::read_dir(&path).map_err(UnpackError::Disk)? {
            let path = entry.map_err(UnpackError::Disk)?.path();
            let kind = path.symlink_metadata().map_err(UnpackError::Disk)?.file_type();
            if kind.is_dir() {
                open.push((path, depth + 1));
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&path).map_err(UnpackError::Disk)?;
                if !stays_inside(&target, depth) {
                    return Err(UnpackError::Link { path, target });
                }
            }
        }
    }
    Ok(())
}

/// Says whether a link that lies `depth` folders deep stays inside. It may only go up first and then down: after going
/// down through another link, up would be elsewhere than it looks.
fn stays_inside(target: &Path, depth: usize) -> bool {
    let mut up = 0;
    let mut is_down = false;
    target.components().all(|part| match part {
        Component::Normal(_) => {
            is_down = true;
            true
        }
        Component::ParentDir => {
            up += 1;
            !is_down && up <= depth
        }
        Component::CurDir => true,
        Component::RootDir | Component::Prefix(_) => false,
    })
}

/// Bytes that end with an error once there are more than allowed, so that a small archive cannot fill a disk.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| io::Error::other(TooMuch))?;
        Ok(count)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("more bytes than allowed")]
struct TooMuch;

fn unreadable(error: io::Error, limits: ArchiveLimits) -> UnpackError {
    if mentions::<TooMuch>(&error) {
        UnpackError::Bytes { limit: limits.unpacked_bytes_max }
    } else {
        UnpackError::Unreadable(error)
    }
}

fn is_about_the_archive(error: &io::Error) -> bool {
    mentions::<TooMuch>(error)
        || matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        )
}

fn mentions<E: std::error::Error + 'static>(error: &io::Error) -> bool {
    let mut next = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = next {
        if error.is::<E>() {
            return true;
        }
        next = match error.downcast_ref::<io::Error>() {
            Some(wrapped) => wrapped.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    const LIMITS: ArchiveLimits =
        ArchiveLimits { bytes_max: 1 << 20, unpacked_bytes_max: 64 * 1024, entries_max: 10 };

    fn archive(fill: impl FnOnce(&mut Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
        let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        fill(&mut builder);
        builder.into_inner().and_then(GzEncoder::finish).expect("writing to memory")
    }

    /// Adds an entry with whatever path, which the builder itself would refuse.
    fn add(builder: &mut Builder<GzEncoder<Vec<u8>>>, kind: EntryType, path: &str, link: &str, body: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(body.len() as u64);
        let gnu = header.as_gnu_mut().expect("a GNU header");
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        builder.append(&header, body).expect("writing to memory");
    }

    fn unpacked(
        fill: impl FnOnce(&mut Builder<GzEncoder<Vec<u8>>>),
    ) -> (tempfile::TempDir, Result<(), UnpackError>) {
        let folder = tempfile::tempdir().expect("a folder");
        let result = unpack(&archive(fill), LIMITS, &folder.path().join("code"));
        (folder, result)
    }

    #[test]
    fn files_folders_and_links_inside_are_there_afterwards() {
        let (folder, result) = unpacked(|builder| {
            add(builder, EntryType::Directory, "./pkg/", "", b"");
            add(builder, EntryType::Regular, "./pkg/a.py", "", b"A = 1\n");
            add(builder, EntryType::Symlink, "pkg/b.py", "../pkg/a.py", b"");
        });
        result.expect("a good archive");
        let read = std::fs::read_to_string(folder.path().join("code/pkg/b.py")).expect("the link's target");
        assert_eq!(read, "A = 1\n");
    }

    #[test]
    fn a_path_that_leaves_the_folder_is_refused_and_nothing_is_left() {
        for path in ["/etc/evil", "../evil", "pkg/../../evil"] {
            let (folder, result) = unpacked(|builder| add(builder, EntryType::Regular, path, "", b"x"));
            assert!(matches!(result, Err(UnpackError::Outside { .. })), "{path}: {result:?}");
            assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{path}");
        }
    }

    #[test]
    fn a_link_that_leaves_the_folder_is_refused() {
        for (kind, target) in
            [(EntryType::Symlink, "/etc"), (EntryType::Symlink, "../.."), (EntryType::Link, "../evil")]
        {
            let (_folder, result) = unpacked(|builder| add(builder, kind, "pkg", target, b""));
            assert!(matches!(result, Err(UnpackError::Link { .. })), "{target}: {result:?}");
        }
    }

    #[test]
    fn a_link_that_leaves_the_folder_by_way_of_another_is_refused() {
        let (_folder, result) = unpacked(|builder| {
            add(builder, EntryType::Symlink, "pkg/here", ".", b"");
            add(builder, EntryType::Symlink, "pkg/out", "here/../../evil", b"");
        });
        assert!(matches!(result, Err(UnpackError::Link { .. })), "{result:?}");
        let (_folder, result) = unpacked(|builder| {
            add(builder, EntryType::Symlink, "a/b/top", "../..", b"");
            add(builder, EntryType::Symlink, "a/b/top/out", "../../../evil", b"");
        });
        assert!(result.is_err(), "{result:?}");
    }

    #[test]
    fn a_device_or_pipe_is_refused() {
        for kind in [EntryType::Block, EntryType::Char, EntryType::Fifo] {
            let (_folder, result) = unpacked(|builder| add(builder, kind, "x", "", b""));
            assert!(matches!(result, Err(UnpackError::Special { .. })), "{kind:?}: {result:?}");
        }
    }

    #[test]
    fn too_many_entries_and_too_many_bytes_are_refused_by_their_limit() {
        let (_folder, result) = unpacked(|builder| {
            for number in 0..11 {
                add(builder, EntryType::Regular, &format!("f{number}"), "", b"");
            }
        });
        assert!(matches!(result, Err(UnpackError::Entries { limit: 10 })), "{result:?}");
        let zeros = vec![0; 100 * 1024];
        let (_folder, result) = unpacked(|builder| add(builder, EntryType::Regular, "bomb", "", &zeros));
        assert!(matches!(result, Err(UnpackError::Bytes { limit: 65_536 })), "{result:?}");
    }

    #[test]
    fn what_is_no_archive_or_cut_off_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let whole = archive(|builder| add(builder, EntryType::Regular, "a.py", "", &[7; 4096]));
        for bytes in [b"not gzip".as_slice(), &whole[..whole.len() / 2], b""] {
            let result = unpack(bytes, LIMITS, &folder.path().join("code"));
            assert!(matches!(result, Err(UnpackError::Unreadable(_))), "{result:?}");
        }
    }
}
