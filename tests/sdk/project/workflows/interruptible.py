"""Tasks that may run on capacity that can be taken away, or must not."""

from flytekit import task, workflow
from flytekit.exceptions.user import FlyteRecoverableException


@task(interruptible=True, retries=2)
def fails_on_spot(x: int) -> int:
    """Succeeds for no number that there is."""
    if x * 0 == 0:
        raise FlyteRecoverableException(f"no {x}")
    return x


@task
def says_nothing(x: int) -> int:
    """Gives one more."""
    return x + 1


@task(interruptible=False)
def on_demand(x: int) -> int:
    """Gives one more."""
    return x + 1


@workflow(interruptible=True)
def on_spot(x: int) -> int:
    """One of each."""
    return on_demand(x=says_nothing(x=x))
