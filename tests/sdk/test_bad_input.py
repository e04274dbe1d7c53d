"""What comes from outside and is wrong: each has a clear error, and the server goes on."""

import re
import urllib.error
import urllib.request
from datetime import timedelta

import grpc
import pytest
from flyteidl.core import execution_pb2
from flyteidl.service import dataproxy_pb2

from harness.client import Client, create_request, integers, phase, refused, require_success, text, unique
from harness.poll import until
from harness.processes import peak_bytes, reset_peak, runs
from harness.settings import DOMAIN, PROJECT
from harness.templates import INTEGER, node, task_request, variables, workflow_request
from harness.witness import Witness

MEBIBYTE = 1024 * 1024
NAMES = ["", "a/b", "..", "a\0b", "n" * 10_000]


@pytest.fixture(autouse=True)
def the_server_goes_on(client: Client):
    """After each of these tests the same process answers, and runs a workflow."""
    pid = client.server.pid
    yield
    assert client.server.process is not None and client.server.process.poll() is None
    assert client.server.pid == pid
    assert client.outputs("values.doubled", {"a": 4})["o0"] == 8


@pytest.mark.parametrize("name", NAMES, ids=["empty", "slash", "dots", "nul", "10 kB"])
def test_a_task_with_such_a_name_is_refused_or_kept_as_it_is(client: Client, name: str) -> None:
    """No name does harm: it is refused with INVALID_ARGUMENT, or stored and read back as given."""
    request = task_request(name, unique("v"), variables(a=INTEGER), variables())
    try:
        client.admin.CreateTask(request, timeout=30)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.details()
        assert len(error.details()) < 8192
        return
    assert client.remote.fetch_task(name=name, version=request.id.version).id.name == name


def test_a_message_of_a_hundred_mebibytes_is_refused(client: Client) -> None:
    """It costs one error, not memory without bound."""
    request = create_request("workflows.values.doubled", integers(a=1))
    request.inputs.literals["a"].CopyFrom(text("x" * 100 * MEBIBYTE))
    code, _ = refused(client.admin.CreateExecution, request)
    assert code in (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.INVALID_ARGUMENT,
    )


def test_a_workflow_of_ten_thousand_nodes_is_answered(client: Client) -> None:
    """It is compiled, or refused with a reason, within the time of one call."""
    task = unique("many")
    client.admin.CreateTask(task_request(task, "v1", variables(), variables()))
    nodes = [node(f"n{i}", task, "v1", after=[f"n{i - 1}"] if i else []) for i in range(10_000)]
    try:
        client.admin.CreateWorkflow(workflow_request(unique("many"), "v1", nodes), timeout=60)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED), error


def upload(client: Client, **fields: object) -> dataproxy_pb2.CreateUploadLocationResponse:
    """Asks for a place for an upload."""
    request = {"project": PROJECT, "domain": DOMAIN, "filename": "f.txt", "content_md5": b"0" * 16, **fields}
    return client.data.CreateUploadLocation(dataproxy_pb2.CreateUploadLocationRequest(**request))


