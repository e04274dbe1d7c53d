"""Running tasks: items 41 to 45, 47, 51, 65, 66 and 105 of the conformance checklist."""

import os
import signal
import urllib.request
from pathlib import Path

import pytest
from flyteidl.core import execution_pb2
from flytekit.core.options import Options
from flytekit.models.common import RawOutputDataConfig

from harness.client import Client, phase, require_success
from harness.poll import until
from harness.settings import DOMAIN, PROJECT, PROJECT_FOLDER, VERSION
from harness.witness import Witness

MEBIBYTE = 1024 * 1024


def test_041_a_task_is_told_who_it_is(client: Client) -> None:
    """A task receives `FLYTE_INTERNAL_EXECUTION_ID`, project, domain, task name and version, and `FLYTE_ATTEMPT_NUMBER=0`."""
    execution = client.finish("environment.internal_variables", task=True)
    require_success(execution)
    variables = execution.outputs["o0"]
    for name, value in {
        "FLYTE_INTERNAL_EXECUTION_ID": execution.id.name,
        "FLYTE_INTERNAL_EXECUTION_PROJECT": PROJECT,
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": DOMAIN,
        "FLYTE_INTERNAL_TASK_PROJECT": PROJECT,
        "FLYTE_INTERNAL_TASK_DOMAIN": DOMAIN,
        "FLYTE_INTERNAL_TASK_NAME": "workflows.environment.internal_variables",
        "FLYTE_INTERNAL_TASK_VERSION": VERSION,
        "FLYTE_ATTEMPT_NUMBER": "0",
    }.items():
        assert variables.get(name) == value, name


def test_042_a_task_imports_from_its_archive(client: Client) -> None:
    """A fast-registered task imports modules from the uploaded archive (without containers: from a folder of its own)."""
    place = Path(client.outputs("environment.where_the_neighbour_is", task=True)["o0"])
    assert place.name == "neighbour.py"
    assert PROJECT_FOLDER not in place.parents, "it must come from the archive, not from the sources"


@pytest.mark.parametrize("name", ["failing.boom", "failing.boom_with_retries"])
def test_043_an_exception_fails_after_one_attempt(client: Client, witness: Witness, name: str) -> None:
    """A task raising ValueError fails after one attempt with kind USER and a traceback in the message."""
    execution = client.finish(name, {"x": 1}, task=True, envs=witness.variables)
    assert phase(execution) == "FAILED"
    error = client.get(execution).closure.error
    assert error.code == "USER:RuntimeError"
    assert error.kind == execution_pb2.ExecutionError.USER
    assert "Traceback" in error.message
    assert "ValueError: boom 1" in error.message
    assert len(client.attempts(execution)) == 1
    assert len(witness.lines()) == 1


def test_044_a_recoverable_exception_uses_up_its_retries(client: Client, witness: Witness) -> None:
    """A task raising FlyteRecoverableException with `retries=2` runs three attempts, then fails with `RetriesExhausted|USER:Recoverable`."""
    execution = client.finish("failing.recoverable", {"x": 1}, task=True, envs=witness.variables)
    assert phase(execution) == "FAILED"
    error = client.get(execution).closure.error
    assert error.code == "RetriesExhausted|USER:Recoverable"
    assert error.kind == execution_pb2.ExecutionError.USER
    assert error.message.startswith("[3/3] currentAttempt done. Last Error: USER::")
    attempts = client.attempts(execution)
    assert [attempt.id.retry_attempt for attempt in attempts] == [0, 1, 2]
    assert {attempt.closure.error.code for attempt in attempts} == {"USER:Recoverable"}
    assert len(witness.lines()) == 3


def test_047_an_exit_without_outputs_is_not_a_success(client: Client, witness: Witness) -> None:
    """A task exiting 0 without outputs although declared fails with `OutputsNotFound`."""
    execution = client.finish("failing.ends_without_outputs", {"x": 1}, task=True, envs=witness.variables)
    assert phase(execution) == "FAILED"
    assert "OutputsNotFound" in client.get(execution).closure.error.code


def test_an_exit_status_is_named_in_the_error(client: Client) -> None:
    """A process that ends with 3 fails with `RetriesExhausted|Error`, kind USER, and the status in the message."""
    execution = client.finish("failing.exits_with_three", {"x": 1}, task=True)
    error = client.get(execution).closure.error
    assert error.code == "RetriesExhausted|Error"
    assert error.kind == execution_pb2.ExecutionError.USER
    assert "exit code (3)" in error.message


