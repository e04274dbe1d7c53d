"""How far an execution is: over HTTP, as a stream, and with `skein watch`."""

import json
import os
import pty
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flytekit.remote.executions import FlyteWorkflowExecution

from harness.client import Client, phase, require_success, unique
from harness.poll import until
from harness.server import Skein, free_port
from harness.settings import DOMAIN, PROJECT, binary, environment
from harness.witness import Witness

Json = dict[str, Any]
END_SECONDS_MAX = 60
HELD = list(range(10))
DONE = {"total": 10, "succeeded": 9, "failed": 1, "waiting": 0, "aborted": 0, "retried": 2, "cached": 0}
"""What becomes of the ten items of `held_map`: 3 and 4 are tried twice, and 5 fails."""


def address(server: Skein, name: str) -> str:
    """Where the progress of an execution is."""
    return f"{server.url}/api/v1/executions/{PROJECT}/{DOMAIN}/{name}/progress"


def progress(client: Client, execution: FlyteWorkflowExecution) -> Json:
    """How far an execution is."""
    with urllib.request.urlopen(address(client.server, execution.id.name), timeout=30) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        return json.load(answer)


def stream(client: Client, execution: FlyteWorkflowExecution) -> list[tuple[str, Json]]:
    """All events of an execution, to the end of the stream."""
    request = urllib.request.Request(
        address(client.server, execution.id.name), headers={"Accept": "text/event-stream"}
    )
    with urllib.request.urlopen(request, timeout=END_SECONDS_MAX) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        blocks = answer.read().decode().split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks if block]
    return [(event["event"], json.loads(event["data"])) for event in events]


