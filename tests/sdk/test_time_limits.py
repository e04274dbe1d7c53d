"""How long something may take, but for one attempt: a wait for a worker, a node, an execution, a wait for interruptible capacity."""

import json
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from flyteidl.core import execution_pb2
from flyteidl.event import event_pb2

from harness import cli as command_lines
from harness.client import Client, phase, require_success
from harness.nats import Nats
from harness.poll import until
from harness.server import Skein
from harness.settings import PACKAGE, PROJECT_FOLDER, VERSION, binary, environment
from harness.witness import Witness
from harness.worker import Worker

LIMITS = """
[[tasks]]
name = "workflows.timed.*_turn"
concurrency_key = "turn"
concurrency_limit = 1

[[tasks]]
name = "workflows.timed.waits_for_its_turn"
queued_seconds_max = 2

[[tasks]]
name = "workflows.timed.takes_too_long"
node_seconds_max = 4

[[executions]]
name = "workflows.timed.whole"
seconds_max = 2
"""
SPOT = """
[interruptible]
pool = "spot"
"""
INTERRUPTIBLE = event_pb2.TaskExecutionMetadata.INTERRUPTIBLE
DEFAULT = event_pb2.TaskExecutionMetadata.DEFAULT
TIMED_OUT = execution_pb2.NodeExecution.TIMED_OUT


