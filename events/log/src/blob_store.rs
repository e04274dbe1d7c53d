//! Values: objects in a local folder or in S3, behind URLs that the SDK's file layer understands too.
//!
//! An object is written whole or not at all, and is durable once a write answers `Ok`. Names are taken literally:
//! what a path says is what the file (or the key) is called, without any percent-encoding.

mod error;
mod local;
mod s3;
mod signer;

pub use error::BlobError;
pub use s3::{S3Keys, S3Settings};
pub use signer::{SignatureError, UrlSigner};

use bytes::Bytes;
use futures::stream::BoxStream;
use local::LocalFolder;
use s3::Bucket;
use skein_model::{BlobRef, DataRef, INLINE_BYTES_MAX};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// The size of the pieces in which objects are streamed, in bytes.
pub const PIECE_BYTES: usize = 1024 * 1024;

/// The longest part of a path between two slashes, in bytes: what file systems take.
const SEGMENT_BYTES_MAX: usize = 255;

/// What a signed URL lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Read the object.
    Get,
    /// Write the object.
    Put,
}

impl Method {
    /// Answers the word that HTTP uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

/// Whether an object may take the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placing {
    Replace,
    CreateOnly,
}

/// A place for objects. A clone is the same place.
#[derive(Clone, Debug)]
pub struct BlobStore {
    root: Arc<str>,
    backend: Backend,
}

#[derive(Clone, Debug)]
enum Backend {
    Local(LocalFolder),
    S3(Bucket),
}

impl BlobStore {
    /// Opens a local folder, which is created where there is none. Its URLs begin with `file://`.
    ///
    /// # Errors
    /// [`BlobError::Folder`] when it cannot be created, or its path is not text.
    pub fn local(folder: &Path) -> Result<Self, BlobError> {
        let folder = LocalFolder::open(folder)?;
        Ok(Self { root: folder.url().into(), backend: Backend::Local(folder) })
    }

    /// Opens a bucket, or a prefix in one. Its URLs begin with `s3://`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`BlobError::Settings`] when the settings contradict themselves.
    pub fn s3(settings: S3Settings) -> Result<Self, BlobError> {
        let root = settings.url();
        check_path(&root, root.trim_start_matches("s3://"), &root)?;
        Ok(Self { root: root.into(), backend: Backend::S3(Bucket::open(settings)?) })
    }

