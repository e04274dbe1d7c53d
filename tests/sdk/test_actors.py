"""Actor environments: tasks of union's that share warm processes."""

import os
import signal
from pathlib import Path
from typing import Any, Callable, Iterator

import grpc
import pytest
from google.protobuf import json_format

from harness import cli as command_lines
from harness.bridge import TAKES, Bridge
from harness.client import Client, phase, require_success, unique
from harness.poll import until
from harness.processes import descendants
from harness.server import Skein
from harness.settings import PROJECT_FOLDER, VERSION, union_python
from harness.templates import task_request
from harness.witness import Witness
from test_why import why

PACKAGE = "acting"
SECONDS_MAX = 60


class Acting(Client):
    """A client of a server that knows the tasks of actor environments."""

    def start(self, name: str, inputs: "dict | None" = None, *, task: bool = False, **options: object) -> object:
        """Starts an entity, named without its package."""
        fetch = self.remote.fetch_task if task else self.remote.fetch_launch_plan
        entity = fetch(name=f"{PACKAGE}.environments.{name}", version=VERSION)
        return self.remote.execute(entity, inputs=inputs or {}, **options)


def acting(server: Skein, folder: Path) -> Acting:
    """Registers the tasks with union's own command line."""
    union = command_lines.union(server, folder)
    union.register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER).expect_success()
    return Acting(server)


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acting]:
    """A server of these tests with four slots: more than any environment has replicas."""
    folder = tmp_path_factory.mktemp("actors")
    skein = Skein(folder, union_python(), words=("--slots", "4")).start()
    yield acting(skein, folder)
    skein.end()
    skein.check()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Acting]:
    """A server of one test alone."""
    folder = tmp_path / "server"
    folder.mkdir()
    skein = Skein(folder, union_python(), words=("--slots", "4")).start()
    yield acting(skein, tmp_path)
    skein.end()
    skein.check()


def test_107_two_tasks_of_one_environment_share_a_process(actors: Acting, witness: Witness) -> None:
    """Two tasks of one actor environment share a process (`actor_cache` value persists)."""
    name = unique("model")
    told = []
    for _ in range(3):
        told += actors.outputs("both", {"name": name}, envs=witness.variables)["o0"]
    words = [each.split() for each in told]
    assert len({process for process, *_ in words}) == 1
    calls = [int(calls) for _, calls, *_ in words]
    assert calls == list(range(calls[0], calls[0] + 6)), "the module's globals stay, over tasks and executions"
    assert len(witness.lines("computed")) == 1
    assert {cached for *_, cached in words} == {f"{name}@{words[0][0]}"}


def test_two_environments_share_nothing(actors: Acting, witness: Witness) -> None:
    """Each has a process of its own, its own variables, and computes for itself what it caches."""
    name = unique("model")
    told = actors.outputs("two_environments", {"name": name}, envs=witness.variables)
    one, other = (told[place].split() for place in ("o0", "o1"))
    assert one[0] != other[0]
    assert (one[2], other[2]) == ("shared", "apart")
    assert sorted(words[2] for words in witness.lines("computed")) == ["apart", "shared"]


def test_items_of_a_map_run_in_the_processes_of_the_environment(actors: Acting, witness: Witness) -> None:
    """They find what single tasks have cached there, and single tasks what they have."""
    before = actors.outputs("first", {"name": "item-0"}, task=True, envs=witness.variables)["o0"].split()
    told = actors.outputs("mapped", {"values": list(range(40))}, envs=witness.variables)["o0"]
    assert {each.split()[0] for each in told} == {before[0]}
    assert {each.split()[3] for each in told} == {before[3]}
    assert len(witness.lines("computed")) <= 1


def test_a_task_that_raises_leaves_its_process_to_the_next(actors: Acting, witness: Witness) -> None:
    """The error is the task's own, and what was cached is there."""
    name = unique("model")
    before = actors.outputs("first", {"name": name}, task=True, envs=witness.variables)["o0"].split()
    failed = actors.finish("raises", {"name": name}, task=True)
    assert phase(failed) == "FAILED"
    assert f"{name} in {before[0]}" in failed.error.message
    after = actors.outputs("first", {"name": name}, task=True, envs=witness.variables)["o0"].split()
    assert after[3] == before[3]


def test_no_more_run_at_once_than_there_are_replicas(actors: Acting, witness: Witness) -> None:
    """The third waits though slots are free, and `skein why` says for what."""
    names = [unique(name) for name in "abc"]
    execution = actors.start("gates", dict(zip("abc", names, strict=True)), envs=witness.variables)
    until("two at their gates", lambda: len(witness.lines("reached")) == 2, SECONDS_MAX)
    name = execution.id.name
    until("two that run", lambda: why(actors, name).stdout.count("its task, which runs on") == 2, SECONDS_MAX)
    waits = "waits for a free process of the actor environment pair ("
    assert f"{waits}" in why(actors, name).stdout and "which has 2 replicas for 1 each" in why(actors, name).stdout
    assert len(witness.lines("reached")) == 2
    for gate in names:
        witness.open(gate)
    require_success(actors.wait(execution))
    assert len({words[2] for words in witness.lines("reached")}) == 2, "the third ran in one of the two processes"


