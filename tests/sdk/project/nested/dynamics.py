"""Dynamic tasks: workflows that are made while they run."""

import os
from typing import Union

from flytekit import LaunchPlan, conditional, dynamic, map_task, workflow
from flytekit.core.promise import Promise

from nested.steps import add, boom, inc, note, twice


@dynamic
def many(n: int) -> list[int]:
    """As many nodes as it is told."""
    note("made by", os.getpid())
    return [inc(x=index) for index in range(n)]


@workflow
def makes_many(n: int) -> list[int]:
    """In a workflow."""
    return many(n=n)


@workflow
def makes_twice(n: int, m: int) -> tuple[list[int], list[int]]:
    """Two of them, of other sizes."""
    return many(n=n), many(n=m)


@dynamic
def constant(n: int) -> int:
    """Makes no node."""
    return n * 2


@workflow
def makes_none(n: int) -> int:
    """In a workflow."""
    return constant(n=n)


@dynamic
def down(n: int) -> int:
    """Makes itself, until there is nothing left."""
    if n == 0:
        return 0
    return inc(x=down(n=n - 1))


@workflow
def goes_down(n: int) -> int:
    """In a workflow."""
    return down(n=n)


twice_plan = LaunchPlan.get_or_create(twice, name="nested.dynamics.twice_plan")


@dynamic
def of_all_kinds(n: int) -> int:
    """A launch plan, a sub-workflow, a branch, a map and a task."""
    launched = twice_plan(x=n)
    inside = twice(x=n)
    first = inc(x=n)
    either = conditional("either").if_(first > 5).then(inc(x=first)).else_().then(twice(x=first))
    mapped = map_task(inc)(x=[n, n + 1])
    return add(x=add(x=launched, y=inside), y=add(x=either, y=mapped[1]))


@workflow
def makes_all_kinds(n: int) -> int:
    """In a workflow."""
    return of_all_kinds(n=n)


@dynamic
def other_interface(n: int) -> int:
    """Gives a text where it says a number."""
    value: Union[int, Promise] = inc(x=n)
    assert isinstance(value, Promise)
    value._type = None
    return say_text(x=value)  # type: ignore[no-any-return]


def say_text(x: object) -> object:
    """The output of a task that gives a text."""
    from nested.conditions import say

    return say(word="text")


@workflow
def makes_other(n: int) -> int:
    """In a workflow."""
    return other_interface(n=n)


@dynamic(cache=True, cache_version="1")
def kept(n: int, salt: str) -> int:
    """Is kept with what it makes."""
    note("kept", n)
    return twice(x=n)


@workflow
def makes_kept(n: int, salt: str) -> int:
    """In a workflow."""
    return inc(x=kept(n=n, salt=salt))


@dynamic
def fails_inside(n: int) -> int:
    """Makes a node that fails."""
    return boom(x=n)


@workflow
def makes_failing(n: int) -> int:
    """In a workflow."""
    return fails_inside(n=n)
