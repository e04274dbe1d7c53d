"""Launch plans as nodes: executions of their own."""

import os

from flytekit import LaunchPlan, dynamic, reference_launch_plan, task, workflow

from nested.steps import booms, gate, inc, twice

twice_plan = LaunchPlan.get_or_create(twice, name="nested.plans.twice_plan")
booms_plan = LaunchPlan.get_or_create(booms, name="nested.plans.booms_plan")


@task
def variable(name: str) -> str:
    """A variable of its environment."""
    return os.environ.get(name, "")


@workflow
def asks(name: str) -> str:
    """In a workflow."""
    return variable(name=name)


asks_plan = LaunchPlan.get_or_create(asks, name="nested.plans.asks_plan")


@workflow
def launches(x: int) -> int:
    """A child."""
    return inc(x=twice_plan(x=x))


@workflow
def launches_failing(x: int) -> int:
    """A child that fails."""
    return inc(x=booms_plan(x=x))


@workflow
def launches_asking(name: str) -> str:
    """A child that looks at its environment."""
    return asks_plan(name=name)


@workflow
def waits(x: int, name: str) -> int:
    """The grandchild."""
    return gate(x=x, name=name)


waits_plan = LaunchPlan.get_or_create(waits, name="nested.plans.waits_plan")


@workflow
def launches_waiting(x: int, name: str) -> int:
    """The child."""
    return waits_plan(x=x, name=name)


launches_waiting_plan = LaunchPlan.get_or_create(launches_waiting, name="nested.plans.launches_waiting_plan")


@workflow
def grandparent(x: int, name: str) -> int:
    """A child that launches a child."""
    return launches_waiting_plan(x=x, name=name)


@reference_launch_plan("flytesnacks", "development", "nested.plans.recursive", "v1")
def itself(x: int) -> int:
    """The workflow below."""
    return x


@dynamic
def once_more(x: int) -> int:
    """Launches the workflow that it is in."""
    return itself(x=inc(x=x))


@workflow
def recursive(x: int) -> int:
    """Launches itself, without end."""
    return once_more(x=x)
