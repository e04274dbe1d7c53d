"""Frames: a length of four bytes, big end first, then that many bytes of MessagePack."""

import os
import socket
import struct
from typing import Any, Dict, Optional

import msgpack

_LENGTH = struct.Struct(">I")


class Frames:
    """Frames over one socket, which blocks."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._owner = os.getpid()

    @property
    def is_own(self) -> bool:
        """Says whether this is the process that the frames are for, and not a copy of it that user code forked."""
        return os.getpid() == self._owner

    def send(self, message: Dict[str, Any]) -> None:
        """Sends one frame whole. A copy of this process has nothing to say here."""
        if not self.is_own:
            return
        body = msgpack.packb(message, use_bin_type=True)
        self.connection.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self) -> Optional[Dict[str, Any]]:
        """Waits for the next frame; none when the other side has closed."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        body = self._exactly(_LENGTH.unpack(head)[0])
        if body is None:
            return None
        return unpack(body)

    def _exactly(self, size: int) -> Optional[bytes]:
        parts = bytearray()
        while len(parts) < size:
            part = self.connection.recv(min(size - len(parts), 1 << 20))
            if not part:
                return None
            parts += part
        return bytes(parts)


def unpack(body: bytes) -> Dict[str, Any]:
    """Decodes the body of a frame. Its sender is the program that started us, so its size is not limited here."""
    size = len(body)
    return msgpack.unpackb(
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
