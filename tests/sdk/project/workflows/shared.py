"""Maps whose items say where they run."""

import functools
import os
import time

from flytekit import map_task, task, workflow

from workflows import witness


@task
def at_gate(value: int, gate: str) -> int:
    """Leaves a line with the folder it runs in, waits for a gate, and leaves another line."""
    witness.note("began", value, os.getcwd())
    witness.pass_gate(gate)
    witness.note("ended", value)
    return value * value


@task
def timed(value: int, millis: int) -> int:
    """Takes a while, and leaves a line."""
    witness.note("began", value, os.getcwd())
    time.sleep(millis / 1000)
    return value * value


@workflow
def gated(values: list[int], gate: str) -> list[int]:
    """Squares every element, behind a gate."""
    return map_task(functools.partial(at_gate, gate=gate))(value=values)


@workflow
def lasting(values: list[int], millis: int) -> list[int]:
    """Squares every element, each in its time."""
    return map_task(functools.partial(timed, millis=millis))(value=values)
