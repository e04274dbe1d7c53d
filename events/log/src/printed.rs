//! What user code printed, as objects in the blob store: what is in one.
//!
//! The objects of one try lie in one folder and are named by the position of their first byte
//! ([`skein_model::paths::log_object`]), so that listing them gives their index. The newest grows: it is written anew with
//! what came since, until it has [`OBJECT_BYTES`] of text; then the next begins. An object is one frame after the other,
//! and a frame is a head, which LZ4 skips, and a text:
//!
//! ```text
//! ┌───────────────────────┬───────────┐┌───────────────────────┬───────────┐
//! │ head: lengths, items  │ LZ4 frame ││ head: lengths, items  │ LZ4 frame │ …
//! └───────────────────────┴───────────┘└───────────────────────┴───────────┘
//! ```
//!
//! So any `lz4` program decodes an object without knowing of heads, and whoever knows of them passes over what is not asked
//! for without decoding it.

use bytes::{Buf, BufMut, Bytes};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{Read as _, Write as _};
use std::ops::Range;

/// The most text in one frame, in bytes. A writer that is fast writes frames of this size: a durable object costs a
/// disk's flush, and 200 MB/s are a hundred of them a second.
pub const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How much text an object has, in bytes, when nothing more is put into it. It is written anew with each frame before, so
/// it bounds what a slow writer costs.
pub const OBJECT_BYTES: u64 = 256 * 1024;
/// The most that an object has, in bytes: what does not get smaller by compression, and its heads.
pub const ENCODED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What LZ4 calls a skippable frame, little end first.
const SKIPPED: u32 = 0x184D_2A5E;
/// The form of a head. Another one is not understood.
const FORM: u8 = 1;
/// The bytes of a head before its marks: form, and the lengths of text and LZ4 frame.
const HEAD_BYTES: usize = 9;
/// The bytes of a mark.
const MARK_BYTES: usize = 8;
/// How nobody's text is marked.
const NOBODY: u32 = u32::MAX;

/// From which byte of a frame's text on it is whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The byte, counted from the beginning of the text.
    pub at: u32,
    /// The item of a map that printed from there on; none when it is not known to be one's.
    pub item: Option<u32>,
}

/// An object that cannot be what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what was printed cannot be read: {0}")]
pub struct Damaged(String);

impl Damaged {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Encodes a text of at most [`FRAME_BYTES_MAX`] bytes as one frame. The marks are in ascending order; text before the first
/// is nobody's.
pub fn encode(text: &[u8], marks: &[Mark]) -> Vec<u8> {
    let info = FrameInfo::new()
        .block_size(BlockSize::Max256KB)
        .block_mode(BlockMode::Independent)
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(text).expect("a vector takes everything");
    let packed = encoder.finish().expect("a vector takes everything");
    let head = HEAD_BYTES + marks.len() * MARK_BYTES;
    let mut frame = Vec::with_capacity(8 + head + packed.len());
    let length = |of: usize| u32::try_from(of).expect("a frame is far below 4 GiB");
    frame.put_u32_le(SKIPPED);
    frame.put_u32_le(length(head));
    frame.put_u8(FORM);
    frame.put_u32_le(length(text.len()));
    frame.put_u32_le(length(packed.len()));
    for mark in marks {
        frame.put_u32_le(mark.at);
        frame.put_u32_le(mark.item.unwrap_or(NOBODY));
    }
    frame.extend_from_slice(&packed);
    frame
}

/// One frame of an object.
#[derive(Clone, Debug)]
pub struct Frame {
    length: u32,
    marks: Vec<Mark>,
    packed: Bytes,
}

/// Takes an object apart. Nothing is decoded yet.
///
/// # Errors
/// [`Damaged`] when it is not one frame after the other.
pub fn frames(mut object: Bytes) -> Result<Vec<Frame>, Damaged> {
    let mut frames = Vec::new();
    while object.has_remaining() {
        if object.remaining() < 8 + HEAD_BYTES {
            return Err(Damaged::new(format!("it ends within a head, {} bytes after a frame", object.len())));
        }
        let (magic, head) = (object.get_u32_le(), object.get_u32_le() as usize);
        if magic != SKIPPED || head < HEAD_BYTES || !(head - HEAD_BYTES).is_multiple_of(MARK_BYTES) {
            return Err(Damaged::new(format!("a frame begins with {magic:#x} and a head of {head} bytes")));
        }
        let form = object.get_u8();
        let (length, packed) = (object.get_u32_le(), object.get_u32_le() as usize);
        if form != FORM || length as usize > FRAME_BYTES_MAX {
            return Err(Damaged::new(format!("a head is of form {form} with {length} bytes of text")));
        }
        let marks = (head - HEAD_BYTES) / MARK_BYTES;
        if object.remaining() < marks * MARK_BYTES + packed {
            return Err(Damaged::new("it ends within a frame"));
        }
        let mark = |_| {
            let (at, item) = (object.get_u32_le(), object.get_u32_le());
            Mark { at, item: (item != NOBODY).then_some(item) }
        };
        let marks: Vec<Mark> = (0..marks).map(mark).collect();
        if !marks.is_sorted_by_key(|mark| mark.at) || marks.last().is_some_and(|last| last.at > length) {
            return Err(Damaged::new("its marks are in no order"));
        }
        frames.push(Frame { length, marks, packed: object.split_to(packed) });
    }
    Ok(frames)
}

impl Frame {
    /// Answers how long its text is, in bytes.
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Answers which parts of its text `item` printed, in order; all of it when no item is asked for.
    pub fn parts(&self, item: Option<u32>) -> Vec<Range<usize>> {
        let Some(item) = item else { return std::iter::once(0..self.length()).collect() };
        let ends = self.marks.iter().skip(1).map(|mark| mark.at).chain([self.length]);
        let parts = self.marks.iter().zip(ends).filter(|(mark, _)| mark.item == Some(item));
        parts.map(|(mark, end)| mark.at as usize..end as usize).filter(|part| !part.is_empty()).collect()
    }

