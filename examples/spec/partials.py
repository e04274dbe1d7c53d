"""The user guide's partial tasks: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-parameters"""

import functools

import union


@union.task
def slope(x: list[int], y: list[int]) -> float:
    """Gives the slope of the line that fits best."""
    sum_xy = sum([x[i] * y[i] for i in range(len(x))])
    sum_x_squared = sum([x[i] ** 2 for i in range(len(x))])
    n = len(x)
    return (n * sum_xy - sum(x) * sum(y)) / (n * sum_x_squared - sum(x) ** 2)


@union.workflow
def simple_wf_with_partial(x: list[int], y: list[int]) -> float:
    """Binds one of the inputs beforehand."""
    partial_task = functools.partial(slope, x=x)
    return partial_task(y=y)
