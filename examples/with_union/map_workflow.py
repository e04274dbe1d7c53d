"""A map task: one function applied to every element of a list, all of them one node of the workflow."""

import union

THRESHOLD = 11


@union.task
def detect_anomalies(data_point: int) -> bool:
    """Says whether a data point is above the threshold."""
    return data_point > THRESHOLD


@union.task
def make_readings(count: int) -> list[int]:
    """Makes `count` readings that rise from 0 to 12 and start again."""
    return [index % 13 for index in range(count)]


@union.workflow
def map_workflow(data: list[int] = [10, 12, 11, 10, 13, 12, 100, 11, 12, 10]) -> list[bool]:
    """Looks at each data point on its own; the answers come in the order of the data."""
    return union.map(detect_anomalies)(data_point=data)


@union.workflow
def map_many(count: int = 10_000) -> list[bool]:
    """Does the same over as many readings as asked for."""
    return union.map(detect_anomalies)(data_point=make_readings(count=count))
