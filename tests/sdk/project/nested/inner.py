"""Sub-workflows, with failure policies and failure nodes of their own, and what is said of nodes inside."""

from dataclasses import dataclass
from datetime import timedelta

from flytekit import Resources, WorkflowFailurePolicy, task, workflow
from flytekit.core.workflow import ImperativeWorkflow

from nested.steps import add, boom, clean, gate, inc, note, twice


@workflow
def third(x: int) -> int:
    """Three deep."""
    return twice(x=inc(x=x))


@workflow
def second(x: int) -> int:
    """Two deep."""
    return add(x=third(x=x), y=inc(x=x))


@workflow
def first(x: int) -> int:
    """One deep."""
    return second(x=second(x=x))


@workflow(on_failure=clean)
def guarded(x: int) -> int:
    """Says what has failed, by itself."""
    return boom(x=inc(x=x))


@workflow(on_failure=clean)
def guarding(x: int) -> int:
    """Has a failure node, as what is inside has."""
    return guarded(x=x)


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def patient(x: int, name: str) -> int:
    """Lets what does not depend on a failure finish."""
    boom(x=x)
    return inc(x=gate(x=x, name=name))


@workflow
def impatient(x: int, name: str) -> int:
    """Fails at once itself; what is inside does not."""
    return patient(x=x, name=name)


@workflow
def passes(x: int, name: str) -> int:
    """One task at a gate."""
    return gate(x=x, name=name)


@workflow
def side_by_side(x: int) -> tuple[int, int]:
    """Two that do not depend on each other, one of them deeper."""
    return gate(x=x, name="a"), passes(x=x, name="b")


@dataclass
class Pair:
    """Two values."""

    left: int
    right: list[int]


@task
def records() -> tuple[Pair, list[int], dict[str, int], dict[str, list[Pair]]]:
    """Values with values inside."""
    pair = Pair(left=3, right=[4, 5])
    return pair, [6, 7], {"a": 8}, {"b": [pair]}


@workflow
def parts(x: int) -> int:
    """Takes values out of outputs by field, index and key, and into a sub-workflow."""
    pair, numbers, named, deep = records()
    left = add(x=pair.left, y=pair.right[1])
    right = add(x=numbers[0], y=named["a"])
    return add(x=add(x=left, y=right), y=twice(x=deep["b"][0].right[0]))


@task(retries=0)
def about_me() -> str:
    """What it runs with."""
    import os

    number = os.environ["FLYTE_ATTEMPT_NUMBER"]
    note("about", number)
    if number == "0":
        from flytekit.exceptions.user import FlyteRecoverableException

        raise FlyteRecoverableException("again")
    return number


@task
def lasts(x: int) -> int:
    """Takes longer than it may."""
    import time

    time.sleep(30)
    return x


@task
def salted(x: int) -> int:
    """Leaves a line when it runs."""
    note("salted", x)
    return x


@workflow
def overridden_inside() -> str:
    """A task that may be tried again only here."""
    return about_me().with_overrides(
        retries=2,
        requests=Resources(cpu="100m", mem="100Mi"),
        limits=Resources(cpu="200m", mem="600Mi"),
        interruptible=False,
        node_name="mine",
        name="about",
        container_image="registry.invalid/other:1",
    )


@workflow
def overridden() -> str:
    """The same, one deeper."""
    return overridden_inside()


@workflow
def times_out_inside(x: int) -> int:
    """A task with a limit that stands only here."""
    return lasts(x=x).with_overrides(timeout=timedelta(seconds=1))


@workflow
def times_out(x: int) -> int:
    """The same, one deeper."""
    return times_out_inside(x=x)


@workflow
def cached_inside(x: int) -> int:
    """A task that is kept only here."""
    return salted(x=x).with_overrides(cache=True, cache_version="1")


@workflow
def cached(x: int) -> int:
    """The same, one deeper."""
    return cached_inside(x=x)


imperative = ImperativeWorkflow(name="nested.inner.imperative")
imperative.add_workflow_input("x", int)
_first = imperative.add_entity(inc, x=imperative.inputs["x"])
_second = imperative.add_subwf(twice, x=_first.outputs["o0"])
imperative.add_workflow_output("o0", _second.outputs["o0"])
