"""Containers that know nothing of the SDK: items 60 and 61 of the conformance checklist, and whatever else they may do.

Each test runs twice: with commands on this machine itself, which always works as root on Linux, and in containers of a real
engine, where there is one.
"""

import json
import os
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Iterator, Optional

import pytest
from flyteidl.core import catalog_pb2
from flytekit.types.directory import FlyteDirectory
from flytekit.types.file import FlyteFile

from harness import cli as command_lines
from harness import engine as engines
from harness.client import Client, phase, require_success, unique
from harness.engine import Engine
from harness.poll import until
from harness.processes import peak_bytes
from harness.server import Skein
from harness.settings import DOMAIN, FOLDER, PROJECT, PROJECT_FOLDER, VERSION

EXAMPLES = FOLDER.parent.parent / "examples"
MEBIBYTE = 1024 * 1024

CANNOT = None if sys.platform == "linux" and os.geteuid() == 0 else "mount namespaces need root on Linux"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A container engine of the session; left out, with the reason, where there can be none."""
    reason = engines.missing()
    if reason:
        pytest.skip(reason)
    running = Engine(tmp_path_factory.mktemp("engine")).start()
    yield running
    running.end()


class Place:
    """A server that runs container tasks one way."""

    def __init__(self, kind: str, folder: Path, engine: Optional[Engine]) -> None:
        self.kind = kind
        self.engine = engine
        self.folder = folder
        words = ("--containers", kind)
        self.server = Skein(folder, words=words, variables=engine.variables if engine else {}).start()
        pyflyte = command_lines.pyflyte(self.server, folder)
        pyflyte.register("contained", version=VERSION, folder=PROJECT_FOLDER).expect_success()
        self.client = Client(self.server)

    def start(self, name: str, inputs: Optional[dict[str, Any]] = None, **options: Any) -> Any:
        """Starts one of the container tasks."""
        task = self.client.remote.fetch_task(name=f"contained.{name}", version=VERSION)
        return self.client.remote.execute(task, inputs=inputs or {}, **options)

    def finish(self, name: str, inputs: Optional[dict[str, Any]] = None, **options: Any) -> Any:
        """Runs one of the container tasks."""
        return self.client.wait(self.start(name, inputs, **options))

    def outputs(self, name: str, inputs: Optional[dict[str, Any]] = None, **options: Any) -> dict[str, Any]:
        """Runs one of the container tasks, which must succeed, and gives its outputs."""
        execution = self.finish(name, inputs, **options)
        require_success(execution)
        return {variable: execution.outputs[variable] for variable in execution.outputs.literals}

    def error(self, name: str, inputs: Optional[dict[str, Any]] = None) -> Any:
        """Runs one of the container tasks, which must fail, and gives the error of its last attempt."""
        execution = self.finish(name, inputs)
        assert phase(execution) == "FAILED"
        return self.client.attempts(execution)[-1].closure.error

    def printed(self, execution: Any) -> str:
        """What the first attempt of an execution printed."""
        [log] = self.client.attempts(execution)[0].closure.logs
        with urllib.request.urlopen(log.uri, timeout=30) as answer:
            return answer.read().decode()

    def runs(self, execution: Any) -> bool:
        """Whether the command of an execution's one task has begun."""
        if len(self.client.nodes(execution)) < 2:
            return False
        return any(attempt.closure.started_at.seconds for attempt in self.client.attempts(execution))

    def used(self, execution: Any) -> Any:
        """What the one task of an execution uses of the machine, as far as it was seen."""
        address = f"{self.server.url}/api/v1/executions/{PROJECT}/{DOMAIN}/{execution.id.name}/usage"
        with urllib.request.urlopen(address, timeout=30) as answer:
            [tried] = json.load(answer)["tries"] or [{"peaks": None}]
        return tried["peaks"]

    def left(self) -> list[str]:
        """What is left of attempts that have ended: containers, or processes."""
        if self.engine is not None:
            return self.engine.containers()
        return in_rooms(self.server.data)

    def end(self) -> None:
        """Ends the server; what it leaves must be whole, and nothing that it ran may be left."""
        self.server.end()
        self.server.check()
        until("nothing is left", lambda: not self.left())


