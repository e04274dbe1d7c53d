//! Inputs of many items, made in their encoded form: a client that builds a million messages measures itself.

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint};
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
    use prost::Message as _;
    use skein_idl::flyteidl::admin::ExecutionCreateRequest;

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
