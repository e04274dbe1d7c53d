//! Frames over a socket that the runtime waits for.

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;
pub(crate) use skein_protocol::frames::ReceiveError;
use skein_protocol::frames::{decode, encode, split_off};
use std::io;
use std::os::fd::AsFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

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
            if let Some(body) = split_off(&mut self.read)? {
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
            if let Some(body) = split_off(&mut self.read)? {
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
