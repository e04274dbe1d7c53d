"""Launching and reading: items 21 to 27, 29 to 34 and 36 of the conformance checklist."""

import random
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from flyteidl.admin import common_pb2, execution_pb2
from flyteidl.core import literals_pb2
from flyteidl.service import admin_pb2, auth_pb2, dataproxy_pb2, identity_pb2, signal_pb2
from flytekit.clients.raw import RawSynchronousFlyteClient
from flytekit.exceptions.user import FlyteInvalidInputException
from flytekit.models.common import Labels
from flytekit.core.options import Options

from harness.cli import Cli
from harness.client import (
    Client,
    create_request,
    execution_id,
    integers,
    list_request,
    phase,
    refused,
    require_success,
    text,
    unique,
)
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, PROJECT, VERSION
from harness.witness import Witness

ONE_TASK = """
from flytekit import task


@task
def triple(a: int) -> int:
    return 3 * a


@task
def fails(a: int) -> int:
    if a > 0:
        raise ValueError(f"no luck with {a}")
    return a
"""


def test_021_run_remote_gives_an_address_and_succeeds(client: Client, sdk: Cli, tmp_path: Path) -> None:
    """`pyflyte run --remote f.py task --a 3` returns an execution URL, and the execution succeeds with output `o0`."""
    (tmp_path / "one_task.py").write_text(ONE_TASK)
    answer = sdk.run("one_task.py", "triple", "--a", "3").expect_success()
    address = re.search(r"http://\S+/console/projects/(\w+)/domains/(\w+)/executions/([a-z0-9-]+)", answer.output)
    assert address, answer.output
    assert address.group(1, 2) == (PROJECT, DOMAIN)
    execution = client.wait(client.remote.fetch_execution(name=address.group(3)))
    require_success(execution)
    assert execution.outputs["o0"] == 9


def test_022_wait_exits_with_what_the_execution_ended_with(pyflyte: Cli, tmp_path: Path) -> None:
    """`--wait` exits 0 on success and non-zero on failure, printing the error message."""
    (tmp_path / "one_task.py").write_text(ONE_TASK)
    wait = ("--wait", "--poll-interval", "1")
    assert pyflyte.run(*wait, "one_task.py", "triple", "--a", "3").status == 0
    failed = pyflyte.run(*wait, "one_task.py", "fails", "--a", "3")
    assert failed.status != 0
    assert "no luck with 3" in failed.output


def test_023_a_name_given_twice_is_one_execution(client: Client, pyflyte: Cli, witness: Witness) -> None:
    """`--name x` twice returns the same execution the second time without a new run."""
    name = unique("twice")
    variables = [word for pair in witness.variables.items() for word in ("--env", "=".join(pair))]
    run = ("--name", name, *variables, "remote-task", f"workflows.values.seen:{VERSION}", "--a", "4")
    pyflyte.run(*run).expect_success()
    require_success(client.wait(client.remote.fetch_execution(name=name)))
    first = client.get(name)
    second_run = pyflyte.run(*run).expect_success()
    assert name in second_run.output
    assert client.get(name) == first
    assert witness.lines() == [["seen", "4"]]


def test_024_a_name_of_another_form_is_refused(client: Client, pyflyte: Cli) -> None:
    """`--name X_Bad` is rejected with INVALID_ARGUMENT."""
    answer = pyflyte.run("--name", "X_Bad", "remote-task", f"workflows.values.double:{VERSION}", "--a", "4")
    assert answer.status != 0
    assert "INVALID_ARGUMENT" in answer.output
    for bad in ["X_Bad", "1abc", "a" * 64, "a/b", "a..b", "a\0b"]:
        code, details = refused(client.admin.CreateExecution, create_request("workflows.values.doubled", name=bad))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, (bad, details)


def test_025_inputs_that_do_not_fit_are_refused(client: Client) -> None:
    """Missing required input, unknown input and overridden fixed input are each rejected with INVALID_ARGUMENT."""
    wrong_type = literals_pb2.LiteralMap(literals={"a": text("four")})
    for plan, inputs, named in [
        ("workflows.values.required", None, "a"),
        ("workflows.values.required", integers(a=1, zz=2), "zz"),
        ("values.fixed_plan", integers(a=1), "a"),
        ("workflows.values.required", wrong_type, "a"),
    ]:
        code, details = refused(client.admin.CreateExecution, create_request(plan, inputs))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, details
        assert re.search(rf"\b{named}\b", details), details


