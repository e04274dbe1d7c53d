//! Takes collections apart and puts them together, element by element, without looking into one.

use super::encode::{NONE_LITERAL, encode_literal_map, put_field, wrap};
use super::wire::{Fields, WireError, WireFault};
use super::{LiteralKind, number, value_of};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The elements of an encoded collection in order, each an encoded literal. Ends after the first error.
#[derive(Clone, Debug)]
pub struct CollectionElements<'a> {
    /// What is left of the literal.
    literal: Fields<'a>,
    /// What is left of the piece of the collection that is being read.
    elements: Fields<'a>,
}

impl<'a> CollectionElements<'a> {
    /// The elements of nothing.
    pub(super) const fn none() -> Self {
        Self { literal: Fields::of(&[]), elements: Fields::of(&[]) }
    }

    /// Takes an encoded literal; none when it is not a collection.
    ///
    /// # Errors
    /// When the bytes are not a literal. Its elements are checked as they are reached.
    pub fn of(encoded_literal: &'a [u8]) -> Result<Option<Self>, WireError> {
        let value = value_of(encoded_literal)?;
        Ok((value.kind == LiteralKind::Collection)
            .then_some(Self { literal: value.rest, elements: Fields::of(&[]) }))
    }

    fn advance(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        loop {
            if let Some(element) = self.elements.next() {
                let element = element?;
                if element.number == number::LITERALS {
                    return element.bytes().map(Some);
                }
                continue;
            }
            let Some(piece) = self.literal.next() else { return Ok(None) };
            let piece = piece?;
            if piece.number == number::COLLECTION {
                self.elements = piece.message()?;
            }
        }
    }
}

impl<'a> Iterator for CollectionElements<'a> {
    type Item = Result<&'a [u8], WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            *self = Self::none();
        }
        next.transpose()
    }
}

/// Answers the elements of an encoded literal; none when it is not a collection.
///
/// # Errors
/// When the bytes are not a literal.
pub fn collection_elements(encoded_literal: &Bytes) -> Result<Option<Vec<Bytes>>, WireError> {
    CollectionElements::of(encoded_literal)?
        .map(|elements| {
            elements.map(|element| element.map(|bytes| encoded_literal.slice_ref(bytes))).collect()
        })
        .transpose()
}

/// Answers how many elements an encoded literal has; none when it is not a collection.
///
/// # Errors
/// When the bytes are not a literal.
pub fn collection_len(encoded_literal: &Bytes) -> Result<Option<usize>, WireError> {
    let Some(mut elements) = CollectionElements::of(encoded_literal)? else { return Ok(None) };
    elements.try_fold(0_usize, |len, element| element.map(|_| len + 1)).map(Some)
}

/// Answers elements `start..end` of an encoded collection, as an encoded collection.
///
/// Reads all that stands before `end`; who takes many slices makes a [`Collection`] once.
///
/// # Errors
/// When the bytes are not a collection, or it has no such elements.
pub fn slice_collection(encoded_literal: &Bytes, start: usize, end: usize) -> Result<Bytes, WireError> {
    Collection::of(encoded_literal)?.ok_or(WireFault::NotACollection.at(0))?.slice(start, end)
}

/// Encodes a collection of encoded literals.
pub fn encode_collection(elements: &[Bytes]) -> Bytes {
    let mut builder = CollectionBuilder::default();
    for element in elements {
        builder.push(element);
    }
    builder.finish()
}

/// How many elements there are from one remembered place to the next.
const STRIDE: usize = 64;

/// An encoded collection of which slices are taken: it remembers where every 64th element begins, so that taking all
/// chunks of a large map reads it once, not once for each chunk.
#[derive(Clone, Debug)]
pub struct Collection {
    /// The elements, each with its key and length, one after the other and nothing else.
    region: Bytes,
    marks: Vec<usize>,
    len: usize,
}

impl Collection {
    /// Takes an encoded literal; none when it is not a collection.
    ///
    /// # Errors
    /// When the bytes are not a literal.
    pub fn of(encoded_literal: &Bytes) -> Result<Option<Self>, WireError> {
        let Some(elements) = CollectionElements::of(encoded_literal)? else { return Ok(None) };
        if let Some(region) = plain_region(encoded_literal)? {
            return Self::index(region).map(Some);
        }
        let mut builder = CollectionBuilder::default();
        for element in elements {
            builder.push(element?);
        }
        Self::index(builder.region.into()).map(Some)
    }

    fn index(region: Bytes) -> Result<Self, WireError> {
        let (mut marks, mut len) = (Vec::new(), 0);
        let mut fields = Fields::of(&region);
        loop {
            if len % STRIDE == 0 {
                marks.push(fields.offset());
            }
            if fields.next().transpose()?.is_none() {
                break;
            }
            len += 1;
        }
        Ok(Self { region, marks, len })
    }

