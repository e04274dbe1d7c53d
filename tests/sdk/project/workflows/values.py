"""Tasks and workflows about values: what goes in comes out."""

from dataclasses import dataclass
from typing import Optional

from flytekit import LaunchPlan, task, workflow
from flytekit.types.file import FlyteFile

from workflows import witness


@dataclass
class Measured:
    """A dataclass that one task gives."""

    x: int
    y: list[int]


@dataclass
class Point:
    """A dataclass of another name and of the same fields that another task takes."""

    x: int
    y: list[int]


@task
def double(a: int) -> int:
    """Doubles a number."""
    return 2 * a


@task
def count_words(words: list[str]) -> int:
    """Counts the elements of a list."""
    return len(words)


@task
def or_default(value: Optional[int]) -> int:
    """Takes a number that may be absent."""
    return -1 if value is None else value


@task
def measure(x: int) -> Measured:
    """Gives a dataclass."""
    return Measured(x=x, y=[x + 1, x + 2])


@task
def read_point(point: Point) -> int:
    """Takes a dataclass of another class."""
    return point.x + sum(point.y)


@task
def text_of(size: int) -> str:
    """Gives a text of `size` characters."""
    return "s" * size


@task
def length_of(text: str) -> int:
    """Takes a text."""
    return len(text)


@task
def seen(a: int) -> int:
    """Doubles a number, and leaves a line."""
    witness.note("seen", a)
    return 2 * a


@task
def give_file(text: str) -> FlyteFile:
    """Gives a file, which is uploaded to the raw output folder."""
    with open("given.txt", "w", encoding="utf-8") as file:
        file.write(text)
    return FlyteFile("given.txt")


@workflow
def doubled(a: int = 1) -> int:
    """One task with one input that has a default."""
    return double(a=a)


@workflow
def required(a: int) -> int:
    """One task with one input that has no default."""
    return double(a=a)


@workflow
def doubled_twice(a: int) -> int:
    """Two tasks, one after the other."""
    return double(a=double(a=a))


@workflow
def empty_list() -> int:
    """Binds an empty list."""
    return count_words(words=[])


@workflow
def optional_from_int(a: int = 4) -> int:
    """Binds a number to an optional."""
    return or_default(value=double(a=a))


@workflow
def between_dataclasses(x: int = 1) -> int:
    """Binds a dataclass to an input of another dataclass."""
    return read_point(point=measure(x=x))


@workflow
def attribute_access(x: int = 1) -> int:
    """Binds one element of a list in a dataclass."""
    return double(a=measure(x=x).y[0])


@workflow
def large_text(size: int) -> tuple[str, int]:
    """Passes a text from one task to the next, and gives it back."""
    text = text_of(size=size)
    return text, length_of(text=text)


fixed_plan = LaunchPlan.create("values.fixed_plan", required, fixed_inputs={"a": 3})
