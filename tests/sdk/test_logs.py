"""What tasks print: live and afterwards, of each attempt and item, over HTTP and with `skein logs`."""

import json
import subprocess
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from harness import cli as command_lines
from harness.client import Client, phase, require_success
from harness.poll import until
from harness.processes import peak_bytes, reset_peak
from harness.server import Skein
from harness.settings import (
    DOMAIN,
    LONG,
    PACKAGE,
    PROJECT,
    PROJECT_FOLDER,
    VERSION,
    binary,
    environment,
    flytekit_python,
)
from harness.witness import Witness

END_SECONDS_MAX = 60
MEBIBYTE = 1024 * 1024
LINKS = """
[logs]
keep_mib = 1

[[logs.links]]
name = "Mine"
uri = "https://logs.example/{{ .executionProject }}/{{ .executionName }}/{{ .nodeID }}/{{ .taskRetryAttempt }}"

[[logs.links]]
provider = "cloudwatch"
region = "eu-west-1"
group = "skein"
"""


def get(client: Client, execution: Any, what: str = "", **headers: str) -> tuple[int, bytes, Any]:
    """Status, body and headers of what the server says of an execution's logs."""
    name = execution if isinstance(execution, str) else execution.id.name
    address = f"{client.server.url}/api/v1/executions/{PROJECT}/{DOMAIN}/{name}/logs{what}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def inner(client: Client, execution: Any) -> list[str]:
    """The nodes that run something."""
    names = {node.id.node_id for node in client.nodes(execution)}
    return sorted(names - {"start-node", "end-node"})


def log(client: Client, execution: Any, what: str) -> str:
    """What was printed."""
    status, body, _ = get(client, execution, what)
    assert status == 200, body
    return body.decode()


def by_link(link: str) -> str:
    """What stands at a link."""
    with urllib.request.urlopen(link, timeout=60) as answer:
        return answer.read().decode()


