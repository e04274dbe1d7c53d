"""82 to 85: gates, which wait for somebody or for time to pass."""

import subprocess
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import grpc
import pytest
from flyteidl.admin import signal_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from google.protobuf.message import Message

from harness import cli as command_lines
from harness.client import Client, execution_id, integer, phase, refused, require_success, text
from harness.poll import until
from harness.server import Skein
from harness.settings import PROJECT_FOLDER, VERSION, binary, environment
from harness.witness import Witness

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def ids(client: Client, execution: Any) -> list[str]:
    """The signals that gates of an execution wait for or have waited for."""
    request = signal_pb2.SignalListRequest(workflow_execution_id=execution_id(execution), limit=100)
    return [signal.id.signal_id for signal in client.signals.ListSignals(request).signals]


def waiting(client: Client, workflow: str, count: int = 1, **inputs: Any) -> Any:
    """An execution whose gates wait."""
    execution = client.start(f"gates.{workflow}", inputs)
    until("the gates have begun", lambda: len(ids(client, execution)) == count)
    return execution


def setting(execution: Any, signal: str, value: literals_pb2.Literal) -> Message:
    """A request to set a signal."""
    named = identifier_pb2.SignalIdentifier(signal_id=signal, execution_id=execution_id(execution))
    return signal_pb2.SignalSetRequest(id=named, value=value)


def test_082_an_approval_lets_through_what_it_is_about(nested: Client) -> None:
    """`approve`: SetSignal true continues."""
    execution = waiting(nested, "approval", x=1)
    nested.remote.approve("sure", execution.id.name)
    ended = nested.wait(execution)
    require_success(ended)
    assert ended.outputs["o0"] == 3


def test_082_a_rejection_fails_the_execution(nested: Client) -> None:
    """False fails with ReceivedRejectSignal."""
    execution = waiting(nested, "approval", x=1)
    nested.remote.reject("sure", execution.id.name)
    ended = nested.wait(execution)
    assert phase(ended) == "FAILED"
    assert ended.error.code == "ReceivedRejectSignal"


def test_083_a_value_of_another_type_is_refused_and_the_right_one_goes_on(nested: Client) -> None:
    """`wait_for_input`: SetSignal of the wrong type is INVALID_ARGUMENT; right type continues with the value."""
    execution = waiting(nested, "input_of_number", x=1)
    code, details = refused(nested.signals.SetSignal, setting(execution, "number", text("seven")))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "number" in details and "INTEGER" in details and "STRING" in details
    nested.remote.set_input("number", execution.id.name, 7)
    ended = nested.wait(execution)
    require_success(ended)
    assert ended.outputs["o0"] == 8


def test_083_signals_have_values_of_every_kind(nested: Client) -> None:
    """Through the SDK's own call, with what it makes of each value."""
    values: dict[str, Any] = {
        "integer": 3,
        "float": 2.5,
        "string": "a word",
        "boolean": True,
        "datetime": NOON,
        "duration": timedelta(seconds=90),
        "list": [1, 2],
        "map": {"a": 0.5},
    }
    execution = waiting(nested, "input_of_all", count=len(values))
    kinds = {"list": list[int], "map": dict[str, float]}
    for name, value in values.items():
        nested.remote.set_signal(name, execution.id.name, value, python_type=kinds.get(name, type(value)))
    ended = nested.wait(execution)
    require_success(ended)
    assert [ended.outputs[f"o{index}"] for index in range(len(values))] == list(values.values())


def test_084_a_gate_that_has_not_begun_takes_no_signal(nested: Client, witness: Witness) -> None:
    """SetSignal before the gate starts is INVALID_ARGUMENT."""
    execution = nested.start("gates.input_after_gate", {"x": 1, "name": "g"}, envs=witness.variables)
    until("the task before it runs", lambda: witness.lines("reached"))
    code, details = refused(nested.signals.SetSignal, setting(execution, "number", integer(1)))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "signal does not exist" in details
    witness.open("g")
    until("the gate has begun", lambda: ids(nested, execution))
    nested.signals.SetSignal(setting(execution, "number", integer(1)))
    assert nested.wait(execution).outputs["o0"] == 2


def test_a_signal_that_is_set_twice_is_answered_twice(nested: Client) -> None:
    """The gate has gone on with the first value."""
    execution = waiting(nested, "input_of_number", x=1)
    nested.signals.SetSignal(setting(execution, "number", integer(4)))
    nested.signals.SetSignal(setting(execution, "number", integer(4)))
    assert nested.wait(execution).outputs["o0"] == 5


