"""Maps over values that are very large, very deep, or both."""

from typing import Optional

from flytekit import map_task, task, workflow

MEBIBYTE = 1024 * 1024


@task
def make(mib: int) -> list[str]:
    """Gives a short text, a large one, and a short one."""
    return ["a", "b" * mib * MEBIBYTE, "cc"]


@task
def length(text: str) -> int:
    """Measures a text."""
    return len(text)


@task
def long_text(mib: int) -> str:
    """Gives a text of so many MiB."""
    return "t" * mib * MEBIBYTE


@task
def nested(depth: int) -> dict:
    """Gives an object within an object, so many deep."""
    found: dict = {}
    for _ in range(depth):
        found = {"inner": found}
    return found


@task
def depth_of(value: Optional[dict]) -> int:
    """Says how deep an object is."""
    depth = 0
    while value and (value := value.get("inner")) is not None:
        depth += 1
    return depth


@workflow
def large_item(mib: int) -> list[int]:
    """One of three items is large."""
    return map_task(length)(text=make(mib=mib))


@workflow
def large_results(sizes: list[int]) -> list[str]:
    """Each item gives as much as its size says."""
    return map_task(long_text)(mib=sizes)


@workflow
def deep_results(depths: list[int]) -> list[Optional[int]]:
    """Each item gives an object as deep as it says, and the next map looks how deep it came."""
    found = map_task(nested, min_success_ratio=0.5)(depth=depths)
    return map_task(depth_of, min_success_ratio=0.5)(value=found)