def test_a_killed_task_is_tried_again_at_nobodys_cost(client: Client, witness: Witness) -> None:
    """A process killed from outside is tried again, although the task has no retries of its own."""
    execution = client.finish("failing.kills_itself_once", {"x": 7}, task=True, envs=witness.variables)
    require_success(execution)
    assert execution.outputs["o0"] == 7
    assert [words[1] for words in witness.lines()] == ["0", "1"]
    first = client.attempts(execution)[0]
    assert first.closure.error.kind == execution_pb2.ExecutionError.SYSTEM


def test_045_a_task_that_is_killed_from_outside_has_its_retries_left(client: Client, witness: Witness) -> None:
    """A task killed by SIGKILL from outside is retried as a system failure without consuming the user budget."""
    execution = client.start("failing.waits_then_fails", {"name": "killed"}, task=True, envs=witness.variables)
    [[_, pid]] = until("the first try", lambda: witness.lines("waits"))
    os.kill(int(pid), signal.SIGKILL)
    until("the second try", lambda: len(witness.lines("waits")) == 2)
    witness.open("killed")
    assert phase(client.wait(execution)) == "FAILED"
    kinds = [attempt.closure.error.kind for attempt in client.attempts(execution)]
    system, user = execution_pb2.ExecutionError.SYSTEM, execution_pb2.ExecutionError.USER
    assert kinds == [system, user, user], "one retry of its own is there after the one that nobody pays for"
    assert client.get(execution).closure.error.message.startswith("[2/2] currentAttempt done.")


@pytest.mark.parametrize(("name", "tries"), [("failing.takes_too_long", 1), ("failing.takes_too_long_twice", 2)])
def test_051_a_task_that_takes_too_long_is_ended(client: Client, witness: Witness, name: str, tries: int) -> None:
    """A time limit on a sleeping task yields `TimeoutExpired`; with `retries=1` it is tried twice."""
    execution = client.finish(name, {"x": 1}, task=True, envs=witness.variables)
    assert phase(execution) == "FAILED"
    assert client.get(execution).closure.error.code.endswith("TimeoutExpired")
    ends = [attempt.closure.error.code for attempt in client.attempts(execution)]
    assert ends == ["TimeoutExpired"] * tries
    assert len(witness.lines("takes_too_long")) == tries


def test_065_variables_of_the_execution_reach_every_task(client: Client) -> None:
    """Execution `envs` reach every container (children of launch plans apart)."""
    outputs = client.outputs(
        "environment.variable_everywhere",
        {"name": "COLOUR", "names": ["COLOUR", "COLOUR"]},
        envs={"COLOUR": "green"},
    )
    assert outputs["o0"] == "green"
    assert outputs["o1"] == ["green", "green"]


@pytest.mark.parametrize("megabytes", [1, 5, 24])
def test_066_outputs_of_any_size_are_read_through_the_sdk(client: Client, megabytes: int) -> None:
    """Output literals larger than the inline limit are retrievable through the SDK; 24 MiB are more than one response may have."""
    size = megabytes * MEBIBYTE
    outputs = client.outputs("values.large_text", {"size": size})
    assert outputs["o0"] == "s" * size
    assert outputs["o1"] == size


def test_105_files_are_uploaded_under_the_prefix_of_the_execution(client: Client, tmp_path: Path) -> None:
    """`raw-output-data-prefix` appears in the task's raw output argument."""
    # However it is written, the task is given the plain path: the SDK finds no folder by a `file://` URL.
    prefix = f"{tmp_path}/raw"
    options = Options(raw_output_data_config=RawOutputDataConfig(output_location_prefix=f"file://{prefix}"))
    execution = client.finish("environment.raw_output_prefix", task=True, options=options)
    require_success(execution)
    assert execution.outputs["o0"].startswith(prefix)
    given = client.finish("values.give_file", {"text": "hello"}, task=True, options=options)
    require_success(given)
    files = [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["hello"]


def test_what_a_task_prints_is_read_through_its_log_link(client: Client) -> None:
    """The task execution links to what the task wrote to standard output, also after it has ended."""
    execution = client.finish("misbehaving.prints_much", {"megabytes": 1}, task=True)
    require_success(execution)
    [log] = client.attempts(execution)[0].closure.logs
    with urllib.request.urlopen(log.uri, timeout=30) as answer:
        assert answer.read().count(b"p" * 1023 + b"\n") == 1024
