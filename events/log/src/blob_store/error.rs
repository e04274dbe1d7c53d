//! What can be wrong with an object.

use std::path::PathBuf;

/// Whatever failed below, kept for the chain of causes.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// An object that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// There is none.
    #[error("no object at {uri}")]
    NotFound {
        /// Its URL.
        uri: String,
    },
    /// There is one already.
    #[error("there is an object at {uri} already")]
    Exists {
        /// Its URL.
        uri: String,
    },
    /// The URL is outside of the store, or not one.
    #[error("{uri} is not in this store ({root})")]
    Outside {
        /// The URL.
        uri: String,
        /// The URL under which everything of the store is.
        root: String,
    },
    /// The URL is in the store, but no object can have it.
    #[error("{uri:?} cannot name an object: {reason}")]
    Name {
        /// The URL.
        uri: String,
        /// Why not.
        reason: &'static str,
    },
    /// What is there is not what was written.
    #[error("object {uri} has {found} where {expected} was written")]
    Damaged {
        /// Its URL.
        uri: String,
        /// Size or digest that it has.
        found: String,
        /// Size or digest that it should have.
        expected: String,
    },
    /// Larger than the caller takes.
    #[error("object {uri} has {size} bytes or more, the limit here is {limit}")]
    TooLarge {
        /// Its URL.
        uri: String,
        /// Its size in bytes, as far as it is known.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The stream that was to be written failed. Nothing was written.
    #[error("the content for object {uri} broke off")]
    Source {
        /// The object's URL.
        uri: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be reached, or refuses.
    #[error("object {uri} cannot be reached")]
    Unavailable {
        /// Its URL.
        uri: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// The disk of a local store is full. Nothing was written; it can be as soon as there is room.
    #[error("object {uri} cannot be written: no space is left in {}; make room there", folder.display())]
    Full {
        /// Its URL.
        uri: String,
        /// The folder of the store.
        folder: PathBuf,
    },
    /// The folder of a local store cannot be used.
    #[error("folder {} cannot hold objects", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The settings of an S3 store cannot be right.
    #[error("the settings of {url} cannot be used")]
    Settings {
        /// The URL under which everything of the store would be.
        url: String,
        /// Why.
        #[source]
        source: Source,
    },
}

impl BlobError {
    pub(super) fn outside(uri: &str, root: &str) -> Self {
        Self::Outside { uri: uri.to_owned(), root: root.to_owned() }
    }

    pub(super) fn name(uri: &str, reason: &'static str) -> Self {
        Self::Name { uri: uri.to_owned(), reason }
    }

    pub(super) fn unavailable(uri: &str, source: impl Into<Source>) -> Self {
        Self::Unavailable { uri: uri.to_owned(), source: source.into() }
    }
}
