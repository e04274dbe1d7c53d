//! What one attempt or chunk has printed and is not shipped yet, within bounds.

use super::marks::{Marks, Piece};
use crate::config::LogLimits;
use bytes::{Bytes, BytesMut};
use skein_log::printed::Mark;
use tokio::time::Instant;

/// How much of the end of the output goes into an error message, in bytes: as much as Kubernetes gives.
const MESSAGE_BYTES_MAX: usize = 2048;
/// How much of the end is shown of an output that was cut, in bytes: what went wrong stands there.
const LAST_BYTES_MAX: usize = 16 * 1024;

/// The output, from its beginning to now.
pub(super) struct Output {
    /// Under what it is kept; none while it is not known whose it is.
    pub prefix: Option<String>,
    /// After how many bytes that are kept there already.
    pub from: u64,
    /// Whether any of it has been shipped.
    pub is_begun: bool,
    pub flush_at: Option<Instant>,
    waiting: BytesMut,
    marks: Vec<Mark>,
    item: Option<u32>,
    /// How many bytes of it are kept at most, and how many are.
    most: u64,
    kept: u64,
    /// How many bytes came after that.
    left_out: u64,
    last: BytesMut,
}

impl Output {
    /// What is kept under `prefix`, of which `from` bytes are there already; one without is held back.
    pub(super) fn new(prefix: Option<String>, from: u64, limits: &LogLimits) -> Self {
        let most = if prefix.is_some() { limits.bytes_max } else { limits.held_bytes_max as u64 };
        Self {
            prefix,
            from,
            is_begun: false,
            flush_at: None,
            waiting: BytesMut::new(),
            marks: Vec::new(),
            item: None,
            most,
            kept: from,
            left_out: 0,
            last: BytesMut::new(),
        }
    }

    /// Has what was held back be the beginning of what is kept under `prefix` after `from` bytes. What was cut is what came
    /// too early; from here on there is room again.
    pub(super) fn release(&mut self, prefix: String, from: u64, limits: &LogLimits) {
        self.prefix = Some(prefix);
        self.from = from;
        self.most = limits.bytes_max;
        self.kept = self.kept.saturating_add(from);
        self.left_out = 0;
        self.flush_at = Some(Instant::now() + limits.flush_every);
    }

    /// Takes what was read.
    pub(super) fn take(&mut self, read: &[u8], marks: &mut Marks, limits: &LogLimits) {
        marks.take(read, |piece| match piece {
            Piece::Text(text) => self.add(text),
            Piece::Item(item) => self.mark(item),
        });
        if !self.waiting.is_empty() && self.flush_at.is_none() {
            self.flush_at = Some(Instant::now() + limits.flush_every);
        }
    }

    /// Answers how much waits, in bytes.
    pub(super) fn waits(&self) -> usize {
        self.waiting.len()
    }

    /// Takes out the next frame of at most `most` bytes; none when nothing waits.
    pub(super) fn frame(&mut self, most: usize) -> Option<(Bytes, Vec<Mark>)> {
        let length = self.waiting.len().min(most);
        if length == 0 {
            return None;
        }
        let text = self.waiting.split_to(length).freeze();
        let at = self.marks.partition_point(|mark| (mark.at as usize) < length);
        let rest = self.marks.split_off(at);
        let marks = std::mem::replace(&mut self.marks, rest);
        let before = u32::try_from(length).unwrap_or(u32::MAX);
        self.marks.iter_mut().for_each(|mark| mark.at = mark.at.saturating_sub(before));
        // Every frame says for itself whose its beginning is.
        let last = marks.last().and_then(|mark| mark.item);
        if last.is_some() && self.marks.first().is_none_or(|mark| mark.at > 0) {
            self.marks.insert(0, Mark { at: 0, item: last });
        }
        Some((text, marks))
    }

    /// Ends the output: says what was left out, and shows the last of it. Answers what an error message shows.
    pub(super) fn end(&mut self, marks: &mut Marks, limits: &LogLimits) -> String {
        let begun = marks.end();
        self.add(&begun);
        if self.left_out > 0 && self.prefix.is_some() {
            let shown = usize::try_from(self.left_out).unwrap_or(usize::MAX).min(self.last.len());
            let note = format!("[skein: {} bytes more; the last {shown} of them:]\n", self.left_out);
            self.waiting.extend_from_slice(note.as_bytes());
            self.waiting.extend_from_slice(&self.last[self.last.len() - shown..]);
            self.flush_at = Some(Instant::now() + limits.flush_every);
        }
        let tail = &self.last[self.last.len().saturating_sub(MESSAGE_BYTES_MAX)..];
        String::from_utf8_lossy(tail).into_owned()
    }