def served(folder: Path, config: str, *words: str) -> Skein:
    """A server with a configuration that knows all workflows of the tests."""
    (folder / "skein.toml").write_text(config)
    server = Skein(folder, words=["--config", "skein.toml", *words]).start()
    pyflyte = command_lines.pyflyte(server, folder)
    pyflyte.register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER).expect_success()
    return server


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that limits how long things take."""
    server = served(tmp_path_factory.mktemp("limited"), LIMITS)
    yield Client(server)
    server.end()
    server.check()


def why(client: Client, execution: Any) -> list[dict[str, Any]]:
    """What `skein why` says that an execution waits for."""
    told = subprocess.run(
        [str(binary()), "why", execution.id.name, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
    )
    return list(json.loads(told.stdout)["waits"])


def only_node(client: Client, execution: Any) -> Any:
    """Its one node that runs a task."""
    name = client.only_node(execution)
    [node] = [node for node in client.nodes(execution) if node.id.node_id == name]
    return node


def test_an_attempt_waits_for_a_worker_no_longer_than_it_may(limited: Client, witness: Witness) -> None:
    """The second of two that may not run together times out, without a try; `skein why` says until when it waits."""
    first = limited.start("timed.has_its_turn", {"name": "turn"}, task=True, envs=witness.variables)
    until("the first runs", lambda: witness.lines("reached"))
    second = limited.start("timed.waits_for_its_turn", {"name": "turn"}, task=True, envs=witness.variables)
    until("it says until when it waits", lambda: any(wait["until"] for wait in why(limited, second)))
    ended = limited.wait(second)
    assert phase(ended) == "FAILED"
    assert "TimeoutExpired" in str(ended.error) and "had not begun after [2s], the queued_seconds_max of its task" in ended.error.message
    assert ended.error.kind == execution_pb2.ExecutionError.SYSTEM
    assert only_node(limited, second).closure.phase == TIMED_OUT
    witness.open("turn")
    require_success(limited.wait(first))
    assert len(witness.lines("reached")) == 1


def test_a_node_takes_no_longer_than_it_may_with_all_its_tries(limited: Client, witness: Witness) -> None:
    """Its retries give it no more time: what runs is stopped, and is the last."""
    execution = limited.start("timed.takes_too_long", {"name": "never"}, task=True, envs=witness.variables)
    ended = limited.wait(execution)
    assert phase(ended) == "FAILED"
    assert "had not ended after [4s], waits and retries included: the node_seconds_max of its task" in ended.error.message
    assert ended.error.kind == execution_pb2.ExecutionError.USER
    assert only_node(limited, execution).closure.phase == TIMED_OUT
    assert [attempt.closure.phase for attempt in limited.attempts(execution)] == [
        execution_pb2.TaskExecution.ABORTED
    ]


def test_an_execution_takes_no_longer_than_it_may(limited: Client, witness: Witness) -> None:
    """What runs is stopped."""
    ended = limited.finish("timed.whole", {"name": "never"}, envs=witness.variables)
    assert phase(ended) == "FAILED"
    assert "execution timeout [2s] expired: the seconds_max of [[executions]]" in ended.error.message


def test_time_passes_while_the_server_is_away(tmp_path: Path, witness: Witness) -> None:
    """A node that had 4 s to its end times out although the server was killed meanwhile and started again."""
    server = served(tmp_path, LIMITS)
    execution = Client(server).start(
        "timed.takes_too_long", {"name": "never"}, task=True, envs=witness.variables
    )
    until("its node has begun", lambda: why(Client(server), execution))
    server.kill()
    client = Client(server.start())
    ended = client.wait(client.remote.fetch_execution(name=execution.id.name))
    assert phase(ended) == "FAILED" and "had not ended after [4s]" in ended.error.message
    server.end()
    server.check()


@pytest.fixture
def patience() -> str:
    """How long the server waits for interruptible capacity: for ever."""
    return ""


@pytest.fixture
def spot(tmp_path: Path, patience: str) -> Iterator[tuple[Client, Callable[..., Worker]]]:
    """A client of a server whose interruptible attempts go to a pool of their own, and what starts workers for it."""
    nats = Nats(tmp_path / "nats").start()
    folder = tmp_path / "server"
    folder.mkdir()
    server = served(folder, SPOT + patience, "--log", nats.url, "--no-workers")
    made: list[Worker] = []

    def worker(*words: str) -> Worker:
        made.append(Worker(tmp_path / f"worker-{len(made)}", nats.url, *words))
        return made[-1]

    yield Client(server), worker
    for each in made:
        if each.process.poll() is None:
            each.kill()
    server.end()
    server.check()
    nats.kill()


@pytest.mark.parametrize("patience", ["wait_seconds_max = 2"])
def test_without_interruptible_capacity_an_attempt_runs_on_demand_after_a_while(
    spot: tuple[Client, Callable[..., Worker]],
) -> None:
    """It says so, and counts as on demand."""
    client, worker = spot
    worker().ready()
    execution = client.finish("interruptible.on_spot", {"x": 1})
    require_success(execution)
    [moved] = client.attempts(execution, "n0")
    assert moved.closure.metadata.instance_class == DEFAULT
    told = [reason.message for reason in moved.closure.reasons]
    assert "asked for on demand: no interruptible capacity within 2s" in told


def test_what_may_be_interrupted_runs_where_it_can_be_and_everything_else_does_not(
    spot: tuple[Client, Callable[..., Worker]],
) -> None:
    """Each on a worker of its own pool, with its class."""
    client, worker = spot
    worker().ready()
    worker("--pool", "spot").ready()
    execution = client.finish("interruptible.on_spot", {"x": 1})
    require_success(execution)
    [there], [elsewhere] = client.attempts(execution, "n0"), client.attempts(execution, "n1")
    assert there.closure.metadata.instance_class == INTERRUPTIBLE
    assert elsewhere.closure.metadata.instance_class == DEFAULT
    assert [len(attempt.closure.reasons) for attempt in (there, elsewhere)] == [2, 2]
    assert there.closure.reasons[1].message != elsewhere.closure.reasons[1].message


def test_capacity_that_is_taken_away_costs_the_task_nothing(
    spot: tuple[Client, Callable[..., Worker]], witness: Witness
) -> None:
    """A worker that is told to stop hands back what it runs as interrupted; the last try is on demand."""
    client, worker = spot
    taken = worker("--pool", "spot").ready()
    execution = client.start("timed.interrupted", {"name": "spot"}, envs=witness.variables)
    until("it runs", lambda: witness.lines("reached"))
    worker().ready()
    assert taken.stop() == 0
    until("it runs again, on demand", lambda: len(witness.lines("reached")) == 2)
    witness.open("spot")
    require_success(client.wait(execution))
    first, second = client.attempts(execution, "n0")
    assert [each.closure.metadata.instance_class for each in (first, second)] == [INTERRUPTIBLE, DEFAULT]
    assert first.closure.error.code == "Interrupted" and first.closure.error.kind == execution_pb2.ExecutionError.SYSTEM


def test_a_pool_of_its_own_needs_workers_apart(tmp_path: Path) -> None:
    """What is configured and could never run is refused at the start, with what to do."""
    (tmp_path / "skein.toml").write_text(SPOT)
    ended = subprocess.run(
        [str(binary()), "up", "--data", str(tmp_path / "data"), "--config", "skein.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert ended.returncode != 0
    assert "--no-workers" in ended.stderr and "skein worker --pool" in ended.stderr
