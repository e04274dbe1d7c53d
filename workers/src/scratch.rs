//! Working folders: one for each attempt or chunk, gone with it.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Makes working folders.
pub(crate) struct Scratch {
    folder: PathBuf,
    next: AtomicU64,
    /// Takes folders that are no longer needed.
    removed: Sender<PathBuf>,
}

impl Scratch {
    /// Opens the folder for working folders under `scratch`, and removes what an earlier process left.
    ///
    /// # Errors
    /// Those of making folders.
    pub(crate) fn open(scratch: &Path) -> io::Result<Self> {
        for stale in ["attempts", "tmp"] {
            match std::fs::remove_dir_all(scratch.join(stale)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let folder = scratch.join("attempts");
        std::fs::create_dir_all(&folder)?;
        let (removed, folders) = channel();
        // A task may leave a million files, and nobody is to wait for that. It ends with the last folder.
        std::thread::Builder::new().name("remover".to_owned()).spawn(move || remove(&folders))?;
        Ok(Self { folder, next: AtomicU64::new(0), removed })
    }

    /// Makes a new folder.
    ///
    /// # Errors
    /// Those of making folders.
    pub(crate) fn make(&self) -> io::Result<Folder> {
        let path = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let folder = Folder { path, removed: self.removed.clone() };
        for inner in [folder.work(), folder.temporary()] {
            std::fs::create_dir_all(inner)?;
        }
        Ok(folder)
    }
}

/// A folder that is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    removed: Sender<PathBuf>,
}

impl Folder {
    /// Where user code starts.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Where its temporary files go.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Where its inputs are.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.path.join("inputs.pb")
    }

    /// Where it puts its outputs.
    pub(crate) fn outputs(&self) -> PathBuf {
        self.path.join("outputs")
    }

    /// Where a child notes its progress.
    pub(crate) fn progress(&self) -> PathBuf {
        self.path.join("progress")
    }

    /// Shows the files of `code` in the working folder, where user code that opens them by a relative path looks.
    ///
    /// They are links: what user code adds or deletes here does not change the code of the next attempt.
    ///
    /// # Errors
    /// Those of making links.
    pub(crate) fn show(&self, code: &Path) -> io::Result<()> {
        let work = self.work();
        for entry in std::fs::read_dir(code)? {
            let entry = entry?;
            symlink(entry.path(), work.join(entry.file_name()))?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The remover ends after all folders.
        let _ = self.removed.send(std::mem::take(&mut self.path));
    }
}

/// Removes folders until there are no more to come.
fn remove(folders: &Receiver<PathBuf>) {
    for path in folders {
        if let Err(error) = std::fs::remove_dir_all(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a working folder stays behind");
        }
    }
}
