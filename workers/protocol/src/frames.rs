//! Frames: a length of four bytes, big end first, then that many bytes of MessagePack.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, Read};

const LENGTH_BYTES: usize = 4;

/// Encodes one frame.
///
/// # Errors
/// When the message is over 4 GiB, or holds what MessagePack cannot.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Bytes> {
    let mut frame = BytesMut::zeroed(LENGTH_BYTES).writer();
    rmp_serde::encode::write_named(&mut frame, message).map_err(io::Error::other)?;
    let mut frame = frame.into_inner();
    let length = u32::try_from(frame.len() - LENGTH_BYTES).map_err(io::Error::other)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

/// Takes the body of the first frame off `received`; none when it is not whole yet.
pub fn split_off(received: &mut BytesMut) -> Option<BytesMut> {
    let head: [u8; LENGTH_BYTES] = received.get(..LENGTH_BYTES)?.try_into().expect("a slice of that length");
    let length = u32::from_be_bytes(head) as usize;
    if received.len() - LENGTH_BYTES < length {
        received.reserve(LENGTH_BYTES + length - received.len());
        return None;
    }
    received.advance(LENGTH_BYTES);
    Some(received.split_to(length))
}

/// Decodes the body of a frame.
///
/// # Errors
/// When it is not a message of this kind.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(body).map_err(io::Error::other)
}

/// Reads the next frame from what blocks; none when the other side has closed, also in the middle of a frame.
///
/// # Errors
/// Those of reading, and when what comes is not a message of this kind.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut head = [0; LENGTH_BYTES];
    if !fill(from, &mut head)? {
        return Ok(None);
    }
    let length = u64::from(u32::from_be_bytes(head));
    // Grows with what comes, whatever the length says that will come.
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body)?;
    if body.len() as u64 == length { decode(&body).map(Some) } else { Ok(None) }
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
            while let Some(body) = split_off(&mut received) {
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
        // It says that four gigabytes follow, and nobody reserves them.
        assert_eq!(read::<Message>(&mut &[0xff; 8][..]).expect("nothing is wrong"), None);
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(read::<Message>(&mut &[0, 0, 0, 1, 0xc1][..]).is_err());
    }
}