def test_a_signal_after_the_end_is_refused(nested: Client) -> None:
    """With a status that says that it is too late."""
    execution = nested.finish("gates.expires", {"x": 1})
    assert phase(execution) == "FAILED"
    assert execution.error.code == "RetriesExhausted|TimeoutExpired"
    code, details = refused(nested.signals.SetSignal, setting(execution, "number", integer(4)))
    assert code == grpc.StatusCode.FAILED_PRECONDITION, details


@pytest.mark.parametrize(
    "change",
    [
        lambda request: request.id.ClearField("signal_id"),
        lambda request: request.ClearField("value"),
        lambda request: request.id.execution_id.ClearField("name"),
        lambda request: setattr(request.id.execution_id, "name", "nope"),
        lambda request: request.value.scalar.primitive.ClearField("integer"),
        lambda request: request.value.CopyFrom(text("x" * (300 << 10))),
    ],
    ids=["no signal", "no value", "no execution", "unknown execution", "empty value", "too large"],
)
def test_a_signal_that_is_not_whole_is_refused(nested: Client, change: Callable[[Any], Any]) -> None:
    """With a status and a text, never UNKNOWN."""
    execution = waiting(nested, "input_of_number", x=1)
    request = setting(execution, "number", integer(1))
    change(request)
    code, details = refused(nested.signals.SetSignal, request)
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert details
    nested.remote.terminate(execution, "done with it")


def test_085_a_sleep_outlasts_a_server_that_is_killed(new_server: Callable[[], Skein], tmp_path: Any) -> None:
    """`sleep(5s)` takes at least 5 s and survives a server restart."""
    server = new_server()
    command_lines.pyflyte(server, tmp_path).register(
        "nested", version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    client = Client(server, "nested")
    execution = client.start("gates.sleeps", {"x": 1})
    until("it sleeps", lambda: any(node.id.node_id == "n0" for node in client.nodes(execution)))
    began = time.monotonic()
    server.kill()
    client = Client(server.start(), "nested")
    ended = client.wait(client.remote.fetch_execution(name=execution.id.name))
    require_success(ended)
    node = client.node(execution, "n0")
    assert node.closure.duration.ToTimedelta() >= timedelta(seconds=5)
    assert time.monotonic() - began < 30


def cli(client: Client, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs `skein signal`."""
    command = [str(binary()), "signal", *words, "--server", client.server.url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment())


def test_signals_are_listed_and_set_by_the_command_line(nested: Client) -> None:
    """Each value as a person writes it, read by the type that the gate has declared."""
    execution = waiting(nested, "input_of_all", count=8)
    name = execution.id.name
    listed = cli(nested, "ls", name)
    assert listed.returncode == 0, listed.stderr
    assert "integer  simple:INTEGER  is waited for; a value is 42" in listed.stdout.splitlines()
    values = {
        "integer": "-3",
        "float": "2.5",
        "string": "a word",
        "boolean": "true",
        "datetime": "2026-01-01T12:00:00Z",
        "duration": "1m30s",
        "list": "[1, 2]",
        "map": '{"a": 0.5}',
    }
    for signal, value in values.items():
        done = cli(nested, "set", name, signal, value)
        assert done.returncode == 0, done.stderr
    ended = nested.wait(execution)
    require_success(ended)
    expected = [-3, 2.5, "a word", True, NOON, timedelta(seconds=90), [1, 2], {"a": 0.5}]
    assert [ended.outputs[f"o{index}"] for index in range(len(values))] == expected
    assert "integer  simple:INTEGER  is -3" in cli(nested, "ls", name).stdout.splitlines()


def test_the_command_line_says_what_a_signal_could_be(nested: Client) -> None:
    """The type that it has, and an example; an approval takes true and false."""
    execution = waiting(nested, "approval", x=1)
    name = execution.id.name
    wrong = cli(nested, "set", name, "sure", "maybe")
    assert wrong.returncode == 2
    assert 'signal sure: "maybe" is no value of type simple:BOOLEAN; one is true' in wrong.stderr
    unknown = cli(nested, "set", name, "nope", "true")
    assert unknown.returncode == 2
    assert "signal does not exist" in unknown.stderr
    assert "nope" in cli(nested, "ls", "nope").stderr
    assert cli(nested, "set", name, "sure", "true").returncode == 0
    assert nested.wait(execution).outputs["o0"] == 3
