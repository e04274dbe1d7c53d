"""What a task may declare beside its code: items 58, 59 and 65 of the conformance checklist, and the rest of the guide's page."""

import urllib.request
from typing import Any

import grpc
import pytest
from flyteidl.admin import common_pb2, description_entity_pb2, node_execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import dataproxy_pb2
from google.protobuf import json_format

from harness.cli import Cli
from harness.client import (
    Client,
    execution_id,
    identifier,
    phase,
    refused,
    require_success,
    unique,
)
from harness.poll import until
from harness.settings import DOMAIN, PACKAGE, PROJECT, VERSION
from harness.templates import node, task_request, variables, workflow_request
from harness.witness import Witness


def error(client: Client, name: str, inputs: dict[str, Any]) -> Any:
    """The error of a task that has to fail."""
    execution = client.finish(name, inputs, task=True)
    assert phase(execution) == "FAILED"
    return client.get(execution).closure.error


def test_what_is_said_of_a_task_is_kept(client: Client) -> None:
    """Its documentation, and that it is deprecated, which the SDK says to whoever launches it."""
    request = common_pb2.ObjectGetRequest(id=identifier("TASK", f"{PACKAGE}.declared.documented"))
    task = client.admin.GetTask(request)
    assert task.short_description == "Adds one."
    said = client.admin.GetDescriptionEntity(request)
    assert (said.id, said.short_description) == (request.id, "Adds one.")
    assert said.long_description.value == "Adds **one**, and nothing else."
    assert said.source_code.link == "https://example.com/declared.py"
    template = task.closure.compiled_task.template
    assert template.metadata.deprecated_error_message == "use something newer"
    assert client.outputs("declared.documented", {"x": 1}, task=True) == {"o0": 2}


