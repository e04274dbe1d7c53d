"""Tasks of values that are not plain, each twice: in an interpreter of its own, and in a process that it shares."""

import asyncio
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Optional

from flytekit import current_context, map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.file import FlyteFile
from flytekitplugins.skein import Skein

FRESH, SHARED = Skein(isolation="fresh"), Skein(isolation="reuse")


class Unit(Enum):
    """What a reading is in."""

    MM = "mm"
    CM = "cm"


@dataclass
class Reading:
    """A value that needs the SDK's dispatch."""

    value: int
    unit: Unit = Unit.MM


def _readings(x: int) -> tuple[list[Reading], Optional[Reading], Unit]:
    return [Reading(x), Reading(x + 1, Unit.CM)], None if x % 2 else Reading(x), Unit.CM


@task(task_config=FRESH)
def readings_fresh(x: int) -> tuple[list[Reading], Optional[Reading], Unit]:
    """Values of several kinds."""
    return _readings(x)


@task(task_config=SHARED)
def readings_shared(x: int) -> tuple[list[Reading], Optional[Reading], Unit]:
    """Values of several kinds."""
    return _readings(x)


def _raises(x: int) -> Reading:
    try:
        return Reading({}[x])
    except KeyError as error:
        raise ValueError(f"no reading {x}") from error


@task(task_config=FRESH)
def raises_fresh(x: int) -> Reading:
    """Raises, with a cause."""
    return _raises(x)


@task(task_config=SHARED)
def raises_shared(x: int) -> Reading:
    """Raises, with a cause."""
    return _raises(x)


def _recovers(x: int) -> Reading:
    raise FlyteRecoverableException(f"again {x}")


@task(task_config=FRESH)
def recovers_fresh(x: int) -> Reading:
    """Asks for another attempt."""
    return _recovers(x)


@task(task_config=SHARED)
def recovers_shared(x: int) -> Reading:
    """Asks for another attempt."""
    return _recovers(x)


def _waits(x: int) -> Reading:
    asyncio.run(asyncio.sleep(0.001))
    folder = Path(current_context().working_directory)
    assert not list(folder.iterdir()), "another attempt's files"
    (folder / "own").write_text(str(x))
    return Reading(x)


@task(task_config=FRESH)
def waits_fresh(x: int) -> Reading:
    """Runs a loop, and has a folder, of its own."""
    return _waits(x)


@task(task_config=SHARED)
def waits_shared(x: int) -> Reading:
    """Runs a loop, and has a folder, of its own."""
    return _waits(x)


@task(task_config=SHARED)
def as_file(reading: Reading) -> FlyteFile:
    """Writes a file."""
    path = Path(f"{reading.value}.txt")
    path.write_text(f"{reading.value} {reading.unit.value}")
    return FlyteFile(str(path))


@task(task_config=SHARED)
def as_text(file: FlyteFile) -> str:
    """Reads it."""
    return Path(file).read_text()


@task(task_config=Skein(isolation="fork"))
def doubled(reading: Reading) -> Reading:
    """A value from a value, in a child of its own."""
    return Reading(2 * reading.value, reading.unit)


@task(task_config=SHARED)
def read(value: int) -> Reading:
    """Reads."""
    return Reading(value)


@workflow
def files(values: list[int]) -> list[str]:
    """Items hand values and files to one another."""
    readings = map_task(doubled)(reading=map_task(read)(value=values))
    return map_task(as_text)(file=map_task(as_file)(reading=readings))
