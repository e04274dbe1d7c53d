"""80 and 81: launch plans as nodes."""

from pathlib import Path
from typing import Any

import pytest
from flytekit.core.options import Options
from flytekit.models.common import Annotations, Labels

from harness import cli as command_lines
from harness.client import Client, phase, require_success, unique
from harness.poll import until
from harness.settings import VERSION
from harness.witness import Witness

ELSEWHERE = '''
from flytekit import task, workflow


@task
def far(x: int) -> int:
    return 100 * x


@workflow
def far_flow(x: int) -> int:
    return far(x=x)
'''
REFERS = '''
from flytekit import reference_launch_plan, reference_task, workflow


@reference_task("flytesnacks", "staging", "elsewhere.far", "v1")
def far(x: int) -> int: ...


@reference_launch_plan("flytesnacks", "staging", "elsewhere.far_flow", "v1")
def far_plan(x: int) -> int: ...


@workflow
def refers(x: int) -> tuple[int, int]:
    return far(x=x), far_plan(x=x)
'''


def child_of(client: Client, execution: Any, node: str = "n0") -> Any:
    """The execution that a node has launched."""
    until("there is a child", lambda: client.node(execution, node).closure.workflow_node_metadata.executionId.name)
    name = client.node(execution, node).closure.workflow_node_metadata.executionId.name
    return client.remote.fetch_execution(name=name)


def test_080_a_child_is_linked_and_nested_once(nested: Client) -> None:
    """LP node creates a child execution linked by `executionId`, with nesting 1."""
    execution = nested.finish("plans.launches", {"x": 1})
    require_success(execution)
    assert execution.outputs["o0"] == 4
    child = nested.get(child_of(nested, execution))
    metadata = child.spec.metadata
    assert metadata.nesting == 1
    assert metadata.mode == metadata.CHILD_WORKFLOW
    assert metadata.parent_node_execution.node_id == "n0"
    assert metadata.parent_node_execution.execution_id.name == execution.id.name
    assert not nested.node(execution, "n0").metadata.is_parent_node


def test_080_a_child_takes_over_what_was_said_of_its_parent(nested: Client) -> None:
    """Labels, annotations and variables."""
    options = Options(labels=Labels({"team": "geese"}), annotations=Annotations({"why": "test"}))
    execution = nested.finish(
        "plans.launches_asking", {"name": "COLOUR"}, envs={"COLOUR": "grey"}, options=options
    )
    require_success(execution)
    assert execution.outputs["o0"] == "grey"
    spec = nested.get(child_of(nested, execution)).spec
    assert spec.labels.values["team"] == "geese"
    assert spec.annotations.values["why"] == "test"


def test_080_a_child_and_its_child_are_aborted_with_their_parent(nested: Client, witness: Witness) -> None:
    """It aborts with its parent, and says whose end it was."""
    execution = nested.start("plans.grandparent", {"x": 1, "name": "g"}, envs=witness.variables)
    until("the grandchild's task runs", lambda: witness.lines("reached"))
    child = child_of(nested, execution)
    grandchild = child_of(nested, child)
    nested.remote.terminate(execution, "enough")
    for each in (execution, child, grandchild):
        assert phase(nested.wait(each)) == "ABORTED"
    cause = nested.get(grandchild).closure.abort_metadata.cause
    assert child.id.name in cause or "enough" in cause
    witness.open("g")


def test_081_the_error_of_a_child_is_that_of_its_node(nested: Client) -> None:
    """Child LP failure surfaces the child's error on the parent node."""
    execution = nested.finish("plans.launches_failing", {"x": 1})
    assert phase(execution) == "FAILED"
    assert "ValueError: boom 2" in execution.error.message
    child = nested.get(child_of(nested, execution))
    assert execution.error.code == child.closure.error.code
    assert nested.node(execution, "n0").closure.error.code == child.closure.error.code


def test_a_child_that_is_aborted_by_itself_fails_its_node(nested: Client, witness: Witness) -> None:
    """With a code that says so."""
    execution = nested.start("plans.grandparent", {"x": 1, "name": "g"}, envs=witness.variables)
    until("the grandchild's task runs", lambda: witness.lines("reached"))
    nested.remote.terminate(child_of(nested, child_of(nested, execution)), "not this one")
    ended = nested.wait(execution)
    assert phase(ended) == "FAILED"
    assert ended.error.code == "RemoteChildWorkflowExecutionFailed"
    witness.open("g")


def test_a_launch_plan_that_launches_itself_without_end_is_refused(nested: Client) -> None:
    """At a depth that the error names."""
    execution = nested.wait(nested.start("plans.recursive", {"x": 1}), seconds=240)
    assert phase(execution) == "FAILED"
    assert execution.error.code == "NestingTooDeep"
    assert "more than 50 deep" in execution.error.message


def test_entities_of_another_domain_are_used_by_reference(nested: Client, tmp_path: Path) -> None:
    """A task, and a launch plan, whose child runs where it is at home."""
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE, encoding="utf-8")
    (tmp_path / "referring.py").write_text(REFERS, encoding="utf-8")
    cli = command_lines.pyflyte(nested.server, tmp_path)
    cli.register("elsewhere.py", version=VERSION, domain="staging").expect_success()
    cli.register("referring.py", version=VERSION).expect_success()
    plan = nested.remote.fetch_launch_plan(name="referring.refers", version=VERSION)
    execution = nested.wait(nested.remote.execute(plan, inputs={"x": 2}))
    require_success(execution)
    assert (execution.outputs["o0"], execution.outputs["o1"]) == (200, 200)
