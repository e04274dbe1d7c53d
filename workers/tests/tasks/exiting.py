"""A task whose module ends the process when it is imported."""

import sys

from flytekit import task


@task
def never(x: int) -> str:
    return "never"


sys.exit(5)
