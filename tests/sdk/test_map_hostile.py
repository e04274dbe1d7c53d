"""Items that harm the process they run in: the culprit is named and charged, and everybody else's items finish."""

import urllib.request
from pathlib import Path
from typing import Any, Iterator

import pytest
from flyteidl.core import execution_pb2

from harness import cli as command_lines
from harness.client import Client, phase, require_success
from harness.poll import until
from harness.processes import peak_bytes, reset_peak, runs
from harness.server import Skein
from harness.settings import LONG, PACKAGE, PROJECT_FOLDER, VERSION
from harness.witness import Witness

MEBIBYTE = 1024 * 1024
COUNT, CULPRIT = 12, 5
KINDS = ["usual", "reused", "boxed", "forked"]
DEADLY = {
    "raises_system_exit": "exit code (3)",
    "exits_with_words": "out of geese",
    "interrupts": "KeyboardInterrupt",
    "exits_with_0": "without an error",
    "exits_with_3": "exit code (3)",
    "segfaults": "exit code (139)",
    "closes_all_files": "closed",
}
"""What ends the process, and what the message says of it."""

UNSEEN = ["leaves_threads", "goes_elsewhere", "deletes_its_folder", "clears_the_environment", "closes_standard_streams"]
UNSEEN += ["closes_stdout", "ignores_signals"]
"""What later items of the same process need not mind."""