    /// Decodes its text.
    ///
    /// # Errors
    /// [`Damaged`] when it is not what was written.
    pub fn text(&self) -> Result<Vec<u8>, Damaged> {
        let mut text = Vec::with_capacity(self.length());
        let mut decoder = FrameDecoder::new(&*self.packed).take(u64::from(self.length) + 1);
        decoder.read_to_end(&mut text).map_err(|error| Damaged::new(error.to_string()))?;
        if text.len() != self.length() {
            return Err(Damaged::new(format!("a text of {} bytes has {}", self.length, text.len())));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(marks: &[(u32, Option<u32>)]) -> Vec<Mark> {
        marks.iter().map(|&(at, item)| Mark { at, item }).collect()
    }

    #[test]
    fn any_bytes_come_back_as_they_were_frame_after_frame() {
        let texts: [&[u8]; 4] = [b"", b"one\n", b"\0\xff\x1e no line, no text", &vec![b'x'; FRAME_BYTES_MAX]];
        let object: Vec<u8> = texts.iter().flat_map(|text| encode(text, &[])).collect();
        let frames = frames(object.into()).expect("it was written so");
        let read: Vec<Vec<u8>> =
            frames.iter().map(|frame| frame.text().expect("it was written so")).collect();
        assert_eq!(read, texts);
    }

    #[test]
    fn another_program_reads_the_text_without_knowing_of_heads() {
        let object = [encode(b"one ", &marked(&[(0, Some(1))])), encode(b"two", &[])].concat();
        let mut rest: &[u8] = &object;
        let mut text = Vec::new();
        while rest.len() >= 8 {
            // What every decoder of the format does with a skippable frame.
            let head = u32::from_le_bytes(rest[4..8].try_into().expect("four bytes")) as usize;
            rest = &rest[8 + head..];
            FrameDecoder::new(&mut rest).read_to_end(&mut text).expect("a frame of LZ4");
        }
        assert_eq!(text, b"one two");
    }

    #[test]
    fn an_item_has_the_parts_that_were_printed_while_it_ran() {
        let marks = marked(&[(2, Some(7)), (4, Some(8)), (4, Some(7)), (5, None), (6, Some(8))]);
        let frames = frames(encode(b"ab7778_8", &marks).into()).expect("it was written so");
        let parts = |item| -> Vec<(usize, usize)> {
            frames[0].parts(item).into_iter().map(|part| (part.start, part.end)).collect()
        };
        assert_eq!(parts(Some(7)), [(2, 4), (4, 5)]);
        assert_eq!(parts(Some(8)), [(6, 8)]);
        assert_eq!(parts(Some(9)), []);
        assert_eq!(parts(None), [(0, 8)]);
    }

    #[test]
    fn what_was_not_written_so_is_refused_and_never_trusted_with_memory() {
        let good = encode(b"some text that is long enough", &marked(&[(3, Some(1))]));
        for end in 1..good.len() {
            assert!(frames(Bytes::copy_from_slice(&good[..end])).is_err(), "cut after {end}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x5a;
            // Whichever byte it is, it is seen when the head is read or when the text is decoded, or it is a mark.
            if let Ok(frames) = frames(bad.into()) {
                let is_mark = (17..25).contains(&at);
                let read: Result<Vec<_>, _> = frames.iter().map(Frame::text).collect();
                assert!(is_mark || read.is_err(), "byte {at}");
            }
        }
    }
}