def test_what_is_said_of_tasks_is_listed(client: Client) -> None:
    """By name, and not of launch plans, which say nothing."""
    request = description_entity_pb2.DescriptionEntityListRequest(
        resource_type=identifier_pb2.TASK,
        id=common_pb2.NamedEntityIdentifier(
            project=PROJECT, domain=DOMAIN, name=f"{PACKAGE}.declared.documented"
        ),
        limit=10,
    )
    listed = client.admin.ListDescriptionEntities(request).descriptionEntities
    assert VERSION in [said.id.version for said in listed]
    assert {said.long_description.value for said in listed} == {"Adds **one**, and nothing else."}
    request.resource_type = identifier_pb2.LAUNCH_PLAN
    code, details = refused(client.admin.ListDescriptionEntities, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details == "resource_type is LAUNCH_PLAN; tasks and workflows have descriptions"


def test_a_task_is_found_by_its_own_resolver(client: Client) -> None:
    """By whatever words it said of the task when it was registered."""
    assert client.outputs("resolving._whoever", {"x": 2}, task=True) == {"o0": 42}


def test_a_resolver_that_raises_is_told_in_its_words(client: Client) -> None:
    """The attempt fails with them and is charged to the user; the server goes on."""
    failed = error(client, "resolving.unresolved", {"x": 2})
    assert "LookupError" in failed.message and "nothing is known of number 0" in failed.message, failed
    assert client.outputs("values.doubled", {"a": 2}) == {"o0": 4}


def deck(client: Client, execution: Any) -> str:
    """The deck of the only node of an execution, from where the SDK looks for it; empty when there is none."""
    named = {"execution_id": execution_id(execution), "node_id": client.only_node(execution)}
    request = dataproxy_pb2.CreateDownloadLinkRequest(
        artifact_type=dataproxy_pb2.ARTIFACT_TYPE_DECK, node_execution_id=named
    )
    try:
        [url] = client.data.CreateDownloadLink(request).pre_signed_urls.signed_url
    except grpc.RpcError as status:
        assert status.code() == grpc.StatusCode.NOT_FOUND, status
        return ""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def deck_address(client: Client, execution: Any) -> str:
    """Where the node says that its deck is."""
    named = {"execution_id": execution_id(execution), "node_id": client.only_node(execution)}
    return client.admin.GetNodeExecution(node_execution_pb2.NodeExecutionGetRequest(id=named)).closure.deck_uri


def test_059_a_deck_is_there_while_its_task_runs_and_afterwards(client: Client, witness: Witness) -> None:
    """A task with `enable_deck=True` exposes its deck while running and afterwards; CreateDownloadLink for a task without one is NOT_FOUND."""
    gate = unique("deck")
    execution = client.start("declared.with_deck", {"name": gate}, task=True, envs=witness.variables)
    until("the task to publish", lambda: witness.lines("published"))
    live = until("the first deck", lambda: deck(client, execution))
    assert "half of it" in live and "all of it" not in live
    assert deck_address(client, execution).endswith("/deck.html")
    witness.open(gate)
    require_success(client.wait(execution))
    assert "half of it" in deck(client, execution) and "all of it" in deck(client, execution)
    without = client.finish("declared.documented", {"x": 1}, task=True)
    assert deck(client, without) == "" and deck_address(client, without) == ""


def test_a_deck_outlives_the_failure_of_its_task(client: Client) -> None:
    """What was shown before the end is there to find out why."""
    execution = client.finish("declared.fails_with_deck", {}, task=True)
    assert phase(execution) == "FAILED"
    assert "before the end" in deck(client, execution)


def test_058_a_try_finds_what_the_one_before_has_left(client: Client) -> None:
    """Checkpoint written in attempt 0 is restored in attempt 1; the node says where the last one is."""
    execution = client.finish("declared.counts", {"to": 3}, task=True)
    require_success(execution)
    assert execution.outputs["o0"] == "0,1,2"
    written = client.node(execution, client.only_node(execution)).closure.task_node_metadata.checkpoint_uri
    assert written.startswith("file:///") and written.endswith("/2/_flytecheckpoints")
    found = [path.read_text() for path in client.server.data.rglob(f"*{execution.id.name}*/**/2/_flytecheckpoints/*")]
    assert found == ["0,1,2"]


def test_an_item_of_a_map_finds_its_own_checkpoint(client: Client) -> None:
    """Not that of another item, whichever process both run in."""
    assert client.outputs("declared.counts_each", {"tos": [3, 1, 2]}) == {"o0": ["0,1,2", "0", "0,1"]}


def test_what_a_dynamic_task_hints_at_is_registered_with_it(client: Client) -> None:
    """A launch plan that nothing else names."""
    plan = client.remote.fetch_launch_plan(name="declared_hinted_plan", version=VERSION)
    execution = client.wait(client.remote.execute(plan, inputs={}))
    require_success(execution)
    assert execution.outputs["o0"] == 2


def test_outputs_have_names_and_inputs_are_bound_beforehand(client: Client) -> None:
    """A NamedTuple of a task and of a workflow, and `functools.partial` in a workflow."""
    assert client.outputs("declared.named", {"xs": [1, 2]}) == {"total": 16, "count": 2}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("link", "OutputsNotFound"),
        ("fifo", "OutputsNotFound"),
        ("folder", "OutputsNotFound"),
        ("nonsense", "OutputsUnreadable"),
    ],
)
def test_outputs_that_are_no_file_of_the_sdk_are_not_taken(client: Client, kind: str, code: str) -> None:
    """A link to /etc/passwd is not followed, nobody waits at a FIFO, and nothing that they hold is told."""
    failed = error(client, "declared.leaves_outputs", {"kind": kind})
    assert failed.code.endswith(code), failed
    assert "root:" not in failed.message


def pod(containers: Any, primary: str = "primary", **more: Any) -> Any:
    """A request to register a task with a pod template."""
    request = task_request(unique("pod"), VERSION, variables(), variables())
    template = request.spec.template
    template.k8s_pod.primary_container_name = primary
    json_format.ParseDict({"containers": containers, **more}, template.k8s_pod.pod_spec)
    template.config["primary_container_name"] = primary
    return request