def in_rooms(data: Path) -> list[str]:
    """The processes that see a folder of the server's at the place of a container's."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                mounts = (process / "mountinfo").read_text(encoding="utf-8")
            except OSError:
                continue
            # Paths there are those of the file system, which may be mounted anywhere.
            if f"/{data.parent.name}/{data.name}/scratch/attempts/" in mounts:
                found.append(process.name)
    return found


@pytest.fixture(scope="module", params=["host", "docker"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each way to run container tasks in turn."""
    engine = None
    if request.param == "docker":
        engine = request.getfixturevalue("engine")
    elif CANNOT:
        pytest.skip(CANNOT)
    made = Place(request.param, tmp_path_factory.mktemp(request.param), engine)
    yield made
    made.end()


def test_060_inputs_are_words_of_the_command_and_an_output_file_is_a_typed_literal(place: Place) -> None:
    """A ContainerTask with `{{.inputs.x}}` and an output file returns a typed literal."""
    execution = place.finish("greet", {"name": "Ada {{.inputs.name}}"})
    require_success(execution)
    assert execution.outputs["greeting"] == "Hello, my name is Ada {{.inputs.name}}."
    assert "Hello, my name is Ada" in place.printed(execution)
    [attempt] = place.client.attempts(execution)
    where = "a container of localhost/skein-test-box:1 by Podman" if place.engine else "a mount namespace of the worker's"
    assert where in attempt.closure.reason


def test_061_files_are_where_the_container_expects_them_and_folders_are_uploaded(place: Place, tmp_path: Path) -> None:
    """ContainerTask with FlyteFile input finds the file at `input_data_dir/<var>` and its output directory is uploaded."""
    (tmp_path / "f.txt").write_text("twelve bytes")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.txt").write_text("a")
    (tmp_path / "d/b.txt").write_text("b")
    outputs = place.outputs("files", {"f": FlyteFile(str(tmp_path / "f.txt")), "d": FlyteDirectory(str(tmp_path / "d"))})
    assert outputs["n"] == 12
    assert Path(outputs["g"].download()).read_text() == "ab"
    assert (Path(outputs["d"].download()) / "inner/copy").read_text() == "twelve bytes"


def test_outputs_of_a_cached_container_are_kept(place: Place) -> None:
    """A second run with the same inputs is given them, and runs nothing."""
    inputs = {"salt": unique("salt")}
    first = place.outputs("kept", inputs)
    second = place.finish("kept", inputs)
    require_success(second)
    assert second.outputs["at"] == first["at"]
    node = place.client.node(second, place.client.only_node(second))
    assert node.closure.task_node_metadata.cache_status == catalog_pb2.CACHE_HIT
    assert place.client.attempts(second) == []


def test_every_type_comes_out_as_it_went_in(place: Place) -> None:
    """Numbers, texts, times, objects and what may be nothing."""
    given = {
        "i": -7,
        "f": 0.1,
        "b": True,
        "s": "a 'b' ü",
        "t": datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=timezone.utc),
        "d": timedelta(hours=1, seconds=1.5),
        "o": {"a": [1, None], "b": {"c": 0.5}},
        "m": 3,
        "n": None,
    }
    execution = place.finish("every_type", given)
    require_success(execution)
    found = {name: execution.outputs.get(name, dict if name == "o" else None) for name in given}
    assert found == given
    assert "null" in place.printed(execution)


def test_what_shells_write_is_taken(place: Place) -> None:
    """Newlines at the end, blanks, `True` and numbers with an exponent."""
    assert place.outputs("lenient") == {"i": 42, "f": 0.001, "b": True, "s": "text"}


