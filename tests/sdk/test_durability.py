"""What survives a crash: items 111 to 115 of the conformance checklist."""

import asyncio
import subprocess
import time
from pathlib import Path

import grpc
from flyteidl.admin import execution_pb2
from flyteidl.core import execution_pb2 as core_execution_pb2
from flyteidl.service import admin_pb2_grpc

from harness import cli as command_lines
from harness.client import Client, create_request, execution_id, integers, phase, require_success, unique
from harness.poll import until
from harness.processes import alive, descendants
from harness.server import Skein
from harness.settings import DOMAIN, PACKAGE, PROJECT, PROJECT_FOLDER, VERSION, binary
from harness.witness import Witness

POLLERS = 1000
POLL_SECONDS = 1.0
RPC_SECONDS_MAX = 60
PUBLISHED_AFTER_SECONDS = 0.3


def again(server: Skein) -> Client:
    """Starts a server that has ended, and gives a client of it."""
    return Client(server.start())


def test_111_a_killed_server_goes_on_where_it_was(own: Client, witness: Witness) -> None:
    """Killing the server at any point and restarting resumes every non-terminal execution without repeating a succeeded node."""
    execution = own.start("gates.waits_in_the_middle", {"name": "middle", "value": 5}, envs=witness.variables)
    until("the second node runs", lambda: witness.lines("reached"))
    children = descendants(own.server.pid)
    own.server.kill()
    until("the worker processes of the dead server are gone", lambda: not any(map(alive, children)), 10)

    client = again(own.server)
    assert client.get(execution).closure.phase == core_execution_pb2.WorkflowExecution.RUNNING
    witness.open("middle")
    ended = client.wait(client.remote.fetch_execution(name=execution.id.name))
    require_success(ended)
    assert ended.outputs["o0"] == 6
    assert len(witness.lines("before")) == 1
    assert len(witness.lines("passed")) == 1
    assert len(witness.lines("after")) == 1


def test_112_a_task_that_ended_meanwhile_is_recognised(own: Client, witness: Witness) -> None:
    """A task finishing while the server is down is recognised after restart from its output files."""
    execution = own.start("gates.waits_for_record", {"name": "frozen"}, envs=witness.variables)
    until("the task runs", lambda: witness.lines("reached"))
    # What ran for less than a quarter of a second is run again rather than written down twice.
    long_enough = time.monotonic() + PUBLISHED_AFTER_SECONDS
    until("the task has run long enough", lambda: time.monotonic() > long_enough)
    before = outputs_under(own.server.data)
    own.server.freeze()
    witness.open("frozen")
    until("the task has written its outputs", lambda: outputs_under(own.server.data) - before)
    own.server.kill()

    client = again(own.server)
    ended = client.wait(client.remote.fetch_execution(name=execution.id.name))
    require_success(ended)
    assert len(witness.lines("reached")) == 1, "the task must not have run a second time"


def outputs_under(folder: Path) -> set[Path]:
    """All output files that attempts have left where a server looks for them: what a worker still holds goes with it."""
    return set((folder / "blobs").rglob("outputs.pb"))


def test_113_a_late_end_of_a_task_changes_nothing(client: Client, witness: Witness) -> None:
    """Duplicate or reordered worker reports never move a terminal phase: here, of a task that ends after its execution was aborted."""
    execution = client.start("gates.waits_in_the_middle", {"name": "late", "value": 1}, envs=witness.variables)
    until("the second node runs", lambda: witness.lines("reached"))
    client.remote.terminate(execution, "changed my mind")
    witness.open("late")
    ended = client.wait(execution)
    assert phase(ended) == "ABORTED"
    aborted = client.get(execution)
    other = client.outputs("values.doubled", {"a": 4})
    assert other["o0"] == 8
    assert client.get(execution) == aborted
    assert not witness.lines("after")


def test_114_what_was_created_can_be_read_at_once(client: Client) -> None:
    """GetExecution immediately after CreateExecution returns the execution (read-your-writes)."""
    for index in range(50):
        name = unique("mine")
        client.admin.CreateExecution(create_request("workflows.values.doubled", integers(a=index), name=name))
        assert client.get(name).id.name == name
        listing = client.remote.client.list_executions_paginated(PROJECT, DOMAIN, limit=1)[0]
        assert [each.id.name for each in listing] == [name]


