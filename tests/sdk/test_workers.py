"""Workers as processes of their own: a server without workers, a NATS server, and what survives the death of each."""

import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from harness import cli as command_lines
from harness.client import WAIT_SECONDS_MAX, Client, require_success
from harness.nats import Nats
from harness.poll import until
from harness.processes import alive, descendants
from harness.server import Skein
from harness.settings import LONG, PACKAGE, PROJECT_FOLDER, VERSION, binary
from harness.witness import Witness
from harness.worker import SLOTS, Worker

MOMENTS = 12 if LONG else 3
LASTING_MILLIS = 20
VERIFY_SECONDS_MAX = 120
LEASES_END_SECONDS_MAX = 240
"""A lease ends 30 s after it was extended last; on a machine with much to do, offering all that was lost has taken 75 s."""


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """A NATS server of this test alone."""
    server = Nats(tmp_path / "nats").start()
    yield server
    server.kill()


@pytest.fixture
def apart(nats: Nats, tmp_path: Path) -> Iterator[Client]:
    """A client of a server without workers that knows all workflows of the tests; the log that it leaves must be whole."""
    folder = tmp_path / "server"
    folder.mkdir()
    skein = Skein(folder, words=("--log", nats.url, "--no-workers")).start()
    pyflyte = command_lines.pyflyte(skein, tmp_path)
    pyflyte.register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER).expect_success()
    yield Client(skein)
    skein.end()
    skein.check()
    verified = subprocess.run(
        [str(binary()), "log", "verify", nats.url],
        capture_output=True,
        text=True,
        timeout=VERIFY_SECONDS_MAX,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.fixture
def new_worker(nats: Nats, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Makes workers of this test alone, which end with it."""
    made: list[Worker] = []

    def make(*words: str) -> Worker:
        made.append(Worker(tmp_path / f"worker-{len(made)}", nats.url, *words))
        return made[-1]

    yield make
    for worker in made:
        if worker.process.poll() is None:
            worker.kill()


def begun(witness: Witness, worker: "Worker | None" = None) -> list[int]:
    """The items that have begun, in a worker if one is given, as often as they have."""
    lines = witness.lines("began")
    return sorted(int(line[1]) for line in lines if worker is None or line[2].startswith(str(worker.data)))


def expect(client: Client, execution: Any, values: range, seconds: int = WAIT_SECONDS_MAX) -> None:
    """Waits for the execution, and requires the squares of all values."""
    ended = client.wait(client.remote.fetch_execution(name=execution.id.name), seconds=seconds)
    require_success(ended)
    assert ended.outputs["o0"] == [value * value for value in values]


def test_two_workers_share_a_map(apart: Client, witness: Witness, new_worker: Callable[..., Worker]) -> None:
    """Each has a part of the items in hands at the same time, and each item runs once."""
    workers = [new_worker().ready(), new_worker().ready()]
    values = range(12)
    execution = apart.start(
        "shared.gated", {"values": list(values), "gate": "both"}, envs=witness.variables
    )
    until("both workers are busy", lambda: all(len(begun(witness, each)) == SLOTS for each in workers))
    witness.open("both")
    expect(apart, execution, values)
    assert begun(witness) == list(values)


def test_a_worker_may_be_there_before_its_server(nats: Nats, new_worker: Callable[..., Worker], tmp_path: Path) -> None:
    """It waits, says for what, and goes on when the server comes."""
    worker = new_worker()
    until("the worker says what it waits for", lambda: "skein up --log" in worker.printed())
    folder = tmp_path / "server"
    folder.mkdir()
    skein = Skein(folder, words=("--log", nats.url, "--no-workers")).start()
    worker.ready()
    said = worker.printed()
    assert nats.url in said and "2 slots" in said and "flytekit" in said and str(skein.data / "blobs") in said
    assert worker.stop() == 0
    skein.end()


def test_no_item_runs_twice_when_the_server_is_killed_while_workers_go_on(
    apart: Client, witness: Witness, new_worker: Callable[..., Worker]
) -> None:
    """Items that workers had in hands, or ended while there was no server, are neither cut nor offered again."""
    workers = [new_worker().ready(), new_worker().ready()]
    values = range(40)
    execution = apart.start(
        "shared.gated", {"values": list(values), "gate": "dead"}, envs=witness.variables
    )
    until("both workers are busy", lambda: all(len(begun(witness, each)) == SLOTS for each in workers))
    apart.server.kill()
    witness.open("dead")
    until("items have ended without a server", lambda: len(witness.lines("ended")) >= 2 * SLOTS)
    client = Client(apart.server.start())
    expect(client, execution, values)
    assert begun(witness) == list(values)


@pytest.mark.parametrize("moment", range(MOMENTS))
def test_the_result_is_late_by_no_more_than_the_restart(
    apart: Client, witness: Witness, new_worker: Callable[..., Worker], moment: int
) -> None:
    """kill -9 of the server in the midst of a map, some items further each time: none runs twice, and nothing waits for
    the end of a lease."""
    for _ in range(2):
        new_worker().ready()
    values = range(200)
    inputs = {"values": list(values), "millis": LASTING_MILLIS}
    execution = apart.start("shared.lasting", inputs, envs=witness.variables)
    until("the map is under way", lambda: len(begun(witness)) > 10 + moment * 150 // MOMENTS)
    apart.server.kill()
    left = len(values) - len(begun(witness))
    began = time.monotonic()
    client = Client(apart.server.start())
    expect(client, execution, values)
    took = time.monotonic() - began
    undisturbed = left * LASTING_MILLIS / 1000 / (2 * SLOTS)
    print(f"{left} items were left, which take {undisturbed:.2f} s; they took {took:.2f} s with the restart")
    assert begun(witness) == list(values)
    assert took < undisturbed + 15


def test_single_attempts_go_on_while_the_server_is_dead(
    apart: Client, witness: Witness, new_worker: Callable[..., Worker]
) -> None:
    """An attempt that a worker has is taken over by the next server, and not run again."""
    new_worker().ready()
    execution = apart.start("gates.waits_in_the_middle", {"name": "apart", "value": 5}, envs=witness.variables)
    until("the second node runs", lambda: witness.lines("reached"))
    apart.server.kill()
    witness.open("apart")
    until("the attempt has ended without a server", lambda: witness.lines("passed"))
    client = Client(apart.server.start())
    ended = client.wait(client.remote.fetch_execution(name=execution.id.name))
    require_success(ended)
    assert ended.outputs["o0"] == 6
    assert [len(witness.lines(word)) for word in ("before", "reached", "after")] == [1, 1, 1]


def test_the_work_of_a_killed_worker_is_run_by_another_and_charged_to_nobody(
    apart: Client, witness: Witness, new_worker: Callable[..., Worker]
) -> None:
    """Its leases end by themselves; the task allows no second attempt, and needs none."""
    killed, other = new_worker().ready(), new_worker().ready()
    values = range(12)
    execution = apart.start(
        "shared.gated", {"values": list(values), "gate": "killed"}, envs=witness.variables
    )
    until("both workers are busy", lambda: all(len(begun(witness, each)) == SLOTS for each in (killed, other)))
    lost = begun(witness, killed)
    children = descendants(killed.process.pid)
    killed.kill()
    until("its worker processes are gone", lambda: not any(map(alive, children)), 10)
    witness.open("killed")
    expect(apart, execution, values, LEASES_END_SECONDS_MAX)
    assert sorted(set(begun(witness))) == list(values)
    assert set(lost) <= set(begun(witness, other))


def test_a_worker_that_is_asked_to_end_hands_back_what_does_not_end(
    apart: Client, witness: Witness, new_worker: Callable[..., Worker]
) -> None:
    """SIGTERM ends with 0, leaves no process, and what ran is run by another at once."""
    first = new_worker().ready()
    values = range(4)
    execution = apart.start(
        "shared.gated", {"values": list(values), "gate": "drained"}, envs=witness.variables
    )
    until("the worker is busy", lambda: len(begun(witness, first)) == SLOTS)
    children = descendants(first.process.pid)
    assert first.stop() == 0
    until("its worker processes are gone", lambda: not any(map(alive, children)), 10)
    second = new_worker().ready()
    witness.open("drained")
    expect(apart, execution, values)
    assert set(begun(witness, first)) <= set(begun(witness, second))


def test_results_wait_while_nats_is_away(
    nats: Nats, apart: Client, witness: Witness, new_worker: Callable[..., Worker]
) -> None:
    """What ends meanwhile is reported when NATS is back, and runs once."""
    worker = new_worker().ready()
    values = range(SLOTS)
    execution = apart.start(
        "shared.gated", {"values": list(values), "gate": "away"}, envs=witness.variables
    )
    until("the worker is busy", lambda: len(begun(witness, worker)) == SLOTS)
    nats.kill()
    witness.open("away")
    until("the items have ended", lambda: len(witness.lines("ended")) == SLOTS)
    nats.start()
    expect(Client(apart.server), execution, values)
    assert begun(witness) == list(values)


def test_a_worker_says_what_is_wrong_and_what_to_do(
    apart: Client, nats: Nats, new_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """No NATS, no folder of values, another folder of values, a folder that another worker has."""
    nobody = Worker(tmp_path / "nobody", "nats://127.0.0.1:1")
    assert nobody.ended() == 1 and "nats://127.0.0.1:1" in nobody.printed() and "--log" in nobody.printed()
    missing = new_worker("--blobs", str(tmp_path / "nowhere"))
    assert missing.ended() == 1 and str(tmp_path / "nowhere") in missing.printed()
    (tmp_path / "other").mkdir()
    other = new_worker("--blobs", str(tmp_path / "other"))
    assert other.ended() == 1 and str(apart.server.data / "blobs") in other.printed()
    first = new_worker().ready()
    second = Worker(tmp_path / "second", nats.url, data=first.data)
    assert second.ended() == 1 and str(first.data) in second.printed() and "--data" in second.printed()


def test_a_server_with_workers_of_its_own_is_refused(
    nats: Nats, new_worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """It hands no work to others, and the worker says how it has to be started."""
    folder = tmp_path / "server"
    folder.mkdir()
    skein = Skein(folder, words=("--log", nats.url)).start()
    worker = new_worker()
    assert worker.ended() == 1 and "--no-workers" in worker.printed()
    skein.end()