@pytest.mark.parametrize(
    "name, files, listed",
    [
        ("listed_json", "inputs.json inputs.pb x y z", '{"x":1,"y":["a","b"],"z":"/var/inputs/z"}'),
        ("listed_yaml", "inputs.pb inputs.yaml x y z", '"x": 1\n"y": ["a","b"]\n"z": "/var/inputs/z"'),
        ("listed_proto", "inputs.pb x y z", ""),
    ],
)
def test_all_inputs_are_listed_in_the_format_that_is_asked_for(
    place: Place, tmp_path: Path, name: str, files: str, listed: str
) -> None:
    """`inputs.pb` always, and beside it JSON, YAML or nothing."""
    (tmp_path / "z").write_text("z")
    outputs = place.outputs(name, {"x": 1, "y": ["a", "b"], "z": FlyteFile(str(tmp_path / "z"))})
    assert outputs == {"files": files.replace(" ", "\n"), "listed": listed, "second": "b"}


def test_variables_of_task_and_execution_are_there_and_none_of_the_servers(place: Place) -> None:
    """A container is told who it is, like every other task."""
    execution = place.start("variables", envs={"MORE": "more"})
    execution = place.client.wait(execution)
    require_success(execution)
    assert execution.outputs["v"] == f"own {execution.id.name} 0 more"
    assert execution.outputs["n"] == 0


def test_arguments_follow_the_command_each_as_it_is(place: Place) -> None:
    """Empty ones, lists, blanks, and braces that mean something to the command alone."""
    outputs = place.outputs("arguments", {"x": "$(id) `id`", "l": [1, 2]})
    assert outputs["v"] == "$(id) `id`||[1,2]|{{.Other}}|a b|"


def test_folders_may_be_anywhere(place: Place) -> None:
    """Also where the machine has no such folder, and it has none afterwards."""
    assert place.outputs("elsewhere", {"x": "here"}) == {"y": "here"}
    assert not Path("/deep").exists() and not Path("/in").exists()


def test_one_containers_output_is_anothers_input(place: Place) -> None:
    """In a workflow."""
    plan = place.client.remote.fetch_launch_plan(name="contained.values.between", version=VERSION)
    execution = place.client.wait(place.client.remote.execute(plan, inputs={"name": "a"}))
    require_success(execution)
    assert execution.outputs["o0"] == "Hello, my name is Hello, my name is a..", "a dot of each"


@pytest.mark.parametrize(
    "name, code, message",
    [
        ("says_why", "USER:ContainerError", "no luck: 7"),
        ("forgets", "OutputsNotFound", "the output x, but its container ended without the file /var/outputs/x"),
        ("nonsense", "OutputsUnreadable", 'output x is "twelve" in /var/outputs/x; it has to be a whole number'),
        ("linked", "OutputsUnreadable", "x is a symbolic link; it has to be a file"),
        ("linked_file", "OutputsUnreadable", "x is a symbolic link; it has to be a file"),
        ("linked_inside", "OutputsUnreadable", "x/etc is a symbolic link; it has to be a file or a folder"),
        ("fifo", "OutputsUnreadable", "x is a FIFO; it has to be a file"),
        ("folder", "OutputsUnreadable", "x is a folder; it has to be a file"),
        ("too_long", "OutputsUnreadable", "x has 2000 bytes; there may be 1024"),
        ("binary", "OutputsUnreadable", "x cannot be read: invalid utf-8"),
        ("climbs", "BadTaskSpecification", 'input_data_dir is "/var/../etc"; it has to be the absolute path'),
        ("beside", "OutputsNotFound", "the output y, but its container ended without the file /deep/er/out/y"),
        ("given_list", "BadTaskSpecification", "output x is a list, which cannot come out of a container"),
    ],
)
def test_what_goes_wrong_is_told_by_its_name(place: Place, name: str, code: str, message: str) -> None:
    """Whatever a container leaves, or its task asks for."""
    error = place.error(name)
    assert error.code == code, error
    assert message in error.message
    assert "root:" not in error.message, "nothing outside of the folder is read"


