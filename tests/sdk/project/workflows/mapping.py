"""Map tasks."""

import functools
import os
import time
from typing import Optional

from flytekit import map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException

from workflows import witness

ITEM_SECONDS = 0.02


@task
def square(x: int) -> int:
    """Squares a number."""
    return x * x


@task
def timed_square(x: int) -> int:
    """Squares a number after a while, and leaves when it began and when it ended."""
    began = time.time_ns()
    time.sleep(ITEM_SECONDS)
    witness.note("item", x, began, time.time_ns())
    return x * x


@task
def timed_text(x: int) -> str:
    """Gives a text of 3000 bytes, more than a record holds, after a while."""
    time.sleep(ITEM_SECONDS)
    witness.note("item", x)
    return f"{x:03000d}"


@task
def fails_below(x: int, limit: int) -> int:
    """Fails for the numbers below the limit."""
    if x < limit:
        raise ValueError(f"{x} is below {limit}")
    return x


@task
def fails_below_or_waits(x: int, limit: int) -> int:
    """Fails below the limit; the item 9 waits for a gate that nobody opens."""
    if x < limit:
        raise ValueError(f"{x} is below {limit}")
    if x == 9:
        witness.pass_gate("never")
    return x


@task
def scaled(x: int, factors: list[int]) -> int:
    """Multiplies by all factors."""
    for factor in factors:
        x *= factor
    return x


@task
def added(x: int, y: int) -> int:
    """Adds two numbers."""
    return x + y


@task(retries=2)
def flaky(x: int) -> int:
    """Asks for another attempt the first time that it sees a 3."""
    attempt = os.environ["FLYTE_ATTEMPT_NUMBER"]
    witness.note("flaky", x)
    if x == 3 and not os.path.exists(os.path.join(os.environ["GATES"], "seen-3")):
        with open(os.path.join(os.environ["GATES"], "seen-3"), "w", encoding="utf-8") as file:
            file.write(attempt)
        raise FlyteRecoverableException("the first time")
    return x


@workflow
def squares(xs: list[int]) -> list[int]:
    """Squares every element."""
    return map_task(square)(x=xs)


@workflow
def ten_at_once(xs: list[int]) -> list[int]:
    """Squares every element, at most ten at once."""
    return map_task(timed_square, concurrency=10)(x=xs)


@workflow
def texts(xs: list[int]) -> list[str]:
    """Gives a long text for every element."""
    return map_task(timed_text)(x=xs)


@task
def noted_below(x: int, limit: int) -> int:
    """Leaves a line, and fails below a limit."""
    witness.note("ran", x)
    if x < limit:
        raise ValueError(f"{x} is below {limit}")
    return x


@workflow
def most_succeed(xs: list[int], limit: int) -> list[Optional[int]]:
    """Succeeds if at least eight in ten items do."""
    return map_task(functools.partial(fails_below, limit=limit), min_success_ratio=0.8)(x=xs)


@workflow
def most_succeed_or_wait(xs: list[int], limit: int) -> list[Optional[int]]:
    """Succeeds if at least eight in ten items do, and one item never ends."""
    return map_task(functools.partial(fails_below_or_waits, limit=limit), min_success_ratio=0.8)(x=xs)


@workflow
def all_run(xs: list[int], limit: int) -> list[int]:
    """Runs every item, whichever fail."""
    return map_task(functools.partial(noted_below, limit=limit), run_all_sub_nodes=True, concurrency=1)(x=xs)


@workflow
def partials(xs: list[int], factors: list[int]) -> list[int]:
    """Binds a whole list to every item."""
    return map_task(functools.partial(scaled, factors=factors))(x=xs)


@workflow
def pairs(xs: list[int], ys: list[int]) -> list[int]:
    """Maps over two lists."""
    return map_task(added)(x=xs, y=ys)


@workflow
def one_flaky(xs: list[int]) -> list[int]:
    """Maps over items of which one needs a second attempt."""
    return map_task(flaky)(x=xs)
