//! Makes encoded literals of what is at hand.

use super::number;
use crate::time::Timestamp;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use skein_idl::flyteidl::core::{Literal, Primitive, Scalar, literal, primitive, scalar};
use std::collections::BTreeMap;

/// The value none, encoded.
pub const NONE_LITERAL: &[u8] = &[0x0a, 0x02, 0x2a, 0x00];

/// Encodes a `LiteralMap` of encoded literals; of a name that comes twice the last counts.
pub fn encode_literal_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Bytes {
    let entries: BTreeMap<&str, &[u8]> = entries.into_iter().collect();
    let mut out =
        BytesMut::with_capacity(entries.iter().map(|(name, value)| name.len() + value.len() + 20).sum());
    for (name, value) in entries {
        let length = field_len(name.len()) + field_len(value.len());
        put_head(&mut out, number::LITERALS, length);
        put_field(&mut out, number::KEY, name.as_bytes());
        put_field(&mut out, number::VALUE, value);
    }
    out.freeze()
}

/// Encodes a literal that is a map of encoded literals.
pub fn encode_map<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Bytes {
    wrap(number::MAP, &encode_literal_map(entries))
}

/// Encodes an integer.
pub fn encode_integer(value: i64) -> Bytes {
    encode_primitive(primitive::Value::Integer(value))
}

/// Encodes a float.
pub fn encode_float(value: f64) -> Bytes {
    encode_primitive(primitive::Value::FloatValue(value))
}

/// Encodes a text.
pub fn encode_string(value: &str) -> Bytes {
    encode_primitive(primitive::Value::StringValue(value.to_owned()))
}

/// Encodes a truth value.
pub fn encode_boolean(value: bool) -> Bytes {
    encode_primitive(primitive::Value::Boolean(value))
}

/// Encodes a point in time.
pub fn encode_datetime(value: Timestamp) -> Bytes {
    encode_primitive(primitive::Value::Datetime(value.into()))
}

fn encode_primitive(value: primitive::Value) -> Bytes {
    encode_scalar(scalar::Value::Primitive(Primitive { value: Some(value) }))
}

/// Encodes a literal that is a scalar.
pub(crate) fn encode_scalar(value: scalar::Value) -> Bytes {
    let scalar = Scalar { value: Some(value) };
    let literal = Literal { value: Some(literal::Value::Scalar(Box::new(scalar))), ..Literal::default() };
    literal.encode_to_vec().into()
}

/// Encodes a message whose only field is `content`.
pub(super) fn wrap(field: u32, content: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(field_len(content.len()));
    put_field(&mut out, field, content);
    out.freeze()
}

/// Encodes messages within each other, outermost first, each with one field only; the innermost holds `content`.
pub(crate) fn encode_nested(fields: &[u32], content: &[u8]) -> Bytes {
    fields.iter().rev().fold(Bytes::copy_from_slice(content), |content, field| wrap(*field, &content))
}

/// Appends a field of bytes.
pub(super) fn put_field(out: &mut impl BufMut, field: u32, content: &[u8]) {
    put_head(out, field, content.len());
    out.put_slice(content);
}

/// Appends what stands before a field's bytes.
pub(super) fn put_head(out: &mut impl BufMut, field: u32, length: usize) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// The size of a field of bytes whose number is below 16.
pub(super) const fn field_len(content: usize) -> usize {
    1 + encoded_len_varint(content as u64) + content
}
