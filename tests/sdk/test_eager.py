"""96 and 97: eager workflows, tasks that start executions as they go."""

import os
import signal
from typing import Any, Iterator

import pytest

from harness import cli as command_lines
from harness.client import Client, list_request, phase, require_success
from harness.poll import until
from harness.server import Skein
from harness.settings import PROJECT_FOLDER, VERSION
from harness.witness import Witness

WAIT_SECONDS_MAX = 120
"""The SDK starts one execution a second, and looks after them every two."""


@pytest.fixture(scope="module")
def eager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with room for eager workflows, which hold a slot for as long as they run, beside what they start."""
    folder = tmp_path_factory.mktemp("eager")
    server = Skein(folder, words=("--slots", "6")).start()
    pyflyte = command_lines.pyflyte(server, folder)
    pyflyte.register("nested", version=VERSION, folder=PROJECT_FOLDER).expect_success()
    yield Client(server, "nested")
    server.end()
    server.check()


def children(client: Client, execution: Any, key: str = "eager-exec") -> list[Any]:
    """The executions that an eager workflow has started, by the label that the SDK gives them."""
    filters = f"value_in(execution_tag.key,{key})+value_in(execution_tag.value,{execution.id.name})"
    return list(client.admin.ListExecutions(list_request(100, filters)).executions)


def test_096_an_eager_workflow_starts_executions_with_its_labels(eager: Client) -> None:
    """Eager workflow completes, its children carry the eager labels."""
    execution = eager.wait(eager.start("eagers.simple", {"x": 1}), seconds=WAIT_SECONDS_MAX)
    require_success(execution)
    assert execution.outputs["o0"] == 6
    started = children(eager, execution)
    assert {child.spec.launch_plan.name for child in started} == {
        "nested.steps.inc",
        "nested.eagers.doubled",
        "nested.steps.twice",
    }
    for child in started:
        assert child.spec.labels.values["eager-root-exec"] == execution.id.name
        assert child.id.name.startswith("e-simple-")


def test_096_an_eager_workflow_as_a_task_by_itself_completes(eager: Client) -> None:
    """Launched as `pyflyte run --remote` launches it, without the workflow around it."""
    execution = eager.start("eagers.beside", {"n": 3}, task=True)
    ended = eager.wait(execution, seconds=WAIT_SECONDS_MAX)
    require_success(ended)
    assert ended.outputs["o0"] == [0, 2, 4]


def test_096_an_eager_workflow_in_another_names_the_root(eager: Client) -> None:
    """All that was started by either is found by the label of the outermost."""
    execution = eager.wait(eager.start("eagers.outer", {"x": 1}), seconds=WAIT_SECONDS_MAX)
    require_success(execution)
    assert execution.outputs["o0"] == 6
    assert len(children(eager, execution)) == 1
    assert len(children(eager, execution, "eager-root-exec")) == 4


def test_096_children_end_when_the_eager_task_is_killed(eager: Client, witness: Witness) -> None:
    """Killing the eager task terminates children through the cleanup node."""
    execution = eager.start("eagers.waiting", {"x": 1, "name": "g", "folder": str(witness.gates.parent)})
    [child] = until_children(eager, execution)
    for _ in range(4):
        before = len(witness.lines("eager"))
        os.kill(int(witness.lines("eager")[-1][1]), signal.SIGKILL)
        until(
            "the next try runs, or there is none",
            lambda: len(witness.lines("eager")) > before
            or phase(eager.remote.sync(execution)) == "FAILED"
            or any(node.id.node_id == "efn" for node in eager.nodes(execution)),
        )
        if len(witness.lines("eager")) == before:
            break
    ended = eager.wait(execution, seconds=WAIT_SECONDS_MAX)
    assert phase(ended) == "FAILED"
    assert eager.node(execution, "efn").closure.phase == 3, "the cleanup node has succeeded"
    assert phase(eager.wait(eager.remote.fetch_execution(name=child.id.name))) == "ABORTED"
    witness.open("g")


def until_children(client: Client, execution: Any) -> list[Any]:
    """Waits until the eager workflow has started something."""
    until("it has a child", lambda: children(client, execution), WAIT_SECONDS_MAX)
    return children(client, execution)


def test_097_a_second_try_takes_on_what_the_first_has_started(eager: Client, witness: Witness) -> None:
    """Restarting a failed eager attempt adopts existing children instead of duplicating them."""
    execution = eager.start("eagers.dies_once", {"x": 5, "name": "g", "folder": str(witness.gates.parent)})
    [child] = until_children(eager, execution)
    until("the child's task runs", lambda: witness.lines("reached"))
    witness.open("die")
    until("the second try runs", lambda: len(witness.lines("eager")) == 2)
    witness.open("g")
    ended = eager.wait(execution, seconds=WAIT_SECONDS_MAX)
    require_success(ended)
    assert ended.outputs["o0"] == 5
    assert [each.id.name for each in children(eager, execution)] == [child.id.name]
    assert len(witness.lines("reached")) == 1
