"""77 to 79: workflows that are made while they run."""

from typing import Any

import pytest

from harness.client import Client, phase, require_success, unique
from harness.witness import Witness


def made(client: Client, execution: Any, node: str = "n0") -> list[str]:
    """What the nodes are called that a dynamic node made."""
    names = [each.metadata.spec_node_id for each in client.nodes(execution, node)]
    return sorted(set(names) - {"start-node", "end-node"})


@pytest.mark.parametrize("n", [1, 3, 60])
def test_077_a_dynamic_task_makes_as_many_nodes_as_it_says(nested: Client, n: int) -> None:
    """Dynamic task with n children produces n child nodes visible under the parent with `is_dynamic`."""
    execution = nested.finish("dynamics.makes_many", {"n": n})
    require_success(execution)
    assert execution.outputs["o0"] == [index + 1 for index in range(n)]
    node = nested.node(execution, "n0")
    assert node.metadata.is_dynamic and node.metadata.is_parent_node
    assert made(nested, execution) == sorted(f"dn{index}" for index in range(n))


def test_078_a_dynamic_task_makes_other_nodes_each_time(nested: Client) -> None:
    """Dynamic task called twice with different n in a warm worker yields different graphs."""
    for _ in range(2):
        execution = nested.finish("dynamics.makes_twice", {"n": 2, "m": 5})
        require_success(execution)
        assert execution.outputs["o0"] == [1, 2]
        assert execution.outputs["o1"] == [1, 2, 3, 4, 5]
        assert [len(made(nested, execution, node)) for node in ("n0", "n1")] == [2, 5]


def test_079_a_dynamic_task_that_makes_no_nodes_returns_what_it_has(nested: Client) -> None:
    """Dynamic task that builds no nodes returns its constants."""
    execution = nested.finish("dynamics.makes_none", {"n": 4})
    assert execution.outputs["o0"] == 8
    assert not nested.node(execution, "n0").metadata.is_dynamic
    assert nested.finish("dynamics.makes_many", {"n": 0}).outputs["o0"] == []


def test_a_dynamic_task_makes_dynamic_tasks(nested: Client) -> None:
    """Each inside the other."""
    execution = nested.finish("dynamics.goes_down", {"n": 4})
    require_success(execution)
    assert execution.outputs["o0"] == 4
    depth, parent = 0, "n0"
    while children := [each for each in nested.nodes(execution, parent) if each.metadata.is_parent_node]:
        depth, parent = depth + 1, children[0].id.node_id
    assert depth == 3, "the last makes none"


def test_a_dynamic_task_makes_nodes_of_all_kinds(nested: Client) -> None:
    """A launch plan, a sub-workflow, a branch, a map and tasks."""
    assert nested.outputs("dynamics.makes_all_kinds", {"n": 3}) == {"o0": 21}


def test_a_dynamic_task_that_gives_what_it_does_not_say_fails_clearly(nested: Client) -> None:
    """The error names the output and both types."""
    execution = nested.finish("dynamics.makes_other", {"n": 1})
    assert phase(execution) == "FAILED"
    assert execution.error.code == "DynamicWorkflowBuildFailed"
    assert "Variable [o0] (type [simple:STRING]) doesn't match expected type [simple:INTEGER]" in execution.error.message


def test_a_dynamic_task_is_kept_with_what_it_made(nested: Client, witness: Witness) -> None:
    """Found again, it neither runs nor makes anything."""
    inputs = {"n": 3, "salt": unique("salt")}
    for _ in range(2):
        execution = nested.finish("dynamics.makes_kept", inputs, envs=witness.variables)
        assert execution.outputs["o0"] == 6
    assert witness.lines("kept") == [["kept", "3"]]
    assert made(nested, execution) == []


def test_a_failure_inside_fails_the_dynamic_node(nested: Client) -> None:
    """With the error of what failed, and without another try."""
    execution = nested.finish("dynamics.makes_failing", {"n": 3})
    assert phase(execution) == "FAILED"
    assert "ValueError: boom 3" in execution.error.message
    assert len(nested.attempts(execution, "n0")) == 1
