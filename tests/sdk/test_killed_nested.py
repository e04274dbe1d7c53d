"""kill -9 of the server, twice, in the middle of a run with nodes of every kind inside each other."""

import random
import threading
import time
from typing import Any, Callable

import grpc
import pytest
from flyteidl.admin import node_execution_pb2, signal_pb2
from flyteidl.core import execution_pb2, identifier_pb2

from harness import cli as command_lines
from harness.client import Client, execution_id, integer, require_success
from harness.poll import until
from harness.server import Skein
from harness.settings import LONG, PROJECT_FOLDER, VERSION
from harness.witness import Witness

MOMENTS = 40 if LONG else 4
RUN_SECONDS_MAX = 120
SUCCEEDED = execution_pb2.NodeExecution.SUCCEEDED
KEYS = {
    "first",
    *(f"{place}-{step}" for place in ("inside", "taken", "launched") for step in "ab"),
    *(f"made-{index}" for index in range(3)),
    "made-total",
    *(f"item-{value}" for value in (1, 2, 3, 4)),
    "mapped",
    "given",
    "total",
}
"""What leaves a line, which is the input `key` of a node where it has one."""
OUTCOME = 4 + 4 + 4 + 6 + 30 + 8


def succeeded(client: Client, execution: str, parent: str = "") -> set[str]:
    """The nodes of an execution that have succeeded, with those inside and those of its children."""
    found: set[str] = set()
    for node in client.nodes(execution, parent):
        child = node.closure.workflow_node_metadata.executionId.name
        if node.closure.phase == SUCCEEDED:
            found.add(f"{execution}/{node.id.node_id}")
        if child:
            found |= succeeded(client, child)
        if node.metadata.is_parent_node:
            found |= succeeded(client, execution, node.id.node_id)
    return found


def give(client: Client, execution: str) -> None:
    """Gives the gate its number, once it asks for it."""
    named = execution_id(execution)
    listed = client.signals.ListSignals(signal_pb2.SignalListRequest(workflow_execution_id=named, limit=1))
    if listed.signals and not listed.signals[0].HasField("value"):
        signal = identifier_pb2.SignalIdentifier(signal_id="number", execution_id=named)
        client.signals.SetSignal(signal_pb2.SignalSetRequest(id=signal, value=integer(7)))


def run_until_killed(client: Client, execution: str, after_seconds: float) -> set[str]:
    """Watches a run until the server is killed; answers what it was seen to have done."""
    seen: set[str] = set()
    killer = threading.Timer(after_seconds, client.server.kill)
    killer.start()
    try:
        while killer.is_alive():
            seen |= succeeded(client, execution)
            give(client, execution)
    except grpc.RpcError:
        # It died in the middle of a call.
        pass
    finally:
        killer.join()
    return seen


def keys_of(client: Client, nodes: set[str]) -> set[str]:
    """The keys that nodes were given, where they were given one."""
    found: set[str] = set()
    for path in nodes:
        execution, node = path.split("/")
        id_ = identifier_pb2.NodeExecutionIdentifier(node_id=node, execution_id=execution_id(execution))
        request = node_execution_pb2.NodeExecutionGetDataRequest(id=id_)
        literals = client.admin.GetNodeExecutionData(request).full_inputs.literals
        if "key" in literals:
            found.add(literals["key"].scalar.primitive.string_value)
    return found


def start(client: Client, witness: Witness) -> str:
    """Starts a run."""
    return str(client.start("everything.everything", {"start": 1}, envs=witness.variables).id.name)


def finish(client: Client, execution: str) -> Any:
    """Waits for its end, and gives what it waits for."""

    def ended() -> bool:
        give(client, execution)
        return client.get(execution).closure.phase >= execution_pb2.WorkflowExecution.SUCCEEDED

    until("the run has ended", ended, RUN_SECONDS_MAX)
    return client.remote.sync(client.remote.fetch_execution(name=execution), sync_nodes=True)


def counts(witness: Witness) -> dict[str, int]:
    """How often each task ran."""
    lines = [words[1] for words in witness.lines("ran")]
    return {key: lines.count(key) for key in lines}


@pytest.fixture
def killed(new_server: Callable[[], Skein], tmp_path: Any) -> Client:
    """A client of a server that is going to be killed."""
    server = new_server()
    command_lines.pyflyte(server, tmp_path).register(
        "nested", version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    return Client(server, "nested")


def test_a_run_with_nodes_of_every_kind_outlasts_two_kills(
    killed: Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every node that had succeeded runs once, and the result is right."""
    client = killed
    warm = Witness(tmp_path_factory.mktemp("warm"))
    began = time.monotonic()
    require_success(finish(client, start(client, warm)))
    whole_run_seconds = time.monotonic() - began
    assert counts(warm) == dict.fromkeys({*KEYS, "made"}, 1)
    for seed in range(MOMENTS):
        choice = random.Random(seed)
        witness = Witness(tmp_path_factory.mktemp("killed"))
        execution = start(client, witness)
        done: dict[str, int] = {}
        for _ in range(2):
            after_seconds = choice.uniform(0.05, whole_run_seconds / 2)
            where = f"seed {seed}, killed after {after_seconds:.3f} s"
            seen = run_until_killed(client, execution, after_seconds)
            before = counts(witness)
            client = Client(client.server.start(), "nested")
            assert seen <= succeeded(client, execution), f"what had succeeded still has ({where})"
            done.update({key: before[key] for key in keys_of(client, seen)})
        ended = finish(client, execution)
        require_success(ended)
        assert ended.outputs["o0"] == OUTCOME, f"seed {seed}"
        after = counts(witness)
        assert set(after) == {*KEYS, "made"}
        assert {key: after[key] for key in done} == done, f"what had succeeded ran again (seed {seed})"
