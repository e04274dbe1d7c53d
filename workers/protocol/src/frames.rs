//! Frames: a length of four bytes, big end first, then that many bytes of MessagePack.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read};

const LENGTH_BYTES: usize = 4;
/// The largest body that is sent or taken, in bytes. It is held in memory whole, and a length that somebody made up is
/// not to be believed.
pub const BODY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// How much room is made at once for a body that is announced: the rest when that much of it is there.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// How deep a message may be: decoding is recursive, and takes up to two KiB of a thread's stack for each level.
pub const DEPTH_MAX: usize = 128;

/// Why there is no next message.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The length is over the limit: mostly that of a text.
    #[error("it begins with a length of {0} bytes, the limit is {BODY_BYTES_MAX}")]
    TooLong(u32),
    /// The body is not one of this kind.
    #[error("{0}")]
    Foreign(String),
}

impl ReceiveError {
    /// Says whether the other side has gone.
    pub fn is_end(&self) -> bool {
        // A process that dies with unread input resets the connection.
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionReset)
    }
}

impl From<ReceiveError> for io::Error {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Io(error) => error,
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Encodes one frame.
///
/// # Errors
/// When the message is over [`BODY_BYTES_MAX`] ([`io::ErrorKind::InvalidInput`]), or holds what MessagePack cannot.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Bytes> {
    let mut frame = BytesMut::zeroed(LENGTH_BYTES).writer();
    rmp_serde::encode::write_named(&mut frame, message).map_err(io::Error::other)?;
    let mut frame = frame.into_inner();
    let size = frame.len() - LENGTH_BYTES;
    let length = u32::try_from(size).ok().filter(|_| size <= BODY_BYTES_MAX).ok_or_else(|| {
        let message = format!("a message of {size} bytes, the limit is {BODY_BYTES_MAX}");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// Takes the body of the first frame off `received`; none when it is not whole yet.
///
/// # Errors
/// When its length is over [`BODY_BYTES_MAX`].
pub fn split_off(received: &mut BytesMut) -> Result<Option<BytesMut>, ReceiveError> {
    let Some(head) = received.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = length_of(*head)?;
    if received.len() < LENGTH_BYTES + length {
        received.reserve((LENGTH_BYTES + length - received.len()).min(READ_BYTES_MAX));
        return Ok(None);
    }
    received.advance(LENGTH_BYTES);
    Ok(Some(received.split_to(length)))
}

fn length_of(head: [u8; LENGTH_BYTES]) -> Result<usize, ReceiveError> {
    let told = u32::from_be_bytes(head);
    let length = told as usize;
    if length > BODY_BYTES_MAX { Err(ReceiveError::TooLong(told)) } else { Ok(length) }
}

/// Decodes the body of a frame.
///
/// # Errors
/// When it is not a message of this kind, or one that is deeper than [`DEPTH_MAX`].
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ReceiveError> {
    if body.first().is_none_or(|first| !is_map(*first)) {
        return Err(ReceiveError::Foreign("it is no map of MessagePack".to_owned()));
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(body);
    decoder.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut decoder)
        .map_err(|error| ReceiveError::Foreign(format!("it cannot be decoded: {error}")))
}

/// Says whether a value of MessagePack that begins so is a map, as all messages are.
const fn is_map(first: u8) -> bool {
    matches!(first, 0x80..=0x8f | 0xde | 0xdf)
}

/// Reads the next frame from what blocks; none when the other side has closed, also in the middle of a frame.
///
/// # Errors
/// Those of reading, and when what comes is not a message of this kind.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, ReceiveError> {
    let mut head = [0; LENGTH_BYTES];
    if !fill(from, &mut head)? {
        return Ok(None);
    }
    let length = length_of(head)?;
    // Grows with what comes, whatever the length says that will come.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() == length { decode(&body).map(Some) } else { Ok(None) }
}

/// Says whether there was as much.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Message = BTreeMap<String, u8>;

    fn message(number: u8) -> Message {
        BTreeMap::from([("number".to_owned(), number)])
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let whole =
            [encode(&message(1)).expect("it is small"), encode(&message(2)).expect("it is small")].concat();
        let mut received = BytesMut::new();
        let mut found = Vec::new();
        for byte in whole {
            received.put_u8(byte);
            while let Some(body) = split_off(&mut received).expect("it is short") {
                found.push(decode::<Message>(&body).expect("a message"));
            }
        }
        assert_eq!(found, [message(1), message(2)]);
    }

    #[test]
    fn a_frame_that_is_cut_off_is_no_frame() {
        let whole = encode(&message(7)).expect("it is small");
        for length in 0..whole.len() {
            let read = read::<Message>(&mut &whole[..length]).expect("nothing is wrong with what is there");
            assert_eq!(read, None, "{length} bytes");
        }
        assert_eq!(read::<Message>(&mut &whole[..]).expect("a message"), Some(message(7)));
        // It says that a gigabyte follows, and nobody reserves it.
        assert_eq!(read::<Message>(&mut &[0x40, 0, 0, 0, 0x80][..]).expect("nothing is wrong"), None);
    }

    #[test]
    fn a_length_over_the_limit_is_not_believed() {
        let told = "it begins with a length of 1073741825 bytes, the limit is 1073741824";
        let over = [0x40, 0, 0, 1, 0x80];
        assert_eq!(read::<Message>(&mut &over[..]).expect_err("it is too long").to_string(), told);
        let mut received = BytesMut::from(&over[..]);
        assert_eq!(split_off(&mut received).expect_err("it is too long").to_string(), told);
    }

    #[test]
    fn what_is_too_deep_is_an_error_and_ends_nobody() {
        let nested = |depth| [&[0x81, 0xa1, b'x'].repeat(depth)[..], &[0x80]].concat();
        decode::<crate::messages::Job>(&nested(DEPTH_MAX / 2)).expect("it can be skipped");
        let error = decode::<crate::messages::Job>(&nested(1_000_000)).expect_err("it is too deep");
        assert!(error.to_string().contains("depth limit"), "{error}");
    }

    fn frames_of_numbers() -> Bytes {
        encode(&BTreeMap::from([(1, 2)])).expect("it is small")
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for body in [0xc1, 0x90, 0xc0, b'{'] {
            let error = read::<Message>(&mut &[0, 0, 0, 1, body][..]).expect_err("it is no map");
            assert_eq!(error.to_string(), "it is no map of MessagePack");
        }
        let numbers = frames_of_numbers();
        assert!(read::<Message>(&mut &numbers[..]).is_err(), "of another kind");
    }
}
