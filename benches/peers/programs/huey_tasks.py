"""Huey's tasks, in a module of their own: the consumer imports them by the same name as the producer."""

from __future__ import annotations

import os

import peer
from huey import SqliteHuey

# A worker that waits longer than this for the database gives up the result that it has in hands. The default is 5 seconds,
# which a busy machine reaches.
BUSY_SECONDS = 60

huey = SqliteHuey("peers", filename=os.environ["PEER_HUEY"], fsync=True, timeout=BUSY_SECONDS)


@huey.task()
def detect(value: int) -> bool:
    """The task that is mapped."""
    return peer.above_threshold(value)


@huey.task()
def step(value: int) -> int:
    """One step of a chain."""
    return value + 1


@huey.task()
def witnessed(value: int, path: str) -> int:
    """The task that leaves marks."""
    return peer.marked(value, path)
