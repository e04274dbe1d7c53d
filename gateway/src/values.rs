//! Answers inputs and outputs: whole while small, by a signed URL above a limit.

use crate::error::ApiError;
use crate::shared::Shared;
use skein_idl::flyteidl::{admin, core};
use skein_log::blob_store::Method;
use skein_model::DataRef;

/// Inputs and outputs as the data methods answer them.
pub(crate) struct Pair {
    pub(crate) inputs: Option<admin::UrlBlob>,
    pub(crate) outputs: Option<admin::UrlBlob>,
    pub(crate) full_inputs: Option<core::LiteralMap>,
    pub(crate) full_outputs: Option<core::LiteralMap>,
}

/// Answers where a value can be read: its object, or for one that travels inside events, and so has none, the `address`
/// under which `GetData` answers it.
pub(crate) fn uri(data: &DataRef, address: String) -> String {
    match data {
        DataRef::Blob(blob) => blob.uri.clone(),
        DataRef::Inline(_) => address,
    }
}

/// Answers inputs and outputs; what is not there is empty. `folder` is where an inline value is put should it be
/// too large for an answer.
///
/// # Errors
/// When a value cannot be read.
pub(crate) async fn pair(
    shared: &Shared,
    folder: &str,
    inputs: Option<&DataRef>,
    outputs: Option<&DataRef>,
) -> Result<Pair, ApiError> {
    let (inputs, full_inputs) = one(shared, folder, inputs).await?;
    let (outputs, full_outputs) = one(shared, folder, outputs).await?;
    Ok(Pair {
        inputs: Some(inputs),
        outputs: Some(outputs),
        full_inputs: Some(full_inputs),
        full_outputs: Some(full_outputs),
    })
}

async fn one(
    shared: &Shared,
    folder: &str,
    data: Option<&DataRef>,
) -> Result<(admin::UrlBlob, core::LiteralMap), ApiError> {
    let Some(data) = data else { return Ok(Default::default()) };
    if data.size() <= shared.config.limits.inline_bytes_max {
        return Ok((admin::UrlBlob::default(), shared.load(data).await?));
    }
    let uri = match data {
        DataRef::Blob(blob) => blob.uri.clone(),
        // Only with a limit below what an event may carry.
        DataRef::Inline(bytes) => {
            let uri = format!("{folder}/shown/{:016x}.pb", xxhash_rust::xxh3::xxh3_64(bytes));
            shared.blobs.put(&uri, bytes.clone()).await?.uri
        }
    };
    let (url, _) = shared.signed_url(Method::Get, &uri, shared.config.limits.url_ttl).await?;
    let bytes = i64::try_from(data.size()).unwrap_or(i64::MAX);
    Ok((admin::UrlBlob { url, bytes }, core::LiteralMap::default()))
}
