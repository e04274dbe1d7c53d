"""Traces, log lines and metrics: one id from the client's call to the attempt, in all three places."""

import json
import re
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import Any, Iterator

import pytest

from harness import cli as command_lines
from harness.client import Client, create_request, integers, require_success, unique
from harness.collector import Collector, Span
from harness.server import Skein
from harness.settings import PACKAGE, PROJECT_FOLDER, VERSION, binary

CREATE = "flyteidl.service.AdminService/CreateExecution"
CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN = "b7ad6b7169203331"


@dataclass
class Traced:
    """What a server that has ended exported and wrote, and what it said of itself while it ran."""

    server: Skein
    spans: Collector
    lines: list[dict[str, Any]]
    metrics: str
    task: str
    mapped: str
    continued: str

    def only(self, name: str, **attributes: str) -> Span:
        """The one span of its kind."""
        found = self.spans.spans(name, **attributes)
        assert len(found) == 1, f"{name} {attributes}: {found}\nof {self.spans.spans()}"
        return found[0]

    def call_of(self, execution: str) -> Span:
        """The span of the call that created an execution: the parent of its commands."""
        [command] = self.spans.spans("command", execution=execution, command="start")
        [call] = [span for span in self.spans.spans("request", method=CREATE) if span.id == command.parent]
        return call


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    """One server with everything turned on runs a task, a map, and a task for a client that is traced itself."""
    collector = Collector()
    folder = tmp_path_factory.mktemp("traced")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "SKEIN_LOG": "info,skein_workers=debug"}
    server = Skein(folder, words=["--json-logs"], variables=variables).start()
    try:
        command_lines.pyflyte(server, folder).register(
            PACKAGE, version=VERSION, folder=PROJECT_FOLDER
        ).expect_success()
        client = Client(server)
        task = client.finish("values.double", {"a": 4}, task=True)
        require_success(task)
        mapped = client.finish("mapping.squares", {"xs": [1, 2, 3]})
        require_success(mapped)
        name = unique("continued")
        client.admin.CreateExecution(
            create_request("workflows.values.doubled", integers(a=1), name=name),
            metadata=[("traceparent", f"00-{CLIENT_TRACE}-{CLIENT_SPAN}-01")],
        )
        require_success(client.wait(client.remote.fetch_execution(name=name)))
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            metrics = answer.read().decode()
    finally:
        server.end()
        collector.stop()
    server.check()
    lines = [json.loads(line) for line in server.said().splitlines() if line.startswith("{")]
    yield Traced(server, collector, lines, metrics, task.id.name, mapped.id.name, name)


def test_the_call_and_the_attempt_are_one_trace(traced: Traced) -> None:
    """The attempt's span lies below the span of the call that created the execution."""
    call = traced.call_of(traced.task)
    attempt = traced.only("attempt", work=traced.task)
    assert (attempt.trace, attempt.parent) == (call.trace, call.id)
    assert not call.parent, "the SDK sends no trace, so the call is where this one begins"


def test_the_call_and_the_chunks_of_a_map_are_one_trace(traced: Traced) -> None:
    """So it is for each chunk of a map."""
    call = traced.call_of(traced.mapped)
    chunks = traced.spans.spans("chunk", work=traced.mapped)
    assert chunks
    assert {(chunk.trace, chunk.parent) for chunk in chunks} == {(call.trace, call.id)}


def test_what_was_decided_in_between_is_part_of_the_trace(traced: Traced) -> None:
    """Each command of an execution is a span, with its kind."""
    call = traced.call_of(traced.task)
    commands = traced.spans.spans("command", execution=traced.task)
    assert {span.trace for span in commands} == {call.trace}
    assert {"start", "attempt finished"} <= {span.attributes["command"] for span in commands}


def test_a_trace_that_the_client_began_goes_on(traced: Traced) -> None:
    """`traceparent` of the call is the parent of the call's span, and its trace that of the attempt."""
    call = traced.call_of(traced.continued)
    assert (call.trace, call.parent) == (CLIENT_TRACE, CLIENT_SPAN)
    assert traced.only("attempt", work=traced.continued).trace == CLIENT_TRACE


def test_log_lines_carry_the_trace_from_the_call_to_the_attempt(traced: Traced) -> None:
    """With `--json-logs` every line is one JSON object; those of an execution name its trace."""
    phases = {line["message"]: line["trace"] for line in traced.lines if line.get("execution", "").endswith(traced.continued)}
    assert phases == {"execution started": CLIENT_TRACE, "execution succeeded": CLIENT_TRACE}
    begun = [line for line in traced.lines if line["message"] == "work begins"]
    traces = {line["span"]["work"].split("/")[2]: line["span"]["trace"] for line in begun}
    assert traces == {
        name: traced.call_of(name).trace for name in (traced.task, traced.mapped, traced.continued)
    }


def test_records_carry_the_trace(traced: Traced) -> None:
    """Every record of an execution's journal names the trace, so that a restarted server goes on with it."""
    printed = subprocess.run(
        [str(binary()), "log", "cat", str(traced.server.data), "--journal", traced.continued],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    records = [json.loads(line) for line in printed.stdout.splitlines()]
    assert len(records) > 3
    assert {record["trace"] for record in records} == {CLIENT_TRACE}


COUNTED = [
    "skein_gateway_requests_total",
    "skein_gateway_request_seconds_count",
    "skein_gateway_requests_in_flight",
    "skein_gateway_uploaded_bytes_total",
    "skein_gateway_views_caught_up",
    "skein_engine_transitions_total",
    "skein_engine_events_total",
    "skein_engine_commands_without_effect_total",
    "skein_engine_items_total",
    "skein_engine_executions_active",
    "skein_engine_actor_failures_total",
    "skein_engine_replays_that_differ_total",
]


@pytest.mark.parametrize("name", COUNTED)
def test_every_instrument_is_served(traced: Traced, name: str) -> None:
    """`/metrics` answers OpenMetrics text with a sample of each."""
    assert traced.metrics.endswith("# EOF\n")
    assert re.search(rf"^{name}(\{{.*\}})? [0-9.e+-]+$", traced.metrics, re.MULTILINE), traced.metrics


def test_what_ran_is_counted(traced: Traced) -> None:
    """Three executions were created, a map of three items ran, and nothing failed."""
    assert f'skein_gateway_requests_total{{method="{CREATE}",code="OK"}} 3' in traced.metrics
    assert "skein_engine_items_total 3\n" in traced.metrics
    assert "skein_engine_actor_failures_total 0\n" in traced.metrics
