"""Tasks that do not end well, each in its own way."""

import os
import signal
import time
from datetime import timedelta

from flytekit import task
from flytekit.exceptions.user import FlyteRecoverableException

from workflows import witness


@task
def boom(x: int) -> int:
    """Raises an exception of Python's own."""
    witness.note("boom", x)
    if x >= 0:
        raise ValueError(f"boom {x}")
    return x


@task(retries=2)
def boom_with_retries(x: int) -> int:
    """Raises an exception that no retry helps against."""
    witness.note("boom_with_retries", x)
    if x >= 0:
        raise ValueError(f"boom {x}")
    return x


@task(retries=2)
def recoverable(x: int) -> int:
    """Raises, each time, the exception that asks for another attempt."""
    witness.note("recoverable", x)
    if x >= 0:
        raise FlyteRecoverableException(f"again {x}")
    return x


@task
def ends_without_outputs(x: int) -> int:
    """Ends the process with 0 before there is anything to give."""
    witness.note("ends_without_outputs", x)
    if x >= 0:
        os._exit(0)
    return x


@task
def exits_with_three(x: int) -> int:
    """Ends the process with 3."""
    if x >= 0:
        os._exit(3)
    return x


@task
def kills_itself_once(x: int) -> int:
    """Is killed in its first attempt, as if by the system."""
    witness.note("kills_itself_once", os.environ["FLYTE_ATTEMPT_NUMBER"])
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@task(retries=1)
def waits_then_fails(name: str) -> int:
    """Waits at a gate, and then asks for another try, each time."""
    witness.note("waits", os.getpid())
    witness.pass_gate(name)
    raise FlyteRecoverableException("of its own accord")
    return 1


def _sleeps(x: int) -> int:
    witness.note("takes_too_long")
    time.sleep(60)
    return x


@task(timeout=timedelta(seconds=1))
def takes_too_long(x: int) -> int:
    """Is ended before it has slept enough."""
    return _sleeps(x)


@task(timeout=timedelta(seconds=1), retries=1)
def takes_too_long_twice(x: int) -> int:
    """Is ended twice before it has slept enough."""
    return _sleeps(x)


@task
def returns_another_type(x: int) -> int:
    """Gives a text where a number is declared."""
    return "not a number"  # type: ignore[return-value]
