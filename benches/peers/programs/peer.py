"""What every peer's program has in common: the functions that are mapped, the workloads, and the answer.

A program is called as `PYTHON NAME_peer.py WORKLOAD COUNT FOLDER`. It runs one workload and prints one line of JSON that
has `seconds`. It runs in the environment of its peer, so this file needs the standard library only.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Callable, NamedTuple, Protocol

THRESHOLD = 11
# How many items run before the clock does, so that worker processes are there and have imported what they need.
WARM_UP = 200
MARK_BYTES = 4


class Engine(Protocol):
    """A peer that has been started."""

    def map(self, items: list[int]) -> list[bool]:
        """Runs `above_threshold` for every item."""

    def chain(self, steps: int) -> int:
        """Runs `steps` tasks that add one, each on what the one before gave, from 0 on."""


class Resumed(NamedTuple):
    """What became of a map after a crash."""

    results: int
    """How many results there are."""
    at: float
    """When the last of them was there, in seconds since the epoch."""


class Durable(Engine, Protocol):
    """A peer whose maps outlive a crash."""

    def begin_marked(self, items: list[int], path: Path) -> None:
        """Runs `marked` for every item to the end; is killed before it gets there."""

    def resume_marked(self, count: int) -> Resumed:
        """Waits, after a restart, for the map that was begun."""


def above_threshold(value: int) -> bool:
    """Does next to nothing."""
    return value > THRESHOLD


def marked(value: int, path: str) -> int:
    """Notes that it ran, so that an item that runs twice is counted."""
    with open(path, "ab", buffering=0) as file:
        file.write(value.to_bytes(MARK_BYTES, "little"))
    return value


def free_port() -> int:
    """Gives a port of the loopback interface that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answer(seconds: float, **more: Any) -> None:
    """Prints the line that the harness waits for."""
    print(json.dumps({"seconds": seconds, **more}), flush=True)


def _map(engine: Engine, count: int) -> None:
    items = list(range(count))
    engine.map(items[:WARM_UP])
    began = time.perf_counter()
    results = engine.map(items)
    seconds = time.perf_counter() - began
    if list(results) != [above_threshold(item) for item in items]:
        raise SystemExit("the results of the map are wrong")
    answer(seconds, **getattr(engine, "told", {}))


def _chain(run: Callable[[int], int], steps: int) -> None:
    run(steps)
    began = time.perf_counter()
    result = run(steps)
    seconds = time.perf_counter() - began
    if result != steps:
        raise SystemExit(f"a chain of {steps} gave {result}")
    answer(seconds)


def _cold(start: Callable[[], AbstractContextManager[Engine]], began: float) -> None:
    with start() as engine:
        if list(engine.map([0])) != [False]:
            raise SystemExit("the first result is wrong")
        answer(time.time() - began, **getattr(engine, "told", {}))


def run(start: Callable[[Path], AbstractContextManager[Any]], *, server: bool = False) -> None:
    """Runs what the command line asks for.

    Args:
        start: Starts the peer with its files in a folder, and ends it.
        server: Whether the peer is a server that is started here. Its cold start then begins with that, as this program
            is only its client; otherwise this program is the peer, and it begins with the program.

    Raises:
        SystemExit: When a result is wrong.
    """
    workload, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if workload == "cold":
        _cold(lambda: start(folder), time.time() if server else float(os.environ["PEER_SPAWNED"]))
        return
    with start(folder) as engine:
        if workload == "map":
            _map(engine, count)
        elif workload == "chain":
            _chain(engine.chain, count)
        elif workload == "chain-forked":
            _chain(engine.chain_forked, count)
        elif workload == "victim":
            engine.begin_marked(list(range(count)), folder / "marks")
        elif workload == "resume":
            resumed = engine.resume_marked(count)
            answer(resumed.at - float(os.environ["PEER_KILLED"]), results=resumed.results)
        else:
            raise SystemExit(f"there is no workload {workload}")