def test_026_a_refused_execution_leaves_nothing_however_often_it_is_sent(client: Client) -> None:
    """A failed CreateExecution repeated four times by the client leaves at most one execution."""
    of_this_plan = "eq(launch_plan.name,values.fixed_plan)"
    before = listed(client, of_this_plan)
    request = create_request("values.fixed_plan", integers(a=1))
    with pytest.raises(FlyteInvalidInputException):
        RawSynchronousFlyteClient.create_execution(client.remote.client, request)
    assert listed(client, of_this_plan) == before

    name = unique("once")
    codes = []
    for _ in range(4):
        try:
            client.admin.CreateExecution(create_request("workflows.values.doubled", integers(a=1), name=name))
            codes.append(grpc.StatusCode.OK)
        except grpc.RpcError as error:
            codes.append(error.code())
    assert codes == [grpc.StatusCode.OK] + 3 * [grpc.StatusCode.ALREADY_EXISTS]


def listed(client: Client, filters: str) -> list[str]:
    """The names of all executions that a filter lets through."""
    return [each.id.name for each in client.admin.ListExecutions(list_request(1000, filters)).executions]


@pytest.mark.parametrize(
    "kind, entity",
    [
        ("remote-task", f"workflows.values.double:{VERSION}"),
        ("remote-workflow", "workflows.values.doubled"),
        ("remote-launchplan", "workflows.values.doubled"),
    ],
)
def test_027_what_is_registered_runs_without_its_source(
    client: Client, pyflyte: Cli, kind: str, entity: str
) -> None:
    """`run remote-task`, `remote-workflow` and `remote-launchplan` work without local source."""
    name = unique("remote")
    pyflyte.run("--name", name, kind, entity, "--a", "21").expect_success()
    execution = client.wait(client.remote.fetch_execution(name=name))
    require_success(execution)
    assert execution.outputs["o0"] == 42


def test_029_pages_of_running_executions_end_with_an_empty_token(client: Client, witness: Witness) -> None:
    """Listing executions with filter `eq(phase,RUNNING)` and a limit of 1 pages through all with distinct tokens and ends with an empty token."""
    started = [client.start("gates.waits", {"name": "pages"}, envs=witness.variables) for _ in range(3)]
    expected = {execution.id.name for execution in started}
    filters = "eq(phase,RUNNING)+eq(workflow.name,workflows.gates.waits)"
    until("three running executions", lambda: expected <= set(listed(client, filters)))

    found, tokens, token = [], [], ""
    while True:
        page = client.admin.ListExecutions(list_request(1, filters, token))
        found += [each.id.name for each in page.executions]
        token = page.token
        if not token:
            break
        tokens.append(token)

    witness.open("pages")
    assert set(found) == set(listed(client, filters)) | expected
    assert len(found) == len(set(found))
    assert len(tokens) == len(set(tokens))
    for execution in started:
        require_success(client.wait(execution))


def test_030_executions_are_found_by_their_labels(client: Client) -> None:
    """`value_in(execution_tag.key,eager-exec)+value_in(execution_tag.value,X)` returns executions labelled `eager-exec=X`."""
    value = unique("parent")
    labelled = client.start("values.doubled", {"a": 1}, options=Options(labels=Labels({"eager-exec": value})))
    other = client.start(
        "values.doubled", {"a": 1}, options=Options(labels=Labels({"eager-exec": unique("other")}))
    )
    single = client.start(
        "values.double", {"a": 1}, task=True, options=Options(labels=Labels({"eager-exec": value}))
    )
    filters = f"value_in(execution_tag.key,eager-exec)+value_in(execution_tag.value,{value})"
    assert set(listed(client, filters)) == {labelled.id.name, single.id.name}
    for execution in (labelled, other, single):
        require_success(client.wait(execution))


