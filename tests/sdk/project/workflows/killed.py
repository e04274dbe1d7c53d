"""The run that is killed at many moments: a chain, a diamond and a map, each leaving a line where it ran."""

from flytekit import map_task, task, workflow

from workflows import witness


@task
def step(key: str, value: int) -> int:
    """Adds one."""
    witness.note("ran", key, value)
    return value + 1


@task
def total(key: str, left: int, right: int) -> int:
    """Adds both sides."""
    witness.note("ran", key, left + right)
    return left + right


@task
def count_up(key: str, count: int) -> list[int]:
    """Counts."""
    witness.note("ran", key, count)
    return list(range(count))


@task
def item(value: int) -> int:
    """Squares an item."""
    witness.note("item", value)
    return value * value


@workflow
def chain(start: int) -> int:
    """Ten steps, one after the other."""
    value = start
    for index in range(10):
        value = step(key=f"chain-{index}", value=value)
    return value


@workflow
def diamond(start: int) -> int:
    """One, then two, then one."""
    top = step(key="top", value=start)
    return total(key="bottom", left=step(key="left", value=top), right=step(key="right", value=top))


@workflow
def fan_out(count: int) -> list[int]:
    """A map over numbers that a task made."""
    return map_task(item)(value=count_up(key="numbers", count=count))
