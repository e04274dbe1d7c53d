"""Gates: sleeping, waiting for input, and approval."""

from datetime import datetime, timedelta

from flytekit import approve, sleep, wait_for_input, workflow

from nested.steps import gate, inc


@workflow
def input_of_number(x: int) -> int:
    """Waits for a number."""
    return inc(x=wait_for_input("number", timeout=timedelta(minutes=5), expected_type=int))


@workflow
def input_of_all() -> tuple[int, float, str, bool, datetime, timedelta, list[int], dict[str, float]]:
    """Waits for one value of each kind."""
    limit = timedelta(minutes=5)
    return (
        wait_for_input("integer", timeout=limit, expected_type=int),
        wait_for_input("float", timeout=limit, expected_type=float),
        wait_for_input("string", timeout=limit, expected_type=str),
        wait_for_input("boolean", timeout=limit, expected_type=bool),
        wait_for_input("datetime", timeout=limit, expected_type=datetime),
        wait_for_input("duration", timeout=limit, expected_type=timedelta),
        wait_for_input("list", timeout=limit, expected_type=list[int]),
        wait_for_input("map", timeout=limit, expected_type=dict[str, float]),
    )


@workflow
def input_after_gate(x: int, name: str) -> int:
    """Waits for a number once a task has ended."""
    passed = gate(x=x, name=name)
    number = wait_for_input("number", timeout=timedelta(minutes=5), expected_type=int)
    passed >> number
    return inc(x=number)


@workflow
def approval(x: int) -> int:
    """Waits for a yes."""
    return inc(x=approve(inc(x=x), "sure", timeout=timedelta(minutes=5)))


@workflow
def sleeps(x: int) -> int:
    """Lets five seconds pass."""
    rest = sleep(timedelta(seconds=5))
    first, last = inc(x=x), inc(x=x)
    first >> rest
    rest >> last
    return last


@workflow
def expires(x: int) -> int:
    """Waits for a number that nobody gives."""
    return inc(x=wait_for_input("number", timeout=timedelta(seconds=2), expected_type=int))
