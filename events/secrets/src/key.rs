//! Keys: how they are written, and what they are called.

use chacha20poly1305::aead::Generate as _;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};
use zeroize::Zeroizing;

/// The length of a key in bytes; written in twice as many hexadecimal digits.
pub(crate) const KEY_BYTES: usize = 32;
/// How much of a digest names a key, in bytes.
const NAME_BYTES: usize = 8;

/// A text that is no list of keys. What it holds is not told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// It has no key in it.
    #[error("there is no key in it; a key is {} hexadecimal digits, such as `openssl rand -hex {KEY_BYTES}` prints", KEY_BYTES * 2)]
    Empty,
    /// A word in it is no key.
    #[error(
        "word {at} of it is no key ({characters} characters); a key is {} hexadecimal digits, such as `openssl rand -hex {KEY_BYTES}` prints",
        KEY_BYTES * 2
    )]
    Word {
        /// The number of the word, from 1.
        at: usize,
        /// How many characters it has.
        characters: usize,
    },
    /// This machine gives no random numbers.
    #[error("no random numbers are to be had: {reason}")]
    Random {
        /// Why.
        reason: String,
    },
}

/// One key.
#[derive(Clone)]
pub(crate) struct Key {
    /// Its name: says nothing of the key itself.
    pub(crate) name: String,
    pub(crate) bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl Key {
    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let digest = Sha256::new().chain_update(b"skein secrets key\n").chain_update(*bytes).finalize();
        Self { name: hex(&digest[..NAME_BYTES]).to_string(), bytes }
    }
}

/// The keys that a program has: the first encrypts, all decrypt.
#[derive(Clone)]
pub struct Keys(Vec<Key>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keys").field(&self.names()).finish()
    }
}

impl Keys {
    /// Makes a new key.
    ///
    /// # Errors
    /// When this machine gives no random numbers.
    pub fn generate() -> Result<Self, KeysError> {
        let bytes = <[u8; KEY_BYTES]>::try_generate();
        let bytes = bytes.map_err(|error| KeysError::Random { reason: error.to_string() })?;
        Ok(Self(vec![Key::new(Zeroizing::new(bytes))]))
    }

    /// Reads keys, with white space between them. What stands after a `#` in its line is passed over.
    ///
    /// # Errors
    /// When there is none, or something else.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let words =
            text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
        let mut keys: Vec<Key> = Vec::new();
        for (at, word) in words.enumerate() {
            let wrong = || KeysError::Word { at: at + 1, characters: word.chars().count() };
            let key = Key::new(unhex(word).ok_or_else(wrong)?);
            if keys.iter().all(|known| known.name != key.name) {
                keys.push(key);
            }
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys)) }
    }

    /// Answers the keys as [`Self::parse`] reads them, one a line.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len() * (KEY_BYTES * 2 + 1)));
        for key in &self.0 {
            text.push_str(&hex(&*key.bytes));
            text.push('\n');
        }
        text
    }

    /// Answers their names, that of the first at the beginning.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|key| key.name.clone()).collect()
    }

    /// Answers the key that encrypts.
    pub(crate) fn first(&self) -> &Key {
        self.0.first().expect("there is no list of keys without one")
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.name == name)
    }

    /// Answers these keys, and those of `others` after them.
    #[must_use]
    pub(crate) fn before(&self, others: &Self) -> Self {
        let more = others.0.iter().filter(|key| self.find(&key.name).is_none()).cloned();
        Self(self.0.iter().cloned().chain(more).collect())
    }

    /// Answers the first key alone.
    #[must_use]
    pub(crate) fn only_first(&self) -> Self {
        Self(vec![self.first().clone()])
    }
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 2));
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes all that is written");
    }
    text
}

fn unhex(word: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let digits = word.as_bytes();
    if digits.len() != KEY_BYTES * 2 {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_the_first_encrypts() {
        let keys = Keys::parse(&format!("# old ones stay\n{} {}\n{}", text('a'), text('B'), text('a')));
        let keys = keys.expect("they are right");
        assert_eq!(keys.names().len(), 2);
        assert_eq!(*keys.text(), format!("{}\n{}\n", text('a'), text('b')));
        assert_eq!(keys.first().name, Keys::parse(&text('a')).expect("it is right").names()[0]);
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_told() {
        assert_eq!(Keys::parse(" # nothing\n").expect_err("none"), KeysError::Empty);
        let wrong = format!("{} hunter2", text('a'));
        let refused = Keys::parse(&wrong).expect_err("one is wrong");
        assert_eq!(refused, KeysError::Word { at: 2, characters: 7 });
        assert!(Keys::parse(&text('ä')).is_err() && Keys::parse(&text('g')).is_err());
    }

    #[test]
    fn a_key_is_known_by_a_name_that_is_none_of_its_digits() {
        let keys = Keys::generate().expect("there are random numbers");
        let [name] = &keys.names()[..] else { panic!("one key") };
        assert_eq!(format!("{keys:?}"), format!("Keys([{name:?}])"));
        assert!(!keys.text().contains(name.as_str()));
        assert_ne!(keys.names(), Keys::generate().expect("there are random numbers").names());
    }
}
