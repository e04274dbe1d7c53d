//! Recognises a try that ended while nobody was there to be told, by what it left in its folder.

use crate::ports::Ports;
use skein_log::BlobError;
use skein_model::command::Outcome;
use skein_model::{BlobRef, DataRef, paths};

/// The largest outputs that are read to be recognised, in bytes.
const OUTPUTS_MAX: u64 = 1 << 30;

/// Answers how a try ended; none when it has left nothing, so that it has to run again.
///
/// An `error.pb` is no end: whether a worker took it for one is not known, and running again finds out.
pub(super) async fn left_behind(ports: &Ports, prefix: &str) -> Result<Option<Outcome>, BlobError> {
    if ports.blobs.size(&paths::error(prefix)).await?.is_some() {
        return Ok(None);
    }
    let uri = paths::outputs(prefix);
    let bytes = match ports.blobs.get(&uri, OUTPUTS_MAX).await {
        Ok(bytes) => bytes,
        Err(BlobError::NotFound { .. }) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let digest = xxhash_rust::xxh3::xxh3_64(&bytes);
    let deck = paths::deck(prefix);
    let deck = ports.blobs.size(&deck).await?.map(|_| deck);
    let outputs = DataRef::Blob(BlobRef { uri, size: bytes.len() as u64, digest });
    Ok(Some(Outcome::Succeeded { outputs, deck }))
}
