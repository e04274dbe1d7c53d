"""The user guide's map tasks: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/map-tasks"""

import typing

import union

THRESHOLD = 11


@union.task
def detect_anomalies(data_point: int) -> bool:
    """Says whether a value is above the threshold."""
    return data_point > THRESHOLD


@union.workflow
def map_workflow(data: list[int] = [10, 12, 11, 10, 13, 12, 100, 11, 12, 10]) -> list[bool]:
    """Looks at every value."""
    return union.map(detect_anomalies)(data_point=data)


@union.workflow
def map_workflow_with_resource_overrides(
    data: list[int] = [10, 12, 11, 10, 13, 12, 100, 11, 12, 10],
) -> list[bool]:
    """Asks for more memory for each."""
    return union.map(detect_anomalies)(data_point=data).with_overrides(requests=union.Resources(mem="2Gi"))


@union.workflow
def map_workflow_with_additional_params(
    data: list[int] = [10, 12, 11, 10, 13, 12, 100, 11, 12, 10],
) -> list[typing.Optional[bool]]:
    """Looks at one after the other, and is content with three in four."""
    return union.map(detect_anomalies, concurrency=1, min_success_ratio=0.75)(data_point=data)
