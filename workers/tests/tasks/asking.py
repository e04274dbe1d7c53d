"""A task whose module asks whose attempt it is when it is imported."""

import os

from flytekit import task

ATTEMPT = os.environ["FLYTE_ATTEMPT_NUMBER"]


@task
def told(x: int) -> str:
    return f"{ATTEMPT} {os.environ['FLYTE_ATTEMPT_NUMBER']}"
