"""Tries on capacity that may be taken away: items 48 to 50 of the conformance checklist."""

from typing import Any, Optional

import pytest
from flyteidl.event import event_pb2

from harness.client import Client, phase, require_success
from harness.witness import Witness

INTERRUPTIBLE = event_pb2.TaskExecutionMetadata.INTERRUPTIBLE


def classes(client: Client, execution: Any, node_id: str = "") -> list[bool]:
    """Whether each try might run on such capacity."""
    attempts = client.attempts(execution, node_id)
    return [attempt.closure.metadata.instance_class == INTERRUPTIBLE for attempt in attempts]


def test_48_the_last_try_runs_on_demand(client: Client, witness: Witness) -> None:
    """Interruptible task with `retries=2`: attempts 0 and 1 carry `interruptible=true`, the last attempt false."""
    execution = client.finish("interruptible.fails_on_spot", {"x": 1}, task=True, envs=witness.variables)
    assert phase(execution) == "FAILED"
    assert classes(client, execution) == [True, True, False]


def test_49_the_workflow_speaks_for_tasks_that_say_nothing(client: Client) -> None:
    """Workflow-level interruptible applies to tasks without own value; a task's explicit false wins."""
    execution = client.finish("interruptible.on_spot", {"x": 1})
    require_success(execution)
    assert classes(client, execution, "n0") == [True]
    assert classes(client, execution, "n1") == [False]


@pytest.mark.parametrize(
    ("launched", "expected"), [(None, [True, False]), (True, [True, False]), (False, [False, False])]
)
def test_50_the_launch_overrides_the_workflow(
    client: Client, launched: Optional[bool], expected: list[bool]
) -> None:
    """The interruptible option of `run` (true, false, absent) overrides the workflow setting for that execution only."""
    execution = client.finish("interruptible.on_spot", {"x": 1}, interruptible=launched)
    require_success(execution)
    assert [classes(client, execution, node) for node in ("n0", "n1")] == [[is_so] for is_so in expected]