    /// Answers how many elements there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Answers one element, an encoded literal; none when there are not so many.
    pub fn element(&self, index: usize) -> Option<Bytes> {
        let field = self.fields_from(index)?.next()?.ok()?;
        Some(self.region.slice_ref(field.bytes().ok()?))
    }

    /// Answers elements `start..end` as an encoded collection.
    ///
    /// # Errors
    /// When there are no such elements.
    pub fn slice(&self, start: usize, end: usize) -> Result<Bytes, WireError> {
        let refused = || WireFault::OutOfRange { start, end, len: self.len }.at(0);
        if start > end {
            return Err(refused());
        }
        let from = self.offset_of(start).ok_or_else(refused)?;
        let to = self.offset_of(end).ok_or_else(refused)?;
        Ok(wrap(number::COLLECTION, &self.region[from..to]))
    }

    fn offset_of(&self, index: usize) -> Option<usize> {
        if index == self.len {
            Some(self.region.len())
        } else {
            Some(self.start_of(index)? + self.mark(index)?)
        }
    }

    fn mark(&self, index: usize) -> Option<usize> {
        self.marks.get(index / STRIDE).copied()
    }

    /// Answers how far an element is from the mark before it.
    fn start_of(&self, index: usize) -> Option<usize> {
        Some(self.fields_from(index)?.offset())
    }

    /// The fields from an element on; their offsets count from the mark before it.
    fn fields_from(&self, index: usize) -> Option<Fields<'_>> {
        if index >= self.len {
            return None;
        }
        let mut fields = Fields::of(&self.region[self.mark(index)?..]);
        for _ in 0..index % STRIDE {
            fields.next()?.ok()?;
        }
        Some(fields)
    }
}

/// Answers the elements as they lie in the literal, if they lie there in one piece with nothing between them.
fn plain_region(encoded_literal: &Bytes) -> Result<Option<Bytes>, WireError> {
    let mut pieces = value_of(encoded_literal)?.occurrences();
    let Some(piece) = pieces.next().transpose()? else { return Ok(None) };
    if pieces.next().is_some() {
        return Ok(None);
    }
    for field in piece.message()? {
        let field = field?;
        if field.number != number::LITERALS {
            return Ok(None);
        }
        field.bytes()?;
    }
    Ok(Some(encoded_literal.slice_ref(piece.bytes()?)))
}

/// Puts a collection together from encoded elements.
#[derive(Clone, Debug, Default)]
pub struct CollectionBuilder {
    region: Vec<u8>,
    len: usize,
}

impl CollectionBuilder {
    /// Answers how many elements there are so far.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether there are none yet.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends an encoded literal.
    pub fn push(&mut self, element: &[u8]) {
        put_field(&mut self.region, number::LITERALS, element);
        self.len += 1;
    }

    /// Appends the value none, `count` times.
    pub fn push_none(&mut self, count: usize) {
        for _ in 0..count {
            self.push(NONE_LITERAL);
        }
    }

    /// Appends the elements of an encoded collection, and answers how many they are.
    ///
    /// # Errors
    /// When the bytes are not a collection; elements before the fault may have been appended.
    pub fn extend(&mut self, encoded_literal: &[u8]) -> Result<usize, WireError> {
        let before = self.len;
        for element in CollectionElements::of(encoded_literal)?.ok_or(WireFault::NotACollection.at(0))? {
            self.push(element?);
        }
        Ok(self.len - before)
    }

    /// Answers the elements alone, each with its key and length, as they stand in the collection.
    pub fn into_region(self) -> Bytes {
        self.region.into()
    }

    /// Answers the collection, an encoded literal.
    pub fn finish(self) -> Bytes {
        wrap(number::COLLECTION, &self.region)
    }
}

/// Joins encoded `LiteralMap`s of which every value is a collection: the collections of one name follow each other in
/// the order of `parts`. A part that lacks a name adds nothing to it.
///
/// # Errors
/// When a part is not a literal map of collections.
pub fn assemble_collections(parts: &[Bytes]) -> Result<Bytes, WireError> {
    let mut joined: BTreeMap<String, CollectionBuilder> = BTreeMap::new();
    for part in parts {
        for (name, collection) in super::literal_map_entries(part)? {
            joined.entry(name).or_default().extend(&collection)?;
        }
    }
    Ok(finish_map(joined.into_iter()))
}

pub(super) fn finish_map(joined: impl Iterator<Item = (String, CollectionBuilder)>) -> Bytes {
    let joined: Vec<(String, Bytes)> = joined.map(|(name, builder)| (name, builder.finish())).collect();
    encode_literal_map(joined.iter().map(|(name, value)| (name.as_str(), value.as_ref())))
}
