"""A conditional."""

from flytekit import conditional, task, workflow


@task
def low(x: int) -> str:
    """The one way."""
    return f"low {x}"


@task
def high(x: int) -> str:
    """The other."""
    return f"high {x}"


@workflow
def low_or_high(x: int) -> str:
    """Goes one of two ways."""
    return conditional("size").if_(x < 10).then(low(x=x)).else_().then(high(x=x))
