"""kill -9 of the server at seeded moments of a run with a part of every kind: cache under a reservation, secret, container, actor, connector."""

import hashlib
import os
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

import grpc
import pytest
from flyteidl.core import execution_pb2

from harness import cli as command_lines
from harness.client import Client, require_success, unique
from harness.connector import Connector
from harness.poll import until
from harness.processes import alive, descendants, stat
from harness.server import Skein
from harness.settings import LONG, PROJECT_FOLDER, VERSION, union_python
from harness.witness import Witness

MOMENTS = 100 if LONG else 5
ENDED_SECONDS_MAX = 120
GONE_SECONDS_MAX = 10
VALUE = "zK4-lasting-secret-08812"
SUCCEEDED = execution_pb2.NodeExecution.SUCCEEDED
ENDED = {execution_pb2.WorkflowExecution.SUCCEEDED, execution_pb2.WorkflowExecution.FAILED}
PARTS = ("kept", "told", "acted")
"""The tasks that leave a line, each named as its line is."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="containers without an engine need root on Linux"
)


@dataclass
class Run:
    """One execution, what it left, and what the server had said of it."""

    client: Client
    connector: Connector
    witness: Witness
    salt: str
    name: str = ""
    succeeded: set[str] = field(default_factory=set)

    def start(self) -> None:
        """Starts it."""
        plan = self.client.remote.fetch_launch_plan(name="lasting.everything.everything", version=VERSION)
        inputs = {"salt": self.salt, "x": 3}
        self.name = self.client.remote.execute(plan, inputs=inputs, envs=self.witness.variables).id.name

    def look(self) -> None:
        """Notes which nodes have succeeded, and has the connector's job end."""
        for node in self.client.nodes(self.name):
            if node.closure.phase == SUCCEEDED:
                self.succeeded.add(node.id.node_id)
        for job in self.connector.created(self.name):
            self.connector.say(job["job"], "SUCCEEDED", outputs={"o0": job["x"] * 100})

    def has_ended(self) -> bool:
        """Whether it has, as far as the server says."""
        self.look()
        return self.client.get(self.name).closure.phase in ENDED

    def expect(self, where: str) -> None:
        """Requires the right outputs; of a job that nobody knows whether it was made, that this is said and nothing made again."""
        made = self.connector.created(self.name)
        assert len(made) <= 1, f"{made} ({where})"
        closure = self.client.get(self.name).closure
        if closure.phase == execution_pb2.WorkflowExecution.FAILED:
            assert closure.error.code == "JobUnresolved", f"{closure.error} ({where})"
            return
        ended = self.client.wait(self.client.remote.fetch_execution(name=self.name))
        require_success(ended)
        outputs = [ended.outputs[f"o{index}"] for index in range(4)]
        assert outputs == [8, hashlib.sha256(VALUE.encode()).hexdigest(), 14, 400], where


@dataclass
class House:
    """A server that a test kills, with all that it needs."""

    server: Skein
    connector: Connector


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that knows the workflow and has the secret, and a connector."""
    folder = tmp_path_factory.mktemp("everything")
    connector = Connector(tmp_path_factory.mktemp("connector")).start()
    words = ("--slots", "3", "--containers", "host", "--connector", connector.url)
    server = Skein(folder, union_python(), words=words).start()
    union = command_lines.union(server, folder)
    union("create", "secret", "--name", "lasting", "--value", VALUE).expect_success()
    union.register("lasting", version=VERSION, folder=PROJECT_FOLDER).expect_success()
    yield House(server, connector)
    server.end()
    server.check()
    connector.kill()
    found = [file for file in folder.rglob("*") if file.is_file() and VALUE.encode() in file.read_bytes()]
    assert not found, "no kill leaves a secret behind"


def run_until_killed(run: Run, after_seconds: float) -> None:
    """Starts the run, watches it, and kills the server `after_seconds` after the first call."""
    killer = threading.Timer(after_seconds, run.client.server.kill)
    killer.start()
    try:
        run.start()
        while killer.is_alive():
            run.look()
    except Exception as error:  # Whatever the SDK makes of a server that dies in the middle of a call.
        if killer.is_alive() and not isinstance(error.__cause__ or error, grpc.RpcError):
            raise
    finally:
        killer.join()


def watch(pid: int, children: set[tuple[int, int]]) -> None:
    """Collects every process below `pid` until there is none such any more."""
    identity = (pid, stat(pid)[2])
    while alive(identity):
        children |= descendants(pid)
        time.sleep(0.01)


def lines(run: Run) -> dict[str, list[Any]]:
    """What each kind of task has left."""
    return {part: run.witness.lines(part) for part in PARTS}


def test_kill_nine_at_seeded_moments_of_a_run_with_a_part_of_every_kind(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After each restart everything finishes with the right outputs, no job is made twice, no node that was seen to have
    succeeded runs again, and no process of the dead server is left."""

    def new_run() -> Run:
        witness = Witness(tmp_path_factory.mktemp("witness"))
        return Run(Client(house.server), house.connector, witness, unique("salt"))

    began = time.monotonic()
    warm = new_run()
    warm.start()
    until("the first run has ended", warm.has_ended, ENDED_SECONDS_MAX)
    warm.expect("not killed")
    assert len(warm.witness.lines("kept")) == 1, "one takes what the other left"
    whole_run_seconds = time.monotonic() - began
    for seed in range(MOMENTS):
        after_seconds = random.Random(seed).uniform(0.01, whole_run_seconds)
        where = f"seed {seed}, killed after {after_seconds:.3f} s"
        run = new_run()
        children: set[tuple[int, int]] = set()
        watcher = threading.Thread(target=watch, args=(house.server.pid, children), daemon=True)
        watcher.start()
        run_until_killed(run, after_seconds)
        watcher.join()
        seen, before = set(run.succeeded), lines(run)
        until(f"no process is left ({where})", lambda: not any(map(alive, children)), GONE_SECONDS_MAX)
        run.client = Client(house.server.start())
        if not run.name:
            continue
        until(f"the run has ended ({where})", run.has_ended, ENDED_SECONDS_MAX)
        run.expect(where)
        after = lines(run)
        for part, nodes in (("kept", {"n0", "n1"}), ("told", {"n3"}), ("acted", {"n4"})):
            if seen >= nodes:
                assert after[part] == before[part], f"{part} ran again ({where})"
