"""What the Flyte 1 backend was seen to answer about control flow, and what Skein answers, field by field.

`observed/answers/` has every field of the original's answers (v1.16.8 with flytekit 1.16.31) under its path; nodes inside others
are named by what their workflow calls them, as both make other ids of long paths. `OURS` says where Skein differs, and why.
"""

import json
from typing import Any, Callable

import pytest
from flyteidl.admin import execution_pb2, signal_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import signal_pb2_grpc

from harness.answers import as_dict, fields, flat, normal_call, told
from harness.client import Client, execution_id, integer, text
from harness.differences import ABSENT, TABLE
from harness.observed import MODULE
from harness.poll import until
from harness.server import Skein
from harness.settings import FOLDER, VERSION

ANSWERS = FOLDER / "observed" / "answers"

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cond_if": ("w_cond", {"x": 20}),
    "cond_elif_subwf": ("w_cond", {"x": 6}),
    "cond_else_fail": ("w_cond", {"x": 1}),
    "cond_then_task_raises": ("w_cond2", {"x": 1}),
    "dynamic2": ("w_dyn", {"n": 2}),
    "dynamic_empty": ("w_dyn_empty", {"n": 0}),
    "dynamic_child_raises": ("w_dyn_bad", {"n": 2}),
    "dynamic_itself_raises": ("w_dyn_raise", {"n": 2}),
    "two_branches_fail_immediately": ("w_failfast", {"x": 1}),
    "two_branches_fail_after_executable": ("w_failafter", {"x": 1}),
    "on_failure": ("w_onfail", {"x": 1}),
    "on_failure_node_also_fails": ("w_onfail_fails", {"x": 1}),
    "on_failure_not_needed": ("w_onfail_ok", {"x": 1}),
    "subworkflow": ("w_sub", {"x": 1}),
    "sleep_node": ("w_sleep", {"x": 1}),
    "signal_timeout": ("w_signal_to", {"x": 1}),
    "child_launch_plan": ("w_childlp", {"x": 1}),
    "child_launch_plan_fails": ("w_childlp_bad", {"x": 1}),
    "recover_base_failed": ("w_recover", {"x": 1, "ok": False}),
    "recover_base_ok": ("w_ok", {"x": 1}),
}
"""What runs by itself: its workflow and inputs."""

FAILED_NODE = "data.full_inputs.literals.err.scalar.union.value.scalar.error.failed_node_id"
FIRST = "abort_metadata.cause"

OURS: dict[str, dict[str, Any]] = {
    # A failure node is told which node has failed; the original tells it its own id.
    "on_failure": {f"nodes.fn0.{FAILED_NODE}": "n0", f"nodes.fn0.tries[0].{FAILED_NODE}": "n0"},
    "on_failure_node_also_fails": {
        f"nodes.fn0.{FAILED_NODE}": "n0",
        f"nodes.fn0.tries[0].{FAILED_NODE}": "n0",
    },
    # The text names the signal and both types; the original's has the type in its encoded form.
    "signal": {
        "calls.set_wrong_type.details": "signal sig: expected simple:INTEGER, but got simple:STRING",
    },
    # The first cause stays, and stands beside who gave it.
    "terminate": {
        **{f"{place}.{FIRST}": "because" for place in ("execution.closure", "calls.closure_after_third")},
        **{
            f"{place}.abort_metadata.principal": "anonymous"
            for place in ("execution.closure", "calls.closure_after_third", "calls.execution_at_once")
        },
    },
}
"""What Skein answers where it differs on purpose, by case and path."""

BEGAN = ("logs", "started_at", "duration")
BY_CHANCE: dict[str, list[str]] = {
    "dynamic_child_raises": [
        f"nodes.n0.nodes.dn1.tries[0].closure.{name}" for name in BEGAN
    ],
    "two_branches_fail_immediately": [f"nodes.n1.tries[0].closure.{name}" for name in BEGAN],
    "terminate": ["calls.execution_at_once.phase", "calls.execution_at_once.duration"],
}
"""What says how far something had come when something else ended it: whether a try had begun, or all tries had ended."""


