"""The user guide's task that others refer to: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/reference-tasks"""

import union


@union.task
def add_two_numbers(a: int, b: int) -> int:
    """Adds."""
    return a + b
