"""Speaks the worker's protocol without an interpreter behind it, and breaks it in the way that its name says.

One process plays the zygote and, a thread each, its children. A child answers each item with its input, until it comes to the
item whose input is `CULPRIT`: there it does what it was called for.
"""

import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from typing import Any, Dict, List

import msgpack

CULPRIT = 5
# So many items are delivered together before the culprit comes.
DELIVERED = 3
PROTOCOL = "1"
FOREVER_S = 600


class Gone(Exception):
    """The other side has closed, or this child was killed."""


class Enough(Exception):
    """This chunk is not gone on with."""


class Frames:
    """Frames over a socket; also those that are none."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def say(self, **message: Any) -> None:
        self.raw(frame(msgpack.packb(message)))

    def raw(self, sent: bytes) -> None:
        try:
            self.connection.sendall(sent)
        except OSError as error:
            raise Gone from error

    def receive(self) -> Dict[str, Any]:
        [length] = struct.unpack(">I", self._exactly(4))
        body = self._exactly(length)
        return msgpack.unpackb(body, strict_map_key=False, max_str_len=length, max_bin_len=length)

    def _exactly(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            try:
                part = self.connection.recv(size - len(parts))
            except OSError as error:
                raise Gone from error
            if not part:
                raise Gone
            parts += part
        return parts


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


class Child(Frames):
    """One child: a thread."""

    def __init__(self, number: int, zygote: "Zygote", files: List[int]) -> None:
        super().__init__(socket.socket(fileno=files[0]))
        self._number, self._zygote, self._has_ended = number, zygote, False
        os.close(files[1])
        self._page = memoryview(mmap.mmap(files[2], mmap.PAGESIZE)).cast("q")
        os.close(files[2])
        self.job: Dict[str, Any] = {}
        self.values: List[Any] = []
        self.last: Dict[str, Any] = {}
        self.at = self.end = 0

    def run(self) -> None:
        try:
            self.serve()
        except Gone:
            pass
        self.exit(0)

    def exit(self, status: int) -> None:
        """Ends as a process does: once."""
        if not self._has_ended:
            self._has_ended = True
            self.close()
            self._zygote.say(exited=self._number, status=status)

    def close(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def serve(self) -> None:
        while True:
            message = self.receive()
            if "load" in message:
                LOADS.get(NAME, loads)(self)
            elif "chunk" in message:
                try:
                    self.chunk(message["chunk"])
                except Enough:
                    pass
            else:
                self.job = message["single"]
                SINGLES.get(NAME, finishes)(self)

    def chunk(self, job: Dict[str, Any]) -> None:
        """Runs items."""
        self.job, self.values, self.end = job, [], job["start"] + job["count"]
        [column] = job["columns"].values() if "columns" in job else [range(job["start"], self.end)]
        for self.at, value in enumerate(column, job["start"]):
            self._page[0] = self.at
            if value == CULPRIT:
                MISDEEDS.get(NAME, lambda _: None)(self)
            self.values.append(value)
            if len(self.values) == DELIVERED and value < CULPRIT:
                self.part(self.at + 1)
        self.part(self.end, done=True)

    def part(self, upto: int, **more: Any) -> None:
        values, self.values = more.pop("values", self.values), []
        self.last = {"job": self.job.get("job"), "values": values, "upto": upto, "micros": MICROS.get(NAME, 1), **more}
        self.say(**self.last)

    def told(self, **message: Any) -> None:
        self.say(**{"job": self.job.get("job"), **message})


class Zygote(Frames):
    """The control socket."""

    def __init__(self) -> None:
        super().__init__(socket.socket(fileno=os.dup(0)))
        self.children: Dict[int, Child] = {}

    def serve(self) -> None:
        files: List[int] = []
        read = b""
        while True:
            received, more, _, _ = socket.recv_fds(self.connection, 65536, 64)
            if not received:
                return
            files += more
            read += received
            while len(read) >= 4 and len(read) >= 4 + struct.unpack_from(">I", read)[0]:
                end = 4 + struct.unpack_from(">I", read)[0]
                self._obey(msgpack.unpackb(read[4:end]), files)
                read = read[end:]

    def _obey(self, order: Dict[str, Any], files: List[int]) -> None:
        if "fork" in order:
            child = self.children[order["fork"]] = Child(order["fork"], self, files[:3])
            del files[:3]
            FORKS.get(NAME, lambda zygote, number: zygote.say(forked=number, pid=1))(self, order["fork"])
            threading.Thread(target=child.run, daemon=True).start()
        else:
            self.children[order["kill"]].exit(-order["signal"])


def waits(*_: Any) -> None:
    time.sleep(FOREVER_S)


def loads(child: Child) -> None:
    child.say(loaded=None, pid=os.getpid())


def finishes(child: Child) -> None:
    child.told(finished=True, direct=True, value=child.job["values"]["x"])


def exits(child: Child, status: int = 3) -> None:
    child.exit(status)
    raise Gone


def torn(child: Child) -> None:
    child.raw(struct.pack(">I", 1000) + b"\x81\xa4upto")
    exits(child, 0)


def torn_and_waits(child: Child) -> None:
    child.raw(struct.pack(">I", 1000) + b"\x81\xa4upto")
    waits()


def closes(child: Child) -> None:
    child.close()
    waits()


def done_too_early(child: Child) -> None:
    """Gives items back for no reason: asked again, it does so again."""
    child.part(child.at, done=True)
    raise Enough


def repeated(child: Child) -> None:
    """Answers an item, and once more."""
    child.part(child.at + 1, values=[*child.values, child.at])
    child.say(**child.last)


def twice_finished(child: Child) -> None:
    """Answers twice: the second answer would be taken for that of the next attempt."""
    finishes(child)
    child.told(finished=True, direct=True, value=-1)


# What a child does in the place of the culprit.
MISDEEDS = {
    "torn": torn,
    "torn-and-waits": torn_and_waits,
    "closes": closes,
    "never-answers": waits,
    "exits": exits,
    "repeated": repeated,
    "reordered": lambda child: child.part(child.end, literals=[(child.at + 1, {}), (child.at, {})]),
    "behind": lambda child: child.part(0, values=[]),
    "beyond": lambda child: child.part(child.end + 7, values=[0] * 100),
    "too-few": lambda child: child.part(child.at + 1, values=[]),
    "too-many": lambda child: child.part(child.at + 1, values=[0] * 100),
    "not-given": lambda child: child.part(child.at, failed=[(99, None, [])]),
    "twice": lambda child: child.part(child.at + 1, literals=[(child.at, {"o0": b""})], failed=[(child.at, None, [])]),
    "no-literal": lambda child: child.part(child.at + 1, literals=[(child.at, {"o0": b"\xff\xff\xff"})]),
    "done-too-early": done_too_early,
    "of-another-chunk": lambda child: child.part(child.at, job=99),
    "of-a-zygote": lambda child: child.say(ready={"python": "3", "flytekit": "1"}),
    "of-an-attempt": lambda child: child.told(finished=True, direct=True, value=1),
    "unknown": lambda child: child.say(hello="world"),
    "a-list": lambda child: child.raw(frame(msgpack.packb([1, 2, 3]))),
    "deep": lambda child: child.raw(frame(b"\x81\xa6values" + b"\x91" * 100_000 + b"\xc0")),
    "json": lambda child: child.raw(frame(json.dumps({"upto": 3}).encode())),
    "text": lambda child: child.raw(b"HTTP/1.1 200 OK\r\n\r\n"),
    "empty": lambda child: child.raw(frame(b"")),
    "four-gib": lambda child: child.raw(b"\xff\xff\xff\xff" + b"x" * 100_000),
    "large-array": lambda child: child.raw(frame(b"\x81\xa6values\xdd\xff\xff\xff\xff\x01")),
}
# How long its items took, as it says.
MICROS = {"boasts": 2**64 - 1}
# What it does when it is to load a task.
LOADS = {
    "never-loads": waits,
    "loads-foreign": lambda child: child.say(hello="world"),
    "loads-text": lambda child: child.raw(b"HTTP/1.1 200 OK\r\n\r\n"),
    "loads-and-exits": lambda child: exits(child, 7),
    "reads-no-more": lambda child: (loads(child), waits()),
}
# What it does with an attempt.
SINGLES = {
    "twice-finished": twice_finished,
    "single-waits": waits,
    "single-closes": closes,
    "single-torn": torn,
    "single-foreign": lambda child: child.say(hello="world"),
    "single-text": lambda child: child.raw(b"HTTP/1.1 200 OK\r\n\r\n"),
    "single-of-another": lambda child: child.told(job=99, finished=True, direct=True, value=1),
    "single-wrong-type": lambda child: child.told(finished=True, direct=True, value="text"),
    "single-no-literals": lambda child: child.told(finished=True, outputs=b"\xff\xff\xff"),
}


def lies(zygote: Zygote, number: int) -> None:
    """Tells of children that nobody asked for, and of ends that no process can have."""
    zygote.say(forked=number + 1000, pid=-1)
    zygote.say(exited=number + 1000, status=0)
    zygote.say(exited=number + 1001, status=-(2**31))
    zygote.say(forked=number, pid=1)


def garbles(zygote: Zygote, number: int) -> None:
    """Is no zygote any more as soon as it has forked for the first time; the process goes on."""
    zygote.raw(b"HTTP/1.1 200 OK\r\n\r\n")
    waits()


def ends_as_nothing_does(zygote: Zygote, number: int) -> None:
    """Tells of its own child's end what no process can have. The child says nothing any more."""
    zygote.say(forked=number, pid=1)
    zygote.children[number].exit(-(2**31))


FORKS = {
    "zygote-ends-absurdly": ends_as_nothing_does,
    "zygote-lies": lies,
    "zygote-garbles": garbles,
    "zygote-dies": lambda *_: os.kill(os.getpid(), signal.SIGKILL),
}


def ready(zygote: Zygote, protocol: str = PROTOCOL) -> None:
    zygote.say(ready={"python": "3", "flytekit": "1", "protocol": protocol})


# What it says first of all.
READIES = {
    "never-ready": waits,
    "ready-foreign": lambda zygote: zygote.say(hello="world"),
    "ready-text": lambda zygote: zygote.raw(b"HTTP/1.1 200 OK\r\n\r\n"),
    "ready-in-another-protocol": lambda zygote: ready(zygote, "2"),
}


def main() -> None:
    with open("peers", "a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    zygote = Zygote()
    READIES.get(NAME, ready)(zygote)
    zygote.serve()


NAME = sys.argv[1]
if __name__ == "__main__":
    main()
