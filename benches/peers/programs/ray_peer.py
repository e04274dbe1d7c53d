"""Ray on one machine: two worker processes, results in its object store."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import peer
import ray


@ray.remote
def detect(value: int) -> bool:
    """The task that is mapped."""
    return peer.above_threshold(value)


@ray.remote
def step(value: int) -> int:
    """One step of a chain."""
    return value + 1


class Ray:
    """A driver beside its cluster of one."""

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        return ray.get([detect.remote(item) for item in items])

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        value = step.remote(0)
        for _ in range(steps - 1):
            value = step.remote(value)
        return ray.get(value)


@contextmanager
def start(folder: Path) -> Iterator[Ray]:
    """Starts the cluster with its files in the folder, and ends it."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=str(folder))
    try:
        yield Ray()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    peer.run(start)
