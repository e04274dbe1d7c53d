"""The tasks that the workflows here are made of; each leaves a line where a test asks for lines."""

import os
from typing import Optional

from flytekit import task, workflow
from flytekit.types.error.error import FlyteError

from workflows import witness


def note(*words: object) -> None:
    """Leaves a line if the test has a file for it."""
    if "WITNESS" in os.environ:
        witness.note(*words)


@task
def inc(x: int) -> int:
    """One more."""
    note("inc", x)
    return x + 1


@task
def add(x: int, y: int) -> int:
    """The sum."""
    note("add", x, y)
    return x + y


@task
def boom(x: int) -> int:
    """Fails."""
    note("boom", x)
    raise ValueError(f"boom {x}")
    return x


@task
def gate(x: int, name: str) -> int:
    """Waits for the test."""
    witness.note("reached", name)
    witness.pass_gate(name)
    witness.note("passed", name)
    return x


@task
def clean(x: int, err: Optional[FlyteError] = None) -> int:
    """Says what has failed."""
    assert err is not None
    note("clean", x, err.failed_node_id)
    return 0


@workflow
def twice(x: int) -> int:
    """Two more."""
    return inc(x=inc(x=x))


@workflow
def booms(x: int) -> int:
    """Fails at its second node."""
    return boom(x=inc(x=x))
