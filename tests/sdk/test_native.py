"""Tasks in Rust: registered by their own program, used by unmodified `flytekit` through `reference_task`."""

import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from harness import cli as command_lines
from harness.client import Client, phase, require_success, unique
from harness.server import Skein
from harness.settings import DOMAIN, PROJECT, PROJECT_FOLDER, VERSION, environment, native_program

REGISTER_SECONDS_MAX = 60


def call(program: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """What a program with tasks answers to a command line."""
    return subprocess.run(
        [str(program), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=REGISTER_SECONDS_MAX,
        env=environment(),
        check=False,
    )


def register(program: Path, server: Skein, version: str = VERSION, *more: str) -> "subprocess.CompletedProcess[str]":
    """Has a program register its tasks."""
    place = ["--endpoint", server.endpoint, "--project", PROJECT, "--domain", DOMAIN, "--version", version]
    return call(program, "register", *place, *more)


@pytest.fixture(scope="module")
def native(server: Skein, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A client of a server that knows the programs' tasks and the workflows over them."""
    for name in ("anomalies", "trials"):
        done = register(native_program(name), server)
        assert done.returncode == 0, done.stdout
    command_lines.pyflyte(server, tmp_path_factory.mktemp("native")).register(
        "native", version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    return Client(server)


def start(client: Client, name: str, inputs: dict[str, Any], **options: Any) -> Any:
    """Starts a workflow over tasks in Rust."""
    plan = client.remote.fetch_launch_plan(name=f"native.workflows.{name}", version=VERSION)
    return client.remote.execute(plan, inputs=inputs, **options)


def outputs(client: Client, name: str, inputs: dict[str, Any], **types: Any) -> dict[str, Any]:
    """What it answers."""
    execution = client.wait(start(client, name, inputs))
    require_success(execution)
    return {key: execution.outputs.get(key, types.get(key)) for key in execution.outputs.literals}


def test_a_single_task_runs_by_itself(native: Client) -> None:
    task = native.remote.fetch_task(name="anomalies.detect", version=VERSION)
    for value, expected in [(14, True), (15, False)]:
        execution = native.wait(native.remote.execute(task, inputs={"value": value}))
        require_success(execution)
        assert execution.outputs["o0"] is expected
    [attempt] = native.attempts(execution)
    assert attempt.closure.task_type == "skein-native"


def test_the_task_is_registered_with_its_interface_and_metadata(native: Client) -> None:
    task = native.remote.fetch_task(name="anomalies.describe", version=VERSION)
    assert set(task.interface.inputs) == {"values"}
    assert set(task.interface.outputs) == {"mean", "deviation"}
    assert task.metadata.discoverable and task.metadata.discovery_version == "1"
    retried = native.remote.fetch_task(name="trials.third_time", version=VERSION)
    assert retried.metadata.retries.retries == 2


def test_steps_in_rust_and_in_python_take_each_others_values(native: Client) -> None:
    assert outputs(native, "chain", {"values": [1.0, 3.0]}) == {"o0": 2.0, "o1": 1.0}


def test_a_chain_of_steps_in_rust_adds_up(native: Client) -> None:
    assert outputs(native, "sums", {"value": 3}) == {"o0": 60}


def test_each_type_comes_back_as_it_went(native: Client) -> None:
    given = {
        "flag": True,
        "number": -1.5,
        "text": "geese \u00fc",
        "time": datetime(1969, 12, 31, 23, 59, 58, 500001, tzinfo=timezone.utc),
        "span": timedelta(days=-3, microseconds=1),
        "list": [1, -2, 2**62],
    }
    assert outputs(native, "there_and_back", given) == given


def test_an_optional_input_may_be_given_or_not(native: Client) -> None:
    text = {"text": "Geese fly and geese sleep"}
    assert outputs(native, "words", text)["o0"] == {"geese": 2, "fly": 1, "and": 1, "sleep": 1}
    assert outputs(native, "words", {**text, "letters_min": 4})["o0"] == {"geese": 2, "sleep": 1}


def test_a_map_over_a_reference_task_runs_each_item_in_rust(native: Client) -> None:
    for count in (0, 1, 1000):
        values = list(range(count))
        found = outputs(native, "mapped", {"values": values}, o0=list[bool])["o0"]
        assert found == [value % 7 == 0 for value in values]


def test_what_a_map_has_kept_of_an_item_is_not_taken_for_a_tasks_own(native: Client) -> None:
    """A cached task in Rust may be mapped and run alone: its outputs are lists the one time, and values the other."""
    assert outputs(native, "known_squares", {"xs": [3, 4]})["o0"] == [9, 16]
    assert outputs(native, "known_square_alone", {"x": 3})["o0"] == 9
    assert outputs(native, "known_square_alone", {"x": 3})["o0"] == 9
    assert outputs(native, "known_squares", {"xs": [4, 3]})["o0"] == [16, 9]


def test_items_that_fail_or_end_their_process_are_charged_alone(native: Client) -> None:
    hows = ["one", "panic", "three", "abort", "fifth!", "sixths!", "seven"]
    found = outputs(native, "mapped_ends", {"hows": hows})["o0"]
    assert found == [3, None, 5, None, 6, 7, 5]


def test_a_recoverable_error_is_tried_again_as_often_as_the_task_says(native: Client) -> None:
    execution = native.wait(start(native, "retried", {"x": 8}))
    require_success(execution)
    assert execution.outputs["o0"] == 8
    assert len(native.attempts(execution, "n0")) == 3


@pytest.mark.parametrize(
    "how, code, words",
    [
        ("error", "USER:NoWool", "no wool"),
        ("panic", "USER:Panic", "the task panicked at workers/native/examples/trials.rs"),
        ("abort", "Error", "exit code (134)"),
        ("exit", "Error", "exit code (3)"),
    ],
)
def test_a_failure_is_told_with_its_code_and_message(native: Client, how: str, code: str, words: str) -> None:
    execution = native.wait(start(native, "ended", {"how": how}))
    assert phase(execution) == "FAILED"
    [attempt] = native.attempts(execution, "n0")
    assert attempt.closure.error.code == code
    assert words in attempt.closure.error.message


def test_registering_again_is_no_error_and_another_content_is(native: Client, tmp_path: Path) -> None:
    program = native_program("anomalies")
    again = register(program, native.server)
    assert again.returncode == 0 and "is registered already" in again.stdout, again.stdout
    elsewhere = tmp_path / "anomalies"
    shutil.copy2(program, elsewhere)
    other = register(elsewhere, native.server)
    assert other.returncode == 1 and "is not registered" in other.stdout, other.stdout


def test_a_workflow_that_says_another_interface_does_not_compile(native: Client, tmp_path: Path) -> None:
    folder = tmp_path / "wrong_interface"
    folder.mkdir()
    (folder / "wrong.py").write_text(
        "from flytekit import reference_task, workflow\n"
        '@reference_task(project="flytesnacks", domain="development", name="anomalies.detect", version="v1")\n'
        "def detect(value: str) -> bool: ...\n"
        "@workflow\n"
        "def flow(value: str) -> bool:\n"
        "    return detect(value=value)\n"
    )
    answer = command_lines.pyflyte(native.server, tmp_path).register("wrong.py", version="v1", folder=folder)
    assert answer.status != 0
    assert "value" in answer.output, answer.output


def test_a_program_that_was_removed_or_built_anew_is_told_by_name(
    native: Client, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    shutil.copy2(native_program("anomalies"), program)
    version = unique("v")
    assert register(program, native.server, version, "--task", "anomalies.detect").returncode == 0
    task = native.remote.fetch_task(name="anomalies.detect", version=version)
    program.unlink()
    absent = native.wait(native.remote.execute(task, inputs={"value": 7}))
    assert absent.error.code == "ProgramNotFound" and str(program) in absent.error.message
    shutil.copy2(native_program("trials"), program)
    changed = native.wait(native.remote.execute(task, inputs={"value": 7}))
    assert changed.error.code == "ProgramChanged"
    assert "task anomalies.detect was registered from the program" in changed.error.message
    shutil.copy2(native_program("anomalies"), program)
    execution = native.wait(native.remote.execute(task, inputs={"value": 7}))
    require_success(execution)


def test_a_command_line_that_is_wrong_is_explained() -> None:
    program = native_program("anomalies")
    assert "anomalies.describe(values: list[float]) -> (mean: float, deviation: float)" in call(program).stdout
    for words, told in [
        (("register",), "--endpoint is missing"),
        (("serve", "--protocol", "0"), "speaks version 1 of the worker protocol, and the worker version 0"),
        (("start",), '"start" is no command of this program'),
    ]:
        done = call(program, *words)
        assert done.returncode == 2 and told in done.stdout, done.stdout
