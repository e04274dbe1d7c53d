"""Tasks whose values are not plain, and which end in every way that the SDK has words for."""

import asyncio
import os
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Dict, List, Optional

from flytekit import FlyteContextManager, current_context, task
from flytekit.core.base_task import IgnoreOutputs
from flytekit.core.context_manager import OutputMetadata
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.file import FlyteFile
from flytekit.utils.asyn import run_sync


@dataclass
class Point:
    x: int
    name: str = "point"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@task
def point(x: int) -> Point:
    return Point(x)


@task
def points(x: int) -> List[Point]:
    return [Point(x), Point(x + 1, "next")]


@task
def by_name(x: int) -> Dict[str, Point]:
    return {name: Point(x, name) for name in ("b", "a", "c")}


@task
def maybe(x: int) -> Optional[Point]:
    return Point(x) if x % 2 else None


@task
def colour(x: int) -> Colour:
    return Colour.BLUE if x % 2 else Colour.RED


@task
def file(x: int) -> FlyteFile:
    path = Path(f"{x}.txt")
    path.write_text(str(x))
    return FlyteFile(str(path))


@task
async def waits(x: int) -> Point:
    await asyncio.sleep(0.001)
    return Point(x, str(isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)))


@task
def goes_on(x: int) -> Point:
    """Tells whether what a coroutine left in the SDK's loop goes on while this function does something else."""
    done: List[str] = []

    async def leave() -> asyncio.Task:
        return asyncio.create_task(later())

    async def later() -> None:
        await asyncio.sleep(0.001)
        done.append("gone on")

    left = run_sync(leave)
    deadline = time.monotonic() + 20
    while not done and time.monotonic() < deadline:
        time.sleep(0.001)
    return Point(x, f"{done} {type(left).__name__}")


@task
def loops(x: int) -> List[str]:
    """Shows that the SDK's loop is nowhere in the way of user code's own."""

    async def nested() -> str:
        return run_sync(_name)

    async def _name() -> str:
        return "nested"

    return [asyncio.run(_name()), run_sync(nested), asyncio.run(nested()), str(Point(x))]


@task
def asks(x: int) -> Point:
    context = current_context()
    folder = Path(context.working_directory)
    assert not list(folder.iterdir()), "another attempt's files"
    (folder / "f").write_text("there")
    assert context.stats is not None and context.execution_date.tzinfo is not None
    return Point(x, f"{context.execution_id.name} {context.raw_output_prefix} {context.task_id.resource_type}")


@task
def keeps(x: int) -> Point:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    checkpoint.write(f"item {x}".encode())
    return Point(x, str(before))


@task
def noted(x: int) -> Point:
    """Notes something about its output, by the output's identity."""
    value = Point(x)
    tracker = FlyteContextManager.current_context().output_metadata_tracker
    assert not tracker.output_metadata, "another attempt's notes"
    tracker.add(value, OutputMetadata(artifact=None, dynamic_partitions=None, additional_items=[_Item()]))
    return value


class _Item:
    def serialize_to_string(self, ctx, name):
        return f"key of {name}", "value"


@task
def raises(x: int) -> Point:
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError(f"boom {x}") from error


@task
def recovers(x: int) -> Point:
    raise FlyteRecoverableException(f"again {x}")


@task
def ignored(x: int) -> Point:
    raise IgnoreOutputs(f"ignore {x}")


@task
def wrong(x: int) -> Point:
    return x  # type: ignore


@task
def wrong_file(x: int) -> FlyteFile:
    return FlyteFile(f"/not/there/{x}")


@task
async def raises_later(x: int) -> Point:
    await asyncio.sleep(0)
    raise ValueError(f"later {x}")


IMPORTED_BY = os.getpid()


@task
def imported_elsewhere(x: int) -> Point:
    """Tells whether the module was imported by another process."""
    return Point(x, str(os.getpid() != IMPORTED_BY))


CALLS: List[int] = []


@task
def counts(x: int) -> Point:
    """Tells the process and how often it was called in it."""
    CALLS.append(x)
    return Point(len(CALLS), str(os.getpid()))


@task
def slow(x: int) -> Point:
    time.sleep(0.3)
    CALLS.append(x)
    return Point(len(CALLS))
