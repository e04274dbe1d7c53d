"""Dask distributed: a scheduler and two worker processes on one machine."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import peer
from distributed import Client, LocalCluster


def step(value: int) -> int:
    """One step of a chain."""
    return value + 1


class Dask:
    """A client beside its cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`. A function that is not `pure` runs for each item, also for those that ran before."""
        return self._client.gather(self._client.map(peer.above_threshold, items, pure=False))

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        value = self._client.submit(step, 0, pure=False)
        for _ in range(steps - 1):
            value = self._client.submit(step, value, pure=False)
        return value.result()


@contextmanager
def start(folder: Path) -> Iterator[Dask]:
    """Starts the cluster with its files in the folder, and ends it."""
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(folder)
    ) as cluster, Client(cluster) as client:
        yield Dask(client)


if __name__ == "__main__":
    peer.run(start)
