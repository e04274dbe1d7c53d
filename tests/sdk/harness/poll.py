"""Waits for a condition of another process, never for a time."""

import time
from typing import Callable, Optional, TypeVar

POLL_SECONDS = 0.03
T = TypeVar("T")


def until(what: str, condition: Callable[[], Optional[T]], seconds_max: float = 30) -> T:
    """Returns the first truthy answer of `condition`; fails, saying `what` did not come, after `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds_max} s; the last answer was {answer!r}")
        time.sleep(POLL_SECONDS)
