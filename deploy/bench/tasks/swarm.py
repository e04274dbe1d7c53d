"""One small task, to be executed alone and often."""

from flytekit import task


@task
def add_one_reused(value: int) -> int:
    """Adds one."""
    return value + 1