def test_031_an_unknown_filter_column_is_refused(client: Client) -> None:
    """An unknown filter column returns INVALID_ARGUMENT."""
    entity = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
    for call in (
        client.admin.ListExecutions,
        client.admin.ListTasks,
        client.admin.ListWorkflows,
        client.admin.ListLaunchPlans,
    ):
        for filters in ["eq(foo,1)", "like(name,x)", "eq(name", "eq(signal.foo,1)", "gt(created_at,yesterday)"]:
            request = common_pb2.ResourceListRequest(id=entity, limit=1, filters=filters)
            code, details = refused(call, request)
            assert code == grpc.StatusCode.INVALID_ARGUMENT, (filters, details)
    code, details = refused(client.admin.ListExecutions, list_request(0))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    code, details = refused(client.admin.ListExecutions, list_request(1, token="abc"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_032_fetch_reads_outputs_by_their_address(client: Client, pyflyte: Cli) -> None:
    """`pyflyte fetch flyte://v1/P/D/E/n0/o` writes the node outputs; `/o/o0` writes one literal; a bad URL is an error."""
    execution = client.finish("values.doubled", {"a": 21})
    base = f"flyte://v1/{PROJECT}/{DOMAIN}/{execution.id.name}/n0/o"
    assert client.node(execution, "n0").closure.output_uri == base, "it is also where the node says that they are"
    assert "42" in pyflyte("fetch", base).expect_success().output
    assert "42" in pyflyte("fetch", f"{base}/o0").expect_success().output
    for bad in (f"{base}/zz", "flyte://v1/a/b"):
        assert "42" not in pyflyte("fetch", bad).output, "the command itself shows None for whatever is refused"
        code, details = refused(client.data.GetData, dataproxy_pb2.GetDataRequest(flyte_url=bad))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, details


def test_032_fetch_downloads_a_file(client: Client, pyflyte: Cli, tmp_path: Path) -> None:
    """`pyflyte fetch` of a node with a file among its outputs writes the file into the folder."""
    execution = client.finish("values.give_file", {"text": "hello"}, task=True)
    require_success(execution)
    address = f"flyte://v1/{PROJECT}/{DOMAIN}/{execution.id.name}/{client.only_node(execution)}/o"
    (tmp_path / "fetched").mkdir()
    pyflyte("fetch", "--recursive", address, str(tmp_path / "fetched")).expect_success()
    files = [path for path in (tmp_path / "fetched").rglob("*") if path.is_file()]
    assert [path.read_text() for path in files] == ["hello"]


def test_033_terminate_aborts_with_cause_and_principal(client: Client, witness: Witness) -> None:
    """Terminate moves a running execution to ABORTED with cause and principal; terminating again is FAILED_PRECONDITION."""
    execution = client.start("gates.waits", {"name": "never"}, envs=witness.variables)
    until("the task runs", lambda: witness.lines("reached"))
    client.remote.terminate(execution, "no longer needed")
    ended = client.wait(execution)
    assert phase(ended) == "ABORTED"
    abort = client.get(execution).closure.abort_metadata
    assert abort.cause == "no longer needed"
    assert abort.principal
    request = execution_pb2.ExecutionTerminateRequest(id=execution_id(execution), cause="again")
    code, _ = refused(client.admin.TerminateExecution, request)
    assert code == grpc.StatusCode.FAILED_PRECONDITION
    assert client.get(execution).closure.abort_metadata.cause == "no longer needed"
    unknown = execution_pb2.ExecutionTerminateRequest(id=execution_id("never-there"), cause="none")
    assert refused(client.admin.TerminateExecution, unknown)[0] == grpc.StatusCode.NOT_FOUND


def test_034_relaunch_runs_again_with_the_same_inputs(client: Client) -> None:
    """Relaunch creates a new execution with the same inputs and mode RELAUNCH."""
    first = client.finish("values.doubled", {"a": 6})
    name = unique("relaunch")
    request = execution_pb2.ExecutionRelaunchRequest(id=execution_id(first), name=name)
    assert client.admin.RelaunchExecution(request).id.name == name
    second = client.wait(client.remote.fetch_execution(name=name))
    require_success(second)
    assert second.inputs["a"] == 6
    assert second.outputs["o0"] == 12
    metadata = client.get(name).spec.metadata
    assert metadata.mode == execution_pb2.ExecutionMetadata.RELAUNCH
    assert metadata.reference_execution.name == first.id.name


SERVICES = [admin_pb2, dataproxy_pb2, signal_pb2, identity_pb2, auth_pb2]


def methods() -> list[str]:
    """The path of every method of every service that the SDK can call."""
    return [
        f"/{service.full_name}/{method.name}"
        for module in SERVICES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.server_streaming and not method.client_streaming
    ]


def requests_to_break_with(seed: int) -> list[bytes]:
    """Messages that are wrong: nothing, noise, and proper ones cut short."""
    noise = random.Random(seed)
    proper = create_request("workflows.values.doubled", integers(a=1)).SerializeToString()
    return [
        b"",
        *(noise.randbytes(noise.randint(1, 300)) for _ in range(3)),
        *(proper[: noise.randrange(1, len(proper))] for _ in range(3)),
        b"\x0a" * 5000,
        b"\x0a\xff\xff\xff\xff\x0f" + b"x" * 10,
    ]


def test_036_no_call_is_ever_answered_with_unknown(client: Client, server: Skein) -> None:
    """The server never emits UNKNOWN, including on malformed protobufs and handler panics."""
    before = len(listed(client, ""))
    answers: dict[str, list[Any]] = {}
    for seed, method in enumerate(methods()):
        call = client.channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
        for request in requests_to_break_with(seed):
            try:
                call(request, timeout=30)
            except grpc.RpcError as error:
                answers.setdefault(method, []).append((error.code(), error.details()))
    bad = {
        method: codes
        for method, codes in answers.items()
        if {code for code, _ in codes} & {grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}
    }
    assert not bad
    assert server.process is not None and server.process.poll() is None
    assert len(listed(client, "")) == before
