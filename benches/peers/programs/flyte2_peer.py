"""Flyte 2's SDK in its local mode: tasks run in the calling process, with their inputs converted and hashed."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

import flyte
import peer

env = flyte.TaskEnvironment(name="peers")


@env.task
def detect(value: int) -> bool:
    """The task that is mapped."""
    return peer.above_threshold(value)


@env.task
def step(value: int) -> int:
    """One step of a chain."""
    return value + 1


@env.task
def ints(values: List[int]) -> List[bool]:
    """The map."""
    return list(flyte.map(detect, values))


@env.task
def chain(steps: int) -> int:
    """The chain."""
    value = 0
    for _ in range(steps):
        value = step(value)
    return value


class Flyte2:
    """Runs tasks in local mode."""

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        return flyte.with_runcontext(mode="local").run(ints, values=items).outputs()[0]

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        return flyte.with_runcontext(mode="local").run(chain, steps=steps).outputs()[0]


@contextmanager
def start(_folder: Path) -> Iterator[Flyte2]:
    """Initialises the SDK; there is no server."""
    flyte.init()
    yield Flyte2()


if __name__ == "__main__":
    peer.run(start)
