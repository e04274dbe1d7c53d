"""Skein: `skein up` on a folder of its own, tasks registered by flytekit's command line, executions created over gRPC.

Unlike `skein bench`, which sends requests that were encoded beforehand and takes times from the server, this clock runs
from Python's integers to Python's results, as it does for every other peer. What the server says is told beside it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import grpc
import peer
from flyteidl.admin import execution_pb2, node_execution_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import admin_pb2_grpc

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"
PACKAGE = "skein_bench_tasks"
READY = "skein is ready: "
# There is no call that waits for the end of an execution: every client looks again and again.
LOOK_SECONDS = 0.005
MARKED = "marked"
ENDED_BADLY = (
    core_execution_pb2.WorkflowExecution.FAILED,
    core_execution_pb2.WorkflowExecution.ABORTED,
    core_execution_pb2.WorkflowExecution.TIMED_OUT,
)


def integer(value: int) -> literals_pb2.Literal:
    """Makes a literal."""
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value)))


def integers(values: list[int]) -> literals_pb2.Literal:
    """Makes a literal of a list."""
    return literals_pb2.Literal(
        collection=literals_pb2.LiteralCollection(literals=[integer(value) for value in values])
    )


def text(value: str) -> literals_pb2.Literal:
    """Makes a literal."""
    primitive = literals_pb2.Primitive(string_value=value)
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive))


class Skein:
    """A client with one connection."""

    def __init__(self, url: str, registering: float) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._admin = admin_pb2_grpc.AdminServiceStub(grpc.insecure_channel(url.removeprefix("http://"), options))
        self._registering = registering
        self._created = 0
        self._mapped: Any = None

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        self._mapped = self._create("ints", {"values": integers(items)})
        results = self._outputs(self._mapped).literals["o0"].collection.literals
        return [result.scalar.primitive.boolean for result in results]

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        return self._chain("chain", steps)

    def chain_forked(self, steps: int) -> int:
        """The same with each step in a child of its own."""
        return self._chain("chain_forked", steps)

    def _chain(self, workflow: str, steps: int) -> int:
        value = self._outputs(self._create(workflow, {"value": integer(0)})).literals["o0"].scalar.primitive.integer
        if value != steps:
            raise SystemExit(f"the chain has {value} steps")
        return value

    def begin_marked(self, items: list[int], path: Path) -> None:
        """See `peer.Durable`."""
        self._outputs(self._create("marks", {"values": integers(items), "path": text(str(path))}, MARKED))

    def resume_marked(self, _count: int) -> peer.Resumed:
        """See `peer.Durable`. The server goes on by itself when it is started."""
        execution = identifier_pb2.WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=MARKED)
        results = self._outputs(execution).literals["o0"].collection.literals
        return peer.Resumed(len(results), time.time())

    @property
    def told(self) -> dict[str, float]:
        """What is told beside the seconds: those of the last map's own node by the server's clock, and of registering."""
        request = node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=self._mapped, limit=100)
        [seconds] = [
            node.closure.duration.ToTimedelta().total_seconds()
            for node in self._admin.ListNodeExecutions(request).node_executions
            if node.metadata.is_array
        ]
        return {"node_seconds": seconds, "registering_seconds": self._registering}

    def _create(self, workflow: str, inputs: dict[str, Any], name: str = "") -> Any:
        self._created += 1
        launched = identifier_pb2.Identifier(
            resource_type=identifier_pb2.LAUNCH_PLAN,
            project=PROJECT,
            domain=DOMAIN,
            name=f"{PACKAGE}.steps.{workflow}",
            version=VERSION,
        )
        request = execution_pb2.ExecutionCreateRequest(
            project=PROJECT,
            domain=DOMAIN,
            name=name or f"p{os.getpid()}x{self._created}",
            spec=execution_pb2.ExecutionSpec(launch_plan=launched),
            inputs=literals_pb2.LiteralMap(literals=inputs),
        )
        return self._admin.CreateExecution(request).id

    def _outputs(self, execution: Any) -> literals_pb2.LiteralMap:
        """Waits until an execution has succeeded; gives its outputs, which the server answers by a URL when large."""
        get = execution_pb2.WorkflowExecutionGetRequest(id=execution)
        while True:
            closure = self._admin.GetExecution(get).closure
            if closure.phase == core_execution_pb2.WorkflowExecution.SUCCEEDED:
                break
            if closure.phase in ENDED_BADLY:
                raise SystemExit(f"{execution.name} ended: {closure.error.message}")
            time.sleep(LOOK_SECONDS)
        data = self._admin.GetExecutionData(execution_pb2.WorkflowExecutionGetDataRequest(id=execution))
        if not data.outputs.url:
            return data.full_outputs
        with urllib.request.urlopen(data.outputs.url) as response:
            return literals_pb2.LiteralMap.FromString(response.read())


def register(config: Path) -> None:
    """Registers the tasks as users do.

    Raises:
        SystemExit: When the SDK or the server refuses them.
    """
    words = ["-m", "flytekit.clis.sdk_in_container.pyflyte", "register", "--version", VERSION, PACKAGE]
    environment = {**os.environ, "FLYTECTL_CONFIG": str(config)}
    done = subprocess.run(
        [sys.executable, *words], cwd=Path(__file__).parent, env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"the tasks cannot be registered:\n{done.stdout}{done.stderr}")


@contextmanager
def start(folder: Path) -> Iterator[Skein]:
    """Starts the server on a data folder in the folder, registers the tasks if that is new, and ends the server.

    Raises:
        SystemExit: When the server ends before it is ready.
    """
    data = folder / "data"
    known = data.exists()
    words = ["up", "--data", str(data), "--listen", "127.0.0.1:0", "--python", sys.executable]
    with open(folder / "server.log", "ab") as log:
        server = subprocess.Popen([os.environ["PEER_SKEIN"], *words], stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        url = next((line.split()[3] for line in server.stdout if line.startswith(READY)), None)
        if url is None:
            raise SystemExit((folder / "server.log").read_text())
        began = time.monotonic()
        if not known:
            register(data / "client.yaml")
        yield Skein(url, time.monotonic() - began)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    peer.run(start, server=True)
