"""What the Flyte 1 backend was seen to answer about tasks, maps and the cache, and what Skein answers, field by field.

Each case is a workflow of `observed/flows.py` and what the original said of its run (v1.16.8 with flytekit 1.16.31), from which
`harness/observed.py` makes every field of GetExecution, GetExecutionData, ListNodeExecutions, ListTaskExecutions and of the data
of each node and try. Skein differs where `OURS` says so, and why, and nowhere else.
"""

from dataclasses import replace
from typing import Any

import pytest

from harness.answers import fields
from harness.client import Client, create_request, identifier, integers, unique
from harness.differences import ABSENT, TABLE
from harness.observed import MODULE, Case, Error, Item, Map, Task, died, exhausted, raised
from harness.server import Skein
from harness.settings import VERSION

SALT = unique("salt")

BOOM = raised("ValueError: boom 1")
AGAIN = raised("FlyteRecoverableException: USER:Recoverable: error=again 1", "USER:Recoverable")
NOT_YET = raised("FlyteRecoverableException: USER:Recoverable: error=not yet", "USER:Recoverable")
TIMEOUT = Error("TimeoutExpired", "task execution timeout [2s] expired")
ODD = Error("USER:RuntimeError", f"[1]: {raised('ValueError: odd 1').message}\n")
TWICE = replace(exhausted(2, TIMEOUT), code=TIMEOUT.code)
NAMELESS = replace(ODD, code="", kind=None)
X = {"x": 1}
KEPT = {"x": 1, "salt": SALT}


def killed(status: int, kind: str) -> Case:
    """A task that is killed with each of four tries, which cost it nothing."""
    tries = [died(attempt, status, "SYSTEM") for attempt in range(4)]
    return failing("w_sigkill", "sigkill", exhausted(3, tries[3], kind), *tries)


def ran(name: str, x: int, o0: int) -> Task:
    """A task that took a number and gave one."""
    return Task(name, {"x": x}, {"o0": o0})


def failing(workflow: str, task: str, error: Error, *tries: Error) -> Case:
    """A workflow of one task that fails."""
    return Case(workflow, X, {"n0": Task(task, X, error=error, tries=tries)}, error=error)


def single(workflow: str, task: Task) -> Case:
    """A workflow of one task that succeeds and takes and gives what the workflow does."""
    return Case(workflow, task.inputs, {"n0": task}, task.outputs)


def mapped(workflow: str, task: str, xs: list[int], o0: list[Any], *items: Item) -> Case:
    """A workflow of one map that succeeds."""
    of_map = Map(f"map_{task}", {"x": xs}, {"o0": o0}, items=items)
    return Case(workflow, {"xs": xs}, {"n0": of_map}, {"o0": o0})


def map_fails(workflow: str, error: Error, *items: Item) -> Case:
    """A workflow of one map that fails by its item 1."""
    xs = list(range(len(items)))
    of_map = Map("map_odd_fails", {"x": xs}, error=error, items=items)
    return Case(workflow, {"xs": xs}, {"n0": of_map}, error=error)


def cached(status: str, source: str = "<this>", **options: Any) -> Case:
    """A task that is kept, and one that is not."""
    kept = Task("cached", KEPT, {"o0": 2}, cache=status, source=source)
    return Case("w_cache", KEPT, {"n0": kept, "n1": ran("inc", 2, 3)}, {"o0": 3}, options=options)


def map_cached(xs: list[int], *hits: str) -> Case:
    """A map whose items are kept, one by one."""
    status = [*hits, *["CACHE_POPULATED"] * len(xs)]
    items = tuple(Item(index, cache=status[index]) for index in range(len(xs)))
    o0 = {"o0": [x + 1 for x in xs]}
    of_map = Map("map_cached", {"x": xs, "salt": SALT}, o0, items=items)
    return Case("w_map_cached", {"xs": xs, "salt": SALT}, {"n0": of_map}, o0)


def items(*phases: str) -> list[Item]:
    """Items that ran once each."""
    return [Item(index, phase) for index, phase in enumerate(phases)]


DONE, BAD = "SUCCEEDED", "FAILED"