@pytest.mark.parametrize("field", ["filename", "filename_root", "project", "domain"])
@pytest.mark.parametrize("value", ["../../etc", "/etc/passwd", "a/../../b", "a\0b"])
def test_an_upload_cannot_leave_its_folder(client: Client, field: str, value: str) -> None:
    """A path that leads elsewhere is refused with INVALID_ARGUMENT."""
    with pytest.raises(grpc.RpcError) as raised:
        upload(client, **{field: value})
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def http_status(url: str, method: str = "GET", body: "bytes | None" = None) -> int:
    """The status of an HTTP request."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_forged_or_altered_signature_is_refused(client: Client) -> None:
    """A data URL works as it was given, and not with another path, time, signature or method."""
    url = upload(client, filename=unique("signed")).signed_url
    flip = {"0": "1", "A": "B", "a": "b"}
    forged = url[:-1] + flip.get(url[-1], "0")
    for bad in (forged, url.split("?")[0], re.sub(r"(expires=)\d+", r"\g<1>99999999999", url)):
        assert http_status(bad, "PUT", b"x") in (400, 401, 403)
    assert http_status(url, "GET") in (400, 401, 403, 404, 405)
    inside = url.split("?")[0].split("/data/")[0]
    for path in ("/data/..%2f..%2fetc/passwd", "/data/../../../etc/passwd", "/data//etc/passwd"):
        assert http_status(f"{inside}{path}?{url.split('?')[1]}") in (400, 401, 403, 404)


def test_an_expired_url_is_refused(client: Client) -> None:
    """A data URL ends when it says it does."""
    request = dataproxy_pb2.CreateUploadLocationRequest(
        project=PROJECT, domain=DOMAIN, filename=unique("short"), content_md5=b"0" * 16
    )
    request.expires_in.FromTimedelta(timedelta(seconds=1))
    url = client.data.CreateUploadLocation(request).signed_url
    until("the URL to expire", lambda: http_status(url, "PUT", b"x") in (401, 403), 10)


def test_a_task_that_prints_without_end_is_cut_and_succeeds(client: Client) -> None:
    """A task that prints 1 GiB succeeds; its log is kept up to a limit, compressed, with a line that says so and its end,
    and the server needs memory for little of it at a time."""
    reset_peak(client.server.pid)
    before = peak_bytes(client.server.pid)
    execution = client.finish("misbehaving.prints_much", {"megabytes": 1024}, task=True)
    require_success(execution)
    assert peak_bytes(client.server.pid) - before < 32 * MEBIBYTE
    stored = [path for path in client.server.data.rglob("*") if execution.id.name in str(path) and path.is_file()]
    assert 0 < sum(path.stat().st_size for path in stored) < MEBIBYTE
    [log] = client.attempts(execution)[0].closure.logs
    with urllib.request.urlopen(log.uri, timeout=60) as answer:
        kept = answer.read()
    assert 64 * MEBIBYTE < len(kept) < 65 * MEBIBYTE
    assert f"\n[skein: the output is cut here, after {64 * MEBIBYTE} bytes]\n".encode() in kept
    assert kept.endswith(b"p" * 1023 + b"\n")


def test_a_process_that_a_task_leaves_behind_ends_with_it(client: Client, witness: Witness) -> None:
    """What a task started does not outlive the attempt."""
    require_success(client.finish("misbehaving.leaves_a_child", {"x": 1}, task=True, envs=witness.variables))
    [[_, pid]] = witness.lines("child")
    until("the child is gone", lambda: not runs(int(pid)), 15)


def test_a_task_that_ignores_sigterm_is_killed(client: Client, witness: Witness) -> None:
    """Abort ends the execution, and the process."""
    execution = client.start("misbehaving.ignores_sigterm", {"x": 1}, task=True, envs=witness.variables)
    [[_, pid]] = until("the task runs", lambda: witness.lines("ignores_sigterm"))
    client.remote.terminate(execution, "enough")
    assert phase(client.wait(execution)) == "ABORTED"
    until("the process is gone", lambda: not runs(int(pid)), 30)


def test_a_task_that_returns_another_type_fails(client: Client) -> None:
    """The error says what was returned."""
    execution = client.finish("failing.returns_another_type", {"x": 1}, task=True)
    assert phase(execution) == "FAILED"
    error = client.get(execution).closure.error
    assert error.kind in (execution_pb2.ExecutionError.USER, execution_pb2.ExecutionError.SYSTEM)
    assert "not a number" in error.message or "int" in error.message


def test_a_task_that_deletes_its_folder_harms_nobody_else(client: Client) -> None:
    """Later attempts of the same code find their files."""
    client.finish("misbehaving.deletes_its_folder", {"x": 1}, task=True)
    assert client.outputs("environment.where_the_neighbour_is", task=True)["o0"].endswith("neighbour.py")