def test_115_a_thousand_pollers_do_not_starve_registration(
    client: Client, tmp_path: Path, witness: Witness
) -> None:
    """1000 concurrent `--wait` pollers do not starve registration (GetExecution stays under 60 s)."""
    execution = client.start("gates.waits", {"name": "polled"}, envs=witness.variables)
    slowest, registered_in = asyncio.run(poll_while_registering(client.server, execution.id.name, tmp_path))
    witness.open("polled")
    require_success(client.wait(execution))
    assert slowest < RPC_SECONDS_MAX
    assert registered_in < RPC_SECONDS_MAX


async def poll_while_registering(server: Skein, name: str, folder: Path) -> tuple[float, float]:
    """Polls an execution from many sides until a registration is done; gives the slowest answer and the registration, in s."""
    channels = [
        grpc.aio.insecure_channel(server.endpoint, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(20)
    ]
    stubs = [admin_pb2_grpc.AdminServiceStub(channel) for channel in channels]
    done = asyncio.Event()
    request = execution_pb2.WorkflowExecutionGetRequest(id=execution_id(name))
    pollers = [asyncio.create_task(poll(stubs[index % len(stubs)], request, done)) for index in range(POLLERS)]
    pyflyte = command_lines.pyflyte(server, folder)
    began = time.monotonic()
    answer = await asyncio.to_thread(pyflyte.register, PACKAGE, version=unique("polled"), folder=PROJECT_FOLDER)
    registered_in = time.monotonic() - began
    done.set()
    slowest = max(await asyncio.gather(*pollers))
    for channel in channels:
        await channel.close()
    answer.expect_success()
    return slowest, registered_in


async def poll(stub: admin_pb2_grpc.AdminServiceStub, request: object, done: asyncio.Event) -> float:
    """Asks again and again, as `--wait` does, and gives the slowest answer in seconds."""
    slowest = 0.0
    while not done.is_set():
        began = time.monotonic()
        await stub.GetExecution(request, timeout=RPC_SECONDS_MAX)
        slowest = max(slowest, time.monotonic() - began)
        try:
            await asyncio.wait_for(done.wait(), POLL_SECONDS)
        except TimeoutError:
            continue
    return slowest


def test_a_second_server_on_the_same_folder_is_refused_by_name(own: Client) -> None:
    """The second `skein up` ends at once, names the folder, and the first goes on."""
    second = subprocess.run(
        [
            str(binary()),
            "up",
            "--data",
            str(own.server.data),
            "--listen",
            "127.0.0.1:0",
            "--python",
            str(own.server.python),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode != 0
    assert str(own.server.data) in second.stdout + second.stderr
    assert own.outputs("values.doubled", {"a": 4})["o0"] == 8


def test_a_server_that_is_asked_to_end_drains_and_exits_with_zero(own: Client, witness: Witness) -> None:
    """SIGTERM ends with 0, nothing is lost, and no process is left."""
    execution = own.start("gates.waits_in_the_middle", {"name": "drained", "value": 5}, envs=witness.variables)
    until("the second node runs", lambda: witness.lines("reached"))
    children = descendants(own.server.pid)
    assert own.server.stop() == 0
    until("its worker processes are gone", lambda: not any(map(alive, children)), 10)
    witness.open("drained")
    client = again(own.server)
    require_success(client.wait(client.remote.fetch_execution(name=execution.id.name)))
    assert len(witness.lines("before")) == 1
    assert client.server.stop() == 0
    verified = subprocess.run(
        [str(binary()), "log", "verify", str(own.server.data)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_version_that_was_registered_is_there_after_a_crash(own: Client) -> None:
    """Every acknowledged registration is answered after kill -9."""
    own.server.kill()
    client = again(own.server)
    assert client.remote.fetch_workflow(name="workflows.values.doubled", version=VERSION).id.version == VERSION
    assert client.outputs("values.doubled", {"a": 4})["o0"] == 8
