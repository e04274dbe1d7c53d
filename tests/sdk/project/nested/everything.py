"""One execution with nodes of every kind inside each other, for a server that is killed in the middle of it."""

from datetime import timedelta

from flytekit import LaunchPlan, conditional, dynamic, map_task, sleep, task, wait_for_input, workflow

from workflows import witness


@task
def step(key: str, value: int) -> int:
    """Adds one, and leaves a line."""
    witness.note("ran", key, value)
    return value + 1


@task
def item(value: int) -> int:
    """Squares an item, and leaves a line."""
    witness.note("ran", f"item-{value}", value)
    return value * value


@task
def total(key: str, values: list[int]) -> int:
    """Adds all, and leaves a line."""
    witness.note("ran", key, len(values))
    return sum(values)


@workflow
def inside(first: str, second: str, value: int) -> int:
    """Two steps."""
    return step(key=second, value=step(key=first, value=value))


@workflow
def launched(value: int) -> int:
    """Two steps of another execution."""
    return step(key="launched-b", value=step(key="launched-a", value=value))


launched_plan = LaunchPlan.get_or_create(launched, name="nested.everything.launched_plan")


@dynamic
def made(count: int) -> int:
    """Nodes that are made while it runs."""
    witness.note("ran", "made", count)
    return total(key="made-total", values=[step(key=f"made-{index}", value=index) for index in range(count)])


@workflow
def everything(start: int) -> int:
    """A step, then one node of every kind, then what they gave."""
    first = step(key="first", value=start)
    below = inside(first="inside-a", second="inside-b", value=first)
    either = (
        conditional("either")
        .if_(first > 100)
        .then(step(key="not-taken", value=first))
        .else_()
        .then(inside(first="taken-a", second="taken-b", value=first))
    )
    child = launched_plan(value=first)
    dynamic_ = made(count=3)
    mapped = map_task(item)(value=[1, 2, 3, 4])
    rest = sleep(timedelta(seconds=1))
    first >> rest
    given = wait_for_input("number", timeout=timedelta(minutes=5), expected_type=int)
    last = step(key="given", value=given)
    rest >> last
    return total(
        key="total", values=[below, either, child, dynamic_, total(key="mapped", values=mapped), last]
    )
