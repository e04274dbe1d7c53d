"""Tasks whose module does something when it is imported."""

import os
import random

from flytekit import task

print("imported")
IMPORTED_BY = os.getpid()
LEFT = []


@task
def where(x: int) -> str:
    """Tells whether the module was imported here, what attempts before left, and a number by chance."""
    LEFT.append(x)
    return f"{IMPORTED_BY == os.getpid()} {os.getpid()} {len(LEFT)} {random.random()}"
