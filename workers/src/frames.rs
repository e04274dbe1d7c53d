//! Frames: a length of four bytes, big end first, then that many bytes of MessagePack.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::AsFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const LENGTH_BYTES: usize = 4;
/// The largest body that is sent or taken, in bytes. It is held in memory whole, and a length that somebody made up is
/// not to be believed.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// How much room is made at once for a body that is announced: the rest when that much of it is there.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// How deep a message may be: decoding is recursive, and takes up to two KiB of a thread's stack for each level.
const DEPTH_MAX: usize = 128;

/// Why there is no next message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
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
    pub(crate) fn is_end(&self) -> bool {
        // A process that dies with unread input resets the connection.
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::ConnectionReset)
    }
}

/// Encodes one frame.
///
/// # Errors
/// When the message is over [`BODY_BYTES_MAX`], or holds what MessagePack cannot.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Bytes> {
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

/// Frames over one socket.
#[derive(Debug)]
pub(crate) struct Frames {
    socket: UnixStream,
    read: BytesMut,
}

impl Frames {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket, read: BytesMut::new() }
    }

    /// Answers a second handle of the socket, for sending beside these frames.
    ///
    /// # Errors
    /// When there are no more files to be had.
    pub(crate) fn writer(&self) -> io::Result<UnixStream> {
        let socket = std::os::unix::net::UnixStream::from(self.socket.as_fd().try_clone_to_owned()?);
        UnixStream::from_std(socket)
    }

    /// Says whether the other side is there and has said nothing that was not taken.
    pub(crate) fn is_quiet(&self) -> bool {
        let waits = rustix::io::read(&self.socket, &mut [0; 1]);
        self.read.is_empty() && waits == Err(rustix::io::Errno::AGAIN)
    }

    /// Sends one frame whole.
    ///
    /// # Errors
    /// When the other side has gone.
    pub(crate) async fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.socket.write_all(&encode(message)?).await
    }

    /// Waits for the next frame; none when the other side has closed. May be dropped while it waits.
    ///
    /// # Errors
    /// When what comes is not a message of this kind.
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        loop {
            if let Some(body) = self.complete()? {
                return decode(&body).map(Some);
            }
            if self.socket.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Takes the next of the frames that have arrived; none when there is none. Asks the kernel itself: the runtime may
    /// not have heard yet of what came.
    ///
    /// # Errors
    /// When what came is not a message of this kind.
    pub(crate) fn receive_arrived<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ReceiveError> {
        let mut part = [0; 16 * 1024];
        loop {
            if let Some(body) = self.complete()? {
                return decode(&body).map(Some);
            }
            match rustix::io::read(&self.socket, &mut part) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Ok(count) => self.read.extend_from_slice(&part[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    fn complete(&mut self) -> Result<Option<BytesMut>, ReceiveError> {
        let Some(head) = self.read.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let told = u32::from_be_bytes(*head);
        let length = told as usize;
        if length > BODY_BYTES_MAX {
            return Err(ReceiveError::TooLong(told));
        }
        if self.read.len() < LENGTH_BYTES + length {
            self.read.reserve((LENGTH_BYTES + length - self.read.len()).min(READ_BYTES_MAX));
            return Ok(None);
        }
        self.read.advance(LENGTH_BYTES);
        Ok(Some(self.read.split_to(length)))
    }
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, ReceiveError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[tokio::test]
    async fn what_has_arrived_is_taken_before_the_runtime_hears_of_it() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket of our own");
        let mut frames = Frames::new(UnixStream::from_std(ours).expect("a runtime"));
        assert_eq!(frames.receive_arrived::<BTreeMap<String, u8>>().expect("no message"), None);
        for number in [1_u8, 2] {
            let frame = encode(&BTreeMap::from([("number", number)])).expect("it is small");
            rustix::io::write(&theirs, &frame).expect("the other side is there");
        }
        drop(theirs);
        for number in [Some(1), Some(2), None] {
            let told = frames.receive_arrived::<BTreeMap<String, u8>>().expect("a message");
            assert_eq!(told.map(|told| told["number"]), number);
        }
    }
}
