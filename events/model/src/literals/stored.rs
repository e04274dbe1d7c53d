//! A collection that stays where it is stored: it is read once, piece by piece, to learn where its elements are, and
//! then only the parts that are asked for.

use super::encode::wrap;
use super::number;
use super::wire::{BYTES, FIXED32, FIXED64, Fields, VARINT, WireError, WireFault};
use bytes::Bytes;
use std::ops::Range;

/// At most so many elements from one remembered place to the next,
const STRIDE: usize = 256;
/// and about so many bytes: small elements cost little memory, and large ones are not read in vain.
const STRIDE_BYTES: u64 = 64 * 1024;

/// Where the elements of a stored collection are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCollection {
    /// Elements, and where their keys begin, ascending.
    marks: Vec<(usize, u64)>,
    end: u64,
    len: usize,
}

impl StoredCollection {
    /// Answers how many elements there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Answers which bytes of the object hold elements `start..end`; more than those, by a few.
    ///
    /// # Errors
    /// When there are no such elements.
    pub fn span(&self, start: usize, end: usize) -> Result<Range<u64>, WireError> {
        if start > end || end > self.len {
            return Err(WireFault::OutOfRange { start, end, len: self.len }.at(0));
        }
        let after = self.marks.partition_point(|(element, _)| *element < end);
        Ok(self.mark_of(start).1..self.marks.get(after).map_or(self.end, |(_, at)| *at))
    }

    /// Answers elements `start..end` as an encoded collection, from the bytes that [`Self::span`] asks for.
    ///
    /// # Errors
    /// When the bytes are not those.
    pub fn slice(&self, start: usize, end: usize, span: &[u8]) -> Result<Bytes, WireError> {
        let mut fields = Fields::of(span);
        let mut skip = |count: usize| -> Result<usize, WireError> {
            for _ in 0..count {
                fields.next().ok_or(WireFault::NumberCut.at(span.len()))??.bytes()?;
            }
            Ok(fields.offset())
        };
        let from = skip(start - self.mark_of(start).0.min(start))?;
        let to = skip(end - start)?;
        Ok(wrap(number::COLLECTION, &span[from..to]))
    }

    /// Answers the last mark that is not after an element.
    fn mark_of(&self, element: usize) -> (usize, u64) {
        let after = self.marks.partition_point(|(marked, _)| *marked <= element);
        after.checked_sub(1).and_then(|at| self.marks.get(at).copied()).unwrap_or((0, self.end))
    }
}

/// Reads an encoded literal, a collection, as it comes.
#[derive(Clone, Debug, Default)]
pub struct StoredScan {
    /// How far it has read.
    at: u64,
    /// Where the field that is being read begins.
    field_at: u64,
    next: Next,
    /// The number that is being read, and how many bits of it are there.
    number: (u64, u32),
    /// Where the collection ends, while it is being read.
    inside: Option<u64>,
    found: Option<StoredCollection>,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default)]
enum Next {
    /// A field's key.
    #[default]
    Key,
    /// The length of a field.
    Length { field: u32 },
    /// A number that says nothing here.
    Number,
    /// Bytes that say nothing here.
    Skipped { until: u64 },
}

