"""A task whose module is never imported to its end."""

import time

from flytekit import task

time.sleep(600)


@task
def never(x: int) -> str:
    return "never"
