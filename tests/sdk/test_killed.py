"""kill -9 of the server at seeded moments of a run of a chain, a diamond and a map."""

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from flyteidl.core import execution_pb2

from harness.client import Client, require_success
from harness.poll import until
from harness.processes import alive, descendants, stat
from harness.settings import LONG
from harness.witness import Witness

MOMENTS = 200 if LONG else 8
ITEMS = 40
SUCCEEDED = execution_pb2.NodeExecution.SUCCEEDED

STARTS = {
    "killed.chain": ({"start": 0}, 10),
    "killed.diamond": ({"start": 1}, 6),
    "killed.fan_out": ({"count": ITEMS}, [x * x for x in range(ITEMS)]),
}


@dataclass
class Seen:
    """What the server had said, and what tasks had left, before the server died."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    succeeded: set[tuple[str, str]] = field(default_factory=set)


def run_until_killed(client: Client, after_seconds: float, witnesses: dict[str, Witness]) -> Seen:
    """Starts the three workflows, watches them, and kills the server `after_seconds` after the first call."""
    seen = Seen()
    killer = threading.Timer(after_seconds, client.server.kill)
    killer.start()
    try:
        for name, (inputs, _) in STARTS.items():
            execution = client.start(name, inputs, envs=witnesses[name].variables)
            seen.acknowledged[name] = execution.id.name
        while killer.is_alive():
            for name, execution_name in seen.acknowledged.items():
                for node in client.nodes(execution_name):
                    if node.closure.phase == SUCCEEDED:
                        seen.succeeded.add((name, node.id.node_id))
    except Exception as error:  # Whatever the SDK makes of a server that dies in the middle of a call.
        if killer.is_alive() and not isinstance(error.__cause__ or error, grpc.RpcError):
            raise
    finally:
        killer.join()
    return seen


def keys_by_node(name: str) -> dict[str, str]:
    """Which node leaves which line."""
    if name == "killed.chain":
        return {f"n{index}": f"chain-{index}" for index in range(10)}
    if name == "killed.fan_out":
        return {"n0": "numbers"}
    return {}


@pytest.mark.parametrize("batch", range(MOMENTS // 8))
def test_kill_nine_at_seeded_moments(own: Client, tmp_path_factory: pytest.TempPathFactory, batch: int) -> None:
    """After each restart everything finishes with the right outputs, every acknowledged execution is there, no node
    that was seen to have succeeded runs again, and the worker processes of the dead server are gone."""
    began = time.monotonic()
    warm = {name: Witness(tmp_path_factory.mktemp("warm")) for name in STARTS}
    finish(
        own,
        {name: own.start(name, inputs, envs=warm[name].variables).id.name for name, (inputs, _) in STARTS.items()},
    )
    whole_run_seconds = time.monotonic() - began
    client = own
    for moment in range(8):
        seed = batch * 8 + moment
        after_seconds = random.Random(seed).uniform(0.01, whole_run_seconds)
        witnesses = {name: Witness(tmp_path_factory.mktemp("killed")) for name in STARTS}
        children: set[tuple[int, int]] = set()
        watcher = threading.Thread(target=watch, args=(client.server.pid, children), daemon=True)
        watcher.start()
        seen = run_until_killed(client, after_seconds, witnesses)
        watcher.join()
        before = {name: witnesses[name].lines() for name in STARTS}
        where = f"seed {seed}, killed after {after_seconds:.3f} s"
        until(f"no worker is left ({where})", lambda: not any(map(alive, children)), 10)

        client = Client(client.server.start())
        finish(client, seen.acknowledged)
        for name in seen.acknowledged:
            expect_no_repetition(name, seen, before[name], witnesses[name].lines(), where)


def watch(pid: int, children: set[tuple[int, int]]) -> None:
    """Collects every process below `pid` until there is none such any more."""
    identity = (pid, stat(pid)[2])
    while alive(identity):
        children |= descendants(pid)
        time.sleep(0.01)


def finish(client: Client, executions: dict[str, str]) -> None:
    """Waits for each execution and compares its outputs."""
    for name, execution_name in executions.items():
        ended = client.wait(client.remote.fetch_execution(name=execution_name))
        require_success(ended)
        assert ended.outputs["o0"] == STARTS[name][1], name


def expect_no_repetition(name: str, seen: Seen, before: list[Any], after: list[Any], where: str) -> None:
    """No node that was seen succeeded before the crash has left another line after it."""
    for node_id, key in keys_by_node(name).items():
        if (name, node_id) in seen.succeeded:
            runs_before = [words for words in before if words[:2] == ["ran", key]]
            runs_after = [words for words in after if words[:2] == ["ran", key]]
            assert runs_after == runs_before, f"{name} {node_id} ran again ({where})"
    if (name, "n1") in seen.succeeded and name == "killed.fan_out":
        items = [words for words in after if words[0] == "item"]
        assert items == [words for words in before if words[0] == "item"], f"items ran again ({where})"
