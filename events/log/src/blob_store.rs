//! Values: objects in a local folder or in S3, behind URLs that the SDK's file layer understands too.

use bytes::Bytes;
use futures::stream::BoxStream;
use skein_model::{BlobRef, DataRef};

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
    #[error("object {uri} has {size} bytes, the limit here is {limit}")]
    TooLarge {
        /// Its URL.
        uri: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The store cannot be reached.
    #[error("object {uri} cannot be reached")]
    Unavailable {
        /// Its URL.
        uri: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
}

