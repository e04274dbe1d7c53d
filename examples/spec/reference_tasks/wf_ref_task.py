"""The user guide's workflow of a task that is registered elsewhere: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/reference-tasks"""

import union
from flytekit import reference_task


@reference_task(
    project="flytesnacks",
    domain="development",
    name="task.add_two_numbers",
    version="v1",
)
def add_two_numbers(a: int, b: int) -> int:
    """Is known by its name and its interface alone."""
    ...


@union.workflow
def wf(a: int, b: int) -> int:
    """Has it add."""
    return add_two_numbers(a=a, b=b)
