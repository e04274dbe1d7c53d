"""One small task, to be executed alone and often."""

from flytekit import task
from flytekitplugins.skein import Skein


@task(task_config=Skein(isolation="reuse"))
def add_one(value: int) -> int:
    """Adds one."""
    return value + 1
