"""Images as environments of this machine, and variables: item 52 of the conformance checklist, where there are no images."""

import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness import cli as command_lines
from harness.client import Client, require_success
from harness.environments import alike
from harness.server import Skein
from harness.settings import PROJECT_FOLDER, VERSION, binary, environment, flytekit_python

@pytest.fixture
def environments(tmp_path: Path) -> Callable[[str], Path]:
    """Makes virtual environments that have what the tests' own has."""

    def make(name: str) -> Path:
        return alike(flytekit_python(), tmp_path / name)

    return make


def registered(server: Skein, folder: Path) -> Client:
    """A client of a server that knows the tasks with images."""
    pyflyte = command_lines.pyflyte(server, folder)
    pyflyte.register("imaged.py", version=VERSION, folder=PROJECT_FOLDER).expect_success()
    return Client(server)


def test_052_every_image_has_an_environment_of_its_own(environments: Callable[[str], Path], tmp_path: Path) -> None:
    """`with_overrides(container_image=…)` runs the node in that image; siblings keep theirs."""
    train, serve = environments("train"), environments("serve")
    folder = tmp_path / "server"
    folder.mkdir()
    words = ("--image", f"localhost/train:*={train}", "--image", f"*/serve:v1={serve}/bin/python")
    server = Skein(folder, words=words).start()
    try:
        client = registered(server, tmp_path)
        assert any(f"image     localhost/train:* is {train}/bin/python" in line for line in server.printed)
        plan = client.remote.fetch_launch_plan(name="imaged.several", version=VERSION)
        execution = client.wait(client.remote.execute(plan, inputs={}))
        require_success(execution)
        default = str(flytekit_python().parent.parent)
        given = [execution.outputs[f"o{place}"] for place in range(5)]
        assert given == [default, f"{train} {train} {train}/bin", str(serve), str(train), [str(serve)] * 2]
        reasons = [client.attempts(execution, node)[0].closure.reason for node in ("n0", "n1", "n3")]
        assert reasons[0].endswith("in its default environment")
        assert reasons[1].endswith(f"in the environment of the interpreter {train}/bin/python")
        assert reasons[2] == reasons[1] or f"{train}/bin/python" in reasons[2]
    finally:
        server.end()
        server.check()


@pytest.mark.parametrize(
    "given, expected",
    [
        ("train", "--image train has no =; say --image PATTERN=VENV"),
        ("a b=/venv", 'has the pattern "a b"; it has to be the name of an image'),
        ("train:*=/nowhere", "--image train:*=/nowhere cannot be used: Python cannot be started as /nowhere"),
    ],
)
def test_an_image_that_is_mapped_wrongly_is_refused_at_the_start(tmp_path: Path, given: str, expected: str) -> None:
    """With what was said, and what would be right."""
    done = subprocess.run(
        [str(binary()), "up", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
        + ["--python", str(flytekit_python()), "--image", given],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert expected in done.stderr


def test_variables_of_a_task_give_way_to_those_of_its_execution(server: Skein, tmp_path: Path) -> None:
    """`environment=` of a task, and `--env` of `pyflyte run`."""
    client = registered(server, tmp_path)
    task = client.remote.fetch_task(name="imaged.variables", version=VERSION)
    execution = client.wait(client.remote.execute(task, inputs={}, envs={"B": "execution=x"}))
    require_success(execution)
    assert execution.outputs["o0"] == "task execution=x"


@pytest.mark.parametrize("name", ["A=B", "A\0", ""])
def test_a_variable_that_cannot_be_is_refused_with_its_task(server: Skein, tmp_path: Path, name: str) -> None:
    """At registration, and when an execution brings it along."""
    (tmp_path / "wrong.py").write_text(
        f"from flytekit import task\n\n\n@task(environment={{{name!r}: 'x'}})\ndef wrong() -> int:\n    return 1\n"
    )
    answer = command_lines.pyflyte(server, tmp_path).register("wrong.py", version=VERSION)
    assert answer.status != 0
    assert "the environment of task wrong.wrong has a variable with the name" in answer.output
    client = registered(server, tmp_path)
    task = client.remote.fetch_task(name="imaged.variables", version=VERSION)
    with pytest.raises(Exception) as refused:
        client.remote.execute(task, inputs={}, envs={name: "x"})
    assert "the execution has a variable with the name" in str(refused.value)
