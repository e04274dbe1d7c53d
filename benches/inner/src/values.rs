//! Encoded values of any size, made piece by piece: a list of ten million integers is never in memory here.

use bytes::{BufMut as _, Bytes, BytesMut};
use skein_model::literals::{encode_boolean, encode_collection, encode_integer, encode_literal_map};

/// How many elements one piece has.
const PIECE: u32 = 16_384;
/// The first integer: it and the ten million after it are all encoded in as many bytes.
const FIRST: i64 = 1 << 28;

/// Answers an encoded `LiteralMap` in which `x` is a list of `items` different integers, in pieces.
pub fn integers(items: u32) -> impl Iterator<Item = Bytes> + Send {
    let element = encode_integer(FIRST).len();
    let field = 1 + varint_len(element) + element;
    // Of what encloses the elements each is a field with one byte of key: the list in its literal, the literal in an
    // entry beside its name, the entry in the map.
    let list = items as usize * field;
    let literal = 1 + varint_len(list) + list;
    let entry = 3 + 1 + varint_len(literal) + literal;
    let mut head = BytesMut::new();
    for (key, length) in [(0x0a, entry), (0x0a, 1)] {
        put_field(&mut head, key, length);
    }
    head.put_slice(b"x");
    for (key, length) in [(0x12, literal), (0x12, list)] {
        put_field(&mut head, key, length);
    }
    let pieces = (0..items).step_by(PIECE as usize).map(move |start| {
        let mut piece = BytesMut::with_capacity(PIECE as usize * field);
        for item in start..items.min(start + PIECE) {
            put_field(&mut piece, 0x0a, element);
            piece.put_slice(&encode_integer(FIRST + i64::from(item)));
        }
        piece.freeze()
    });
    std::iter::once(head.freeze()).chain(pieces)
}

/// Answers an encoded `LiteralMap` in which `x` is a list of `items` integers, in one piece.
pub fn list(items: u32) -> Bytes {
    let mut whole = BytesMut::new();
    integers(items).for_each(|piece| whole.put_slice(&piece));
    whole.freeze()
}

/// Answers the encoded outputs `o0` of a chunk of `items`: a list of booleans.
pub fn booleans(items: u32) -> Bytes {
    let list = encode_collection(&vec![encode_boolean(true); items as usize]);
    encode_literal_map([("o0", list.as_ref())])
}

/// Answers the encoded inputs or outputs of one step: an integer named `x`, and the same named `o0`.
pub fn one() -> Bytes {
    let value = encode_integer(1);
    encode_literal_map([("o0", value.as_ref()), ("x", value.as_ref())])
}

fn put_field(into: &mut BytesMut, key: u8, length: usize) {
    into.put_u8(key);
    let mut rest = length;
    while rest >= 0x80 {
        into.put_u8(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    into.put_u8(u8::try_from(rest).unwrap_or_default());
}

fn varint_len(value: usize) -> usize {
    let mut head = BytesMut::new();
    put_field(&mut head, 0, value);
    head.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_made_in_pieces_is_what_is_encoded_at_once() {
        for items in [0, 1, 7, PIECE + 3] {
            let elements: Vec<_> = (0..i64::from(items)).map(|item| encode_integer(FIRST + item)).collect();
            let whole = encode_literal_map([("x", encode_collection(&elements).as_ref())]);
            assert_eq!(list(items), whole, "{items}");
        }
    }
}