def test_a_replica_that_dies_costs_the_task_no_retry(actors: Acting, witness: Witness) -> None:
    """Another replica takes its place, what runs in the other one is not touched, and the system pays."""
    gate = unique("gate")
    beside = actors.start("at_gate", {"name": gate}, task=True, envs=witness.variables)
    until("one at its gate", lambda: witness.lines("reached"), SECONDS_MAX)
    execution = actors.finish("dies_once", {"name": unique("dies")}, task=True, envs=witness.variables)
    require_success(execution)
    lives = [words[2] for words in witness.lines("lives")]
    assert len(lives) == 2 and lives[0] != lives[1]
    assert "charged to the system" in why(actors, execution.id.name).stdout
    witness.open(gate)
    actors.wait(beside)
    require_success(beside)
    assert len(witness.lines("reached")) == 1, "it was not run again"


def test_kill_9_of_the_server_while_a_task_runs(own: Acting, witness: Witness) -> None:
    """The task is run again in a new process, and no process is left of the old server."""
    gate = unique("gate")
    execution = own.start("at_gate", {"name": gate}, task=True, envs=witness.variables)
    until("one at its gate", lambda: witness.lines("reached"), SECONDS_MAX)
    before = int(witness.lines("reached")[0][2])
    own.server.kill()
    until("the end of its process", lambda: not Path(f"/proc/{before}").exists(), SECONDS_MAX)
    own.server.start()
    again = Acting(own.server)
    until("one at its gate again", lambda: len(witness.lines("reached")) == 2, SECONDS_MAX)
    witness.open(gate)
    require_success(again.wait(again.remote.fetch_execution(name=execution.id.name)))


def test_a_process_that_is_killed_while_it_waits_is_replaced(actors: Acting, witness: Witness) -> None:
    """Nobody notices but by what is no longer cached."""
    name = unique("model")
    before = actors.outputs("first", {"name": name}, task=True, envs=witness.variables)["o0"].split()
    os.kill(int(before[0]), signal.SIGKILL)
    after = actors.outputs("first", {"name": name}, task=True, envs=witness.variables)["o0"].split()
    assert after[0] != before[0] and after[1] == "1"
    assert len(witness.lines("computed")) == 2


