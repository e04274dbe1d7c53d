//! Marks in what a child prints: whose the text after it is. The interpreter writes them between items of a map, into the
//! pipe itself, so that they are where they belong whoever reads when.

use memchr::memchr;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// What a mark begins and ends with: a character that separates records, and that hardly anybody prints.
const EDGE: u8 = 0x1e;
/// The longest number of an item, in digits.
const DIGITS_MAX: usize = 10;

/// Finds the marks of one child.
pub(super) struct Marks {
    /// What each mark begins with. Nobody prints it by accident.
    pub prefix: String,
    /// The beginning of what may be a mark, whose end has not come yet.
    begun: Vec<u8>,
}

/// A part of what was printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Text.
    Text(&'a [u8]),
    /// What follows was printed while this item ran.
    Item(u32),
}

enum Found {
    /// A mark of this length.
    Mark(u32, usize),
    /// The beginning of one, perhaps.
    Begun,
    Text,
}

impl Marks {
    pub(super) fn new() -> Self {
        // Random for every child; it has to be unlikely, not secret.
        let drawn = RandomState::new().build_hasher().finish();
        Self { prefix: format!("\u{1e}skein:{drawn:016x}:"), begun: Vec::new() }
    }

    /// Takes what was read; tells text and marks in their order.
    pub(super) fn take(&mut self, read: &[u8], mut tell: impl FnMut(Piece<'_>)) {
        let begun = std::mem::take(&mut self.begun);
        let joined;
        let mut rest = if begun.is_empty() {
            read
        } else {
            joined = [&begun, read].concat();
            &joined
        };
        let mut from = 0;
        while let Some(at) = memchr(EDGE, &rest[from..]).map(|at| from + at) {
            match self.found(&rest[at..]) {
                Found::Mark(item, length) => {
                    tell(Piece::Text(&rest[..at]));
                    tell(Piece::Item(item));
                    rest = &rest[at + length..];
                    from = 0;
                }
                Found::Begun => {
                    tell(Piece::Text(&rest[..at]));
                    self.begun = rest[at..].to_vec();
                    return;
                }
                Found::Text => from = at + 1,
            }
        }
        tell(Piece::Text(rest));
    }

    /// Answers what looked like the beginning of a mark, when nothing more comes.
    pub(super) fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }

    fn found(&self, text: &[u8]) -> Found {
        let prefix = self.prefix.as_bytes();
        let Some(number) = text.strip_prefix(prefix) else {
            return if prefix.starts_with(text) { Found::Begun } else { Found::Text };
        };
        let digits = number.iter().take(DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
        let item = std::str::from_utf8(&number[..digits]).ok().and_then(|digits| digits.parse().ok());
        match (number.get(digits), item) {
            (Some(&EDGE), Some(item)) => Found::Mark(item, prefix.len() + digits + 1),
            (None, _) if digits <= DIGITS_MAX => Found::Begun,
            _ => Found::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of `printed`, which comes in pieces of a length: text, and items as numbers in brackets.
    fn told(marks: &mut Marks, printed: &[u8], length: usize) -> String {
        let mut told = String::new();
        for read in printed.chunks(length) {
            marks.take(read, |piece| match piece {
                Piece::Text(text) => told.push_str(&String::from_utf8_lossy(text)),
                Piece::Item(item) => told.push_str(&format!("[{item}]")),
            });
        }
        told.push_str(&String::from_utf8_lossy(&marks.end()));
        told
    }

    #[test]
    fn marks_are_found_wherever_they_were_cut() {
        let mut marks = Marks::new();
        let mark = |item: u32| format!("{}{item}\u{1e}", marks.prefix);
        let printed = format!("import\n{}one{}{}two\n{}", mark(0), mark(17), mark(4_000_000_000), mark(3));
        for length in 1..=printed.len() {
            let found = told(&mut marks, printed.as_bytes(), length);
            assert_eq!(found, "import\n[0]one[17][4000000000]two\n[3]", "in pieces of {length}");
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_text() {
        let mut marks = Marks::new();
        let prefix = marks.prefix.clone();
        for text in [
            "\u{1e}".to_owned(),
            "a\u{1e}\u{1e}b\u{1e}skein:0:7\u{1e}".to_owned(),
            prefix.clone(),
            format!("{prefix}7"),
            format!("{prefix}7x\u{1e}"),
            format!("{prefix}\u{1e}"),
            format!("{prefix}99999999999\u{1e}"),
            format!("{prefix}4294967296\u{1e}"),
        ] {
            for length in 1..=text.len() {
                assert_eq!(told(&mut marks, text.as_bytes(), length), text, "in pieces of {length}");
            }
        }
    }
}
