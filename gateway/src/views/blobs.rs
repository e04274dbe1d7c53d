//! How references to values stand in the tables.

use skein_model::DataRef;

/// Encodes a reference for a column.
pub(crate) fn encode_data(data: &DataRef) -> Vec<u8> {
    encode(data)
}

/// Decodes a reference from a column.
///
/// # Errors
/// When the column holds something else.
pub(crate) fn decode_data(column: &[u8]) -> Result<DataRef, rmp_serde::decode::Error> {
    rmp_serde::from_slice(column)
}

/// Encodes a value of which parts may be left out.
pub(super) fn encode_named<T: serde::Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("a value of the model has no map with keys that are not strings")
}

/// Encodes any stored value for a column.
pub(super) fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("a value of the model has no map with keys that are not strings")
}
