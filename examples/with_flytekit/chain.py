"""A chain: twenty tasks, each of which waits for the one before."""

from flytekit import task, workflow

STEPS = 20


@task
def add_one(value: int) -> int:
    """Adds one."""
    return value + 1


@workflow
def chain(start: int = 0) -> int:
    """Adds one, twenty times over."""
    value = start
    for _ in range(STEPS):
        value = add_one(value=value)
    return value
