//! Says whether what the cache has can still be read: blobs are deleted with executions, and by hand.

use crate::ports::Ports;
use prost::Message as _;
use skein_idl::flyteidl::core::{self, blob_type, literal, scalar};
use skein_log::BlobError;
use skein_model::DataRef;

/// Outputs of more bytes are taken for whole when they are there: to look through them costs more than they are worth.
const LOOKED_THROUGH_MAX: u64 = 1024 * 1024;

/// Answers what of some outputs is gone; none when all of it is there. What lies outside of our blob store is taken for there.
///
/// # Errors
/// When the blob store cannot be asked at present. A place at which nothing can be is no reason to ask again: outputs may name
/// any.
pub(crate) async fn unreadable(ports: &Ports, outputs: &DataRef) -> Result<Option<String>, BlobError> {
    match look_through(ports, outputs).await {
        Err(fault @ BlobError::Unavailable { .. }) => Err(fault),
        Err(fault) => Ok(Some(fault.to_string())),
        found => found,
    }
}

async fn look_through(ports: &Ports, outputs: &DataRef) -> Result<Option<String>, BlobError> {
    let bytes = match outputs {
        DataRef::Inline(bytes) => bytes.clone(),
        DataRef::Blob(blob) => match ports.blobs.size(&blob.uri).await? {
            Some(size) if size == blob.size && size > LOOKED_THROUGH_MAX => return Ok(None),
            Some(size) if size == blob.size => ports.blobs.load(outputs).await?,
            Some(size) => return Ok(Some(format!("{} has {size} bytes, not {}", blob.uri, blob.size))),
            None => return Ok(Some(format!("{} is not there", blob.uri))),
        },
    };
    let Ok(outputs) = core::LiteralMap::decode(bytes) else {
        return Ok(Some("the outputs are not encoded as they should be".to_owned()));
    };
    let mut open: Vec<&core::Literal> = outputs.literals.values().collect();
    while let Some(literal) = open.pop() {
        let Some((uri, is_folder)) = place_of(literal, &mut open) else { continue };
        if !uri.is_empty() && !is_there(ports, uri, is_folder).await? {
            return Ok(Some(format!("{uri} is not there")));
        }
    }
    Ok(None)
}

/// Answers where the value of a literal is, if elsewhere, and whether that is a folder; adds the literals inside of it to
/// `open`.
fn place_of<'a>(literal: &'a core::Literal, open: &mut Vec<&'a core::Literal>) -> Option<(&'a str, bool)> {
    match literal.value.as_ref()? {
        literal::Value::Collection(list) => {
            open.extend(&list.literals);
            None
        }
        literal::Value::Map(map) => {
            open.extend(map.literals.values());
            None
        }
        literal::Value::OffloadedMetadata(offloaded) => Some((&offloaded.uri, false)),
        literal::Value::Scalar(scalar) => match scalar.value.as_ref()? {
            scalar::Value::Blob(blob) => {
                let kind = blob.metadata.as_ref().and_then(|metadata| metadata.r#type.as_ref());
                let multipart = blob_type::BlobDimensionality::Multipart;
                Some((&blob.uri, kind.is_some_and(|kind| kind.dimensionality() == multipart)))
            }
            // Written as a file or as a folder of files, as its writer likes.
            scalar::Value::Schema(schema) => Some((&schema.uri, true)),
            scalar::Value::StructuredDataset(dataset) => Some((&dataset.uri, true)),
            scalar::Value::Union(union) => {
                open.extend(union.value.as_deref());
                None
            }
            scalar::Value::Primitive(_)
            | scalar::Value::Binary(_)
            | scalar::Value::NoneType(_)
            | scalar::Value::Error(_)
            | scalar::Value::Generic(_) => None,
        },
    }
}

async fn is_there(ports: &Ports, uri: &str, is_folder: bool) -> Result<bool, BlobError> {
    if ports.blobs.path_of(uri).is_err() {
        return Ok(true);
    }
    if ports.blobs.size(uri).await?.is_some() {
        return Ok(true);
    }
    Ok(is_folder && !ports.blobs.list(uri).await?.is_empty())
}
