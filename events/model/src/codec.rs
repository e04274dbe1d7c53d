//! How events become bytes and bytes become events: MessagePack with field names, so that fields can be added.

use crate::envelope::{BODY_BYTES_MAX, SCHEMA};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A body that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Larger than a record may be.
    #[error("a record of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Written by a newer program than this one.
    #[error("a record of schema {found}, this program reads up to schema {known}")]
    Schema {
        /// The record's schema.
        found: u16,
        /// The newest known here.
        known: u16,
    },
    /// Not what it says it is.
    #[error("a record's body cannot be read")]
    Malformed(#[source] rmp_serde::decode::Error),
    /// An event that has no such form.
    #[error("events cannot be written")]
    Unwritable(#[source] rmp_serde::encode::Error),
}

/// Encodes the events of one transition.
///
/// # Errors
/// [`CodecError::TooLarge`] when a record cannot hold them.
pub fn encode<E: Serialize>(events: &[E]) -> Result<Bytes, CodecError> {
    let body = rmp_serde::to_vec_named(events).map_err(CodecError::Unwritable)?;
    if body.len() > BODY_BYTES_MAX {
        return Err(CodecError::TooLarge { bytes: body.len(), limit: BODY_BYTES_MAX });
    }
    Ok(body.into())
}

/// Decodes the events of one transition that was written with `schema`.
///
/// # Errors
/// [`CodecError::Schema`] for one from the future, [`CodecError::Malformed`] for one that is damaged.
pub fn decode<E: DeserializeOwned>(schema: u16, body: &[u8]) -> Result<Vec<E>, CodecError> {
    if schema == 0 || schema > SCHEMA {
        return Err(CodecError::Schema { found: schema, known: SCHEMA });
    }
    rmp_serde::from_slice(body).map_err(CodecError::Malformed)
}
