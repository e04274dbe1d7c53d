//! Working folders that can be handed out again.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Where user code starts.
pub(super) const WORK: &str = "work";
/// Where temporary files go.
pub(super) const TEMPORARY: &str = "tmp";
/// The file of inputs, which is written before each attempt that needs it.
pub(super) const INPUTS: &str = "inputs.pb";
/// The most folders kept for one archive of code.
const KEPT_MAX: usize = 64;
/// The most archives of code that folders are kept for; what is over is forgotten, and removed at the next start.
const CODES_MAX: usize = 64;

/// Folders that were used and have nothing left in them.
pub(super) struct Shelf {
    folder: PathBuf,
    next: AtomicU64,
    clean: Mutex<HashMap<Option<PathBuf>, Vec<PathBuf>>>,
}

impl Shelf {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, next: AtomicU64::new(0), clean: Mutex::default() }
    }

    /// Answers a folder with the files of `code` shown in it.
    ///
    /// # Errors
    /// Those of making folders and links.
    pub(super) fn take(&self, code: Option<&Path>) -> io::Result<PathBuf> {
        let code = code.map(Path::to_path_buf);
        let kept = self.clean().get_mut(&code).and_then(Vec::pop);
        if let Some(path) = kept {
            return Ok(path);
        }
        let path = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        for inner in [WORK, TEMPORARY] {
            fs::create_dir_all(path.join(inner))?;
        }
        if let Some(code) = code {
            let work = path.join(WORK);
            for name in names(&code)? {
                symlink(code.join(&name), work.join(&name))?;
            }
        }
        Ok(path)
    }

    /// Keeps a folder if it is as it was when it was made; says whether it did.
    pub(super) fn put(&self, path: &Path, code: Option<&Path>) -> bool {
        if !is_clean(path, code).unwrap_or(false) {
            return false;
        }
        let mut clean = self.clean();
        if clean.len() >= CODES_MAX {
            clean.clear();
        }
        let kept = clean.entry(code.map(Path::to_path_buf)).or_default();
        let has_room = kept.len() < KEPT_MAX;
        if has_room {
            kept.push(path.to_path_buf());
        }
        has_room
    }

    fn clean(&self) -> std::sync::MutexGuard<'_, HashMap<Option<PathBuf>, Vec<PathBuf>>> {
        self.clean.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_clean(path: &Path, code: Option<&Path>) -> io::Result<bool> {
    match fs::remove_file(path.join(INPUTS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let (work, temporary) = (path.join(WORK), path.join(TEMPORARY));
    let mode = fs::symlink_metadata(path)?.mode();
    for inner in [&work, &temporary] {
        // Made by the same call as the folder that they are in.
        if fs::symlink_metadata(inner)?.mode() != mode {
            return Ok(false);
        }
    }
    if names(path)?.len() != 2 || !names(&temporary)?.is_empty() {
        return Ok(false);
    }
    let shown = code.map_or_else(|| Ok(Vec::new()), names)?;
    if names(&work)?.len() != shown.len() {
        return Ok(false);
    }
    Ok(match code {
        Some(code) => shown
            .iter()
            .all(|name| fs::read_link(work.join(name)).is_ok_and(|target| target == code.join(name))),
        None => true,
    })
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
}