def watching(server: Skein, *words: str) -> "subprocess.Popen[str]":
    """`skein watch`, which finds the server by nothing but the configuration that the server wrote."""
    return subprocess.Popen(
        [str(binary()), "watch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(FLYTECTL_CONFIG=str(server.config)),
    )


def watched(server: Skein, *words: str) -> tuple[int, str, str]:
    """Status and output of `skein watch` at its end."""
    with watching(server, *words) as process:
        output, errors = process.communicate(timeout=END_SECONDS_MAX)
    return process.returncode, output, errors


def counts(client: Client, execution: FlyteWorkflowExecution) -> Json:
    """The counts of the map, which is the first node; none before it has begun."""
    return progress(client, execution)["nodes"][0]["items"] or {}


def reach(client: Client, execution: FlyteWorkflowExecution, succeeded: int, failed: int, retried: int) -> None:
    """Waits until as many items have ended and were tried again as expected; then all counts must be as expected."""
    expected = (succeeded + failed, retried)

    def found() -> "Json | None":
        items = counts(client, execution)
        return items if items and (items["succeeded"] + items["failed"], items["retried"]) == expected else None

    assert until(f"{expected} items ended and retried", found, END_SECONDS_MAX) == {
        "total": 10,
        "succeeded": succeeded,
        "failed": failed,
        "waiting": 10 - succeeded - failed,
        "aborted": 0,
        "retried": retried,
        "cached": 0,
    }


def test_a_map_is_counted_exactly_while_it_runs_and_afterwards(client: Client, witness: Witness) -> None:
    """Items are held at gates: what has passed is counted, and nothing else, in every way to look."""
    execution = client.start("progressing.held_map", {"xs": HELD}, envs=witness.variables)
    with (
        ThreadPoolExecutor() as threads,
        watching(client.server, execution.id.name) as lines,
        watching(client.server, execution.id.name, "--json") as states,
    ):
        events = threads.submit(stream, client, execution)
        reach(client, execution, succeeded=0, failed=0, retried=0)
        after = progress(client, execution)["nodes"][1]
        assert (after["kind"], after["phase"], after["reason"]) == ("task", "WAITING", "waits for n0")
        for gate in range(3):
            witness.open(f"item-{gate}")
        reach(client, execution, succeeded=3, failed=0, retried=0)
        for gate in (3, 4):
            witness.open(f"item-{gate}")
        # Their second tries wait behind the items that have not run yet.
        reach(client, execution, succeeded=3, failed=0, retried=2)
        assert progress(client, execution)["nodes"][0]["items_per_second"] > 0
        assert progress(client, execution)["nodes"][0]["seconds_left"] > 0
        witness.open("item-5")
        reach(client, execution, succeeded=3, failed=1, retried=2)
        for gate in range(6, 10):
            witness.open(f"item-{gate}")
        reach(client, execution, succeeded=9, failed=1, retried=2)
        until("the task after the map", lambda: progress(client, execution)["nodes"][1]["phase"] == "RUNNING")
        witness.open("total")
        require_success(client.wait(execution))
        printed, _ = lines.communicate(timeout=END_SECONDS_MAX)
        objects, _ = states.communicate(timeout=END_SECONDS_MAX)
        told = events.result(END_SECONDS_MAX)
    last = progress(client, execution)
    assert (last["phase"], last["nodes"][0]["items"]) == ("SUCCEEDED", DONE)
    assert (last["nodes"][0]["phase"], last["nodes"][1]["attempts"]) == ("SUCCEEDED", 1)
    assert told[-1] == ("end", {})
    assert told[-2] == ("progress", last)
    assert lines.returncode == states.returncode == 0
    assert json.loads(objects.splitlines()[-1]) == last
    assert "SUCCEEDED" in printed.splitlines()[-1]
    assert "9/10  1 failed  2 retried" in printed


def test_a_failure_is_told_with_its_message_and_status(client: Client) -> None:
    """The map fails before all its items have ended, or with the last: none is lost between the counts."""
    execution = client.finish("mapping.most_succeed", {"xs": list(range(10)), "limit": 5})
    assert phase(execution) == "FAILED"
    state = progress(client, execution)
    items = state["nodes"][0]["items"]
    assert (state["phase"], state["nodes"][0]["phase"]) == ("FAILED", "FAILED")
    assert items["failed"] >= 3
    assert items["succeeded"] + items["failed"] + items["aborted"] == items["total"] == 10
    assert "is below 5" in state["error"]["message"]
    for words in ([], ["--once"]):
        status, printed, _ = watched(client.server, f"{PROJECT}/{DOMAIN}/{execution.id.name}", *words)
        assert status == 1
        assert "FAILED" in printed and "is below 5" in printed


def test_once_says_how_far_it_is_and_does_not_wait(client: Client, witness: Witness) -> None:
    """What has not ended has not failed."""
    execution = client.start("gates.waits", {"name": "watched"}, envs=witness.variables)
    until("the task at its gate", lambda: witness.lines("reached"))
    until("the record of its start", lambda: not progress(client, execution)["nodes"][0]["reason"])
    status, printed, _ = watched(client.server, execution.id.name, "--once")
    assert status == 0
    assert "task  RUNNING" in printed
    witness.open("watched")
    require_success(client.wait(execution))


def test_on_a_terminal_the_picture_is_drawn_where_it_stands(client: Client) -> None:
    """Lines are cleared to their end, and nothing is left below."""
    execution = client.finish("mapping.squares", {"xs": [1, 2, 3]})
    ours, theirs = pty.openpty()
    command = [str(binary()), "watch", execution.id.name, "--server", client.server.endpoint]
    ended = subprocess.run(
        command, stdout=theirs, env=environment(TERM="xterm"), timeout=END_SECONDS_MAX, check=False
    )
    os.close(theirs)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert ended.returncode == 0
    assert "SUCCEEDED" in drawn and "[====================]  3/3" in drawn
    assert drawn.count("\x1b[K") == 2 and drawn.endswith("\x1b[J")


def test_a_watch_goes_on_when_the_server_comes_back(own: Client, witness: Witness) -> None:
    """A server that was killed and started again is asked again, and the counts are those of the log."""
    execution = own.start("progressing.held_map", {"xs": HELD}, envs=witness.variables)
    for gate in range(3):
        witness.open(f"item-{gate}")
    reach(own, execution, succeeded=3, failed=0, retried=0)
    with watching(own.server, execution.id.name, "--json") as states:
        assert states.stdout is not None
        first = json.loads(states.stdout.readline())
        assert first["nodes"][0]["items"]["succeeded"] == 3
        own.server.kill()
        own.server.start()
        for gate in range(3, 10):
            witness.open(f"item-{gate}")
        witness.open("total")
        printed, errors = states.communicate(timeout=END_SECONDS_MAX)
    assert states.returncode == 0, errors
    assert "asking again" in errors
    last = json.loads(printed.splitlines()[-1])
    assert (last["phase"], last["nodes"][0]["items"]) == ("SUCCEEDED", DONE)


def test_a_server_that_is_told_to_end_ends_although_somebody_watches(
    own: Client, witness: Witness
) -> None:
    """Whoever only looks holds nothing up: the stream ends without the word that the execution has."""
    execution = own.start("gates.waits", {"name": "never"}, envs=witness.variables)
    until("the task at its gate", lambda: witness.lines("reached"))
    with ThreadPoolExecutor() as threads:
        events = threads.submit(stream, own, execution)
        until("the watch", lambda: "skein_gateway_watched_executions 1\n" in metrics(own.server))
        assert own.server.stop() == 0
        assert [name for name, _ in events.result(END_SECONDS_MAX)].count("end") == 0
    assert "cut off" not in own.server.said()


def metrics(server: Skein) -> str:
    """What the server counts."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        return answer.read().decode()


def test_an_execution_that_is_not_there_is_named(client: Client) -> None:
    """JSON for a program, words and status 2 for a person."""
    name = unique("none")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(address(client.server, name), timeout=30)
    assert refused.value.code == 404
    assert name in json.load(refused.value)["error"]["message"]
    status, _, errors = watched(client.server, name)
    assert status == 2
    assert name in errors


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["development/abc"], "NAME or PROJECT/DOMAIN/NAME"),
        (["p/d/.."], "names a folder"),
        ([], "EXECUTION"),
        (["abc", "--server", "ftp://x"], "http://HOST:PORT"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_what_could(
    server: Skein, words: list[str], complaint: str
) -> None:
    """Status 2, and what would be right."""
    status, _, errors = watched(server, *words)
    assert status == 2
    assert complaint in errors


def test_without_a_server_it_says_how_to_start_one(server: Skein) -> None:
    """The address, who named it, and the command."""
    nobody = f"127.0.0.1:{free_port()}"
    status, _, errors = watched(server, "abc", "--server", nobody)
    assert status == 2
    assert nobody in errors and "--server" in errors and "skein up" in errors
