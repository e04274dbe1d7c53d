"""Tasks whose module tells that it is imported, and waits for a gate when there is one."""

import os
import time

from flytekit import task

_WITNESS = os.environ["WITNESS"]
print("imported")
with open(f"{_WITNESS}.imports", "a") as imports:
    imports.write(" ".join([str(os.getpid()), *filter(None, [os.environ.get("MARK")])]) + "\n")
while os.path.exists(f"{_WITNESS}.gate"):
    time.sleep(0.01)


@task
def process(x: int) -> str:
    return str(os.getpid())
