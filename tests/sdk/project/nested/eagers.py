"""Eager workflows: tasks that start executions as they go."""

import asyncio
import os
import signal

from flytekit import eager, task

from nested.steps import inc, note, twice
from workflows import witness


@task
async def doubled(x: int) -> int:
    """Twice as much."""
    note("doubled", x)
    return 2 * x


def find_witness(folder: str) -> None:
    """Children have no variables of their parent's: what they need comes with their inputs."""
    os.environ.update({"WITNESS": f"{folder}/witness.txt", "GATES": f"{folder}/gates"})


@task
async def at_gate(x: int, name: str, folder: str) -> int:
    """Waits for the test."""
    find_witness(folder)
    witness.note("reached", name)
    witness.pass_gate(name)
    witness.note("passed", name)
    return x


@eager
async def simple(x: int) -> int:
    """A task, then another, then a workflow."""
    first = inc(x=x)
    second = await doubled(x=first)
    return twice(x=second)  # type: ignore[no-any-return]


@eager
async def beside(n: int) -> list[int]:
    """As many at once as it is told."""
    return list(await asyncio.gather(*(doubled(x=index) for index in range(n))))


@eager
async def outer(x: int) -> int:
    """An eager workflow in another."""
    return await simple(x=x)  # type: ignore[no-any-return]


@eager
async def waiting(x: int, name: str, folder: str) -> int:
    """Says where it runs, and waits for a child that waits for the test."""
    find_witness(folder)
    witness.note("eager", os.getpid(), os.environ["FLYTE_ATTEMPT_NUMBER"])
    return await at_gate(x=x, name=name, folder=folder)


@eager(retries=1)
async def dies_once(x: int, name: str, folder: str) -> int:
    """Dies with its first try once its child has begun; the second takes that child on."""
    find_witness(folder)
    number = os.environ["FLYTE_ATTEMPT_NUMBER"]
    witness.note("eager", os.getpid(), number)
    child = asyncio.ensure_future(at_gate(x=x, name=name, folder=folder))
    if number == "0":
        while not os.path.exists(os.path.join(os.environ["GATES"], "die")):
            await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)
    return await child
