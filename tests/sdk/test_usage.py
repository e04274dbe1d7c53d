"""What tasks use of the machine: over time and at most, of attempts and items, over HTTP and with `skein usage`."""

import json
import subprocess
import urllib.error
import urllib.request
from typing import Any, Callable, Iterator, Optional

import pytest

from harness import cli as command_lines
from harness.client import Client, phase, require_success
from harness.groups import require_control_groups
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, PACKAGE, PROJECT, PROJECT_FOLDER, VERSION, binary, environment
from harness.witness import Witness

MEBIBYTE = 1024 * 1024
# Of a chunk of a map it is looked twice a second.
LOOK_MS_MAX = 1_000
END_SECONDS_MAX = 60


@pytest.fixture(scope="module")
def held_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that holds tasks to their limits; left out where this user may make no control groups."""
    folder = tmp_path_factory.mktemp("held-to")
    require_control_groups(folder)
    server = Skein(folder, words=("--resources", "enforce")).start()
    command_lines.pyflyte(server, folder).register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER).expect_success()
    yield Client(server)
    server.end()
    server.check()


def ask(client: Client, execution: Any, what: str = "") -> tuple[int, Any]:
    """Status and answer of what the server says of an execution's use of the machine."""
    name = execution if isinstance(execution, str) else execution.id.name
    address = f"{client.server.url}/api/v1/executions/{PROJECT}/{DOMAIN}/{name}/usage{what}"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def usage(client: Client, execution: Any, what: str = "") -> Any:
    """What the server says."""
    status, answer = ask(client, execution, what)
    assert status == 200, answer
    return answer


def seen(client: Client, execution: Any, what: str, enough: Callable[[Any], bool]) -> Any:
    """What the server says as soon as it has seen enough."""

    def look() -> Optional[Any]:
        status, answer = ask(client, execution, what)
        return answer if status == 200 and enough(answer) else None

    return until(f"enough is seen of {what}", look)


def task_node(client: Client, execution: Any) -> str:
    """The node of a task's execution, as soon as it is there."""

    def only() -> Optional[str]:
        names = {node.id.node_id for node in client.nodes(execution)} - {"start-node", "end-node"}
        return names.pop() if len(names) == 1 else None

    return until("the node", only)


def holds(mib: int) -> Callable[[Any], bool]:
    """Whether so much memory was seen at the end of what was seen."""
    return lambda answer: bool(answer["memory"]["used"]) and answer["memory"]["used"][-1] >= mib * MEBIBYTE


def check_times(answer: Any) -> None:
    """All lists belong to the same stretches of time, which follow each other without a pause and are short."""
    count = len(answer["to_ms"])
    lists = [answer["from_ms"], answer["memory"]["used"], answer["cpu"]["used"], answer["cpu"]["mean"]]
    assert [len(one) for one in lists] == [count] * 4
    for begin, end in zip(answer["from_ms"], answer["to_ms"]):
        assert begin <= end
    for end, begin in zip(answer["to_ms"], answer["from_ms"][1:]):
        assert end == begin


def test_memory_that_a_task_holds_is_seen_while_it_runs_and_the_same_afterwards(
    client: Client, witness: Witness
) -> None:
    """With what it requests and may have at most; its peak is in its task execution too."""
    execution = client.start("using.holds", {"mib": 200}, task=True, envs=witness.variables)
    node = task_node(client, execution)
    running = seen(client, execution, f"/{node}", holds(200))
    assert running["ended"] is False
    check_times(running)
    witness.open("held")
    require_success(client.wait(execution))

    ended = usage(client, execution, f"/{node}?attempt=0&points=4096")
    check_times(ended)
    assert ended["ended"] is True
    assert ended["from_ms"][0] == running["from_ms"][0]
    assert ended["memory"]["used"][: len(running["to_ms"])] == running["memory"]["used"]
    memory = ended["memory"]
    assert (memory["limit"], memory["requested"]) == (1024 * MEBIBYTE, 100 * MEBIBYTE)
    assert 200 * MEBIBYTE <= max(memory["used"]) <= memory["peak"] < 600 * MEBIBYTE
    assert memory["allocated"] == memory["peak"], "it used more than it requests"
    assert (ended["cpu"]["limit"], ended["cpu"]["allocated"]) == (2.0, 1.0)
    assert ended["gpu"] == {"allocated": 0, "used": [None] * len(ended["to_ms"]), "devices": []}
    [attempt] = client.attempts(execution)
    told = attempt.closure.custom_info["used"]
    assert told["peakMemoryBytes"] == memory["peak"]
    assert told["cpuSeconds"] == pytest.approx(ended["cpu"]["seconds"])


