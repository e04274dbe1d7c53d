"""A chain: twenty tasks, each of which waits for the one before."""

import union

STEPS = 20


@union.task
def add_one(value: int) -> int:
    """Adds one."""
    return value + 1


@union.workflow
def chain(start: int = 0) -> int:
    """Adds one, twenty times over."""
    value = start
    for _ in range(STEPS):
        value = add_one(value=value)
    return value
