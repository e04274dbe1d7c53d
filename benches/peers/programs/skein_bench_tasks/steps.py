"""What Skein runs beside its peers: the same functions, as tasks. Registered by flytekit's own command line."""

from __future__ import annotations

import functools
from typing import List

from flytekit import map_task, task, workflow
from flytekitplugins.skein import Skein

STEPS = 100
THRESHOLD = 11
MARK_BYTES = 4


@task
def detect(value: int) -> bool:
    """The task that is mapped."""
    return value > THRESHOLD


@task
def witnessed(value: int, path: str) -> int:
    """The task that leaves marks."""
    with open(path, "ab", buffering=0) as file:
        file.write(value.to_bytes(MARK_BYTES, "little"))
    return value


@task(task_config=Skein(isolation="reuse"))
def step(value: int) -> int:
    """One step of a chain, in a process that runs others after it, as every peer here does it."""
    return value + 1


@task
def step_forked(value: int) -> int:
    """One step of a chain, in a child of its own: the default."""
    return value + 1


@workflow
def ints(values: List[int]) -> List[bool]:
    """The map."""
    return map_task(detect)(value=values)


@workflow
def marks(values: List[int], path: str) -> List[int]:
    """The map that leaves marks."""
    return map_task(functools.partial(witnessed, path=path))(value=values)


@workflow
def chain(value: int = 0) -> int:
    """The chain; its length is part of the workflow."""
    for _ in range(STEPS):
        value = step(value=value)
    return value


@workflow
def chain_forked(value: int = 0) -> int:
    """The same with the default."""
    for _ in range(STEPS):
        value = step_forked(value=value)
    return value