def test_a_task_that_works_is_seen_to_use_a_core(client: Client, witness: Witness) -> None:
    """The time between two looks is at most a second."""
    execution = client.start("using.spins", {"gate": "spun"}, task=True, envs=witness.variables)
    node = task_node(client, execution)
    seen(client, execution, f"/{node}", lambda answer: len(answer["to_ms"]) >= 4 and answer["cpu"]["seconds"] > 0.5)
    witness.open("spun")
    require_success(client.wait(execution))
    ended = usage(client, execution, f"/{node}")
    check_times(ended)
    times = [end - begin for begin, end in zip(ended["from_ms"], ended["to_ms"])]
    assert sorted(times)[len(times) // 2] <= LOOK_MS_MAX
    assert 0.2 < ended["cpu"]["peak"] < 2.0
    assert ended["cpu"]["peak"] == max(ended["cpu"]["used"])
    span = (ended["to_ms"][-1] - ended["from_ms"][0]) / 1000
    assert 0.5 < ended["cpu"]["seconds"] <= span * 1.2 + 0.1
    spent = sum(mean * time / 1000 for mean, time in zip(ended["cpu"]["mean"], times))
    assert spent == pytest.approx(ended["cpu"]["seconds"], abs=0.05)


def test_an_attempt_in_a_process_that_others_used_pays_for_its_own_time(client: Client, witness: Witness) -> None:
    """The first attempt works, the second one waits, in the same process."""
    execution = client.start("using.first_works_then_rests", {}, envs=witness.variables)
    seen(client, execution, "/n0", lambda answer: (answer["cpu"]["seconds"] or 0) > 1)
    witness.open("worked")
    seen(client, execution, "/n1", lambda answer: len(answer["to_ms"]) >= 2)
    witness.open("rested")
    require_success(client.wait(execution))
    assert len(set(map(tuple, witness.lines("process")))) == 1, "both ran in one process"
    assert usage(client, execution, "/n0")["cpu"]["seconds"] > 1
    assert usage(client, execution, "/n1")["cpu"]["seconds"] < 0.6


def test_what_a_tasks_own_programs_use_is_the_tasks(client: Client, witness: Witness) -> None:
    """A program that a task starts holds memory."""
    execution = client.start("using.fills_a_child", {"mib": 150}, task=True, envs=witness.variables)
    node = task_node(client, execution)
    running = seen(client, execution, f"/{node}", holds(150))
    assert running["memory"]["peak"] < 600 * MEBIBYTE, "pages that both have count once"
    witness.open("child")
    require_success(client.wait(execution))


def test_where_limits_are_held_to_memory_is_what_counts_against_them(held_to: Client, witness: Witness) -> None:
    """Of a process that ended long ago its control group told what it used."""
    execution = held_to.start("using.fills_a_child", {"mib": 150}, task=True, envs=witness.variables)
    node = task_node(held_to, execution)
    running = seen(held_to, execution, f"/{node}", holds(150))
    limit = running["memory"]["limit"]
    assert (limit, running["cpu"]["limit"]) == (400 * MEBIBYTE, 1.0)
    assert running["memory"]["peak"] <= limit
    witness.open("child")
    require_success(held_to.wait(execution))
    assert 0 < usage(held_to, execution, f"/{node}")["cpu"]["seconds"] < END_SECONDS_MAX


def test_each_attempt_has_a_series_of_its_own(client: Client, witness: Witness) -> None:
    """The second attempt uses more."""
    execution = client.start("using.hungrier_each_time", {"mib": 120}, task=True, envs=witness.variables)
    node = task_node(client, execution)
    seen(client, execution, f"/{node}?attempt=0", holds(120))
    witness.open("attempt-0")
    seen(client, execution, f"/{node}?attempt=1", holds(240))
    witness.open("attempt-1")
    require_success(client.wait(execution))
    first, second = (usage(client, execution, f"/{node}?attempt={attempt}") for attempt in range(2))
    assert 120 * MEBIBYTE <= first["memory"]["peak"] < 240 * MEBIBYTE <= second["memory"]["peak"]
    assert first["to_ms"][-1] <= second["from_ms"][0]
    assert usage(client, execution, f"/{node}") == second, "the last one is meant"
    listed = usage(client, execution)
    assert [(tried["node"], tried["attempt"], tried["ended"]) for tried in listed["tries"]] == [
        (node, 0, True),
        (node, 1, True),
    ]
    assert [tried["peaks"]["memory"] for tried in listed["tries"]] == [
        first["memory"]["peak"],
        second["memory"]["peak"],
    ]


def test_a_hungry_item_is_found_among_those_that_run_in_its_process(client: Client, witness: Witness) -> None:
    """Item 2 of a map holds memory; the others take no time."""
    execution = client.start("using.with_a_hungry_item", {"mib": [0, 0, 180, 0]}, envs=witness.variables)
    running = seen(client, execution, "/n0?item=2", holds(180))
    assert (running["item"], running["items"], running["ended"]) == (2, None, False)
    witness.open("item")
    require_success(client.wait(execution))
    ended = usage(client, execution, "/n0?item=2")
    assert ended["ended"] is True
    assert 180 * MEBIBYTE <= ended["memory"]["peak"] < 600 * MEBIBYTE
    assert usage(client, execution, "/n0?item=1")["to_ms"] == [], "it was over before anybody looked"
    [tried] = usage(client, execution)["tries"]
    start, end = tried["items"]
    assert start <= 2 < end
    of_range = usage(client, execution, f"/n0?items={start}-{end}")
    assert [used["item"] for used in of_range["by_item"]] == [2]
    assert of_range["by_item"][0]["memory"] == ended["memory"]["peak"]
    [attempt] = client.attempts(execution, "n0")
    assert attempt.closure.custom_info["used"]["peakMemoryBytes"] >= 180 * MEBIBYTE


def test_what_was_seen_before_the_server_was_killed_is_kept(own: Client, witness: Witness) -> None:
    """The attempt runs again; its series goes on with a pause in it."""
    execution = own.start("using.holds", {"mib": 160}, task=True, envs=witness.variables)
    node = task_node(own, execution)
    before = seen(own, execution, f"/{node}", holds(160))
    own.server.kill()
    client = Client(own.server.start())
    kept = seen(client, execution, f"/{node}", lambda answer: len(answer["to_ms"]) >= len(before["to_ms"]))
    assert kept["memory"]["used"][: len(before["to_ms"])] == before["memory"]["used"]
    until("it runs again", lambda: len(witness.lines("holds")) == 2)
    last = before["to_ms"][-1]
    after = seen(client, execution, f"/{node}?from={last + 1}", holds(160))
    assert after["from_ms"][-1] > last
    witness.open("held")
    require_success(client.wait(client.remote.fetch_execution(name=execution.id.name)))
    ended = usage(client, execution, f"/{node}")
    assert ended["memory"]["used"][: len(before["to_ms"])] == before["memory"]["used"]
    pauses = [begin - end for end, begin in zip(ended["to_ms"], ended["from_ms"][1:])]
    assert len([pause for pause in pauses if pause > 0]) == 1, "between the server's death and the attempt's beginning"


def test_an_attempt_that_is_over_at_once_has_no_series_and_says_what_it_may_use(client: Client) -> None:
    """Nobody looked, and that is no error."""
    execution = client.finish("using.at_once", {"x": 1}, task=True)
    node = client.only_node(execution)
    answer = usage(client, execution, f"/{node}")
    assert (answer["to_ms"], answer["memory"]["peak"], answer["ended"]) == ([], None, True)
    [tried] = usage(client, execution)["tries"]
    assert tried["peaks"] is None
    [attempt] = client.attempts(execution)
    assert "used" not in attempt.closure.custom_info


def test_what_cannot_be_answered_is_refused_and_says_why(client: Client) -> None:
    """Bad numbers are named with what would be right; what is not there is not found."""
    execution = client.finish("using.at_once", {"x": 1}, task=True)
    node = client.only_node(execution)
    for what, status, words in [
        (f"/{node}?points=0", 400, "points"),
        (f"/{node}?from=2&to=1", 400, "before"),
        (f"/{node}?item=1", 400, "no map"),
        (f"/{node}?tail=1", 400, "tail is unknown"),
        (f"/{node}?attempt=7", 404, "no attempt 7"),
        ("/n77", 404, "n77"),
        ("?item=1", 400, "item is unknown"),
    ]:
        answered, answer = ask(client, execution, what)
        assert answered == status, (what, answer)
        assert words in answer["error"]["message"], (what, answer)
    assert ask(client, "nothing-of-this-name")[0] == 404


def test_the_command_shows_a_table(client: Client, witness: Witness) -> None:
    """`skein usage`, which finds the server by nothing but the configuration that the server wrote."""
    execution = client.start("using.holds", {"mib": 100}, task=True, envs=witness.variables)
    seen(client, execution, f"/{task_node(client, execution)}", holds(100))
    witness.open("held")
    assert phase(client.wait(execution)) == "SUCCEEDED"
    shown = table(client.server, execution.id.name)
    assert shown[1].split()[:3] == ["NODE", "TRY", "MEMORY"]
    node, attempt, amount, unit, *rest = shown[2].split()
    assert (node, attempt, unit, rest[:3]) == (client.only_node(execution), "1", "MiB", ["of", "1.0", "GiB"])
    assert 100 <= float(amount) < 600


def table(server: Skein, *words: str) -> list[str]:
    """The lines that `skein usage` prints."""
    told = subprocess.run(
        [str(binary()), "usage", *words],
        capture_output=True,
        text=True,
        timeout=END_SECONDS_MAX,
        env=environment(FLYTECTL_CONFIG=str(server.config)),
        check=True,
    )
    return told.stdout.splitlines()
