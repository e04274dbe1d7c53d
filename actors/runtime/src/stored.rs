//! Lists that stay in the blob store: inputs that the SDK has offloaded, of which a map reads what a chunk needs.

use bytes::Bytes;
use futures::TryStreamExt as _;
use skein_log::{BlobError, BlobStore};
use skein_model::event::ItemRange;
use skein_model::literals::{StoredCollection, StoredScan, WireError};

/// A list in the blob store.
pub(crate) struct StoredList {
    uri: String,
    elements: StoredCollection,
}

/// Why a list cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Learns where the elements of a list are, in one pass that holds a piece at a time.
pub(crate) async fn scan(blobs: &BlobStore, uri: &str) -> Result<StoredCollection, ScanError> {
    let (_, mut pieces) = blobs.get_stream(uri).await?;
    let mut scan = StoredScan::default();
    while let Some(piece) = pieces.try_next().await? {
        scan.feed(&piece)?;
    }
    Ok(scan.finish()?)
}

impl StoredList {
    pub(crate) async fn open(blobs: &BlobStore, uri: String) -> Result<Self, ScanError> {
        let elements = scan(blobs, &uri).await?;
        Ok(Self { uri, elements })
    }

    /// Reads some items, an encoded collection.
    pub(crate) async fn slice(&self, blobs: &BlobStore, range: ItemRange) -> Result<Bytes, ScanError> {
        let (start, end) = (range.start as usize, range.end as usize);
        let span = blobs.get_range(&self.uri, self.elements.span(start, end)?).await?;
        Ok(self.elements.slice(start, end, &span)?)
    }
}