    /// Answers the URL under which everything is, without a slash at its end.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Answers the URL of a path under the root.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.root)
    }

    /// Answers a URL of this store as user code is given it: a plain path for a local folder, because the SDK takes a
    /// folder that is named by a `file://` URL for one that is not there.
    pub fn native<'a>(&self, uri: &'a str) -> &'a str {
        uri.strip_prefix("file://").unwrap_or(uri)
    }

    /// Answers the path under the root that a URL names, in the form of [`BlobStore::url`] or [`BlobStore::native`].
    ///
    /// # Errors
    /// [`BlobError::Outside`] for a URL of another place or one with `.`, `..` or empty parts,
    /// [`BlobError::Name`] for a part that cannot be the name of a file.
    pub fn path_of<'a>(&self, uri: &'a str) -> Result<&'a str, BlobError> {
        let root = if uri.starts_with('/') { self.native(&self.root) } else { &self.root };
        let path = uri.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
        let path = path.ok_or_else(|| BlobError::outside(uri, &self.root))?;
        check_path(uri, path, &self.root)?;
        Ok(path)
    }

    /// Answers the file that a URL names, if this store is a local folder and the URL is in it.
    pub fn local_path(&self, uri: &str) -> Option<PathBuf> {
        match &self.backend {
            Backend::Local(folder) => Some(folder.file(self.path_of(uri).ok()?)),
            Backend::S3(_) => None,
        }
    }

    /// Writes an object, in the place of one that may be there.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn put(&self, uri: &str, bytes: Bytes) -> Result<BlobRef, BlobError> {
        self.place(uri, bytes, Placing::Replace).await
    }

    /// Writes an object where none is.
    ///
    /// # Errors
    /// [`BlobError::Exists`] when there is one, whatever it holds.
    pub async fn put_new(&self, uri: &str, bytes: Bytes) -> Result<BlobRef, BlobError> {
        self.place(uri, bytes, Placing::CreateOnly).await
    }

    async fn place(&self, uri: &str, bytes: Bytes, placing: Placing) -> Result<BlobRef, BlobError> {
        let path = self.path_of(uri)?;
        let blob = BlobRef { uri: uri.to_owned(), size: bytes.len() as u64, digest: xxh3_64(&bytes) };
        match &self.backend {
            Backend::Local(folder) => folder.put(uri, path, bytes, placing).await?,
            Backend::S3(bucket) => bucket.put(uri, path, bytes, placing).await?,
        }
        Ok(blob)
    }

    /// Writes an object piece by piece, in the place of one that may be there; holds a few pieces in memory at most.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] as soon as more than `size_max` bytes came, [`BlobError::Source`] when the stream
    /// failed; no object is left then.
    pub async fn put_stream(
        &self,
        uri: &str,
        stream: BoxStream<'_, std::io::Result<Bytes>>,
        size_max: u64,
    ) -> Result<BlobRef, BlobError> {
        let path = self.path_of(uri)?;
        let (size, digest) = match &self.backend {
            Backend::Local(folder) => folder.put_stream(uri, path, stream, size_max).await?,
            Backend::S3(bucket) => bucket.put_stream(uri, path, stream, size_max).await?,
        };
        Ok(BlobRef { uri: uri.to_owned(), size, digest })
    }

    /// Reads an object of at most `size_max` bytes.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] without reading it when it is larger.
    pub async fn get(&self, uri: &str, size_max: u64) -> Result<Bytes, BlobError> {
        let path = self.path_of(uri)?;
        match &self.backend {
            Backend::Local(folder) => folder.get(uri, path, size_max).await,
            Backend::S3(bucket) => bucket.get(uri, path, size_max).await,
        }
    }

    /// Reads an object and checks that it is what was written.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when its size or digest is another.
    pub async fn get_checked(&self, blob: &BlobRef) -> Result<Bytes, BlobError> {
        let damaged = |found: String, expected: String| {
            Err(BlobError::Damaged { uri: blob.uri.clone(), found, expected })
        };
        let bytes = match self.get(&blob.uri, blob.size).await {
            Err(BlobError::TooLarge { size, .. }) => {
                return damaged(format!("{size} bytes"), format!("{} bytes", blob.size));
            }
            other => other?,
        };
        if bytes.len() as u64 != blob.size {
            return damaged(format!("{} bytes", bytes.len()), format!("{} bytes", blob.size));
        }
        let digest = xxh3_64(&bytes);
        if digest != blob.digest {
            return damaged(format!("digest {digest:016x}"), format!("digest {:016x}", blob.digest));
        }
        Ok(bytes)
    }

    /// Reads an object piece by piece: answers its size in bytes and the pieces in order.
    ///
    /// # Errors
    /// [`BlobError::NotFound`] before the first piece, [`BlobError::Unavailable`] in the midst of them.
    pub async fn get_stream(
        &self,
        uri: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, BlobError>>), BlobError> {
        let path = self.path_of(uri)?;
        match &self.backend {
            Backend::Local(folder) => folder.get_stream(uri, path).await,
            Backend::S3(bucket) => bucket.get_stream(uri, path).await,
        }
    }

    /// Reads a part of an object: bytes `range`, counted from 0.
    ///
    /// # Errors
    /// [`BlobError::Damaged`] when the object ends before the range does.
    pub async fn get_range(&self, uri: &str, range: Range<u64>) -> Result<Bytes, BlobError> {
        let path = self.path_of(uri)?;
        // Neither a file system nor S3 knows a range of nothing.
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let read = match &self.backend {
            Backend::Local(folder) => folder.get_range(uri, path, range.clone()).await,
            Backend::S3(bucket) => bucket.get_range(uri, path, range.clone()).await,
        };
        let bytes = match read {
            // S3 refuses a range that begins beyond the end, which looks like any other refusal.
            Err(BlobError::Unavailable { .. })
                if self.size(uri).await?.is_some_and(|size| size <= range.start) =>
            {
                Bytes::new()
            }
            read => read?,
        };
        if bytes.len() as u64 == range.end - range.start {
            return Ok(bytes);
        }
        let found = format!("{} bytes from byte {}", bytes.len(), range.start);
        Err(BlobError::Damaged {
            uri: uri.to_owned(),
            found,
            expected: format!("{} bytes", range.end - range.start),
        })
    }

    /// Answers the size of an object in bytes; none when there is no object.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn size(&self, uri: &str) -> Result<Option<u64>, BlobError> {
        let path = self.path_of(uri)?;
        match &self.backend {
            Backend::Local(folder) => folder.size(uri, path).await,
            Backend::S3(bucket) => bucket.size(uri, path).await,
        }
    }

    /// Lists the URLs of all objects under `prefix` and a slash, sorted. The root is a prefix too.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, BlobError> {
        let path = if prefix == self.root() { "" } else { self.path_of(prefix)? };
        let mut uris: Vec<String> = match &self.backend {
            Backend::Local(folder) => folder.list(prefix, path).await?,
            Backend::S3(bucket) => bucket.list(prefix, path).await?,
        };
        uris.iter_mut().for_each(|path| *path = self.url(path));
        uris.sort_unstable();
        Ok(uris)
    }

    /// Removes an object. That there is none is no error.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn delete(&self, uri: &str) -> Result<(), BlobError> {
        let path = self.path_of(uri)?;
        match &self.backend {
            Backend::Local(folder) => folder.delete(uri, path).await,
            Backend::S3(bucket) => bucket.delete(uri, path).await,
        }
    }

    /// Keeps a value: in the answer itself while it has at most [`INLINE_BYTES_MAX`] bytes, at `uri` otherwise.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn store(&self, uri: &str, bytes: Bytes) -> Result<DataRef, BlobError> {
        if bytes.len() <= INLINE_BYTES_MAX {
            return Ok(DataRef::Inline(bytes));
        }
        self.put(uri, bytes).await.map(DataRef::Blob)
    }

    /// Reads a value that [`BlobStore::store`] kept.
    ///
    /// # Errors
    /// See [`BlobStore::get_checked`].
    pub async fn load(&self, data: &DataRef) -> Result<Bytes, BlobError> {
        match data {
            DataRef::Inline(bytes) => Ok(bytes.clone()),
            DataRef::Blob(blob) => self.get_checked(blob).await,
        }
    }

    /// Answers a URL by which anybody may read or write the object for `expires_in`. None for a local folder: its
    /// URLs are signed by whoever serves them, see [`UrlSigner`].
    ///
    /// # Errors
    /// [`BlobError::Unavailable`] when the credentials to sign with cannot be had.
    pub async fn presign(
        &self,
        method: Method,
        uri: &str,
        expires_in: Duration,
    ) -> Result<Option<String>, BlobError> {
        let path = self.path_of(uri)?;
        match &self.backend {
            Backend::Local(_) => Ok(None),
            Backend::S3(bucket) => bucket.presign(method, uri, path, expires_in).await.map(Some),
        }
    }
}

fn check_path(uri: &str, path: &str, root: &str) -> Result<(), BlobError> {
    if path.chars().any(char::is_control) {
        return Err(BlobError::name(uri, "it holds a control character"));
    }
    for segment in path.split('/') {
        if matches!(segment, "" | "." | "..") {
            return Err(BlobError::outside(uri, root));
        }
        if segment.len() > SEGMENT_BYTES_MAX {
            return Err(BlobError::name(uri, "a part of it is longer than 255 bytes"));
        }
    }
    if path.split('/').next() == Some(local::UNFINISHED) {
        return Err(BlobError::name(uri, "that folder holds unfinished objects"));
    }
    Ok(())
}
