"""The user guide's named outputs: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-parameters"""

from typing import NamedTuple

import union

slope_value = NamedTuple("slope_value", [("slope", float)])
intercept_value = NamedTuple("intercept_value", [("intercept", float)])
slope_and_intercept_values = NamedTuple("slope_and_intercept_values", [("slope", float), ("intercept", float)])


@union.task
def slope(x: list[int], y: list[int]) -> slope_value:
    """Gives the slope of the line that fits best, by that name."""
    sum_xy = sum([x[i] * y[i] for i in range(len(x))])
    sum_x_squared = sum([x[i] ** 2 for i in range(len(x))])
    n = len(x)
    return (n * sum_xy - sum(x) * sum(y)) / (n * sum_x_squared - sum(x) ** 2)


@union.task
def intercept(x: list[int], y: list[int], slope: float) -> intercept_value:
    """Gives where that line begins, by that name."""
    mean_x = sum(x) / len(x)
    mean_y = sum(y) / len(y)
    return mean_y - slope * mean_x


@union.task
def flat() -> NamedTuple("slope_value", slope=float):  # type: ignore[valid-type]
    """Names its output where it says its type."""
    return 0.0


@union.workflow
def simple_wf_with_named_outputs(
    x: list[int] = [-3, 0, 3], y: list[int] = [7, 4, -2]
) -> slope_and_intercept_values:
    """Takes the outputs of both tasks by their names, and gives both by name."""
    slope_of_line = slope(x=x, y=y)
    intercept_of_line = intercept(x=x, y=y, slope=slope_of_line.slope)
    return slope_and_intercept_values(slope=slope_of_line.slope, intercept=intercept_of_line.intercept)


if __name__ == "__main__":
    print(f"Running simple_wf_with_named_outputs() {simple_wf_with_named_outputs()}")
