"""Workflows that fail until a gate is open, and say each time that something of them runs."""

from flytekit import LaunchPlan, dynamic, map_task, task, workflow

from workflows.witness import is_open, note


@task
def done(x: int) -> int:
    """Succeeds at once."""
    note("done", x)
    return x + 1


@task
def opened(x: int) -> int:
    """Fails until the gate is open."""
    note("opened", x)
    if not is_open("gate"):
        raise ValueError("the gate is shut")
    return x * 10


@task
def even_or_opened(x: int) -> int:
    """Fails for odd numbers until the gate is open."""
    note("item", x)
    if x % 2 and not is_open("gate"):
        raise ValueError(f"{x} is odd")
    return x


@workflow
def steps(x: int) -> int:
    """One step, and one that fails at first."""
    return opened(x=done(x=x))


@workflow
def outer(x: int) -> int:
    """The same inside of another workflow, after a step."""
    return steps(x=done(x=x))


@workflow
def items(xs: list[int]) -> list[int]:
    """A map of which items fail at first."""
    return map_task(even_or_opened, concurrency=1)(x=xs)


@dynamic
def made(x: int) -> int:
    """Makes two nodes, of which the second fails at first."""
    note("made", x)
    return opened(x=done(x=x))


@workflow
def dynamics(x: int) -> int:
    """A dynamic task."""
    return made(x=x)


steps_plan = LaunchPlan.get_or_create(steps, name="workflows.recovering.steps_plan")


@workflow
def launched(x: int) -> int:
    """An execution of its own that fails at first."""
    return steps_plan(x=x)