def test_an_exit_code_is_told_and_retries_are_used(place: Place) -> None:
    """With the end of what was printed."""
    execution = place.finish("exits")
    attempts = place.client.attempts(execution)
    assert [attempt.closure.error.code for attempt in attempts] == ["Error", "Error"]
    assert "exit code (3)" in attempts[1].closure.error.message
    assert "last words" in attempts[1].closure.error.message


def test_one_that_is_killed_is_not_charged_to_the_task(place: Place) -> None:
    """SIGKILL from wherever counts as the system's doing, as for every other task."""
    if place.engine is not None:
        return  # The first process of a container cannot kill itself.
    error = place.error("killed")
    assert "exit code (137)" in error.message


def test_one_that_never_ends_is_ended_by_its_timeout_with_all_that_it_started(place: Place) -> None:
    """The container, and its processes, are gone."""
    execution = place.finish("never_ends")
    error = place.client.attempts(execution)[-1].closure.error
    assert error.code == "TimeoutExpired"
    assert "alive" in place.printed(execution)
    until("nothing is left", lambda: not place.left())


def test_a_flood_is_cut_and_harms_nobody(place: Place) -> None:
    """200 MB without a newline."""
    execution = place.finish("floods")
    require_success(execution)
    assert execution.outputs["x"] == 1
    printed = place.printed(execution)
    assert "the output is cut here" in printed and len(printed) < 65 * MEBIBYTE
    assert peak_bytes(place.server.pid) < 400 * MEBIBYTE


def test_what_a_container_leaves_running_ends_with_it(place: Place) -> None:
    """Also what has left its session."""
    assert place.outputs("forks") == {"x": 1}
    until("nothing is left", lambda: not place.left())


def test_what_a_container_uses_is_seen(place: Place) -> None:
    """Its memory and its processor time: the command's, whoever started it."""
    execution = place.start("holds")

    def seen() -> bool:
        used = place.used(execution)
        return bool(used) and used["memory"] >= 64 * MEBIBYTE and used["cpu_seconds"] > 0.3

    until("what it uses is seen", seen, 60)
    place.client.remote.terminate(execution, "enough")
    assert phase(place.client.wait(execution)) == "ABORTED"


def test_an_execution_that_is_ended_ends_its_container(place: Place) -> None:
    """Nothing is left of it."""
    execution = place.start("waits", {"n": 1000})
    until("it runs", lambda: place.runs(execution))
    assert place.left()
    place.client.remote.terminate(execution, "enough")
    assert phase(place.client.wait(execution)) == "ABORTED"
    until("nothing is left", lambda: not place.left())


def test_a_server_that_is_killed_runs_the_attempt_again_and_leaves_nothing_behind(place: Place, tmp_path: Path) -> None:
    """What its container was is removed by the next start, at the latest."""
    own = Place(place.kind, tmp_path, place.engine)
    try:
        execution = own.start("waits", {"n": 4})
        until("it runs", lambda: own.runs(execution))
        before = own.left()
        own.server.kill()
        own.server.start()
        own.client = Client(own.server)
        until("what ran before is gone", lambda: not set(before) & set(own.left()))
        require_success(own.client.wait(own.client.remote.fetch_execution(name=execution.id.name)))
    finally:
        own.end()


def test_more_memory_than_the_limit_is_told_as_such(engine: Engine, tmp_path: Path) -> None:
    """With an engine, which says so itself."""
    own = Place("docker", tmp_path, engine)
    try:
        error = own.error("eats")
        assert error.code == "OOMKilled"
        assert "67108864 bytes" in error.message
    finally:
        own.end()