class Flows:
    """Runs the cases, each once."""

    def __init__(self, server: Skein) -> None:
        self.client = Client(server)
        self.signals = signal_pb2_grpc.SignalServiceStub(self.client.channel)
        self.started = {name: self.start(*case) for name, case in CASES.items()}
        self.calls: dict[str, dict[str, Any]] = {}

    def start(self, workflow: str, inputs: dict[str, Any]) -> Any:
        """Starts a workflow."""
        plan = self.client.remote.fetch_launch_plan(name=f"{MODULE}.{workflow}", version=VERSION)
        return self.client.remote.execute(plan, inputs=inputs)

    def listed(self, run: Any) -> dict[str, Any]:
        """The signals of an execution, once its gate has begun."""
        request = signal_pb2.SignalListRequest(workflow_execution_id=execution_id(run), limit=10)
        until("the gate has begun", lambda: self.signals.ListSignals(request).signals)
        return told(self.signals.ListSignals, request)

    def set(self, run: Any, signal: str, value: literals_pb2.Literal) -> dict[str, Any]:
        """Sets a signal."""
        named = identifier_pb2.SignalIdentifier(signal_id=signal, execution_id=execution_id(run))
        return told(self.signals.SetSignal, signal_pb2.SignalSetRequest(id=named, value=value))

    def signal(self) -> Any:
        """A gate that waits for a number; it is given the wrong thing, another's name, and then what it waits for."""
        run = self.start("w_signal", {"x": 1})
        self.calls["signal"] = {
            "signals_before": self.listed(run),
            "set_wrong_type": self.set(run, "sig", text("no")),
            "set_unknown": self.set(run, "nope", integer(1)),
            "set": self.set(run, "sig", integer(5)),
            "set_again": self.set(run, "sig", integer(5)),
        }
        self.client.wait(run)
        self.calls["signal"]["signals_after"] = self.listed(run)
        return run

    def approve_false(self) -> Any:
        """A gate that is not let through."""
        run = self.start("w_approve", {"x": 1})
        signals = self.listed(run)
        no = literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(boolean=False)))
        self.calls["approve_false"] = {"signals": signals, "set_false": self.set(run, "ok?", no)}
        return run

    def terminate(self) -> Any:
        """An execution that is ended while a task of it runs."""
        run = self.start("w_slow", {"x": 1})
        until("the task runs", lambda: "n0" in {node.id.node_id for node in self.client.nodes(run)})
        until("its try runs", lambda: any(each.closure.logs for each in self.client.attempts(run, "n0")))

        def end(cause: str) -> dict[str, Any]:
            request = execution_pb2.ExecutionTerminateRequest(id=execution_id(run), cause=cause)
            return told(self.client.admin.TerminateExecution, request)

        calls = {"terminate": end("because"), "execution_at_once": as_dict(self.client.get(run).closure)}
        self.client.wait(run)
        calls["terminate_again_later"] = end("thrice")
        calls["closure_after_third"] = as_dict(self.client.get(run).closure)
        self.calls["terminate"] = calls
        return run

    def relaunch(self, of: str) -> Any:
        """Another case once more."""
        whole = self.client.wait(self.started[of])
        request = execution_pb2.ExecutionRelaunchRequest(
            id=execution_id(whole), overwrite_cache=of == "recover_base_ok"
        )
        return self.client.remote.fetch_execution(name=self.client.admin.RelaunchExecution(request).id.name)


STEPS: dict[str, Callable[[Flows], Any]] = {
    "signal": Flows.signal,
    "approve_false": Flows.approve_false,
    "terminate": Flows.terminate,
    "relaunch_failed": lambda flows: flows.relaunch("recover_base_failed"),
    "relaunch_succeeded": lambda flows: flows.relaunch("recover_base_ok"),
}
"""What is done to the cases that do not run by themselves."""


@pytest.fixture(scope="module")
def flows(observed: Skein) -> Flows:
    """All cases, run."""
    made = Flows(observed)
    made.started |= {name: step(made) for name, step in STEPS.items()}
    for run in made.started.values():
        made.client.wait(run)
    return made


@pytest.mark.parametrize("name", [*CASES, *STEPS])
def test_control_flow_is_answered_as_the_original_does(flows: Flows, name: str) -> None:
    """Every field of the execution, of its nodes and those inside them, and of their tries."""
    original = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))
    names = {run.id.name: f"<{other}>" for other, run in flows.started.items()}
    run = flows.started[name]
    answered = fields(flows.client, run, names)
    if calls := flows.calls.get(name):
        answered |= flat(normal_call({"calls": calls}, {**names, run.id.name: "<this>"}))
    intended = {"execution.spec.metadata.principal": "anonymous", **OURS.get(name, {})}
    intended |= {path: answered[path] if path in answered else ABSENT for path in BY_CHANCE.get(name, ())}
    TABLE.compare(name, original, answered, intended)
