"""The workflows whose answers by the Flyte 1 backend are known: single tasks, maps, the cache, and control flow.

Their names and interfaces are those of the workflows that were observed, so that names which the SDK makes of them agree.
"""

import functools
import os
import signal
import sys
import time
from datetime import timedelta
from typing import NamedTuple, Optional

from flytekit import (
    LaunchPlan,
    WorkflowFailurePolicy,
    approve,
    conditional,
    dynamic,
    map_task,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.error.error import FlyteError

LONGER_SECONDS = 20
"""What a task sleeps that has two seconds."""
WHILE_SECONDS = 15
"""What a task sleeps beside which another fails."""


@task
def inc(x: int) -> int:
    """Gives one more."""
    return x + 1


@task
def boom(x: int) -> int:
    """Raises an exception of Python's own; of those that `dyn_bad` makes, the others do so later than the first."""
    if x and os.environ["FLYTE_INTERNAL_EXECUTION_WORKFLOW"].endswith("w_dyn_bad"):
        time.sleep(WHILE_SECONDS)
    raise ValueError(f"boom {x}")
    return x


@task(retries=2)
def boom_r2(x: int) -> int:
    """Raises one that is not tried again."""
    raise ValueError(f"boom {x}")
    return x


@task(retries=2)
def recov(x: int) -> int:
    """Asks for another try, each time."""
    raise FlyteRecoverableException(f"again {x}")
    return x


@task(retries=2)
def recov3(x: int) -> int:
    """Succeeds with its last try."""
    if int(os.environ["FLYTE_ATTEMPT_NUMBER"]) < 2:
        raise FlyteRecoverableException("not yet")
    return x


@task(timeout=timedelta(seconds=2))
def slow(x: int) -> int:
    """Takes longer than it has."""
    time.sleep(LONGER_SECONDS)
    return x


@task(timeout=timedelta(seconds=2), retries=1)
def slow_r1(x: int) -> int:
    """Takes longer than it has, twice."""
    time.sleep(LONGER_SECONDS)
    return x


@task
def exit3(x: int) -> int:
    """Ends its interpreter."""
    sys.exit(3)
    return x


@task
def osexit3(x: int) -> int:
    """Ends its process."""
    os._exit(3)
    return x


@task(retries=1)
def osexit_r1(x: int) -> int:
    """Ends its process, twice."""
    os._exit(3)
    return x


@task
def sigkill(x: int) -> int:
    """Is killed, as if from outside."""
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


@task
def odd_fails(x: int) -> int:
    """Fails for odd numbers."""
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


@task(retries=1)
def rec_first(x: int) -> int:
    """Asks for another try of the number 1."""
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0" and x == 1:
        raise FlyteRecoverableException("first")
    return x


@task(cache=True, cache_version="1")
def cached(x: int, salt: str) -> int:
    """Gives one more, and is kept."""
    return x + 1


@task(cache=True, cache_version="1", cache_serialize=True)
def cached_ser(x: int, salt: str) -> int:
    """Gives one more, is kept, and runs once at a time."""
    return x + 1


@task
def none() -> None:
    """Gives nothing."""


P = NamedTuple("P", [("a", int), ("b", str)])


@task
def pair(x: int) -> P:
    """Gives two values with names."""
    return P(x, "s")


@workflow
def w_ok(x: int = 1) -> int:
    return inc(x=inc(x=x))


@workflow
def w_boom(x: int = 1) -> int:
    return inc(x=boom(x=x))


@workflow
def w_boom_r2(x: int = 1) -> int:
    return boom_r2(x=x)


@workflow
def w_recov(x: int = 1) -> int:
    return recov(x=x)


@workflow
def w_recov3(x: int = 1) -> int:
    return recov3(x=x)


@workflow
def w_timeout(x: int = 1) -> int:
    return slow(x=x)


@workflow
def w_timeout_r1(x: int = 1) -> int:
    return slow_r1(x=x)


@workflow
def w_exit3(x: int = 1) -> int:
    return exit3(x=x)


@workflow
def w_osexit3(x: int = 1) -> int:
    return osexit3(x=x)


@workflow
def w_osexit_r1(x: int = 1) -> int:
    return osexit_r1(x=x)


@workflow
def w_sigkill(x: int = 1) -> int:
    return sigkill(x=x)


@workflow
def w_map_ok(xs: list[int]) -> list[int]:
    return map_task(inc)(x=xs)


@workflow
def w_map_ratio(xs: list[int]) -> list[Optional[int]]:
    return map_task(odd_fails, min_success_ratio=0.5)(x=xs)


@workflow
def w_map_ratio_fail(xs: list[int]) -> list[Optional[int]]:
    return map_task(odd_fails, min_success_ratio=0.75)(x=xs)


@workflow
def w_map_fail(xs: list[int]) -> list[int]:
    return map_task(odd_fails)(x=xs)


@workflow
def w_map_retry(xs: list[int]) -> list[int]:
    return map_task(rec_first)(x=xs)


@workflow
def w_map_conc(xs: list[int]) -> list[int]:
    return map_task(inc, concurrency=1)(x=xs)


@workflow
def w_map_cached(xs: list[int], salt: str) -> list[int]:
    return map_task(functools.partial(cached, salt=salt))(x=xs)


@workflow
def w_cache(x: int, salt: str) -> int:
    return inc(x=cached(x=x, salt=salt))


@workflow
def w_cache_ser(x: int, salt: str) -> int:
    return cached_ser(x=x, salt=salt)


@workflow
def w_none(x: int = 1):
    none()


@workflow
def w_pair(x: int = 1) -> tuple[int, str]:
    given = pair(x=x)
    return given.a, given.b


@task
def slowt(x: int) -> int:
    """Takes a while."""
    time.sleep(WHILE_SECONDS)
    return x


@task
def clean(x: int, err: Optional[FlyteError] = None) -> int:
    """Runs when something has failed."""
    return 0


@task
def clean_boom(x: int, err: Optional[FlyteError] = None) -> int:
    """Fails when something has failed."""
    raise ValueError("cleanup failed too")
    return x


@task
def flagfail(x: int, ok: bool) -> int:
    """Fails if it is told to."""
    if not ok:
        raise ValueError("not ok")
    return x


@workflow
def w_cond(x: int) -> int:
    y = inc(x=x)
    return (
        conditional("c1").if_(y > 10).then(inc(x=y)).elif_(y > 5).then(w_ok(x=y)).else_().fail("too small")
    )


@workflow
def w_cond2(x: int) -> int:
    return conditional("c2").if_(x > 10).then(inc(x=x)).else_().then(boom(x=x))


@dynamic
def dyn(n: int) -> list[int]:
    """Makes as many nodes as it is told to."""
    return [inc(x=index) for index in range(n)]


@dynamic
def dyn_bad(n: int) -> list[int]:
    """Makes nodes that fail."""
    return [boom(x=index) for index in range(n)]


@dynamic
def dyn_raise(n: int) -> int:
    """Fails before it has made any node."""
    raise ValueError("dyn itself")
    return n


@workflow
def w_dyn(n: int = 2) -> list[int]:
    return dyn(n=n)


@workflow
def w_dyn_bad(n: int = 2) -> list[int]:
    return dyn_bad(n=n)


@workflow
def w_dyn_raise(n: int = 2) -> int:
    return dyn_raise(n=n)


@workflow
def w_dyn_empty(n: int = 0) -> list[int]:
    return dyn(n=n)


@workflow(on_failure=clean)
def w_onfail(x: int = 1) -> int:
    return boom(x=x)


@workflow(on_failure=clean_boom)
def w_onfail_fails(x: int = 1) -> int:
    return boom(x=x)


@workflow(on_failure=clean)
def w_onfail_ok(x: int = 1) -> int:
    return inc(x=x)


@workflow
def w_failfast(x: int = 1) -> int:
    boom(x=x)
    return inc(x=slowt(x=x))


@workflow(failure_policy=WorkflowFailurePolicy.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE)
def w_failafter(x: int = 1) -> int:
    boom(x=x)
    return inc(x=slowt(x=x))


@workflow
def w_sub(x: int = 1) -> int:
    return w_ok(x=inc(x=x))


w_ok_lp = LaunchPlan.get_or_create(w_ok, name=f"{__name__}.w_ok_lp", default_inputs={"x": 7})
w_boom_lp = LaunchPlan.get_or_create(w_boom, name=f"{__name__}.w_boom_lp")
fixed_lp = LaunchPlan.get_or_create(w_ok, name=f"{__name__}.fixed_lp", fixed_inputs={"x": 3})


@workflow
def w_childlp(x: int = 1) -> int:
    return w_ok_lp(x=x)


@workflow
def w_childlp_bad(x: int = 1) -> int:
    return w_boom_lp(x=x)


@workflow
def w_slow(x: int = 1) -> int:
    return inc(x=slowt(x=x))


@workflow
def w_recover(x: int, ok: bool) -> int:
    return flagfail(x=inc(x=x), ok=ok)


@workflow
def w_signal(x: int = 1) -> int:
    return inc(x=wait_for_input("sig", timeout=timedelta(seconds=120), expected_type=int))


@workflow
def w_signal_to(x: int = 1) -> int:
    return inc(x=wait_for_input("sig", timeout=timedelta(seconds=3), expected_type=int))


@workflow
def w_approve(x: int = 1) -> int:
    return inc(x=approve(inc(x=x), "ok?", timeout=timedelta(seconds=120)))


@workflow
def w_sleep(x: int = 1) -> int:
    slept = sleep(timedelta(seconds=3))
    y = inc(x=x)
    slept >> y
    return y