@pytest.fixture
def bridges(tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    """Starts real bridges, which end with the test."""
    made: list[Bridge] = []

    def start(client: Client, task: str, **options: Any) -> Bridge:
        name = f"{PACKAGE}.environments.{task}"
        made.append(Bridge(client, tmp_path / f"bridge-{len(made)}", name, **options))
        return made[-1]

    yield start
    for bridge in made:
        bridge.end()


def test_106_the_unmodified_bridge_connects_and_produces_outputs(
    own: Acting, bridges: Callable[..., Bridge], witness: Witness
) -> None:
    """Unmodified `unionai-actor-bridge` connects, receives ASSIGN and produces `outputs.pb`."""
    name = unique("model")
    before = own.outputs("first", {"name": name}, task=True, envs=witness.variables)["o0"].split()
    bridge = bridges(own, "first")
    told = [each for _ in range(2) for each in own.outputs("both", {"name": name}, envs=witness.variables)["o0"]]
    processes = {each.split()[0] for each in told}
    assert len(processes) == 1 and before[0] not in processes
    assert len(witness.lines("computed")) == 2, "once here, and once in the executor"
    failed = own.finish("raises", {"name": name}, task=True)
    assert (phase(failed), failed.error.code) == ("FAILED", "USER:RuntimeError")
    assert f"{name} in {processes.pop()}" in failed.error.message
    [attempt] = own.attempts(failed)
    assert "bridge-1" in attempt.closure.reason
    items = own.outputs("mapped", {"values": [1, 2, 3]}, envs=witness.variables)["o0"]
    assert {each.split()[0] for each in items} == {before[0]}, "items run in processes of the server's own"
    bridge.end()
    until("the server notices", lambda: "a worker of an actor environment has gone" in own.server.said(), SECONDS_MAX)
    after = own.outputs("first", {"name": name}, task=True, envs=witness.variables)["o0"].split()
    assert after[0] == before[0], "and so does everything when no bridge is there"


def test_what_nobody_wants_any_more_ends_at_the_bridge(
    own: Acting, bridges: Callable[..., Bridge], witness: Witness
) -> None:
    """An execution that is ended frees its executor for the next."""
    bridges(own, "at_gate")
    execution = own.start("at_gate", {"name": unique("gate")}, task=True, envs=witness.variables)
    until("one at its gate", lambda: witness.lines("reached"), SECONDS_MAX)
    own.remote.terminate(execution, "the test says so")
    gate = unique("gate")
    witness.open(gate)
    told = own.outputs("at_gate", {"name": gate}, task=True, envs=witness.variables)
    assert told["o0"] == witness.lines("reached")[1][2]


def test_a_bridge_outlives_the_server(own: Acting, bridges: Callable[..., Bridge], witness: Witness) -> None:
    """After `kill -9` of the server it connects again, and what it ran for the old one does not count."""
    bridge = bridges(own, "at_gate")
    gate = unique("gate")
    execution = own.start("at_gate", {"name": gate}, task=True, envs=witness.variables)
    until("one at its gate", lambda: witness.lines("reached"), SECONDS_MAX)
    known = own.server.said().count(TAKES)
    own.server.kill()
    own.server.start()
    bridge.connected(known)
    witness.open(gate)
    again = Acting(own.server)
    require_success(again.wait(again.remote.fetch_execution(name=execution.id.name)))
    told = again.outputs("at_gate", {"name": gate}, task=True, envs=witness.variables)["o0"]
    executors = {pid for pid, _ in descendants(bridge.process.pid)}
    assert int(told) in executors


def test_a_bridge_that_dies_costs_the_task_no_retry(
    own: Acting, bridges: Callable[..., Bridge], witness: Witness
) -> None:
    """Its task is lost when it has stayed away for half a minute, and runs again where there is room."""
    bridge = bridges(own, "at_gate")
    gate = unique("gate")
    execution = own.start("at_gate", {"name": gate}, task=True, envs=witness.variables)
    until("one at its gate", lambda: witness.lines("reached"), SECONDS_MAX)
    bridge.end()
    witness.open(gate)
    own.wait(execution)
    require_success(execution)
    said = why(own, execution.id.name).stdout
    assert "charged to the system" in said and "went away and did not come again within 30 s" in said


GOOD = {"name": "env", "version": "0123456789abcde", "type": "actor", "spec": {"replica_count": 1}}


@pytest.mark.parametrize(
    ("custom", "message"),
    [
        ({"name": None}, "custom.name is missing; it has to be the name of the actor environment"),
        ({"name": "a/b"}, 'custom.name is "a/b"; it has to be a name'),
        ({"version": ""}, "custom.version is missing"),
        ({"version": 7}, "custom.version is 7; it has to be a name"),
        ({"spec": 3}, "custom.spec has to be an object, as union.ActorEnvironment writes it, but it is a number"),
        ({"spec": {"replica_count": -1}}, "custom.spec.replica_count is -1; it has to be a whole number from 1 to 10000"),
        ({"spec": {"replica_count": 0}}, "custom.spec.replica_count is 0"),
        ({"spec": {"replica_count": 1.5}}, "custom.spec.replica_count is 1.5"),
        ({"spec": {"replica_count": 1, "min_replica_count": 2}}, "min_replica_count is 2, which is more than replica_count, 1"),
        ({"spec": {"ttl_seconds": 29}}, "custom.spec.ttl_seconds is 29; it has to be a whole number from 30 to 900"),
        ({"spec": {"ttl_seconds": 901}}, "custom.spec.ttl_seconds is 901"),
        ({"spec": {"parallelism": 0}}, "custom.spec.parallelism is 0; it has to be a whole number from 1 to 1000"),
        ({"spec": {"backlog_length": -1}}, "custom.spec.backlog_length is -1"),
        ({"spec": {"container_image": 3}}, "custom.spec.container_image is 3; it has to be the name of an image"),
    ],
)
@pytest.mark.parametrize("task_type", ["actor", "fast-task"])
def test_a_bad_environment_is_refused_at_registration(
    client: Client, task_type: str, custom: dict, message: str
) -> None:
    """Task, field and value are named, and what would be right."""
    name = unique("bad")
    request = task_request(name, "v1")
    request.spec.template.type = task_type
    json_format.ParseDict(GOOD | custom, request.spec.template.custom)
    with pytest.raises(grpc.RpcError) as refused:
        client.admin.CreateTask(request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"task {name}: " in refused.value.details() and message in refused.value.details()


def test_an_environment_that_says_no_more_than_it_must_is_taken(client: Client) -> None:
    """Name and version; all else has defaults, and what is not known is passed over."""
    for task_type, custom in [
        ("actor", {"name": "env", "version": "v"}),
        ("fast-task", {**GOOD, "spec": {"ttl_seconds": None, "backlog_length": None, "later": 1}}),
    ]:
        request = task_request(unique("good"), "v1")
        request.spec.template.type = task_type
        json_format.ParseDict(custom, request.spec.template.custom)
        client.admin.CreateTask(request)
