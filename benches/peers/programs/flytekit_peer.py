"""flytekit's own local mode: `map_task` in the calling process."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List

import peer
from flytekit import map_task, task, workflow

STEPS = 100


@task
def detect(value: int) -> bool:
    """The task that is mapped."""
    return peer.above_threshold(value)


@task
def step(value: int) -> int:
    """One step of a chain."""
    return value + 1


@workflow
def ints(values: List[int]) -> List[bool]:
    """The map."""
    return map_task(detect)(value=values)


@workflow
def steps_100(value: int = 0) -> int:
    """The chain; its length is part of the workflow."""
    for _ in range(STEPS):
        value = step(value=value)
    return value


class Flytekit:
    """Calls workflows as functions."""

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        return ints(values=items)

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        if steps != STEPS:
            raise SystemExit(f"the chain has {STEPS} steps")
        return steps_100()


@contextmanager
def start(_folder: Path) -> Iterator[Flytekit]:
    """There is nothing to start."""
    yield Flytekit()


if __name__ == "__main__":
    peer.run(start)
