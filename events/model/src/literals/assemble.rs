//! Puts the outputs of a map together from those of its chunks: at once, or piece by piece where they are many.

use super::collection::{CollectionBuilder, CollectionElements, finish_map};
use super::encode::{field_len, put_field, put_head};
use super::wire::{WireError, WireFault};
use super::{literal_map_entry, number};
use crate::event::ItemRange;
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// What one chunk of a map left.
#[derive(Clone, Debug)]
pub struct ChunkOutputs {
    /// Its items.
    pub range: ItemRange,
    /// Those of them that have no output, in ascending order.
    pub failed: Vec<u32>,
    /// The outputs of the others, in order: an encoded `LiteralMap` whose every value is a collection.
    pub outputs: Bytes,
}

/// Puts the outputs of a map of `size` items together, an encoded `LiteralMap` with one collection of `size` elements
/// for each of `variables`. An item without output has the value none there, as has one that no chunk covers.
///
/// # Errors
/// When the chunks are not in ascending order of disjoint ranges within the map, or one has another number of outputs
/// than of items that succeeded.
pub fn assemble_map<'a>(
    variables: impl IntoIterator<Item = &'a str>,
    size: u32,
    chunks: &[ChunkOutputs],
) -> Result<Bytes, WireError> {
    check_ranges(size, chunks.iter().map(|chunk| chunk.range))?;
    let mut joined = BTreeMap::new();
    for variable in variables {
        let mut builder = CollectionBuilder::default();
        for chunk in chunks {
            builder.push_none(chunk.range.start as usize - builder.len());
            push_chunk(&mut builder, variable, chunk)?;
        }
        builder.push_none(size as usize - builder.len());
        joined.insert(variable.to_owned(), builder);
    }
    Ok(finish_map(joined.into_iter()))
}

/// Checks that ranges of items are in ascending order, apart from each other, and within a map of `size` items.
///
/// # Errors
/// When they are not.
pub fn check_ranges(size: u32, ranges: impl IntoIterator<Item = ItemRange>) -> Result<(), WireError> {
    let mut free = 0;
    for range in ranges {
        if range.start < free || range.end < range.start || range.end > size {
            return Err(WireFault::Overlap { start: range.start, free }.at(0));
        }
        free = range.end;
    }
    Ok(())
}

fn push_chunk(
    builder: &mut CollectionBuilder,
    variable: &str,
    chunk: &ChunkOutputs,
) -> Result<(), WireError> {
    let values = literal_map_entry(&chunk.outputs, variable)?;
    let mut values = match &values {
        Some(values) => CollectionElements::of(values)?.ok_or(WireFault::NotACollection.at(0))?,
        None => CollectionElements::none(),
    };
    let mut failed = chunk.failed.iter().peekable();
    let (mut expected, mut found) = (0, 0);
    for item in chunk.range.start..chunk.range.end {
        if failed.next_if_eq(&&item).is_some() {
            builder.push_none(1);
            continue;
        }
        expected += 1;
        if let Some(value) = values.next() {
            builder.push(value?);
            found += 1;
        }
    }
    found += values.count();
    if expected == found { Ok(()) } else { Err(WireFault::Count { expected, found }.at(0)) }
}

/// Answers what one chunk adds to the collection of a variable: its elements, each with key and length. Where all of
/// a map's chunks and gaps follow each other so behind a [`list_head`], they are what [`assemble_map`] makes of them.
///
/// # Errors
/// When it has another number of outputs than of items that succeeded.
pub fn chunk_region(variable: &str, chunk: &ChunkOutputs) -> Result<Bytes, WireError> {
    let mut builder = CollectionBuilder::default();
    push_chunk(&mut builder, variable, chunk)?;
    Ok(builder.into_region())
}

/// Answers what `count` items without outputs add to the collection of a variable.
pub fn gap_region(count: usize) -> Bytes {
    let mut builder = CollectionBuilder::default();
    builder.push_none(count);
    builder.into_region()
}

/// Encodes what stands before the elements of a collection in an encoded `LiteralMap`, where the elements have
/// `region_bytes` in all. Entries follow each other in the order of their names.
pub fn list_head(name: &str, region_bytes: usize) -> Bytes {
    let literal = field_len(region_bytes);
    let mut head = BytesMut::with_capacity(name.len() + 40);
    put_head(&mut head, number::LITERALS, field_len(name.len()) + field_len(literal));
    put_field(&mut head, number::KEY, name.as_bytes());
    put_head(&mut head, number::VALUE, literal);
    put_head(&mut head, number::COLLECTION, region_bytes);
    head.freeze()
}
