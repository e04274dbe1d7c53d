"""Branches: of every comparison, in each other, and without a case that holds."""

from datetime import datetime, timedelta
from typing import Optional

from flytekit import conditional, task, workflow

from nested.steps import add, boom, inc


@task
def say(word: str) -> str:
    """The word."""
    return word


@task
def kinds() -> tuple[int, float, str, bool]:
    """One value of each kind, from a task."""
    return 3, 2.5, "b", True


@workflow
def of_numbers(x: int, y: float) -> str:
    """By an integer, then by a float."""
    return (
        conditional("numbers")
        .if_((x == 1) & (y >= 0.5))
        .then(say(word="one and a half"))
        .elif_((x != 1) & (y < 0.5))
        .then(say(word="another, and less"))
        .elif_((x > 5) | (y <= 0.25))
        .then(say(word="either"))
        .else_()
        .then(say(word="neither"))
    )


@workflow
def of_text(word: str) -> str:
    """By a text."""
    return (
        conditional("text")
        .if_(word == "a")
        .then(say(word="first"))
        .elif_(word > "m")
        .then(say(word="late"))
        .else_()
        .then(say(word="early"))
    )


@workflow
def of_truth(yes: bool) -> str:
    """By a boolean."""
    return conditional("truth").if_(yes.is_true()).then(say(word="yes")).else_().then(say(word="no"))


@workflow
def of_moments(at: datetime, other: datetime) -> str:
    """By a point in time."""
    return (
        conditional("moments")
        .if_(at < other)
        .then(say(word="before"))
        .elif_(at == other)
        .then(say(word="then"))
        .else_()
        .then(say(word="after"))
    )


@workflow
def of_spans(took: timedelta, limit: timedelta) -> str:
    """By a length of time."""
    return conditional("spans").if_(took <= limit).then(say(word="within")).else_().then(say(word="over"))


@workflow
def of_nothing(x: Optional[int] = None) -> str:
    """By whether there is a value."""
    return conditional("nothing").if_(x.is_none()).then(say(word="none")).else_().then(say(word="some"))


@workflow
def of_outputs() -> str:
    """By what a task gave."""
    number, part, word, yes = kinds()
    return (
        conditional("outputs")
        .if_((number == 3) & (part == 2.5) & (word == "b") & yes.is_true())
        .then(say(word="all"))
        .else_()
        .then(say(word="not all"))
    )


@workflow
def small(x: int) -> int:
    """The inner branch."""
    return conditional("small").if_(x > 0).then(inc(x=x)).else_().then(boom(x=x))


@workflow
def in_each_other(x: int) -> int:
    """A branch in a branch, and one in a sub-workflow in a branch."""
    return (
        conditional("outer")
        .if_(x > 10)
        .then(
            conditional("inner").if_(x > 100).then(add(x=x, y=x)).else_().then(inc(x=x))  # type: ignore[arg-type]
        )
        .elif_(x > 5)
        .then(small(x=x))
        .else_()
        .fail("x is too small")
    )


@workflow
def not_taken(x: int) -> int:
    """One case would fail."""
    return conditional("one").if_(x > 0).then(inc(x=x)).else_().then(boom(x=x))
