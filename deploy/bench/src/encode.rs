//! Inputs of many items, made in their encoded form: a client that builds a million messages measures itself.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use skein_idl::flyteidl::core::{
    Literal, LiteralOffloadedMetadata, LiteralType, SimpleType, literal, literal_type,
};
use skein_model::literals::{self, CollectionBuilder};

/// The field of `ExecutionCreateRequest` that holds its inputs.
const INPUTS: u32 = 5;

/// Encodes a list of integers from 0 on.
pub(crate) fn integers(count: u32) -> Bytes {
    list((0..count).map(|value| literals::encode_integer(i64::from(value))))
}

/// Encodes a list of encoded literals.
pub(crate) fn list(elements: impl Iterator<Item = Bytes>) -> Bytes {
    let mut list = CollectionBuilder::default();
    for element in elements {
        list.push(&element);
    }
    list.finish()
}

/// A list of integers that is sent as it is made, and stands for itself among inputs once it is uploaded.
pub(crate) struct StoredIntegers {
    count: u32,
}

/// How many elements a piece has.
const PIECE_ELEMENTS: u32 = 50_000;
/// The field of a literal that holds a collection.
const COLLECTION: u32 = 2;

impl StoredIntegers {
    /// Integers from 0 on.
    pub(crate) const fn new(count: u32) -> Self {
        Self { count }
    }

    /// Answers how many bytes all pieces have.
    pub(crate) fn length(&self) -> u64 {
        self.pieces().map(|piece| piece.len() as u64).sum()
    }

    /// Encodes it piece by piece.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Bytes> + use<> {
        let region: usize = self.regions().map(|region| region.len()).sum();
        let mut head = BytesMut::new();
        encode_key(COLLECTION, WireType::LengthDelimited, &mut head);
        encode_varint(region as u64, &mut head);
        std::iter::once(head.freeze()).chain(self.regions())
    }

    fn regions(&self) -> impl Iterator<Item = Bytes> + use<> {
        let count = self.count;
        (0..count).step_by(PIECE_ELEMENTS as usize).map(move |start| {
            let mut region = CollectionBuilder::default();
            for value in start..count.min(start + PIECE_ELEMENTS) {
                region.push(&literals::encode_integer(i64::from(value)));
            }
            region.into_region()
        })
    }

    /// Encodes what stands for it, which says where it is.
    pub(crate) fn at(&self, uri: String) -> Bytes {
        let integer = LiteralType {
            r#type: Some(literal_type::Type::Simple(SimpleType::Integer.into())),
            ..LiteralType::default()
        };
        let list = LiteralType {
            r#type: Some(literal_type::Type::CollectionType(Box::new(integer))),
            ..LiteralType::default()
        };
        let metadata = LiteralOffloadedMetadata { uri, size_bytes: self.length(), inferred_type: Some(list) };
        let value = literal::Value::OffloadedMetadata(metadata);
        Literal { value: Some(value), ..Literal::default() }.encode_to_vec().into()
    }
}

/// Adds inputs to an encoded request that has none.
pub(crate) fn with_inputs(request: &[u8], inputs: &[(&str, Bytes)]) -> Bytes {
    let map = literals::encode_literal_map(inputs.iter().map(|(name, value)| (*name, value.as_ref())));
    let mut whole = BytesMut::with_capacity(request.len() + map.len() + 16);
    whole.put_slice(request);
    encode_key(INPUTS, WireType::LengthDelimited, &mut whole);
    encode_varint(map.len() as u64, &mut whole);
    whole.put(map);
    whole.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skein_idl::flyteidl::admin::ExecutionCreateRequest;

    #[test]
    fn a_list_in_pieces_is_the_list() {
        let stored = StoredIntegers::new(PIECE_ELEMENTS + 7);
        let whole: Vec<u8> = stored.pieces().flatten().collect();
        assert_eq!(stored.length(), whole.len() as u64);
        assert_eq!(whole, integers(PIECE_ELEMENTS + 7));
    }

    #[test]
    fn a_request_with_encoded_inputs_is_the_one_it_would_have_been() {
        let bare = ExecutionCreateRequest { name: "n".to_owned(), ..ExecutionCreateRequest::default() };
        let whole = with_inputs(&bare.encode_to_vec(), &[("xs", integers(300))]);
        let decoded = ExecutionCreateRequest::decode(whole).expect("it is a request");
        assert_eq!(decoded.name, "n");
        let inputs = decoded.inputs.expect("it has inputs").encode_to_vec();
        let xs = literals::literal_map_entry(&inputs.into(), "xs").expect("a map").expect("it has xs");
        assert_eq!(literals::collection_len(&xs), Ok(Some(300)));
    }
}
