"""Maps of one small function, by the kinds of its values."""

import functools
import time
from dataclasses import dataclass
from typing import List

from flytekit import map_task, task, workflow
from flytekit.types.file import FlyteFile

THRESHOLD = 11
SLOW_EVERY = 100
SLOW_SECONDS = 0.1


@dataclass
class Reading:
    """A value that is not plain."""

    value: int


@task
def detect_anomalies(data_point: int) -> bool:
    """Says whether a data point is above the threshold."""
    return data_point > THRESHOLD


@task(cache=True, cache_version="1")
def known_anomalies(data_point: int) -> bool:
    """Says the same, and what it said is kept."""
    return data_point > THRESHOLD


@task
def scale(x: int, factor: int) -> int:
    """Multiplies."""
    return x * factor


@task
def shout(text: str) -> str:
    """Gives a text of the same length."""
    return text.upper()


@task
def mean(values: List[float]) -> float:
    """Gives the mean."""
    return sum(values) / len(values)


@task
def look_reused(reading: Reading) -> int:
    """Takes a value that needs the SDK's dispatch."""
    return reading.value


@task
def look_forked(reading: Reading) -> int:
    """Takes a value that needs the SDK's dispatch, in a child of its own."""
    return reading.value


@task
def write_reused(reading: Reading) -> FlyteFile:
    """Gives a file."""
    with open(f"{reading.value}.txt", "w", encoding="utf-8") as file:
        file.write(str(reading.value))
    return FlyteFile(file.name)


@task
def sometimes_slow(x: int) -> int:
    """Takes a tenth of a second for one item in a hundred."""
    if x % SLOW_EVERY == 0:
        time.sleep(SLOW_SECONDS)
    return x


@task
def witnessed(x: int, path: str) -> int:
    """Notes that it ran, so that an item that runs twice is counted."""
    with open(path, "ab", buffering=0) as file:
        file.write(x.to_bytes(4, "little"))
    return x


@workflow
def cached(xs: List[int]) -> List[bool]:
    """Plain values whose results are kept."""
    return map_task(known_anomalies)(data_point=xs)


@workflow
def ints(xs: List[int]) -> List[bool]:
    """From int to bool."""
    return map_task(detect_anomalies)(data_point=xs)


@workflow
def partials(xs: List[int], factor: int) -> List[int]:
    """Two arguments, one of them the same for every item."""
    return map_task(functools.partial(scale, factor=factor))(x=xs)


@workflow
def texts(xs: List[str]) -> List[str]:
    """From str to str."""
    return map_task(shout)(text=xs)


@workflow
def vectors(xs: List[List[float]]) -> List[float]:
    """From a list of floats to a float."""
    return map_task(mean)(values=xs)


@workflow
def reused(xs: List[Reading]) -> List[int]:
    """From a dataclass to int, in a shared process."""
    return map_task(look_reused)(reading=xs)


@workflow
def forked(xs: List[Reading]) -> List[int]:
    """From a dataclass to int, each in a child of its own."""
    return map_task(look_forked)(reading=xs)


@workflow
def files(xs: List[Reading]) -> List[FlyteFile]:
    """From a dataclass to a file."""
    return map_task(write_reused)(reading=xs)


@workflow
def uneven(xs: List[int]) -> List[int]:
    """One item in a hundred takes a tenth of a second."""
    return map_task(sometimes_slow)(x=xs)


@workflow
def counted(xs: List[int], path: str) -> List[int]:
    """Every run of an item leaves a mark."""
    return map_task(functools.partial(witnessed, path=path))(x=xs)
