//! Working folders: one for each attempt or chunk.
//!
//! Making one costs more than many a short task takes, above all on a disk where others were just removed. So a folder in
//! which a shared process left nothing behind is handed out again; every other one is removed.

mod shelf;

use shelf::Shelf;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// Makes working folders.
pub(crate) struct Scratch {
    shelf: Arc<Shelf>,
    /// Takes folders that are no longer needed.
    done: Sender<Done>,
}

/// A folder that is no longer needed.
struct Done {
    path: PathBuf,
    code: Option<PathBuf>,
    /// Whether it may be handed out again.
    may_be_kept: bool,
}

/// What the names of folders begin with that could not be removed.
const LEFT: &str = "left-";

/// Gives a folder a name that nobody else has; answers it.
fn set_aside(scratch: &Path, folder: &str) -> io::Result<PathBuf> {
    let names = (0_u32..).map(|number| scratch.join(format!("{LEFT}{folder}-{number}")));
    let aside = names.into_iter().find(|path| !path.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
    std::fs::rename(scratch.join(folder), &aside)?;
    Ok(aside)
}

impl Scratch {
    /// Opens the folder for working folders under `scratch`, and removes what an earlier process left. What cannot be removed
    /// (a container's files may be another user's) is set aside, and tried again at the next start.
    ///
    /// # Errors
    /// Those of making folders.
    pub(crate) fn open(scratch: &Path) -> io::Result<Self> {
        for left in std::fs::read_dir(scratch).into_iter().flatten().flatten() {
            if left.file_name().to_string_lossy().starts_with(LEFT) {
                // It was told of when it was set aside.
                drop(std::fs::remove_dir_all(left.path()));
            }
        }
        for stale in ["attempts", "tmp"] {
            match std::fs::remove_dir_all(scratch.join(stale)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let aside = set_aside(scratch, stale)?;
                    tracing::warn!(
                        folder = %aside.display(),
                        %error,
                        "what an earlier process left cannot be removed; it may be another user's: remove it as that one"
                    );
                }
                _ => {}
            }
        }
        let folder = scratch.join("attempts");
        std::fs::create_dir_all(&folder)?;
        let shelf = Arc::new(Shelf::new(folder));
        let (done, folders) = channel();
        let held = Arc::clone(&shelf);
        // A task may leave a million files, and nobody is to wait for that. It ends with the last folder.
        std::thread::Builder::new().name("remover".to_owned()).spawn(move || clear(&folders, &held))?;
        Ok(Self { shelf, done })
    }

    /// Makes a folder, which shows the files of `code` where user code that opens them by a relative path looks.
    ///
    /// They are links: what user code adds or deletes here does not change the code of the next attempt.
    ///
    /// # Errors
    /// Those of making folders and links.
    pub(crate) fn make(&self, code: Option<&Path>) -> io::Result<Folder> {
        let path = self.shelf.take(code)?;
        Ok(Folder { path, code: code.map(Path::to_path_buf), may_be_kept: false, done: self.done.clone() })
    }
}

/// A folder that is removed when it is dropped, or handed out again.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    code: Option<PathBuf>,
    may_be_kept: bool,
    done: Sender<Done>,
}

impl Folder {
    /// Where user code starts.
    pub(crate) fn work(&self) -> PathBuf {
        self.path.join(shelf::WORK)
    }

    /// Where its temporary files go.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.path.join(shelf::TEMPORARY)
    }

    /// Where its inputs are.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.path.join(shelf::INPUTS)
    }

    /// Where it puts its outputs.
    pub(crate) fn outputs(&self) -> PathBuf {
        self.path.join("outputs")
    }

    /// Where the inputs of a container are, each in a file.
    pub(crate) fn files(&self) -> PathBuf {
        self.path.join("files")
    }

    /// Where a room is put together.
    pub(crate) fn staging(&self) -> PathBuf {
        self.path.join("staging")
    }

    /// Where a child notes its progress.
    pub(crate) fn progress(&self) -> PathBuf {
        self.path.join("progress")
    }

    /// Lets the folder be handed out again if nothing is left in it. Only for what ran in a process that others share:
    /// a process of an attempt's own may leave one behind that still writes here.
    pub(crate) const fn may_be_kept(&mut self) {
        self.may_be_kept = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let done = Done {
            path: std::mem::take(&mut self.path),
            code: self.code.take(),
            may_be_kept: self.may_be_kept,
        };
        // The remover ends after all folders.
        let _ = self.done.send(done);
    }
}

/// Keeps or removes folders until there are no more to come.
fn clear(folders: &Receiver<Done>, shelf: &Shelf) {
    for Done { path, code, may_be_kept } in folders {
        if may_be_kept && shelf.put(&path, code.as_deref()) {
            continue;
        }
        if let Err(error) = std::fs::remove_dir_all(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a working folder stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    /// A shelf, a code folder with one file, and a working folder that shows it.
    fn made() -> (tempfile::TempDir, Shelf, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let code = folder.path().join("code");
        let attempts = folder.path().join("attempts");
        fs::create_dir_all(&code).expect("a folder");
        fs::create_dir_all(&attempts).expect("a folder");
        fs::write(code.join("a.txt"), "a").expect("a file");
        let shelf = Shelf::new(attempts);
        let path = shelf.take(Some(&code)).expect("a folder");
        (folder, shelf, code, path)
    }

    #[test]
    fn a_folder_in_which_nothing_was_left_is_handed_out_again_for_the_same_code() {
        let (_folder, shelf, code, path) = made();
        fs::write(path.join("inputs.pb"), "inputs").expect("a file");
        assert!(shelf.put(&path, Some(&code)));
        assert_ne!(shelf.take(None).expect("a folder"), path);
        assert_eq!(shelf.take(Some(&code)).expect("a folder"), path);
        assert_eq!(fs::read_to_string(path.join("work/a.txt")).expect("a file"), "a");
        assert!(!path.join("inputs.pb").exists());
        assert_ne!(shelf.take(Some(&code)).expect("a folder"), path, "it is in use");
    }

    #[test]
    fn a_folder_in_which_something_was_left_or_changed_is_not() {
        type Change = fn(&Path);
        let changes: [Change; 7] = [
            |path| fs::write(path.join("work/b.txt"), "b").expect("a file"),
            |path| fs::write(path.join("tmp/b.txt"), "b").expect("a file"),
            |path| fs::create_dir(path.join("outputs")).expect("a folder"),
            |path| fs::remove_file(path.join("work/a.txt")).expect("it is there"),
            |path| {
                fs::remove_file(path.join("work/a.txt")).expect("it is there");
                fs::write(path.join("work/a.txt"), "another").expect("a file");
            },
            |path| {
                fs::remove_file(path.join("work/a.txt")).expect("it is there");
                std::os::unix::fs::symlink("/etc/passwd", path.join("work/a.txt")).expect("a link");
            },
            |path| fs::set_permissions(path.join("work"), fs::Permissions::from_mode(0o500)).expect("mine"),
        ];
        for change in changes {
            let (_folder, shelf, code, path) = made();
            change(&path);
            assert!(!shelf.put(&path, Some(&code)));
        }
    }
}