@pytest.mark.parametrize(
    "name, code, message",
    [
        ("nowhere", "ImagePullBackOff", "the image localhost/skein-test-nothing:1 is not on this machine and cannot be fetched"),
        ("no_command", "ContainerCannotRun", "skein-no-such-command"),
    ],
)
def test_an_image_or_command_that_is_not_there_is_named(
    engine: Engine, tmp_path: Path, name: str, code: str, message: str
) -> None:
    """With what the engine says of it."""
    own = Place("docker", tmp_path, engine)
    try:
        error = own.error(name)
        assert error.code == code, error
        assert message in error.message
    finally:
        own.end()


def test_the_guides_ellipses_are_computed_by_both_images(engine: Engine, tmp_path: Path) -> None:
    """The user guide's example as it stands, with images made of shell scripts."""
    script = (
        "#!/bin/sh\nawk -v a=\"$1\" -v b=\"$2\" 'BEGIN { printf \"%.12g\\n\", 3.14159265358979 * a * b }' > $3/area\n"
        "echo \"[from LANGUAGE shell]\" > $3/metadata\n"
    )
    engine.image(
        "ghcr.io/flyteorg/rawcontainers-haskell:v2",
        {"/root/calculate-ellipse-area": script.replace("LANGUAGE", "haskell")},
        folder="/root",
    )
    engine.image(
        "ghcr.io/flyteorg/rawcontainers-julia:v2",
        {
            "/root/calculate-ellipse-area.jl": script.replace("LANGUAGE", "julia"),
            "/bin/julia": '#!/bin/sh\nexec /bin/sh "$@"\n',
        },
        folder="/root",
    )
    engine.image("docker.io/library/alpine:latest", {})
    folder = tmp_path / "server"
    folder.mkdir()
    server = Skein(folder, words=("--containers", "docker"), variables=engine.variables).start()
    try:
        pyflyte = command_lines.pyflyte(server, tmp_path)
        pyflyte.register("spec/container_tasks", version=VERSION, folder=EXAMPLES).expect_success()
        client = Client(server)
        plan = client.remote.fetch_launch_plan(name="spec.container_tasks.ellipse.wf", version=VERSION)
        execution = client.wait(client.remote.execute(plan, inputs={"a": 2.0, "b": 3.5}), nodes=True)
        require_success(execution)
        for node, language in (("n0", "haskell"), ("n1", "julia")):
            outputs = execution.node_executions[node].outputs
            assert outputs["area"] == pytest.approx(21.991148575128552)
            assert outputs["metadata"] == f"[from {language} shell]"
        task = client.remote.fetch_task(name="echo_and_return_greeting", version=VERSION)
        greeted = client.wait(client.remote.execute(task, inputs={"name": "Union"}))
        assert greeted.outputs["greeting"] == "Hello, my name is Union."
    finally:
        server.end()
        server.check()


def test_without_containers_they_are_refused_before_anything_runs(tmp_path: Path) -> None:
    """With what to say instead; also by a server that could."""
    server = Skein(tmp_path, words=("--containers", "off")).start()
    try:
        command_lines.pyflyte(server, tmp_path).register(
            "contained", version=VERSION, folder=PROJECT_FOLDER
        ).expect_success()
        client = Client(server)
        task = client.remote.fetch_task(name="contained.greet", version=VERSION)
        with pytest.raises(Exception) as refused:
            client.remote.execute(task, inputs={"name": "a"})
        said = "task contained.greet is a container, and this server runs none: they are turned off; say --containers auto"
        assert said in str(refused.value)
    finally:
        server.end()
        server.check()


def test_an_engine_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    """With what was looked for."""
    server = Skein(
        tmp_path, words=("--containers", "docker"), variables={"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    )
    with pytest.raises(AssertionError) as ended:
        server.start()
    said = f"there is no container engine: DOCKER_HOST names unix://{tmp_path}/no.sock, and that cannot be used"
    assert said in str(ended.value)
