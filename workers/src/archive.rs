//! Code archives: each is fetched once and unpacked into a folder of its own.

mod unpack;

pub use unpack::{UnpackError, unpack};

use crate::config::ArchiveLimits;
use skein_log::{BlobError, BlobStore};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// The name of an archive that is no archive: pickled tasks of a notebook.
const PICKLE: &str = "pkl.gz";

/// A code archive that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It cannot be fetched.
    #[error("the code archive {uri} cannot be fetched: {source}")]
    Fetch {
        /// Its URL.
        uri: String,
        /// Why.
        #[source]
        source: BlobError,
    },
    /// It holds what must not be unpacked, or is none.
    #[error("the code archive {uri} is refused: {source}")]
    Refused {
        /// Its URL.
        uri: String,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// There is no room for it.
    #[error("the code archive {uri} cannot be unpacked: {source}")]
    Disk {
        /// Its URL.
        uri: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The archives that this process has unpacked.
pub(crate) struct Archives {
    folder: PathBuf,
    limits: ArchiveLimits,
    blobs: Arc<BlobStore>,
    unpacked: Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>,
}

impl Archives {
    pub(crate) fn new(scratch: &Path, limits: ArchiveLimits, blobs: Arc<BlobStore>) -> Self {
        Self { folder: scratch.join("code"), limits, blobs, unpacked: Mutex::default() }
    }

    /// Answers the folder with the files of the archive at `uri`; fetches it the first time.
    ///
    /// # Errors
    /// See [`ArchiveError`]; the next call tries again.
    pub(crate) async fn folder(&self, uri: &str) -> Result<PathBuf, ArchiveError> {
        let cell = {
            let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
            // User code may have deleted it.
            unpacked.retain(|_, cell| cell.get().is_none_or(|folder| folder.is_dir()));
            Arc::clone(unpacked.entry(uri.to_owned()).or_default())
        };
        cell.get_or_try_init(|| self.unpack(uri)).await.cloned()
    }

    async fn unpack(&self, uri: &str) -> Result<PathBuf, ArchiveError> {
        let fetch = |source| ArchiveError::Fetch { uri: uri.to_owned(), source };
        let disk = |source| ArchiveError::Disk { uri: uri.to_owned(), source };
        let bytes = self.blobs.get(uri, self.limits.bytes_max).await.map_err(fetch)?;
        // Named by content as well: a folder of an earlier process is used again only if it is the same.
        let folder = self.folder.join(format!("{:016x}", xxh3(uri, &bytes)));
        if folder.is_dir() {
            return Ok(folder);
        }
        let (limits, target, is_pickle) =
            (self.limits, folder.clone(), uri.rsplit('/').next() == Some(PICKLE));
        let unpacked = tokio::task::spawn_blocking(move || {
            if is_pickle { unpack::keep(&bytes, PICKLE, &target) } else { unpack(&bytes, limits, &target) }
        });
        match unpacked.await.map_err(io::Error::other).map_err(disk)? {
            Ok(()) => Ok(folder),
            Err(UnpackError::Disk(source)) => Err(disk(source)),
            Err(source) => Err(ArchiveError::Refused { uri: uri.to_owned(), source }),
        }
    }
}

fn xxh3(uri: &str, bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, xxhash_rust::xxh3::xxh3_64(uri.as_bytes()))
}