def test_a_pod_template_is_kept_as_it_is_and_its_launch_says_what_is_missing(client: Client) -> None:
    """Node selection and all; this machine has no pods, and says so before anything runs."""
    containers = [{"name": "primary", "image": "i:1"}, {"name": "beside", "image": "j:1"}]
    request = pod(containers, nodeSelector={"disk": "ssd"}, tolerations=[{"key": "gpu"}])
    request.spec.template.metadata.pod_template_name = "from-the-cluster"
    client.admin.CreateTask(request)
    answered = client.admin.GetTask(common_pb2.ObjectGetRequest(id=request.id)).closure.compiled_task.template
    assert answered.k8s_pod == request.spec.template.k8s_pod
    assert answered.config["primary_container_name"] == "primary"
    assert answered.metadata.pod_template_name == "from-the-cluster"
    task = client.remote.fetch_task(name=request.id.name, version=VERSION)
    with pytest.raises(Exception, match=f"task {request.id.name} of type python-task has a .*pod"):
        client.remote.execute(task, inputs={})


@pytest.mark.parametrize(
    ("containers", "primary", "expected"),
    [
        ("none", "primary", "is no pod: its pod_spec has no list of containers"),
        ([], "primary", "has an empty list of containers; one of them has to run the task"),
        (["primary"], "primary", "is no pod: containers[0] is not an object"),
        ([{"image": "i:1"}], "primary", "is no pod: containers[0] has no name"),
        (
            [{"name": "a"}, {"name": "b"}],
            "primary",
            'names "primary" as the container that runs the task, and has a, b',
        ),
    ],
)
def test_a_pod_template_that_is_no_pod_is_refused(
    client: Client, containers: Any, primary: str, expected: str
) -> None:
    """At registration, by task, with what is wrong."""
    request = pod(containers, primary)
    code, details = refused(client.admin.CreateTask, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details == f"the pod template of task {request.id.name} {expected}"


@pytest.mark.parametrize("seconds", [-1, 400_000_000_000])
def test_a_time_limit_that_cannot_be_is_refused_by_task_or_node(client: Client, seconds: int) -> None:
    """Less than nothing, or more than a duration can be."""
    told = f"its timeout is {seconds} s and 0 ns; it has to be from 0, which is none, to 315576000000 s"
    request = task_request(unique("timed"), VERSION, variables(), variables())
    request.spec.template.metadata.timeout.seconds = seconds
    code, details = refused(client.admin.CreateTask, request)
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, f"task {request.id.name}: {told}")
    task = task_request(unique("timed"), VERSION, variables(), variables())
    client.admin.CreateTask(task)
    timed = node("n0", task.id.name, VERSION)
    timed.metadata.timeout.seconds = seconds
    code, details = refused(client.admin.CreateWorkflow, workflow_request(unique("timed"), VERSION, [timed]))
    assert (code, details) == (grpc.StatusCode.INVALID_ARGUMENT, f"node n0, task {task.id.name}: {told}")


EXTREMES = '''
from datetime import timedelta
from flytekit import task

@task(timeout=timedelta(days=3_652_000), retries=2**32 - 1)
def patient(x: int) -> int:
    if x < 0:
        raise ValueError(f"less than nothing: {x}")
    return x

@task(timeout=timedelta(0), retries=0)
def hurried(x: int) -> int:
    return x
'''


def test_no_time_limit_and_the_longest_one_harm_nothing(client: Client, pyflyte: Cli) -> None:
    """Nothing is none, ten thousand years are as good as none, and so are four thousand million retries."""
    (pyflyte.folder / "extremes.py").write_text(EXTREMES, encoding="utf-8")
    version = unique("v")
    pyflyte.register("extremes.py", version=version).expect_success()
    for name, x in [("patient", 1), ("hurried", 2), ("patient", -1)]:
        task = client.remote.fetch_task(name=f"extremes.{name}", version=version)
        execution = client.wait(client.remote.execute(task, inputs={"x": x}))
        assert phase(execution) == ("SUCCEEDED" if x > 0 else "FAILED"), execution.error
        assert len(client.attempts(execution)) == 1
