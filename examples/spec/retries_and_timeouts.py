"""The user guide's retries, time limits and interruptible tasks: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-hardware-environment/retries-and-timeouts
and https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-hardware-environment/interruptible-instances

Chance decides there whether a try fails; here it is drawn from the number of the try, so that one fails and one does not.
"""

import os
from datetime import timedelta
from random import Random
from typing import List

import union
from flytekit import task
from flytekit.exceptions.user import FlyteRecoverableException

SEED = 4
"""With it the first try draws less than a half, and the second more."""


def drawn() -> float:
    """What chance says of this try."""
    return Random(SEED + int(os.environ.get("FLYTE_ATTEMPT_NUMBER", "0"))).random()


@task(retries=3)
def compute_mean(data: List[float]) -> float:
    """Fails now and then, in a way that another try helps against."""
    if drawn() < 0.5:
        raise FlyteRecoverableException("Something bad happened 🔥")
    return sum(data) / len(data)


@task(timeout=timedelta(hours=1))
def compute_mean_within_an_hour(data: List[float]) -> float:
    """Is ended when it takes longer than an hour."""
    return sum(data) / len(data)


@union.task(interruptible=True, retries=3)
def compute_mean_on_spare_capacity(data: List[float]) -> float:
    """Runs three times on capacity that may be taken away before it runs on demand."""
    raise FlyteRecoverableException(f"try {os.environ['FLYTE_ATTEMPT_NUMBER']}")
    return sum(data) / len(data)
