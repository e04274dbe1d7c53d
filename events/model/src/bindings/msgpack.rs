//! Finds parts of a MessagePack value without decoding the rest. Holds no state but a position, goes into containers
//! without recursion, and believes no length: a value of `n` bytes costs at most `n` steps.

use rmp::Marker;

/// Bytes that are not MessagePack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// They end inside a value.
    #[error("its MessagePack ends inside a value")]
    Cut,
    /// A marker that means nothing.
    #[error("its MessagePack holds the reserved byte 0xc1")]
    Reserved,
    /// Text that is not UTF-8.
    #[error("its MessagePack holds text that is not UTF-8")]
    NotText,
    /// A number that no literal can hold.
    #[error("its MessagePack holds the integer {0}, the largest is {max}", max = i64::MAX)]
    TooLarge(u64),
}

/// A value, as far as a literal can hold it.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    Array(Elements<'a>),
    /// A map, bytes or an extension, which stay MessagePack.
    Other,
}

/// Reads the outside of the value that stands first.
pub(super) fn value(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut reader = Reader { rest: bytes };
    Ok(match reader.head()? {
        Head::Nil => Value::Nil,
        Head::Boolean(value) => Value::Boolean(value),
        Head::Integer(value) => Value::Integer(value),
        Head::Large(value) => return Err(Malformed::TooLarge(value)),
        Head::Float(value) => Value::Float(value),
        Head::Text(length) => Value::Text(reader.text(length)?),
        Head::Array(left) => Value::Array(Elements { reader, left }),
        Head::Map(_) | Head::Opaque(_) => Value::Other,
    })
}

/// The elements of an array, each as its bytes. Ends after the first error.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let element = self.reader.whole();
        if element.is_err() {
            self.left = 0;
        }
        Some(element)
    }
}

/// Answers the bytes of a map's value by its key, the last if there are several; none when it is not a map or has no
/// such key.
pub(super) fn field<'a>(bytes: &'a [u8], key: &str) -> Result<Option<&'a [u8]>, Malformed> {
    find(bytes, |found| matches!(value(found), Ok(Value::Text(text)) if text == key))
}

/// Answers the bytes of an array's element by its position, or of a map's value by its number.
pub(super) fn element(bytes: &[u8], index: i32) -> Result<Option<&[u8]>, Malformed> {
    if let Value::Array(mut elements) = value(bytes)? {
        return usize::try_from(index).ok().and_then(|index| elements.nth(index)).transpose();
    }
    find(bytes, |found| matches!(value(found), Ok(Value::Integer(number)) if number == i64::from(index)))
}

fn find<'a>(bytes: &'a [u8], is_key: impl Fn(&'a [u8]) -> bool) -> Result<Option<&'a [u8]>, Malformed> {
    let mut reader = Reader { rest: bytes };
    let Head::Map(entries) = reader.head()? else { return Ok(None) };
    let mut found = None;
    for _ in 0..entries {
        let key = reader.whole()?;
        let value = reader.whole()?;
        if is_key(key) {
            found = Some(value);
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

/// The first bytes of a value: what it is, and how much of it follows.
enum Head {
    Nil,
    Boolean(bool),
    Integer(i64),
    Large(u64),
    Float(f64),
    Text(u32),
    Opaque(u32),
    Array(u32),
    Map(u32),
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Cut)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn length(&mut self, bytes: usize) -> Result<u32, Malformed> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | u32::from(*byte)))
    }

    fn text(&mut self, length: u32) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.take(length as usize)?).map_err(|_| Malformed::NotText)
    }

    /// Reads over one value with all it holds, and answers its bytes.
    fn whole(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.rest;
        let mut wanted = 1_u64;
        while wanted > 0 {
            wanted -= 1;
            match self.head()? {
                Head::Nil | Head::Boolean(_) | Head::Integer(_) | Head::Large(_) | Head::Float(_) => {}
                Head::Text(length) | Head::Opaque(length) => drop(self.take(length as usize)?),
                Head::Array(elements) => wanted = wanted.saturating_add(u64::from(elements)),
                Head::Map(entries) => wanted = wanted.saturating_add(2 * u64::from(entries)),
            }
        }
        Ok(&start[..start.len() - self.rest.len()])
    }

    fn head(&mut self) -> Result<Head, Malformed> {
        let [first] = self.array()?;
        Ok(match Marker::from_u8(first) {
            Marker::Reserved => return Err(Malformed::Reserved),
            Marker::Null => Head::Nil,
            Marker::False => Head::Boolean(false),
            Marker::True => Head::Boolean(true),
            Marker::FixPos(value) => Head::Integer(value.into()),
            Marker::FixNeg(value) => Head::Integer(value.into()),
            Marker::U8 => Head::Integer(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Head::Integer(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Head::Integer(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => {
                let value = u64::from_be_bytes(self.array()?);
                i64::try_from(value).map_or(Head::Large(value), Head::Integer)
            }
            Marker::I8 => Head::Integer(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Head::Integer(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Head::Integer(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Head::Integer(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Head::Float(f32::from_be_bytes(self.array()?).into()),
            Marker::F64 => Head::Float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => Head::Text(length.into()),
            Marker::Str8 => Head::Text(self.length(1)?),
            Marker::Str16 => Head::Text(self.length(2)?),
            Marker::Str32 => Head::Text(self.length(4)?),
            Marker::FixArray(elements) => Head::Array(elements.into()),
            Marker::Array16 => Head::Array(self.length(2)?),
            Marker::Array32 => Head::Array(self.length(4)?),
            Marker::FixMap(entries) => Head::Map(entries.into()),
            Marker::Map16 => Head::Map(self.length(2)?),
            Marker::Map32 => Head::Map(self.length(4)?),
            marker => Head::Opaque(self.opaque_length(marker)?),
        })
    }

    /// Answers how many bytes follow the marker, and the length if there is one, of bytes or of an extension (of
    /// which the first byte is its type).
    fn opaque_length(&mut self, marker: Marker) -> Result<u32, Malformed> {
        Ok(match marker {
            Marker::Bin8 => self.length(1)?,
            Marker::Bin16 => self.length(2)?,
            Marker::Bin32 => self.length(4)?,
            Marker::Ext8 => self.length(1)? + 1,
            Marker::Ext16 => self.length(2)? + 1,
            Marker::Ext32 => self.length(4)?.checked_add(1).ok_or(Malformed::Cut)?,
            Marker::FixExt1 => 2,
            Marker::FixExt2 => 3,
            Marker::FixExt4 => 5,
            Marker::FixExt8 => 9,
            Marker::FixExt16 => 17,
            _ => return Err(Malformed::Reserved),
        })
    }
}
