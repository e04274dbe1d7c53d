//! Walks over the fields of one protobuf message. Reads no further than asked, goes into nothing, allocates nothing.

use std::fmt;

/// Bytes that are not the protobuf message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed literal at byte {offset}: {fault}")]
pub struct WireError {
    /// Where, counted from the first byte of what was given.
    pub offset: usize,
    /// What is wrong there.
    pub fault: WireFault,
}

/// What can be wrong with an encoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFault {
    /// The bytes end inside a number.
    NumberCut,
    /// A number of more than 64 bits.
    NumberTooLong,
    /// A field's content would end after the bytes do.
    PastEnd {
        /// How many bytes the field says it has.
        wanted: u64,
        /// How many are left.
        left: usize,
    },
    /// A field number that there cannot be.
    FieldNumber(u64),
    /// A wire type that proto3 does not have.
    WireType(u8),
    /// A field has another wire type than its declaration says.
    NotBytes {
        /// The field's number.
        field: u32,
    },
    /// A name is not UTF-8.
    NotText,
    /// A literal that should be a collection is something else.
    NotACollection,
    /// A collection that is given in several pieces, where it has to lie in one.
    InPieces,
    /// A range of elements that the collection does not have.
    OutOfRange {
        /// The first element.
        start: usize,
        /// The element after the last.
        end: usize,
        /// How many there are.
        len: usize,
    },
    /// A chunk of a map has another number of outputs than of items that succeeded.
    Count {
        /// How many items succeeded.
        expected: usize,
        /// How many outputs there are.
        found: usize,
    },
    /// A chunk of a map does not begin after the one before it, or ends after the map.
    Overlap {
        /// The chunk's first item.
        start: u32,
        /// The first item that is free.
        free: u32,
    },
}

impl fmt::Display for WireFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NumberCut => write!(f, "the bytes end inside a number"),
            Self::NumberTooLong => write!(f, "a number of more than 64 bits"),
            Self::PastEnd { wanted, left } => write!(f, "a field of {wanted} bytes where {left} are left"),
            Self::FieldNumber(number) => write!(f, "there is no field number {number}"),
            Self::WireType(wire) => write!(f, "there is no wire type {wire} in proto3"),
            Self::NotBytes { field } => write!(f, "field {field} is a number where a message should be"),
            Self::NotText => write!(f, "a name that is not UTF-8"),
            Self::NotACollection => write!(f, "not a collection"),
            Self::InPieces => write!(f, "a collection in several pieces"),
            Self::OutOfRange { start, end, len } => write!(f, "no elements {start}..{end} among {len}"),
            Self::Count { expected, found } => {
                write!(f, "{found} outputs of a chunk in which {expected} items succeeded")
            }
            Self::Overlap { start, free } => {
                write!(f, "a chunk from item {start} where items from {free} are free")
            }
        }
    }
}

impl WireFault {
    /// Says where it is.
    pub(super) const fn at(self, offset: usize) -> WireError {
        WireError { offset, fault: self }
    }
}

/// The fields of one message, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    offset: usize,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    content: Content<'a>,
    offset: usize,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Number,
    Bytes(&'a [u8]),
}

pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const FIXED32: u8 = 5;
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

impl<'a> Fields<'a> {
    /// The fields of a whole message.
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message, offset: 0 }
    }

    /// Answers how far the message has been read, in bytes.
    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    /// Answers an empty slice of the message's own bytes.
    pub(super) fn nothing(&self) -> &'a [u8] {
        &self.rest[..0]
    }

    fn number(&mut self) -> Result<u64, WireError> {
        let mut value = 0_u64;
        for (index, &byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(WireFault::NumberTooLong.at(self.offset));
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.skip(index + 1);
                return Ok(value);
            }
        }
        let fault = if self.rest.len() < 10 { WireFault::NumberCut } else { WireFault::NumberTooLong };
        Err(fault.at(self.offset))
    }

    fn take(&mut self, wanted: u64) -> Result<&'a [u8], WireError> {
        match usize::try_from(wanted).ok().and_then(|wanted| self.rest.get(..wanted)) {
            Some(bytes) => {
                self.skip(bytes.len());
                Ok(bytes)
            }
            None => Err(WireFault::PastEnd { wanted, left: self.rest.len() }.at(self.offset)),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.offset += bytes;
    }

    fn read(&mut self) -> Result<Field<'a>, WireError> {
        let start = self.offset;
        let tag = self.number()?;
        let number = match u32::try_from(tag >> 3) {
            Ok(number) if number > 0 && u64::from(number) <= FIELD_NUMBER_MAX => number,
            _ => return Err(WireFault::FieldNumber(tag >> 3).at(start)),
        };
        let content = match (tag & 7) as u8 {
            VARINT => self.number().map(|_| Content::Number)?,
            FIXED64 => self.take(8).map(|_| Content::Number)?,
            FIXED32 => self.take(4).map(|_| Content::Number)?,
            BYTES => {
                let length = self.number()?;
                Content::Bytes(self.take(length)?)
            }
            wire => return Err(WireFault::WireType(wire).at(start)),
        };
        let length = if let Content::Bytes(bytes) = content { bytes.len() } else { 0 };
        Ok(Field { number, content, offset: self.offset - length })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    /// Answers the field's bytes.
    pub(super) const fn bytes(&self) -> Result<&'a [u8], WireError> {
        match self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Number => Err(WireFault::NotBytes { field: self.number }.at(self.offset)),
        }
    }

    /// Answers the fields of the message that the field holds.
    pub(super) fn message(&self) -> Result<Fields<'a>, WireError> {
        Ok(Fields { rest: self.bytes()?, offset: self.offset })
    }

    /// Answers the field's text.
    pub(super) fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?)
            .map_err(|error| WireFault::NotText.at(self.offset + error.valid_up_to()))
    }
}
