"""A map that a test holds where it wants, and looks at meanwhile."""

import os
from typing import Optional

from flytekit import map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekitplugins.skein import Skein

from workflows import witness


@task(retries=2, task_config=Skein(chunk_items_max=1))
def held(x: int) -> int:
    """Waits for the gate of its item; 3 and 4 need a second try, and 5 fails for good."""
    witness.pass_gate(f"item-{x}")
    if x == 5:
        raise ValueError("five is right out")
    first = os.path.join(os.environ["GATES"], f"seen-{x}")
    if x in (3, 4) and not os.path.exists(first):
        with open(first, "w", encoding="utf-8") as file:
            file.write("once")
        raise FlyteRecoverableException("the first time")
    return x


@task
def total(xs: list[Optional[int]]) -> int:
    """Waits for its gate, and adds what is there."""
    witness.pass_gate("total")
    return sum(x for x in xs if x is not None)


@workflow
def held_map(xs: list[int]) -> int:
    """A map of which one item in five may fail, and a task after it."""
    return total(xs=map_task(held, min_success_ratio=0.8)(x=xs))
