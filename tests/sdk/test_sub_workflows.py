"""93 to 95: workflows in workflows, and how they fail."""

from typing import Any

import pytest
from flytekit.core.options import Options

from harness.client import Client, phase, unique
from harness.poll import until
from harness.witness import Witness


def tree(client: Client, execution: Any, parent: str = "") -> dict[str, Any]:
    """The nodes of an execution and those inside them, by what their workflow calls them."""
    return {
        node.metadata.spec_node_id: tree(client, execution, node.id.node_id)
        for node in client.nodes(execution, parent)
        if node.metadata.spec_node_id not in ("start-node", "end-node")
    }


def test_sub_workflows_in_sub_workflows_run_in_one_execution(nested: Client) -> None:
    """Three deep, with the nodes of each listed inside the node that runs it."""
    execution = nested.finish("inner.first", {"x": 1})
    assert execution.outputs["o0"] == 16
    twice = {"n0": {}, "n1": {}}
    second = {"n0": {"n0": {}, "n1": twice}, "n1": {}, "n2": {}}
    assert tree(nested, execution) == {"n0": second, "n1": second}


def test_values_inside_outputs_are_taken_out(nested: Client) -> None:
    """A field, an element of a list in it, an element, a value by its key, and all of that in each other."""
    assert nested.outputs("inner.parts", {"x": 1}) == {"o0": 28}


def test_an_imperative_workflow_with_a_sub_workflow_runs(nested: Client) -> None:
    """It is registered and launched as any other."""
    assert nested.outputs("inner.imperative", {"x": 1}) == {"o0": 4}


def test_what_is_said_of_a_node_inside_holds_there(nested: Client, witness: Witness) -> None:
    """Retries, resources, an image, a name and a node's id, one sub-workflow deep."""
    execution = nested.finish("inner.overridden", envs=witness.variables)
    assert execution.outputs["o0"] == "1"
    assert witness.lines() == [["about", "0"], ["about", "1"]]
    assert tree(nested, execution) == {"n0": {"mine": {}}}
    [mine] = [node for node in nested.nodes(execution, "n0") if node.metadata.spec_node_id == "mine"]
    assert len(nested.attempts(execution, mine.id.node_id)) == 2


def test_a_time_limit_of_a_node_inside_holds_there(nested: Client) -> None:
    """The task itself has none."""
    execution = nested.finish("inner.times_out", {"x": 1})
    assert phase(execution) == "FAILED"
    assert execution.error.code == "RetriesExhausted|TimeoutExpired"


def test_a_node_inside_is_kept_where_it_says_so(nested: Client, witness: Witness) -> None:
    """The task itself is not."""
    x = int(unique("")[1:], 16)
    for _ in range(2):
        assert nested.outputs("inner.cached", {"x": x}, envs=witness.variables) == {"o0": x}
    assert len(witness.lines("salted")) == 1


def test_093_a_failure_node_is_told_what_has_failed(nested: Client, witness: Witness) -> None:
    """`on_failure` handler runs once with the workflow inputs and `err.failed_node_id` set; the execution remains FAILED."""
    execution = nested.finish("inner.guarded", {"x": 1}, envs=witness.variables)
    assert phase(execution) == "FAILED"
    assert "ValueError: boom 2" in execution.error.message
    assert witness.lines("clean") == [["clean", "1", "n1"]]


def test_093_each_workflow_has_its_own_failure_node(nested: Client, witness: Witness) -> None:
    """That of what is inside runs first, and is told of a node inside; that of the whole is told of the node that failed by it."""
    execution = nested.finish("inner.guarding", {"x": 1}, envs=witness.variables)
    assert phase(execution) == "FAILED"
    assert "ValueError: boom 2" in execution.error.message
    [inner, outer] = witness.lines("clean")
    assert outer == ["clean", "1", "n0"]
    assert inner[:2] == ["clean", "1"]
    failed = [node for node in nested.nodes(execution, "n0") if node.metadata.spec_node_id == "n1"]
    assert [node.id.node_id for node in failed] == [inner[2]]


def test_094_a_workflow_inside_finishes_what_it_can_before_it_fails(nested: Client, witness: Witness) -> None:
    """FAIL_AFTER_EXECUTABLE_NODES_COMPLETE finishes independent nodes before failing."""
    execution = nested.start("inner.impatient", {"x": 1, "name": "g"}, envs=witness.variables)
    until("the task waits at its gate", lambda: witness.lines("reached"))
    until("the other has failed", lambda: witness.lines("boom"))
    witness.open("g")
    ended = nested.wait(execution)
    assert phase(ended) == "FAILED"
    assert "ValueError: boom 1" in ended.error.message
    assert witness.lines("passed") == [["passed", "g"]]
    assert witness.lines("inc") == [["inc", "1"]], "what follows on it runs too"


@pytest.mark.parametrize("name", ["inner.first", "conditions.small"])
def test_a_workflow_without_an_input_that_it_needs_is_refused(nested: Client, name: str) -> None:
    """Before anything runs."""
    with pytest.raises(Exception, match="x"):
        nested.start(name, {})


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("inner.first", {"x": 1}),
        ("plans.launches", {"x": 1}),
        ("conditions.in_each_other", {"x": 6}),
        ("dynamics.makes_all_kinds", {"n": 2}),
        ("dynamics.goes_down", {"n": 2}),
        ("gates.sleeps", {"x": 1}),
        ("inner.guarding", {"x": 1}),
    ],
)
def test_028_the_sdk_walks_all_nodes(nested: Client, name: str, inputs: dict[str, Any]) -> None:
    """`FlyteRemote.sync(execution, sync_nodes=True)` succeeds for: sub-workflow, LP node, branch, dynamic, gate, failure node."""
    execution = nested.finish(name, inputs)
    walked = nested.remote.sync(execution, sync_nodes=True)
    assert set(walked.node_executions) == {node.id.node_id for node in nested.nodes(execution)}


def test_095_the_parallelism_holds_for_nodes_inside_too(nested: Client, witness: Witness) -> None:
    """`max_parallelism=1` serialises independent nodes; 0 does not limit."""
    options = Options(max_parallelism=1)
    execution = nested.start("inner.side_by_side", {"x": 1}, envs=witness.variables, options=options)
    until("one waits at its gate", lambda: witness.lines("reached"))
    [[_, first]] = witness.lines("reached")
    other = "b" if first == "a" else "a"
    witness.open(first)
    until("then the other does", lambda: len(witness.lines("reached")) == 2)
    assert witness.lines()[:3] == [["reached", first], ["passed", first], ["reached", other]]
    witness.open(other)
    assert phase(nested.wait(execution)) == "SUCCEEDED"
