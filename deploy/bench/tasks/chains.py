"""Chains of one small task, each in another kind of process, and with a value that needs the SDK's dispatch."""

from dataclasses import dataclass

from flytekit import task, workflow


@dataclass
class Box:
    """A value that is not plain."""

    value: int


@task
def forked(value: int) -> int:
    """Adds one, in a child of its own."""
    return value + 1


@task
def plain_reused(value: int) -> int:
    """Adds one, in a process that it shares."""
    return value + 1


@task
def boxed_reused(box: Box) -> Box:
    """Adds one, in a process that it shares, through the SDK's dispatch."""
    return Box(box.value + 1)


@workflow
def chain_forked(value: int = 0) -> int:
    """Fifty steps."""
    for _ in range(50):
        value = forked(value=value)
    return value


@workflow
def chain_reused(value: int = 0) -> int:
    """Two hundred steps."""
    for _ in range(200):
        value = plain_reused(value=value)
    return value


@workflow
def chain_dispatched(box: Box = Box(0)) -> Box:
    """A hundred steps."""
    for _ in range(100):
        box = boxed_reused(box=box)
    return box