    fn mark(&mut self, item: u32) {
        if self.item == Some(item) {
            return;
        }
        self.item = Some(item);
        if self.left_out > 0 {
            return;
        }
        let at = u32::try_from(self.waiting.len()).unwrap_or(u32::MAX);
        // Of two at one place the first has printed nothing.
        if self.marks.last().is_some_and(|last| last.at == at) {
            self.marks.pop();
        }
        self.marks.push(Mark { at, item: Some(item) });
    }

    fn add(&mut self, text: &[u8]) {
        let last = &text[text.len().saturating_sub(LAST_BYTES_MAX)..];
        self.last.extend_from_slice(last);
        let excess = self.last.len().saturating_sub(LAST_BYTES_MAX);
        let _ = self.last.split_to(excess);
        let room = usize::try_from(self.most.saturating_sub(self.kept)).unwrap_or(usize::MAX);
        let kept = &text[..text.len().min(room)];
        self.kept += kept.len() as u64;
        self.waiting.extend_from_slice(kept);
        let more = (text.len() - kept.len()) as u64;
        if more > 0 && self.left_out == 0 {
            let note = format!("\n[skein: the output is cut here, after {} bytes]\n", self.most);
            self.waiting.extend_from_slice(note.as_bytes());
        }
        self.left_out += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: LogLimits = LogLimits {
        frame_bytes_max: 8,
        object_bytes: 8,
        bytes_max: 1_000_000,
        held_bytes_max: 8,
        flush_every: Duration::from_secs(1),
    };

    fn marked(marks: &[Mark]) -> Vec<(u32, Option<u32>)> {
        marks.iter().map(|mark| (mark.at, mark.item)).collect()
    }

    #[tokio::test]
    async fn a_frame_says_whose_its_text_is_also_where_an_item_printed_through_several() {
        let mut marks = Marks::new();
        let mark = |item: u32| format!("{}{item}\u{1e}", marks.prefix);
        let printed = format!("ab{}{}cccccccccccc{}dd{}", mark(3), mark(4), mark(5), mark(6));
        let mut output = Output::new(Some("p".to_owned()), 0, &LIMITS);
        output.take(printed.as_bytes(), &mut marks, &LIMITS);
        let mut frames = Vec::new();
        while let Some((text, marks)) = output.frame(LIMITS.frame_bytes_max) {
            frames.push((String::from_utf8_lossy(&text).into_owned(), marked(&marks)));
        }
        let expected = [
            ("abcccccc".to_owned(), vec![(2, Some(4))]),
            ("ccccccdd".to_owned(), vec![(0, Some(4)), (6, Some(5))]),
        ];
        assert_eq!(frames, expected);
        output.take(b"e", &mut marks, &LIMITS);
        let (_, marks) = output.frame(LIMITS.frame_bytes_max).expect("it waits");
        assert_eq!(marked(&marks), [(0, Some(6))]);
    }

    #[tokio::test]
    async fn an_output_that_was_cut_says_so_and_shows_its_end() {
        let limits = LogLimits { bytes_max: 10, ..LIMITS };
        let mut marks = Marks::new();
        let mut output = Output::new(Some("p".to_owned()), 4, &limits);
        let mut long = vec![b'x'; 100_000];
        long.extend_from_slice(b"the end");
        output.take(&long, &mut marks, &limits);
        let tail = output.end(&mut marks, &limits);
        assert!(tail.ends_with("xxthe end"));
        assert_eq!(tail.len(), MESSAGE_BYTES_MAX);
        let (text, _) = output.frame(usize::MAX).expect("it waits");
        let text = String::from_utf8_lossy(&text).into_owned();
        let note = "xxxxxx\n[skein: the output is cut here, after 10 bytes]\n\
                    [skein: 100001 bytes more; the last 16384 of them:]\nxx";
        assert!(text.starts_with(note) && text.ends_with("xxthe end"), "{text:.200}");
        assert!(text.len() < 17_000);
    }
}
