"""Frames: a length of four bytes, big end first, then that many bytes of MessagePack."""

import os
import socket
import struct
from typing import Any, Dict, Optional, Tuple

import msgpack

_LENGTH = struct.Struct(">I")
# The largest body that the worker takes, in bytes.
_BODY_BYTES_MAX = 1 << 30
# As they were before user code ran, which may put something else in their place.
_fstat, _getpid, _packb, _unpackb = os.fstat, os.getpid, msgpack.packb, msgpack.unpackb


class Broken(ConnectionError):
    """User code has closed the connection to the worker, or another file has its number now."""

    def __init__(self, is_shared: bool) -> None:
        super().__init__("the task closed the connection of its process to the worker, which it did not open itself")
        # Whether the process was to run more after this.
        self.is_shared = is_shared


class Frames:
    """Frames over one socket, which blocks."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        # Whether its process runs more than one attempt or item.
        self.is_shared = False
        self._owner = _getpid()
        self._file = self._identity()

    @property
    def is_own(self) -> bool:
        """Says whether this is the process that the frames are for, and not a copy of it that user code forked."""
        return _getpid() == self._owner

    def send(self, message: Dict[str, Any]) -> None:
        """Sends one frame whole. A copy of this process has nothing to say here."""
        if not self.is_own:
            return
        body = _packb(message, use_bin_type=True)
        if len(body) > _BODY_BYTES_MAX:
            raise ValueError(f"results of {len(body)} bytes are too large: a process can tell {_BODY_BYTES_MAX} at once")
        self._look()
        try:
            self.connection.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise Broken(self.is_shared) from error

    def receive(self) -> Optional[Dict[str, Any]]:
        """Waits for the next frame; none when the other side has closed."""
        self._look()
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        body = self._exactly(_LENGTH.unpack(head)[0])
        if body is None:
            return None
        return unpack(body)

    def _look(self) -> None:
        """Fails when the number of the socket does not mean the socket any more: another file would be written to."""
        if self._identity() != self._file:
            raise Broken(self.is_shared)

    def _identity(self) -> Optional[Tuple[int, int]]:
        try:
            found = _fstat(self.connection.fileno())
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _exactly(self, size: int) -> Optional[bytes]:
        parts = bytearray()
        while len(parts) < size:
            try:
                part = self.connection.recv(min(size - len(parts), 1 << 20))
            except ConnectionResetError:
                part = b""
            if not part:
                return None
            parts += part
        return bytes(parts)


def unpack(body: bytes) -> Dict[str, Any]:
    """Decodes the body of a frame. Its sender is the program that started us, so its size is not limited here."""
    size = len(body)
    return _unpackb(
        body, raw=False, strict_map_key=False, max_str_len=size, max_array_len=size, max_map_len=size, max_bin_len=size
    )


class Splitter:
    """Cuts what was read from a socket into frames, for whoever must not block."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, received: bytes) -> "list[Dict[str, Any]]":
        """Takes what was read and answers the frames that are complete now."""
        self._bytes += received
        complete = []
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                break
            complete.append(unpack(bytes(self._bytes[_LENGTH.size : end])))
            del self._bytes[:end]
        return complete
