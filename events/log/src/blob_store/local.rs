//! Objects as files of a folder.
//!
//! A file comes to be in three steps, so that it is there whole or not at all, also after a power cut: written and
//! synced under a name of its own in [`UNFINISHED`], moved to its place, and its folder synced. `object_store` has a
//! local store too; it neither syncs nor takes names literally (`=` becomes `%3D`), so it is not used here.

use super::{BlobError, PIECE_BYTES, Placing};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use xxhash_rust::xxh3::Xxh3;

/// The folder, in the root, of files that are being written.
pub(super) const UNFINISHED: &str = ".unfinished";

/// How old an unfinished file must be to count as left behind by a dead process.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// How many folders are remembered as durable before they are forgotten and synced again when used.
const SYNCED_FOLDERS_MAX: usize = 16 * 1024;

#[derive(Clone, Debug)]
pub(super) struct LocalFolder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Tells the unfinished files of this opening from those of any other, also where process ids repeat.
    nonce: u64,
    next: AtomicU64,
    /// Folders whose own names are known to be durable.
    synced: Mutex<HashSet<PathBuf>>,
}

impl LocalFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, BlobError> {
        let failed = |source| BlobError::Folder { folder: folder.to_owned(), source };
        let root = std::path::absolute(folder).map_err(failed)?;
        let root = root.components().collect::<PathBuf>();
        if root.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
            return Err(failed(io::Error::new(ErrorKind::InvalidInput, "its path is not printable text")));
        }
        let unfinished = root.join(UNFINISHED);
        fs::create_dir_all(&unfinished).map_err(failed)?;
        remove_abandoned(&unfinished);
        let mut nonce = [0; 8];
        File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut nonce)).map_err(failed)?;
        Ok(Self(Arc::new(Inner {
            root,
            nonce: u64::from_le_bytes(nonce),
            next: AtomicU64::new(0),
            synced: Mutex::default(),
        })))
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.0.root.display())
    }

    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.0.root.join(path)
    }

    pub(super) async fn put(
        &self,
        uri: &str,
        path: &str,
        bytes: Bytes,
        placing: Placing,
    ) -> Result<(), BlobError> {
        let (folder, target) = (self.clone(), self.file(path));
        let done = blocking(move || {
            let mut unfinished = folder.start()?;
            unfinished.file.write_all(&bytes)?;
            folder.finish(unfinished, &target, placing)
        });
        done.await.map_err(|source| self.write_error(uri, source))
    }

    pub(super) async fn put_stream(
        &self,
        uri: &str,
        path: &str,
        mut stream: BoxStream<'_, io::Result<Bytes>>,
        size_max: u64,
    ) -> Result<(u64, u64), BlobError> {
        let (mut size, mut hash) = (0, Xxh3::new());
        let folder = self.clone();
        let mut unfinished =
            blocking(move || folder.start()).await.map_err(|source| self.write_error(uri, source))?;
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|source| BlobError::Source { uri: uri.to_owned(), source })?;
            size += piece.len() as u64;
            if size > size_max {
                return Err(BlobError::TooLarge { uri: uri.to_owned(), size, limit: size_max });
            }
            hash.update(&piece);
            unfinished = blocking(move || unfinished.file.write_all(&piece).map(|()| unfinished))
                .await
                .map_err(|source| self.write_error(uri, source))?;
        }
        let (folder, target) = (self.clone(), self.file(path));
        blocking(move || folder.finish(unfinished, &target, Placing::Replace))
            .await
            .map_err(|source| self.write_error(uri, source))?;
        Ok((size, hash.digest()))
    }

    pub(super) async fn get(&self, uri: &str, path: &str, size_max: u64) -> Result<Bytes, BlobError> {
        let (target, name) = (self.file(path), uri.to_owned());
        let read = blocking(move || {
            let (file, size) = open_object(&target)?;
            if size > size_max {
                return Ok(Err(BlobError::TooLarge { uri: name, size, limit: size_max }));
            }
            let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
            file.take(size_max.saturating_add(1)).read_to_end(&mut bytes)?;
            Ok(Ok(Bytes::from(bytes)))
        });
        read.await.map_err(|source| read_error(uri, source))?
    }

    /// Reads a range; fewer bytes where the file ends before it.
    pub(super) async fn get_range(
        &self,
        uri: &str,
        path: &str,
        range: Range<u64>,
    ) -> Result<Bytes, BlobError> {
        let target = self.file(path);
        let read = blocking(move || {
            let (mut file, size) = open_object(&target)?;
            let length = range.end.min(size).saturating_sub(range.start);
            file.seek(SeekFrom::Start(range.start))?;
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            file.take(length).read_to_end(&mut bytes)?;
            Ok(Bytes::from(bytes))
        });
        read.await.map_err(|source| read_error(uri, source))
    }

    pub(super) async fn get_stream(
        &self,
        uri: &str,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, BlobError>>), BlobError> {
        let target = self.file(path);
        let (file, size) =
            blocking(move || open_object(&target)).await.map_err(|source| read_error(uri, source))?;
        let uri = uri.to_owned();
        // The size that was promised is what is sent, even when somebody replaces or grows the file meanwhile.
        let pieces = stream::try_unfold((file, size), move |(mut file, left)| {
            let uri = uri.clone();
            async move {
                if left == 0 {
                    return Ok(None);
                }
                let length = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
                let (file, piece) = blocking(move || {
                    let mut piece = vec![0; length];
                    file.read_exact(&mut piece)?;
                    Ok((file, Bytes::from(piece)))
                })
                .await
                .map_err(|source| BlobError::unavailable(&uri, source))?;
                Ok(Some((piece, (file, left - length as u64))))
            }
        });
        Ok((size, pieces.boxed()))
    }

    pub(super) async fn size(&self, uri: &str, path: &str) -> Result<Option<u64>, BlobError> {
        let target = self.file(path);
        match blocking(move || open_object(&target)).await {
            Ok((_, size)) => Ok(Some(size)),
            Err(source) => match read_error(uri, source) {
                BlobError::NotFound { .. } => Ok(None),
                other => Err(other),
            },
        }
    }

    /// Lists paths under the root.
    pub(super) async fn list(&self, uri: &str, path: &str) -> Result<Vec<String>, BlobError> {
        let (root, path) = (self.0.root.clone(), path.to_owned());
        let walk = blocking(move || {
            let mut found = Vec::new();
            let mut folders = vec![path];
            while let Some(folder) = folders.pop() {
                list_folder(&root, &folder, &mut found, &mut folders)?;
            }
            Ok(found)
        });
        walk.await.map_err(|source| BlobError::unavailable(uri, source))
    }

    pub(super) async fn delete(&self, uri: &str, path: &str) -> Result<(), BlobError> {
        let target = self.file(path);
        match blocking(move || fs::remove_file(target)).await {
            Err(error) if !is_absent(&error) => Err(BlobError::unavailable(uri, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn start(&self) -> io::Result<Unfinished> {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let path = self.0.root.join(UNFINISHED).join(format!("{:016x}-{number}", self.0.nonce));
        let file = File::create_new(&path)?;
        Ok(Unfinished { file, path })
    }

    fn finish(&self, unfinished: Unfinished, target: &Path, placing: Placing) -> io::Result<()> {
        unfinished.file.sync_all()?;
        let folder = target.parent().unwrap_or(&self.0.root);
        self.make_durable(folder)?;
        let placed = match unfinished.place(target, placing) {
            // Somebody removed the folder since it was remembered: it is made once more.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.forget(folder);
                self.make_durable(folder)?;
                unfinished.place(target, placing)
            }
            other => other,
        };
        placed.and_then(|()| sync_folder(folder))
    }

    /// Makes `folder` and every folder above it, and syncs the name of each: a file that is synced in a folder
    /// whose own name is lost would be lost as well.
    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        if folder == self.0.root || self.synced().contains(folder) {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.0.root);
        self.make_durable(above)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => sync_folder(above)?,
        }
        let mut synced = self.synced();
        if synced.len() >= SYNCED_FOLDERS_MAX {
            synced.clear();
        }
        synced.insert(folder.to_owned());
        Ok(())
    }

    fn forget(&self, folder: &Path) {
        let mut synced = self.synced();
        for folder in folder.ancestors().take_while(|above| *above != self.0.root) {
            synced.remove(folder);
        }
    }

    fn write_error(&self, uri: &str, source: io::Error) -> BlobError {
        let uri = uri.to_owned();
        match source.kind() {
            ErrorKind::AlreadyExists => BlobError::Exists { uri },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                BlobError::Full { uri, folder: self.0.root.clone() }
            }
            _ => BlobError::unavailable(&uri, source),
        }
    }

    fn synced(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        // A set of names is right after any panic: the worst is a folder that is synced twice.
        self.0.synced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is being written; removed again unless it was moved to its place.
#[derive(Debug)]
struct Unfinished {
    file: File,
    path: PathBuf,
}

impl Unfinished {
    fn place(&self, target: &Path, placing: Placing) -> io::Result<()> {
        match placing {
            Placing::Replace => fs::rename(&self.path, target),
            // A link fails where there is a file, a rename does not.
            Placing::CreateOnly => fs::hard_link(&self.path, target),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is not there any more after a rename; what cannot be removed is removed by a later opening.
        let _ = fs::remove_file(&self.path);
    }
}

fn open_object(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::from(ErrorKind::NotFound));
    }
    Ok((file, metadata.len()))
}

fn list_folder(
    root: &Path,
    folder: &str,
    found: &mut Vec<String>,
    folders: &mut Vec<String>,
) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(folder)) {
        Err(error) if is_absent(&error) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // Names that are not text cannot have come from here, and no URL can name them.
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if folder.is_empty() && name == UNFINISHED {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            folders.push(path);
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

fn remove_abandoned(unfinished: &Path) {
    let Ok(entries) = fs::read_dir(unfinished) else { return };
    for entry in entries.flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age > ABANDONED_AFTER) {
            // Only space is lost where this fails.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn read_error(uri: &str, source: io::Error) -> BlobError {
    if is_absent(&source) {
        return BlobError::NotFound { uri: uri.to_owned() };
    }
    BlobError::unavailable(uri, source)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}