impl StoredScan {
    /// Reads on.
    ///
    /// # Errors
    /// When the bytes are not a literal that is a collection, or it does not lie in one piece, as every encoder there
    /// is lays it.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), WireError> {
        let mut rest = piece;
        while !rest.is_empty() {
            if let Next::Skipped { until } = self.next {
                let step = usize::try_from(until - self.at).unwrap_or(usize::MAX).min(rest.len());
                rest = &rest[step..];
                self.at += step as u64;
            } else {
                let byte = rest[0];
                rest = &rest[1..];
                self.at += 1;
                if let Some(value) = self.digit(byte)? {
                    self.number(value)?;
                }
            }
            self.settle();
        }
        Ok(())
    }

    /// Answers what was found, all bytes having been read.
    ///
    /// # Errors
    /// When the bytes end too early, or there was no collection.
    pub fn finish(self) -> Result<StoredCollection, WireError> {
        if !matches!(self.next, Next::Key) || self.number.1 > 0 || self.inside.is_some() {
            return Err(self.fault(WireFault::NumberCut));
        }
        let fault = self.fault(WireFault::NotACollection);
        self.found.ok_or(fault)
    }

    fn fault(&self, fault: WireFault) -> WireError {
        fault.at(usize::try_from(self.at).unwrap_or(usize::MAX))
    }

    fn digit(&mut self, byte: u8) -> Result<Option<u64>, WireError> {
        let (value, bits) = self.number;
        if bits == 63 && byte > 1 {
            return Err(self.fault(WireFault::NumberTooLong));
        }
        let value = value | u64::from(byte & 0x7f) << bits;
        let whole = byte & 0x80 == 0;
        self.number = if whole { (0, 0) } else { (value, bits + 7) };
        Ok(whole.then_some(value))
    }

    fn number(&mut self, value: u64) -> Result<(), WireError> {
        match self.next {
            Next::Key => self.key(value)?,
            Next::Length { field } => self.length(field, value)?,
            Next::Number | Next::Skipped { .. } => self.next = Next::Key,
        }
        Ok(())
    }

    fn key(&mut self, key: u64) -> Result<(), WireError> {
        let field = u32::try_from(key >> 3)
            .ok()
            .filter(|field| *field > 0)
            .ok_or_else(|| self.fault(WireFault::FieldNumber(key >> 3)))?;
        self.next = match (key & 7) as u8 {
            BYTES => Next::Length { field },
            _ if self.inside.is_some() => return Err(self.fault(WireFault::NotBytes { field })),
            VARINT => Next::Number,
            FIXED64 => Next::Skipped { until: self.at + 8 },
            FIXED32 => Next::Skipped { until: self.at + 4 },
            wire => return Err(self.fault(WireFault::WireType(wire))),
        };
        Ok(())
    }

    fn length(&mut self, field: u32, length: u64) -> Result<(), WireError> {
        let until = self.at.checked_add(length).ok_or_else(|| self.fault(WireFault::NumberTooLong))?;
        match (self.inside, field) {
            (Some(end), number::LITERALS) => {
                if until > end {
                    let left = usize::try_from(end.saturating_sub(self.at)).unwrap_or(usize::MAX);
                    return Err(self.fault(WireFault::PastEnd { wanted: length, left }));
                }
                self.element();
                self.next = Next::Skipped { until };
            }
            (Some(_), _) | (None, number::SCALAR | number::MAP | number::OFFLOADED) => {
                return Err(self.fault(WireFault::NotACollection));
            }
            (None, number::COLLECTION) => {
                if self.found.is_some() {
                    return Err(self.fault(WireFault::InPieces));
                }
                self.found = Some(StoredCollection { marks: Vec::new(), end: until, len: 0 });
                self.inside = Some(until);
                self.next = Next::Key;
            }
            (None, _) => self.next = Next::Skipped { until },
        }
        Ok(())
    }

    fn element(&mut self) {
        let Some(found) = &mut self.found else { return };
        let due = found
            .marks
            .last()
            .is_none_or(|(element, at)| found.len - element >= STRIDE || self.field_at - at >= STRIDE_BYTES);
        if due {
            found.marks.push((found.len, self.field_at));
        }
        found.len += 1;
    }

    /// Ends what has been read to its end.
    fn settle(&mut self) {
        if let Next::Skipped { until } = self.next
            && self.at >= until
        {
            self.next = Next::Key;
        }
        if matches!(self.next, Next::Key) && self.number.1 == 0 {
            self.field_at = self.at;
            if self.inside == Some(self.at) {
                self.inside = None;
            }
        }
    }
}