def events(client: Client, execution: Any, what: str, **headers: str) -> list[dict[str, str]]:
    """All events of a stream, to its end."""
    status, body, _ = get(client, execution, what, Accept="text/event-stream", **headers)
    assert status == 200, body
    blocks = [block for block in body.decode().split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def text_of(told: list[dict[str, str]]) -> str:
    """The text of the events of a stream that has ended."""
    assert told[-1]["event"] == "end"
    return "".join(json.loads(event["data"])["text"] for event in told[:-1])


def logs(client: Client, *words: str) -> "subprocess.Popen[bytes]":
    """`skein logs`, which finds the server by nothing but the configuration that the server wrote."""
    return subprocess.Popen(
        [str(binary()), "logs", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
    )


def shown(client: Client, *words: str) -> tuple[int, str, str]:
    """Status and output of `skein logs` at its end."""
    with logs(client, *words) as process:
        output, errors = process.communicate(timeout=END_SECONDS_MAX)
    return process.returncode, output.decode(), errors.decode()


def test_what_a_task_prints_is_read_while_it_runs_and_the_same_afterwards(client: Client, witness: Witness) -> None:
    """Over HTTP, as a stream, and with `skein logs --follow`, which ends with the execution."""
    execution = client.start("printing.step_by_step", {"steps": 3}, task=True, envs=witness.variables)
    name = execution.id.name
    with ThreadPoolExecutor() as threads, logs(client, name, "--follow") as following:
        node_id = until("the node", lambda: inner(client, execution))[0]
        told = threads.submit(events, client, execution, f"/{node_id}?attempt=0")
        expected = ""
        for step in range(3):
            expected += f"step {step}\n"
            until(f"step {step}", lambda: get(client, execution, f"/{node_id}")[1].decode() == expected)
            assert get(client, execution, f"/{node_id}")[2]["skein-log-ended"] == "false"
            witness.open(f"step-{step}")
        require_success(client.wait(execution))
        output, errors = following.communicate(timeout=END_SECONDS_MAX)
        expected += "the end, without a line's"
        assert text_of(told.result(END_SECONDS_MAX)) == expected
    assert (following.returncode, output.decode(), errors.decode()) == (0, expected, "")
    status, body, headers = get(client, execution, f"/{node_id}")
    assert (status, body.decode(), headers["skein-log-ended"]) == (200, expected, "true")
    [link] = client.attempts(execution)[0].closure.logs
    assert (link.name, by_link(link.uri)) == ("Task Logs", expected)
    assert shown(client, name) == (0, expected, "")
    assert shown(client, f"{PROJECT}/{DOMAIN}/{name}", node_id, "--tail", "1")[1] == "the end, without a line's"
    assert log(client, execution, f"/{node_id}?from=5&limit=4") == "0\nst"
    assert log(client, execution, f"/{node_id}?tail=2") == "step 2\nthe end, without a line's"
    resumed = events(client, execution, f"/{node_id}", **{"Last-Event-ID": "7"})
    assert text_of(resumed) == expected[7:]


def test_each_attempt_has_an_output_of_its_own(client: Client) -> None:
    """Standard output and error in the order of writing, and the error that the SDK prints."""
    execution = client.finish("printing.retried", {"x": 1})
    require_success(execution)
    for attempt, found in enumerate(client.attempts(execution, "n0")):
        text = by_link(found.closure.logs[0].uri)
        assert text.startswith(f"attempt {attempt}\nerror of {attempt}\n")
        assert ("not yet" in text) == (attempt < 2)
        assert text == log(client, execution, f"/n0?attempt={attempt}")
    assert log(client, execution, "/n0") == "attempt 2\nerror of 2\n"
    status, output, _ = shown(client, execution.id.name, "n0", "--follow")
    assert status == 0
    assert [line for line in output.splitlines() if line.startswith("==>")] == [
        f"==> n0, attempt {attempt} <==" for attempt in range(3)
    ]
    assert shown(client, execution.id.name, "n0", "--attempt", "2", "--follow")[1] == "attempt 2\nerror of 2\n"


def test_nodes_are_told_apart(client: Client) -> None:
    """`skein logs` of an execution shows all of its nodes, in their order."""
    execution = client.finish("printing.in_a_row", {"x": 1})
    require_success(execution)
    expected = "==> n0, attempt 0 <==\nx is 1\n\n==> n1, attempt 0 <==\nx is 2\n"
    assert shown(client, execution.id.name) == (0, expected, "")
    assert shown(client, execution.id.name, "n1") == (0, "x is 2\n", "")
    listed = json.loads(get(client, execution)[1])
    assert [(entry["node"], entry["attempt"], entry["ended"]) for entry in listed["logs"]] == [
        ("n0", 0, True),
        ("n1", 0, True),
    ]


def test_bytes_are_kept_as_they_were_printed(client: Client) -> None:
    """What is no text, what a program printed, what looks like a mark, and both streams, in their order."""
    execution = client.finish("printing.odd_bytes", {"x": 1}, task=True)
    require_success(execution)
    expected = b"\x00\xff\xfe zero\nerror\nprogram\n\x1eskein:0000000000000000:7\x1e no mark\nlast\n"
    assert get(client, execution, f"/{client.only_node(execution)}")[1] == expected


def test_what_prints_on_after_the_attempt_keeps_nobody_waiting(client: Client) -> None:
    """Its output ends with the attempt."""
    execution = client.finish("printing.leaves_the_pipe_open", {"x": 1}, task=True)
    require_success(execution)
    text = log(client, execution, f"/{client.only_node(execution)}")
    assert text.startswith("mine\n")
    assert set(text.splitlines()) <= {"mine", "not mine"}
    assert log(client, execution, f"/{client.only_node(execution)}") == text


def test_a_gigabyte_of_output_costs_little_and_its_cut_is_told(client: Client) -> None:
    """1 GiB in the long form, 80 MiB in the short one, all in one line."""
    mebibytes = 1024 if LONG else 80
    reset_peak(client.server.pid)
    before = peak_bytes(client.server.pid)
    execution = client.finish("printing.without_end", {"mebibytes": mebibytes}, task=True)
    require_success(execution)
    assert peak_bytes(client.server.pid) - before < 48 * MEBIBYTE
    reset_peak(client.server.pid)
    before = peak_bytes(client.server.pid)
    node = client.only_node(execution)
    body = get(client, execution, f"/{node}")[1]
    assert peak_bytes(client.server.pid) - before < 48 * MEBIBYTE
    assert body[: 64 * MEBIBYTE] == b"x" * (64 * MEBIBYTE)
    left_out = (mebibytes - 64) * MEBIBYTE + len(b"the very end")
    note = (
        f"\n[skein: the output is cut here, after {64 * MEBIBYTE} bytes]\n"
        f"[skein: {left_out} bytes more; the last 16384 of them:]\n"
    ).encode()
    assert body[64 * MEBIBYTE :].startswith(note + b"xxx")
    assert body.endswith(b"xxxthe very end")
    assert len(body) == 64 * MEBIBYTE + len(note) + 16384


def test_an_item_of_a_map_has_its_own_output(client: Client) -> None:
    """Also where many share a process: what Python prints, and what programs do that it starts."""
    execution = client.finish("printing.plain_items", {"xs": list(range(32))})
    require_success(execution)
    expected = {0: "item {}\n", 1: "error {0}\nand {0}\n", 2: "program {}\n", 3: ""}
    [attempt] = client.attempts(execution, "n0")
    assert len(attempt.closure.metadata.external_resources) == 32
    for resource in attempt.closure.metadata.external_resources:
        text = expected[resource.index % 4].format(resource.index)
        assert (resource.index, by_link(resource.logs[0].uri)) == (resource.index, text)
        assert log(client, execution, f"/n0?item={resource.index}") == text
    assert shown(client, execution.id.name, "n0", "--item", "8") == (0, "item 8\n", "")
    ranges = [entry["items"] for entry in json.loads(get(client, execution)[1])["logs"]]
    whole = "".join(log(client, execution, f"/n0?items={start}-{end}") for start, end in ranges)
    assert all(f"item {item}\n" in whole for item in range(0, 32, 4))
    assert "\x1e" not in whole
    status, output, _ = shown(client, execution.id.name)
    assert (status, output.count("==> n0, attempt 0, items ")) == (0, len(ranges))


def test_items_that_the_sdk_dispatches_are_told_apart_to_the_byte(client: Client) -> None:
    """A line without an end too."""
    boxes = [{"value": value} for value in range(16)]
    execution = client.finish("printing.boxed_items", {"boxes": boxes})
    require_success(execution)
    for item in range(16):
        assert log(client, execution, f"/n0?item={item}") == f"box {item}\nrest {item}"


def test_each_attempt_of_an_item_has_its_own_output(client: Client) -> None:
    """The last one is shown where none is named."""
    execution = client.finish("printing.retried_items", {"xs": [5, 6]})
    require_success(execution)
    for item, x in enumerate([5, 6]):
        assert log(client, execution, f"/n0?item={item}&attempt=0").startswith(f"item {x} attempt 0\n")
        assert log(client, execution, f"/n0?item={item}") == f"item {x} attempt 1\n"


def test_an_item_is_read_while_it_runs(client: Client, witness: Witness) -> None:
    """And `skein logs --follow` of a map ends with it."""
    execution = client.start("printing.held_items", {"xs": [0, 1]}, envs=witness.variables)
    with logs(client, execution.id.name, "n0", "--follow") as following:
        until("item 0", lambda: get(client, execution, "/n0?item=0")[1] == b"item 0 waits\n")
        assert get(client, execution, "/n0?item=0")[2]["skein-log-ended"] == "false"
        for item in range(2):
            witness.open(f"item-{item}")
        require_success(client.wait(execution))
        output, _ = following.communicate(timeout=END_SECONDS_MAX)
    for item in range(2):
        assert log(client, execution, f"/n0?item={item}") == f"item {item} waits\nitem {item} goes\n"
        assert f"item {item} goes\n" in output.decode()
    assert following.returncode == 0


def test_what_is_not_there_is_refused_with_words(client: Client, witness: Witness) -> None:
    """An execution, a node, an attempt, an item, and a node that has not begun."""
    status, _, errors = shown(client, "no-such-execution")
    assert (status, "no-such-execution" in errors) == (2, True)
    execution = client.start("gates.waits_in_the_middle", {"name": "logs", "value": 1}, envs=witness.variables)
    until("the task at its gate", lambda: witness.lines("reached"))
    assert get(client, execution, "/zz")[0] == 404
    assert b"node n2 has not begun: waits for n1" in get(client, execution, "/n2")[1]
    assert b"node n0 has no attempt 3" in get(client, execution, "/n0?attempt=3")[1]
    assert b"is no map" in get(client, execution, "/n0?item=0")[1]
    assert shown(client, execution.id.name, "n0", "--attempt", "3")[0] == 2
    with ThreadPoolExecutor() as threads:
        told = threads.submit(events, client, execution, "/n2")
        witness.open("logs")
        require_success(client.wait(execution))
        assert text_of(told.result(END_SECONDS_MAX)) == ""


def test_a_follower_goes_on_when_the_server_comes_back(own: Client, witness: Witness) -> None:
    """What was printed before is not shown again."""
    execution = own.start("printing.held_items", {"xs": [0, 1]}, envs=witness.variables)
    until("item 0", lambda: get(own, execution, "/n0?item=0")[1] == b"item 0 waits\n")
    witness.open("item-0")
    until("its end", lambda: get(own, execution, "/n0?item=0")[2]["skein-log-ended"] == "true")
    with logs(own, execution.id.name, "n0", "--follow") as following:
        assert following.stdout is not None
        while following.stdout.readline() != b"item 0 goes\n":
            pass
        own.server.kill()
        own.server.start()
        witness.open("item-1")
        require_success(own.wait(execution))
        output, errors = following.communicate(timeout=END_SECONDS_MAX)
    assert following.returncode == 0, errors
    assert b"item 0" not in output
    assert b"item 1 goes\n" in output


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client of a server that links to where logs are kept beside ours, and keeps little itself."""
    folder = tmp_path_factory.mktemp("linked")
    (folder / "skein.toml").write_text(LINKS)
    server = Skein(folder, words=["--config", "skein.toml"]).start()
    command_lines.pyflyte(server, folder).register(
        PACKAGE, version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    yield Client(server)
    server.end()
    server.check()


def test_attempts_and_items_link_to_where_else_logs_are_kept(linked: Client) -> None:
    """As the server's configuration says, after our own link."""
    execution = linked.finish("printing.retried", {"x": 1})
    name = execution.id.name
    last = linked.attempts(execution, "n0")[2].closure.logs
    assert [entry.name for entry in last] == ["Task Logs", "Mine", "CloudWatch Logs"]
    assert last[1].uri == f"https://logs.example/{PROJECT}/{name}/n0/2"
    assert last[2].uri.endswith(f"#logEventViewer:group=skein;stream={name}-n0-2")
    mapped = linked.finish("printing.plain_items", {"xs": [0, 1]})
    [attempt] = linked.attempts(mapped, "n0")
    second = attempt.closure.metadata.external_resources[1].logs
    assert [entry.name for entry in second] == ["Task Logs-1", "Mine-1", "CloudWatch Logs-1"]
    assert second[2].uri.endswith(f"stream={mapped.id.name}-n0-0-n1-0")


def test_how_much_is_kept_can_be_said(linked: Client) -> None:
    """A MiB here, and the end of the rest."""
    execution = linked.finish("printing.without_end", {"mebibytes": 3}, task=True)
    assert phase(execution) == "SUCCEEDED"
    text = log(linked, execution, f"/{linked.only_node(execution)}")
    assert f"[skein: the output is cut here, after {MEBIBYTE} bytes]" in text
    assert text.endswith("the very end")
    assert len(text) < MEBIBYTE + 17 * 1024


def test_a_template_that_cannot_be_filled_is_refused_at_the_start(tmp_path: Path) -> None:
    """With the variable, and those that there are."""
    (tmp_path / "skein.toml").write_text('[[logs.links]]\nname = "x"\nuri = "https://x/{{ .podUID }}"\n')
    words = [str(binary()), "up", "--data", str(tmp_path / "data"), "--listen", "127.0.0.1:0"]
    words += ["--python", str(flytekit_python()), "--config", "skein.toml"]
    ended = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "uri asks for podUID, which is unknown or has no meaning here; there are" in ended.stderr
