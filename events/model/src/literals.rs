//! Works on encoded literals without decoding what nobody looks at.
//!
//! A map over a million items splits, hands out and puts together collections whose elements mean nothing to the
//! engine. So literals stay encoded here: a scan finds where things are, and results are slices or spliced bytes.
//! Elements are therefore handed on exactly as user code wrote them, unknown fields included.
//!
//! Answers for the shape of `Literal`, `LiteralCollection` and `LiteralMap` alone; what is inside a scalar is never
//! checked here.

mod assemble;
mod collection;
mod encode;
mod stored;
mod wire;

pub use assemble::{ChunkOutputs, assemble_map, check_ranges, chunk_region, gap_region, list_head};
pub use collection::{
    Collection, CollectionBuilder, CollectionElements, assemble_collections, collection_elements,
    collection_len, encode_collection, slice_collection,
};
pub use encode::{
    NONE_LITERAL, encode_boolean, encode_datetime, encode_float, encode_integer, encode_literal_map,
    encode_map, encode_string,
};
pub(crate) use encode::{encode_nested, encode_scalar};
pub use stored::{StoredCollection, StoredScan};
pub use wire::{WireError, WireFault};

use bytes::Bytes;
use std::collections::BTreeMap;
use wire::{Field, Fields};

/// Field numbers of `flyteidl.core.Literal` and the messages round it.
mod number {
    pub(super) const SCALAR: u32 = 1;
    pub(super) const COLLECTION: u32 = 2;
    pub(super) const MAP: u32 = 3;
    pub(super) const OFFLOADED: u32 = 8;
    /// The elements of a `LiteralCollection`, the entries of a `LiteralMap`.
    pub(super) const LITERALS: u32 = 1;
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;

    pub(super) const URI: u32 = 1;
}

/// What an encoded literal is, as far as its outside tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralKind {
    /// Nothing at all, which is not even the value none.
    Empty,
    /// A scalar.
    Scalar,
    /// A list.
    Collection,
    /// A map.
    Map,
    /// A reference to a literal that lies elsewhere.
    Offloaded,
}

/// Answers what an encoded literal is.
///
/// # Errors
/// When the bytes are not a literal.
pub fn kind_of(encoded: &[u8]) -> Result<LiteralKind, WireError> {
    Ok(value_of(encoded)?.kind)
}

/// Answers what an encoded literal has beside a collection: its hash and metadata, encoded.
///
/// # Errors
/// When the bytes are not a literal.
pub fn without_collection(encoded: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut rest = Vec::new();
    let mut fields = Fields::of(encoded);
    let mut start = fields.offset();
    while let Some(field) = fields.next() {
        let end = fields.offset();
        if field?.number != number::COLLECTION {
            rest.extend_from_slice(&encoded[start..end]);
        }
        start = end;
    }
    Ok(rest)
}

/// Answers the entries of an encoded `LiteralMap` by name, each with its encoded literal; of a name that occurs twice
/// the last counts, as protobuf has it.
///
/// # Errors
/// When the bytes are not a literal map.
pub fn literal_map_entries(encoded: &Bytes) -> Result<Vec<(String, Bytes)>, WireError> {
    let mut entries = BTreeMap::new();
    for field in Fields::of(encoded) {
        add_entry(&field?, encoded, &mut entries)?;
    }
    Ok(entries.into_iter().collect())
}

/// Answers one entry of an encoded `LiteralMap`; none when the map has no such name.
///
/// # Errors
/// When the bytes are not a literal map.
pub fn literal_map_entry(encoded: &Bytes, name: &str) -> Result<Option<Bytes>, WireError> {
    let mut found = None;
    for field in Fields::of(encoded) {
        let field = field?;
        if field.number != number::LITERALS {
            continue;
        }
        let (key, value) = entry(field.message()?)?;
        if key == name {
            found = Some(encoded.slice_ref(value));
        }
    }
    Ok(found)
}

/// Answers the entries of an encoded literal that is a map; none when it is something else.
///
/// # Errors
/// When the bytes are not a literal.
pub fn map_entries(encoded_literal: &Bytes) -> Result<Option<Vec<(String, Bytes)>>, WireError> {
    let value = value_of(encoded_literal)?;
    if value.kind != LiteralKind::Map {
        return Ok(None);
    }
    let mut entries = BTreeMap::new();
    for field in value.occurrences() {
        for inner in field?.message()? {
            add_entry(&inner?, encoded_literal, &mut entries)?;
        }
    }
    Ok(Some(entries.into_iter().collect()))
}

/// Answers where the literal is that an encoded literal refers to; none when it is there itself.
///
/// # Errors
/// When the bytes are not a literal.
pub fn stored_at(encoded: &[u8]) -> Result<Option<String>, WireError> {
    let value = value_of(encoded)?;
    if value.kind != LiteralKind::Offloaded {
        return Ok(None);
    }
    let mut uri = String::new();
    for piece in value.occurrences() {
        for field in piece?.message()? {
            let field = field?;
            if field.number == number::URI {
                field.text()?.clone_into(&mut uri);
            }
        }
    }
    Ok(Some(uri))
}

fn add_entry(
    field: &Field<'_>,
    whole: &Bytes,
    entries: &mut BTreeMap<String, Bytes>,
) -> Result<(), WireError> {
    if field.number == number::LITERALS {
        let (key, value) = entry(field.message()?)?;
        entries.insert(key.to_owned(), whole.slice_ref(value));
    }
    Ok(())
}

fn entry<'a>(fields: Fields<'a>) -> Result<(&'a str, &'a [u8]), WireError> {
    let (mut key, mut value) = ("", fields.nothing());
    for field in fields {
        let field = field?;
        match field.number {
            number::KEY => key = field.text()?,
            number::VALUE => value = field.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The value of a literal: the last of its alternatives that is there.
struct Value<'a> {
    kind: LiteralKind,
    number: u32,
    /// What follows from the first field that counts. A message may be given in several pieces, which add up,
    /// unless another alternative stands between them.
    rest: Fields<'a>,
}

impl<'a> Value<'a> {
    /// Answers the pieces the value is given in; one, from every encoder there is.
    fn occurrences(self) -> impl Iterator<Item = Result<Field<'a>, WireError>> {
        let number = self.number;
        self.rest.filter(move |field| field.as_ref().map_or(true, |field| field.number == number))
    }
}

fn value_of(encoded: &[u8]) -> Result<Value<'_>, WireError> {
    let mut fields = Fields::of(encoded);
    let mut value = Value { kind: LiteralKind::Empty, number: 0, rest: fields.clone() };
    loop {
        let before = fields.clone();
        let Some(field) = fields.next() else { return Ok(value) };
        let field = field?;
        let kind = match field.number {
            number::SCALAR => LiteralKind::Scalar,
            number::COLLECTION => LiteralKind::Collection,
            number::MAP => LiteralKind::Map,
            number::OFFLOADED => LiteralKind::Offloaded,
            _ => continue,
        };
        field.bytes()?;
        if kind != value.kind {
            value = Value { kind, number: field.number, rest: before };
        }
    }
}
