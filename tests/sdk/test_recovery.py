"""What an execution takes over from another that it recovers: item 35 of the conformance checklist."""

from typing import Any

import grpc
import pytest
from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2

from harness.client import Client, execution_id, phase, require_success
from harness.witness import Witness

RECOVERED = core_execution_pb2.NodeExecution.RECOVERED


def recovered(client: Client, execution: Any) -> Any:
    """Recovers an execution and waits for the new one, every node of it."""
    request = execution_pb2.ExecutionRecoverRequest(id=execution_id(execution))
    name = client.admin.RecoverExecution(request).id.name
    return client.wait(client.remote.fetch_execution(name=name), nodes=True)


def failed_then_recovered(client: Client, witness: Witness, name: str, inputs: dict[str, Any]) -> Any:
    """Runs a workflow while its gate is shut, opens that, and recovers what failed."""
    failed = client.finish(name, inputs, envs=witness.variables)
    assert phase(failed) == "FAILED"
    witness.open("gate")
    execution = recovered(client, failed)
    require_success(execution)
    return execution


def ran(witness: Witness, word: str) -> int:
    """How often something said that it ran."""
    return len(witness.lines(word))


def test_35_only_nodes_run_again_that_had_not_succeeded(client: Client, witness: Witness) -> None:
    """Recover after a mid-workflow failure re-runs only nodes that had not succeeded; the rest show RECOVERED."""
    execution = failed_then_recovered(client, witness, "recovering.steps", {"x": 1})
    assert execution.outputs["o0"] == 20
    assert (ran(witness, "done"), ran(witness, "opened")) == (1, 2)
    assert client.node(execution, "n0").closure.phase == RECOVERED
    metadata = client.get(execution).spec.metadata
    assert metadata.mode == execution_pb2.ExecutionMetadata.RECOVERED
    assert metadata.reference_execution.name != execution.id.name


def test_inside_a_sub_workflow_each_node_counts_by_itself(client: Client, witness: Witness) -> None:
    """A sub-workflow that failed is gone into."""
    execution = failed_then_recovered(client, witness, "recovering.outer", {"x": 1})
    assert execution.outputs["o0"] == 30
    assert (ran(witness, "done"), ran(witness, "opened")) == (2, 2)


def test_of_a_map_only_items_run_again_that_had_not_succeeded(client: Client, witness: Witness) -> None:
    """Items that had outputs keep them."""
    execution = failed_then_recovered(client, witness, "recovering.items", {"xs": list(range(8))})
    assert execution.outputs["o0"] == list(range(8))
    runs = [int(x) for _, x in witness.lines("item")]
    assert runs.count(0) == 1, "it had succeeded when the next one failed"
    assert runs.count(1) == 2


def test_what_a_dynamic_task_made_is_not_made_again(client: Client, witness: Witness) -> None:
    """The dynamic task itself had succeeded."""
    execution = failed_then_recovered(client, witness, "recovering.dynamics", {"x": 1})
    assert execution.outputs["o0"] == 20
    assert (ran(witness, "made"), ran(witness, "done"), ran(witness, "opened")) == (1, 1, 2)


def test_an_execution_that_a_node_launched_is_recovered_itself(client: Client, witness: Witness) -> None:
    """The child of the new execution takes over from the child of the old one."""
    execution = failed_then_recovered(client, witness, "recovering.launched", {"x": 1})
    assert execution.outputs["o0"] == 20
    assert (ran(witness, "done"), ran(witness, "opened")) == (1, 2)


def test_one_that_had_succeeded_keeps_its_outputs_and_runs_nothing(client: Client, witness: Witness) -> None:
    """Every node is RECOVERED, and the outputs are there."""
    witness.open("gate")
    done = client.finish("recovering.outer", {"x": 1}, envs=witness.variables)
    before = len(witness.lines())
    execution = recovered(client, done)
    require_success(execution)
    assert execution.outputs["o0"] == 30
    assert len(witness.lines()) == before


def test_one_that_still_runs_is_refused(client: Client, witness: Witness) -> None:
    """What it does is not done twice at once."""
    running = client.start("gates.waits_in_the_middle", {"name": "middle", "value": 5}, envs=witness.variables)
    with pytest.raises(grpc.RpcError) as refused:
        client.admin.RecoverExecution(execution_pb2.ExecutionRecoverRequest(id=execution_id(running)))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "has not ended" in refused.value.details()
    witness.open("middle")
    client.wait(running)
