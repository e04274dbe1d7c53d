"""Tasks that connectors do: flytekit's own connector service with its sensor and with connectors of the tests' own."""

import random
import subprocess
import threading
from pathlib import Path
from typing import Any, Iterator

import grpc
import pytest
from flyteidl.core import execution_pb2
from google.protobuf import json_format

from harness import cli as command_lines
from harness.client import Client, phase, require_success
from harness.connector import Connector
from harness.nats import Nats
from harness.poll import until
from harness.server import Skein
from harness.settings import LONG, PROJECT_FOLDER, VERSION, binary, environment

PACKAGE = "connected/tasks.py"
PHASE = execution_pb2.TaskExecution
SECONDS_MAX = 60
MOMENTS = 40 if LONG else 4


@pytest.fixture(scope="module")
def connector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connector]:
    """A connector service."""
    connector = Connector(tmp_path_factory.mktemp("connector")).start()
    yield connector
    connector.kill()


def served(connector: Connector, folder: Path, words: tuple[str, ...] = ()) -> Client:
    """A client of a server of its own that calls the connector, with the tasks registered."""
    server = Skein(folder, words=["--connector", connector.url, "--slots", "1", *words]).start()
    register(server, folder)
    return Client(server)


def register(server: Skein, folder: Path) -> None:
    """Registers the tasks that connectors do."""
    command_lines.pyflyte(server, folder).register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER).expect_success()


