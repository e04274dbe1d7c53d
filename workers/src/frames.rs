//! Frames: a length of four bytes, big end first, then that many bytes of MessagePack.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::os::fd::AsFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const LENGTH_BYTES: usize = 4;

/// Encodes one frame.
///
/// # Errors
/// When the message is over 4 GiB, or holds what MessagePack cannot.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Bytes> {
    let mut frame = BytesMut::zeroed(LENGTH_BYTES).writer();
    rmp_serde::encode::write_named(&mut frame, message).map_err(io::Error::other)?;
    let mut frame = frame.into_inner();
    let length = u32::try_from(frame.len() - LENGTH_BYTES).map_err(io::Error::other)?;
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
    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            if let Some(body) = self.complete() {
                return rmp_serde::from_slice(&body).map(Some).map_err(io::Error::other);
            }
            if self.socket.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn complete(&mut self) -> Option<BytesMut> {
        let head: [u8; LENGTH_BYTES] =
            self.read.get(..LENGTH_BYTES)?.try_into().expect("a slice of that length");
        let length = u32::from_be_bytes(head) as usize;
        if self.read.len() < LENGTH_BYTES + length {
            self.read.reserve(LENGTH_BYTES + length - self.read.len());
            return None;
        }
        self.read.advance(LENGTH_BYTES);
        Some(self.read.split_to(length))
    }
}
