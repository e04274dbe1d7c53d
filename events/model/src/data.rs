//! Where a value is: in the event itself while small, in the blob store otherwise.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The size up to which a value travels inside an event, in bytes.
///
/// A journal is replayed whole, so what stands in it is paid for at every recovery; but a value of a few hundred
/// bytes costs less there than the extra write of an object.
pub const INLINE_BYTES_MAX: usize = 2048;

/// An object in the blob store, named so that whoever reads it can tell whether it is what was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// Where the object is, as a URL that the SDK's file layer understands too (`file://`, `s3://`).
    pub uri: String,
    /// Its size in bytes.
    pub size: u64,
    /// xxh3-64 of its bytes.
    pub digest: u64,
}

/// An encoded value (mostly a protobuf `LiteralMap`): here, or in the blob store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataRef {
    /// The bytes themselves, at most [`INLINE_BYTES_MAX`] of them.
    Inline(Bytes),
    /// The object that holds them.
    Blob(BlobRef),
}

impl DataRef {
    /// An empty value: the encoding of an empty map.
    pub const fn empty() -> Self {
        Self::Inline(Bytes::new())
    }

    /// Answers the size of the value in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob(blob) => blob.size,
        }
    }
}