CASES = {
    "single task run": Case("inc", X, {"flowsinc": ran("inc", 1, 2)}, {"o0": 2}, is_single=True),
    "ok": Case("w_ok", X, {"n0": ran("inc", 1, 2), "n1": ran("inc", 2, 3)}, {"o0": 3}),
    "raise": failing("w_boom", "boom", BOOM, BOOM),
    "raise_retries2": failing("w_boom_r2", "boom_r2", BOOM, BOOM),
    "recoverable_retries2": failing("w_recov", "recov", exhausted(3, AGAIN), AGAIN, AGAIN, AGAIN),
    "recoverable_ok_on_third": single("w_recov3", Task("recov3", X, {"o0": 1}, tries=(NOT_YET, NOT_YET, None))),
    "sys_exit3": failing("w_exit3", "exit3", exhausted(1, died(0, 3)), died(0, 3)),
    "os_exit3": failing("w_osexit3", "osexit3", exhausted(1, died(0, 3)), died(0, 3)),
    "os_exit3_retries1": failing("w_osexit_r1", "osexit_r1", exhausted(2, died(1, 3)), died(0, 3), died(1, 3)),
    "sigkill_self": killed(247, "USER"),
    "returns_none": Case("w_none", X, {"n0": Task("none", {})}),
    "two_outputs": Case("w_pair", X, {"n0": Task("pair", X, {"a": 1, "b": "s"})}, {"o0": 1, "o1": "s"}),
    "map_empty": mapped("w_map_ok", "inc", [], []),
    "map_ok": mapped("w_map_ok", "inc", [1, 2, 3], [2, 3, 4], *items(DONE, DONE, DONE)),
    "map_concurrency1": mapped("w_map_conc", "inc", [1, 2, 3], [2, 3, 4], *items(DONE, DONE, DONE)),
    "map_ratio_0.5_half_fail": mapped(
        "w_map_ratio", "odd_fails", [0, 1, 2, 3], [0, None, 2, None], *items(DONE, BAD, DONE, BAD)
    ),
    "map_ratio_0.75_half_fail": map_fails("w_map_ratio_fail", NAMELESS, *items(DONE, BAD, DONE, BAD)),
    "map_fail": map_fails("w_map_fail", NAMELESS, *items(DONE, BAD, DONE)),
    "map_retry_first_recoverable": mapped(
        "w_map_retry", "rec_first", [0, 1, 2], [0, 1, 2], Item(0), Item(1, BAD), Item(1, attempt=1), Item(2)
    ),
    "cache_serialize_1": single("w_cache_ser", Task("cached_ser", KEPT, {"o0": 2}, cache="CACHE_POPULATED")),
    "cache_serialize_2": single(
        "w_cache_ser", Task("cached_ser", KEPT, {"o0": 2}, cache="CACHE_HIT", source="<cache_serialize_1>")
    ),
    "cache_first": cached("CACHE_POPULATED"),
    "cache_second": cached("CACHE_HIT", "<cache_first>"),
    "cache_overwrite": cached("CACHE_POPULATED", overwrite_cache=True),
    "map_cached_first": map_cached([1, 2]),
    "map_cached_partly": map_cached([1, 2, 3], "CACHE_HIT", "CACHE_HIT"),
    "map_cached_all": map_cached([1, 2, 3], "CACHE_HIT", "CACHE_HIT", "CACHE_HIT"),
}

OURS = {
    # Every try has its full time and ends with what happened; the original ends tasks as ABORTED, without an error.
    "timeout2s": failing("w_timeout", "slow", exhausted(1, TIMEOUT), TIMEOUT),
    # The node is TIMED_OUT after both, with the code of what happened; the original's says Timeout, and its node nothing.
    "timeout2s_retries1": Case(
        "w_timeout_r1",
        X,
        {"n0": Task("slow_r1", X, error=TWICE, tries=(TIMEOUT, TIMEOUT), failed_as="TIMED_OUT")},
        error=TWICE,
    ),
    # What was nobody's fault stays so at the end; and the status is the one of the process itself, not of the SDK's launcher.
    "sigkill_self": killed(137, "SYSTEM"),
    # A failed map has code and kind of its first item that failed.
    "map_ratio_0.75_half_fail": map_fails("w_map_ratio_fail", ODD, *items(DONE, BAD, DONE, BAD)),
    "map_fail": map_fails("w_map_fail", ODD, *items(DONE, BAD, DONE)),
}
"""The cases in which Skein differs from the original on purpose, with what Skein answers. For the first two the original has
no case above: how its tries end depends on how busy it is."""

STOPPED = "nodes.n0.tries[0].closure.metadata.external_resources.<this>-n0-0-n2-0"
"""The run of an item that is not begun any more when its map has failed before."""

IN_ORDER = [name for name in CASES if name.startswith(("cache", "map_cached"))]


@pytest.fixture(scope="module")
def runs(observed: Skein) -> dict[str, Any]:
    """All cases, run: those that find what others kept one after the other, the rest beside them."""
    client = Client(observed)

    def start(name: str) -> Any:
        case = CASES.get(name) or OURS[name]
        if case.is_single:
            request = create_request("", integers(**case.inputs))
            request.spec.launch_plan.CopyFrom(identifier("TASK", f"{MODULE}.{case.workflow}"))
            return client.remote.fetch_execution(name=client.admin.CreateExecution(request).id.name)
        plan = client.remote.fetch_launch_plan(name=f"{MODULE}.{case.workflow}", version=VERSION)
        return client.remote.execute(plan, inputs=case.inputs, **case.options)

    beside = {name: start(name) for name in [*CASES, *OURS] if name not in IN_ORDER}
    in_order = {name: client.wait(start(name)) for name in IN_ORDER}
    return {name: client.wait(run) for name, run in {**beside, **in_order}.items()}


@pytest.mark.parametrize("name", dict.fromkeys([*CASES, *OURS]))
def test_an_execution_is_answered_as_the_original_does(observed: Skein, runs: dict[str, Any], name: str) -> None:
    """Every field, but for who started it: the original was observed without a login."""
    case = OURS.get(name) or CASES[name]
    expected = {**case.fields(), "execution.spec.metadata.principal": "anonymous"}
    answered = fields(Client(observed), runs[name], {run.id.name: f"<{other}>" for other, run in runs.items()})
    original = (CASES.get(name) or case).fields()
    if isinstance(case.nodes.get("n0"), Map) and case.error:
        stopped = {path for path in expected if path.startswith(STOPPED) and path not in answered}
        expected = {path: value for path, value in expected.items() if path not in stopped}
        original = {path: value for path, value in original.items() if path not in stopped}
    differs = {
        path: expected.get(path, ABSENT)
        for path in {**expected, **original}
        if expected.get(path, ABSENT) != original.get(path, ABSENT)
    }
    TABLE.compare(name, original, answered, differs)