@pytest.fixture(scope="module")
def client(connector: Connector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that the tests share."""
    client = served(connector, tmp_path_factory.mktemp("connected"))
    yield client
    client.server.end()
    client.server.check()


@pytest.fixture
def own(connector: Connector, tmp_path: Path) -> Iterator[Client]:
    """A client of a server that the test may kill."""
    client = served(connector, tmp_path)
    yield client
    client.server.end()
    client.server.check()


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[Connector, Client]]:
    """A connector and a client of a server, both of which the test may kill."""
    (tmp_path / "connector").mkdir()
    connector = Connector(tmp_path / "connector" / "own").start()
    client = served(connector, tmp_path)
    yield connector, client
    connector.kill()
    client.server.end()
    client.server.check()


def start(client: Client, name: str, inputs: dict[str, Any], task: bool = True) -> Any:
    """Starts a task or workflow of the package."""
    fetch = client.remote.fetch_task if task else client.remote.fetch_launch_plan
    return client.remote.execute(fetch(name=f"connected.tasks.{name}", version=VERSION), inputs=inputs)


def why(client: Client, execution: Any) -> str:
    """What `skein why` says."""
    return subprocess.run(
        [str(binary()), "why", execution.id.name],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
        check=True,
    ).stdout


def attempt(client: Client, execution: Any) -> Any:
    """The last task execution of the only node; none before there is one."""
    attempts = client.attempts(execution) if len(client.nodes(execution)) > 1 else []
    return attempts[-1] if attempts else None


def test_a_job_is_followed_to_its_outputs_and_shown_meanwhile(client: Client, connector: Connector) -> None:
    """The connector is told who asks and for what; phase, links and custom info are shown; the outputs are its answer."""
    execution = start(client, "job", {"x": 20})
    job = connector.job(execution.id.name)
    [told] = connector.created(execution.id.name)
    assert (told["x"], told["attempt"], told["namespace"]) == (20, 0, "flytesnacks-development")
    assert told["custom"] == {"asked_by": "connected.tasks.job"}
    assert told["output_prefix"].startswith("/"), "files can be left there"
    connector.say(job, "INITIALIZING", message="nearly", links={"Console": "https://jobs.example/1"}, info={"size": 3})
    shown = until(
        "the links", lambda: (one := attempt(client, execution)) and one.closure.logs and one, SECONDS_MAX
    )
    assert shown.closure.phase == PHASE.INITIALIZING
    assert [(log.name, log.uri) for log in shown.closure.logs] == [("Console", "https://jobs.example/1")]
    assert json_format.MessageToDict(shown.closure.custom_info) == {"size": 3.0}
    assert shown.closure.metadata.plugin_identifier == "connector"
    assert f"its job at connector {connector.url}, which is about to run: nearly" in why(client, execution)
    connector.say(job, "SUCCEEDED", outputs={"o0": 21}, links={"Console": "https://jobs.example/1"})
    done = client.wait(execution)
    require_success(done)
    assert done.outputs["o0"] == 21
    assert not connector.is_deleted(job)


def test_jobs_take_no_slot_and_their_outputs_flow_on(client: Client, connector: Connector) -> None:
    """More jobs than the server has slots are out at once, while a task of Python's runs; then one of each kind in a chain."""
    waiting = [start(client, "job", {"x": number}) for number in range(5)]
    jobs = [connector.job(execution.id.name) for execution in waiting]
    chain = start(client, "through_connectors", {"x": 1}, task=False)
    first = connector.job(chain.id.name)
    connector.say(first, "SUCCEEDED", outputs={"o0": 5})
    done = client.wait(chain)
    require_success(done)
    assert done.outputs["o0"] == 11
    for number, (execution, job) in enumerate(zip(waiting, jobs, strict=True)):
        connector.say(job, "SUCCEEDED", outputs={"o0": number})
        require_success(client.wait(execution))


def test_flytekits_own_sensor_waits_for_a_file(client: Client, tmp_path: Path) -> None:
    """What comes after the sensor begins when the file is there."""
    file = tmp_path / "there"
    execution = start(client, "after_a_file", {"path": str(file), "x": 1}, task=False)
    until("the sensor runs", lambda: "its job at connector" in why(client, execution), SECONDS_MAX)
    file.write_text("", encoding="utf-8")
    done = client.wait(execution)
    require_success(done)
    assert done.outputs["o0"] == 2


def test_failures_are_the_tasks_own_and_retried_as_the_connector_says(client: Client, connector: Connector) -> None:
    """RETRYABLE_FAILED costs a retry, FAILED ends it; the text is the connector's."""
    execution = start(client, "job_with_retries", {"x": 1})
    connector.say(connector.job(execution.id.name, 0), "RETRYABLE_FAILED", message="no quota")
    connector.say(connector.job(execution.id.name, 1), "FAILED", message="no such table")
    done = client.wait(execution)
    assert phase(done) == "FAILED"
    assert "failed to run the job: no such table" in done.error.message
    first, second = client.attempts(execution)
    assert first.closure.error.message == "failed to run the job: no quota"
    assert (first.closure.error.kind, second.closure.error.kind) == (execution_pb2.ExecutionError.USER,) * 2
    refused = client.wait(start(client, "doubled", {"x": 13}))
    assert phase(refused) == "FAILED" and "13 is not doubled here" in refused.error.message


def test_outputs_of_another_type_are_the_connectors_fault_and_named(client: Client, connector: Connector) -> None:
    """The attempt fails with the name of the output and both types, charged to the system, and is not repeated."""
    execution = start(client, "job", {"x": 1})
    connector.say(connector.job(execution.id.name), "SUCCEEDED", outputs={"o0": "text"})
    done = client.wait(execution)
    assert phase(done) == "FAILED"
    assert "o0 is of another type" in done.error.message, done.error.message
    [only] = client.attempts(execution)
    assert only.closure.error.kind == execution_pb2.ExecutionError.SYSTEM


def test_outputs_of_a_job_are_kept_for_others(client: Client, connector: Connector) -> None:
    """A cached task asks its connector once for the same input."""
    first = start(client, "job_kept", {"x": 3})
    connector.say(connector.job(first.id.name), "SUCCEEDED", outputs={"o0": 30})
    require_success(client.wait(first))
    second = client.wait(start(client, "job_kept", {"x": 3}))
    require_success(second)
    assert second.outputs["o0"] == 30 and connector.created(second.id.name) == []


def test_an_abort_deletes_the_job(client: Client, connector: Connector) -> None:
    """The connector is asked to delete it, once the execution has been ended."""
    execution = start(client, "job", {"x": 1})
    job = connector.job(execution.id.name)
    client.remote.terminate(execution, "enough")
    until("the job is deleted", lambda: connector.is_deleted(job), SECONDS_MAX)
    assert phase(client.wait(execution)) == "ABORTED"


def test_a_job_that_takes_too_long_is_deleted_and_fails(client: Client, connector: Connector) -> None:
    """The limit is the task's own, and so is the failure."""
    execution = start(client, "job_with_limit", {"x": 1})
    job = connector.job(execution.id.name)
    done = client.wait(execution)
    assert phase(done) in ("FAILED", "TIMED_OUT") and "timeout" in done.error.message
    until("the job is deleted", lambda: connector.is_deleted(job), SECONDS_MAX)


def test_kill_nine_of_the_server_makes_no_job_twice(own: Client, connector: Connector) -> None:
    """After the restart the same job is asked after; one that was aborted just before is deleted."""
    execution = start(own, "job", {"x": 1})
    aborted = start(own, "job", {"x": 2})
    job, other = connector.job(execution.id.name), connector.job(aborted.id.name)
    for one in (execution, aborted):
        until("it is recorded", lambda one=one: "its job at connector" in why(own, one), SECONDS_MAX)
    own.server.kill()
    own.server.start()
    client = Client(own.server)
    client.remote.terminate(aborted, "enough")
    connector.say(job, "SUCCEEDED", outputs={"o0": 7})
    done = client.wait(execution)
    require_success(done)
    assert done.outputs["o0"] == 7
    assert len(connector.created(execution.id.name)) == 1
    until("the other is deleted", lambda: connector.is_deleted(other), SECONDS_MAX)


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_kill_nine_at_seeded_moments_makes_no_job_twice(own: Client, connector: Connector, seed: int) -> None:
    """Whenever the server dies, each try has one job at most, and the execution ends: with the job's outputs, or because nobody
    knows whether there is a job."""
    fetched = own.remote.fetch_task(name="connected.tasks.job", version=VERSION)
    killer = threading.Timer(random.Random(seed).uniform(0.02, 0.6), own.server.kill)
    killer.start()
    names = []
    try:
        while killer.is_alive() and len(names) < 10:
            names.append(own.remote.execute(fetched, inputs={"x": len(names)}).id.name)
    except Exception as error:  # Whatever the SDK makes of a server that dies in the middle of a call.
        if killer.is_alive() and not isinstance(error.__cause__ or error, grpc.RpcError):
            raise
    finally:
        killer.join()
    own.server.start()
    client = Client(own.server)
    ended = {execution_pb2.WorkflowExecution.SUCCEEDED, execution_pb2.WorkflowExecution.FAILED}

    def all_have_ended() -> bool:
        for name in names:
            for job in connector.created(name):
                connector.say(job["job"], "SUCCEEDED", outputs={"o0": job["x"]})
        return all(client.get(name).closure.phase in ended for name in names)

    until("each execution has ended", all_have_ended, SECONDS_MAX)
    for name in names:
        made = [job["attempt"] for job in connector.created(name)]
        assert len(made) == len(set(made)), f"{name}: {made}"
        execution = client.get(name)
        if execution.closure.phase == execution_pb2.WorkflowExecution.FAILED:
            assert execution.closure.error.code == "JobUnresolved", execution.closure.error


def test_kill_nine_with_the_log_in_nats_and_no_workers_makes_no_job_twice(connector: Connector, tmp_path: Path) -> None:
    """Connectors are called by the server, whose reports go through NATS then; the same job is asked after."""
    nats = Nats(tmp_path / "nats").start()
    try:
        client = served(connector, tmp_path, ("--log", nats.url, "--no-workers"))
        execution = start(client, "job", {"x": 1})
        job = connector.job(execution.id.name)
        until("it is recorded", lambda: "its job at connector" in why(client, execution), SECONDS_MAX)
        client.server.kill()
        client.server.start()
        connector.say(job, "SUCCEEDED", outputs={"o0": 7})
        require_success(Client(client.server).wait(execution))
        assert len(connector.created(execution.id.name)) == 1
        client.server.end()
    finally:
        nats.kill()


def test_a_connector_that_is_away_is_waited_for_and_why_says_so(
    apart: tuple[Connector, Client], tmp_path: Path
) -> None:
    """Killed while a job is out and started again, it is asked after the same job; a task that it is known to do can be
    registered and started meanwhile."""
    connector, client = apart
    execution = start(client, "job", {"x": 1})
    job = connector.job(execution.id.name)
    until("it is recorded", lambda: "its job at connector" in why(client, execution), SECONDS_MAX)
    connector.kill()
    until("that it is away", lambda: "which cannot be asked after" in why(client, execution), SECONDS_MAX)
    waiting = start(client, "job", {"x": 2})
    until("that it is away", lambda: f"connector {connector.url} to be reached" in why(client, waiting), SECONDS_MAX)
    client.server.stop()
    client.server.start()
    client = Client(client.server)
    register(client.server, tmp_path)
    connector.start()
    connector.say(job, "SUCCEEDED", outputs={"o0": 7})
    require_success(client.wait(execution))
    connector.say(connector.job(waiting.id.name), "SUCCEEDED", outputs={"o0": 8})
    require_success(client.wait(waiting))
    assert len(connector.created(execution.id.name)) == len(connector.created(waiting.id.name)) == 1


def test_a_type_that_nobody_does_is_refused_by_name(client: Client, connector: Connector, tmp_path: Path) -> None:
    """The registration names the task, its type, and what there is."""
    pyflyte = command_lines.pyflyte(client.server, tmp_path)
    refused = pyflyte.register("connected/alone.py", version=VERSION, folder=PROJECT_FOLDER)
    assert refused.status != 0
    assert "task connected.alone.nobodys is of type nobodys, which no connector does" in refused.output
    assert connector.url in refused.output and "file_job" in refused.output


def test_a_type_that_is_said_can_be_registered_while_its_connector_is_away(tmp_path: Path) -> None:
    """It is in the file; the task waits for its connector, and says so."""
    absent = Connector(tmp_path / "absent")
    (tmp_path / "skein.toml").write_text(
        f"[[connectors]]\nurl = '{absent.url}'\ntypes = ['file_job', 'doubled', 'sensor']\ngive_up_after_s = 2\n",
        encoding="utf-8",
    )
    server = Skein(tmp_path, words=["--config", "skein.toml"]).start()
    try:
        register(server, tmp_path)
        client = Client(server)
        execution = start(client, "job", {"x": 1})
        until("that it is away", lambda: f"connector {absent.url} to be reached" in why(client, execution), SECONDS_MAX)
        done = client.wait(execution)
        assert phase(done) == "FAILED" and "cannot be reached" in done.error.message
        assert {one.closure.error.kind for one in client.attempts(execution)} == {execution_pb2.ExecutionError.SYSTEM}
    finally:
        server.end()
    server.check()
