"""DBOS with its system database in SQLite: a queue of workflows in this process, polled as it is by default."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import peer
from dbos import DBOS, SetWorkflowID

QUEUE = "peers"
MARKED = "marked"


@DBOS.workflow()
def detect(value: int) -> bool:
    """What is mapped."""
    return peer.above_threshold(value)


@DBOS.workflow()
def witnessed(value: int, path: str) -> int:
    """What leaves marks."""
    return peer.marked(value, path)


@DBOS.step()
def step(value: int) -> int:
    """One step of a chain."""
    return value + 1


@DBOS.workflow()
def ints(values: list[int]) -> list[bool]:
    """The map."""
    queue = DBOS.retrieve_queue(QUEUE)
    handles = [queue.enqueue(detect, value) for value in values]
    return [handle.get_result() for handle in handles]


@DBOS.workflow()
def all_witnessed(values: list[int], path: str) -> int:
    """The map that leaves marks; gives how many results there are."""
    queue = DBOS.retrieve_queue(QUEUE)
    handles = [queue.enqueue(witnessed, value, path) for value in values]
    return len([handle.get_result() for handle in handles])


@DBOS.workflow()
def chain(steps: int) -> int:
    """The chain."""
    value = 0
    for _ in range(steps):
        value = step(value)
    return value


class Dbos:
    """Calls workflows in this process."""

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        return ints(items)

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        return chain(steps)

    def begin_marked(self, items: list[int], path: Path) -> None:
        """See `peer.Durable`."""
        with SetWorkflowID(MARKED):
            all_witnessed(items, str(path))

    def resume_marked(self, _count: int) -> peer.Resumed:
        """See `peer.Durable`. DBOS recovers by itself what was pending when it starts."""
        return peer.Resumed(DBOS.retrieve_workflow(MARKED).get_result(), time.time())


@contextmanager
def start(folder: Path) -> Iterator[Dbos]:
    """Launches DBOS on a database in the folder, and ends it."""
    DBOS(config={"name": "peers", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR"})
    DBOS.launch()
    DBOS.register_queue(QUEUE)
    try:
        yield Dbos()
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    peer.run(start)