SEEN = ["sets_an_alarm", "disturbs_the_interpreter"]
"""What later items of the same map in the same process would mind."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server with one slot: what shares a process does so at once."""
    folder = tmp_path_factory.mktemp("hostile")
    server = Skein(folder, words=["--slots", "1"]).start()
    command_lines.pyflyte(server, folder).register(
        PACKAGE, version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    pid = server.pid
    yield Client(server)
    assert server.process is not None and server.process.poll() is None and server.pid == pid
    server.end()
    server.check()


def inputs(kind: str, deed: str, culprit: int = CULPRIT, count: int = COUNT) -> dict[str, Any]:
    """The inputs of a map whose item `culprit` does the deed."""
    values = list(range(count))
    return {"xs": [{"value": x} for x in values] if kind == "boxed" else values, "deed": deed, "culprit": culprit}


def results(client: Client, kind: str, deed: str, culprit: int = CULPRIT, **options: Any) -> list[Any]:
    """What the items give: none for one that failed."""
    execution = client.finish(f"hostile.{kind}_map", inputs(kind, deed, culprit), **options)
    require_success(execution)
    return values_of(execution)


def values_of(execution: Any) -> list[Any]:
    """The values of the items, taken out of their boxes."""
    found = execution.outputs["o0"]
    return [getattr(value, "value", value) for value in found]


def everybody(but: "int | None" = None) -> list[Any]:
    """What a map gives in which only one item fails."""
    return [None if x == but else x * x for x in range(COUNT)]


@pytest.mark.parametrize("deed", DEADLY)
@pytest.mark.parametrize("kind", KINDS)
def test_what_ends_its_process_fails_alone(hostile: Client, kind: str, deed: str) -> None:
    """Also the items that were in the same process, before and after it, have their results."""
    assert results(hostile, kind, deed) == everybody(but=CULPRIT)


@pytest.mark.parametrize("deed", DEADLY)
def test_what_ends_its_process_is_named(hostile: Client, deed: str) -> None:
    """The error begins with the item's index, says how it ended, and is the user's."""
    execution = hostile.finish("hostile.strict_map", inputs("strict", deed))
    assert phase(execution) == "FAILED"
    error = hostile.get(execution).closure.error
    assert error.message.startswith(f"[{CULPRIT}]: "), error.message
    assert DEADLY[deed] in error.message
    assert error.kind == execution_pb2.ExecutionError.USER, error.message
    assert "skein_worker" not in error.message, error.message


@pytest.mark.parametrize("deed", UNSEEN)
@pytest.mark.parametrize("kind", ["usual", "boxed"])
def test_what_disturbs_its_process_harms_no_item_after_it(hostile: Client, kind: str, deed: str) -> None:
    """The items after it give what they give without it, and so does the item itself."""
    assert results(hostile, kind, deed) == everybody()


def test_what_an_item_replaces_is_not_what_the_worker_is_told_with(hostile: Client) -> None:
    """Functions that another item left elsewhere are its own map's business: results come all the same."""
    assert results(hostile, "usual", "replaces_functions") == everybody()


@pytest.mark.parametrize("deed", [*UNSEEN, *SEEN])
def test_what_disturbs_its_process_harms_nobody_where_none_is_shared(hostile: Client, deed: str) -> None:
    """With `fork` each item has a process of its own."""
    if deed == "leaves_threads":
        deed = "nothing"
    assert results(hostile, "forked", deed) == everybody()


@pytest.mark.parametrize("deed", ["nothing", *UNSEEN, *SEEN])
@pytest.mark.parametrize("kind", ["tells", "tells_boxed", "tells_map"])
def test_the_next_execution_finds_its_process_as_it_should_be(hostile: Client, kind: str, deed: str) -> None:
    """With `reuse` it is the same process, and its own folder, environment, streams, signals and limits."""
    told = []
    for does in (deed, "nothing", "nothing"):
        execution = hostile.finish(f"hostile.{kind}", tell_inputs(kind, does), task=kind != "tells_map")
        require_success(execution)
        outputs = execution.outputs["o0"]
        lines = dict(line.split(" ", 1) for line in (outputs[0] if kind == "tells_map" else outputs))
        name = execution.id.name
        assert lines.pop("execution") == name
        assert lines.pop("variable") == name
        assert "still heard" in printed(hostile, execution, "n0" if kind == "tells_map" else "")
        told.append(lines)
    assert told[0]["folder"] == "True"
    assert told[1:] == told[:2]


def tell_inputs(kind: str, deed: str) -> dict[str, Any]:
    """The inputs of a task that tells what it finds."""
    more: dict[str, dict[str, Any]] = {"tells": {}, "tells_boxed": {"box": {"value": 1}}, "tells_map": {"xs": [1]}}
    return {**more[kind], "deed": deed}


def printed(client: Client, execution: Any, node_id: str) -> str:
    """All that an attempt printed."""
    [attempt] = client.attempts(execution, node_id)
    items = attempt.closure.metadata.external_resources
    text = ""
    for log in [*attempt.closure.logs, *(log for item in items for log in item.logs)]:
        with urllib.request.urlopen(log.uri, timeout=60) as answer:
            text += answer.read().decode()
    return text


@pytest.mark.parametrize("kind", ["usual", "boxed", "forked"])
def test_what_an_item_starts_ends_with_its_process(hostile: Client, witness: Witness, kind: str) -> None:
    """A child that holds standard output and a daemon keep nobody waiting, and are gone when the process is."""
    assert results(hostile, kind, "leaves_children", envs=witness.variables) == everybody()
    left = [int(pid) for _, pid in witness.lines("left")]
    assert len(left) == 2
    if kind == "forked":
        until("what it started is gone", lambda: not any(runs(pid) for pid in left), 15)


@pytest.mark.parametrize("kind", ["usual", "boxed"])
def test_what_an_item_prints_is_bounded(hostile: Client, kind: str) -> None:
    """64 MiB in one line cost the server little."""
    reset_peak(hostile.server.pid)
    before = peak_bytes(hostile.server.pid)
    assert results(hostile, kind, "prints") == everybody()
    assert peak_bytes(hostile.server.pid) - before < 48 * MEBIBYTE


def test_a_process_that_an_item_leaks_into_is_replaced(hostile: Client) -> None:
    """It goes before the next execution needs memory."""
    # Without replacing it that many leaks are more than the bound.
    for _ in range(16 if LONG else 6):
        assert results(hostile, "reused", "nothing") == everybody()
        assert results(hostile, "reused", "leaks") == everybody()
    until("the memory is given back", lambda: largest(hostile.server) < 64 * MEBIBYTE + 256 * MEBIBYTE, 15)


def largest(server: Skein) -> int:
    """The resident memory of the largest process below the server."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            line = (folder / "cmdline").read_bytes()
        except (OSError, NotADirectoryError):
            continue
        if str(server.folder).encode() in line:
            found.append(int(words[21]) * 4096)
    return max(found, default=0)
