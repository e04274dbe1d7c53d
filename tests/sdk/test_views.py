"""Views are folds of the log: deleted, they come back the same; late, they hold nothing back."""

import json
import re
import shutil
import sqlite3
import subprocess
import urllib.request
from pathlib import Path
from typing import Iterator

from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_pb2,
    task_execution_pb2,
)
from flyteidl.core import execution_pb2 as core_execution_pb2
from google.protobuf.message import Message

from harness.client import Client, create_request, execution_id, integers, phase, unique
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, PROJECT, binary
from harness.witness import Witness


def answers(client: Client) -> Iterator[tuple[str, bytes]]:
    """Every list, and every get of what the lists name, as bytes."""
    for name, message in messages(client):
        yield name, message.SerializeToString(deterministic=True)


def messages(client: Client) -> Iterator[tuple[str, Message]]:
    """Every answer with the call that it answers."""
    admin = client.admin
    yield "projects", admin.ListProjects(project_pb2.ProjectListRequest())
    names = common_pb2.NamedEntityIdentifierListRequest(project=PROJECT, domain=DOMAIN, limit=1000)
    for kind, ids, listing, get in [
        ("task", admin.ListTaskIds, admin.ListTasks, admin.GetTask),
        ("workflow", admin.ListWorkflowIds, admin.ListWorkflows, admin.GetWorkflow),
        ("launch plan", admin.ListLaunchPlanIds, admin.ListLaunchPlans, admin.GetLaunchPlan),
    ]:
        found = ids(names)
        yield f"{kind} ids", found
        for entity in found.entities:
            listed = listing(common_pb2.ResourceListRequest(id=entity, limit=1000))
            yield f"{kind}s {entity.name}", listed
            for each in listed.ListFields()[0][1]:
                yield f"{kind} {each.id}", get(common_pb2.ObjectGetRequest(id=each.id))
    yield (
        "active",
        admin.ListActiveLaunchPlans(
            launch_plan_pb2.ActiveLaunchPlanListRequest(project=PROJECT, domain=DOMAIN, limit=1000)
        ),
    )
    everything = common_pb2.ResourceListRequest(
        id=common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN), limit=1000
    )
    executions = admin.ListExecutions(everything)
    yield "executions", executions
    for execution in executions.executions:
        yield from messages_of_an_execution(client, execution.id.name)


def messages_of_an_execution(client: Client, name: str) -> Iterator[tuple[str, Message]]:
    """Every answer about one execution."""
    admin, key = client.admin, execution_id(name)
    yield f"{name}", admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=key))
    yield f"{name} data", admin.GetExecutionData(execution_pb2.WorkflowExecutionGetDataRequest(id=key))
    nodes = admin.ListNodeExecutions(
        node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=key, limit=1000)
    )
    yield f"{name} nodes", nodes
    for node in nodes.node_executions:
        where = f"{name} {node.id.node_id}"
        yield where, admin.GetNodeExecution(node_execution_pb2.NodeExecutionGetRequest(id=node.id))
        yield (
            f"{where} data",
            admin.GetNodeExecutionData(node_execution_pb2.NodeExecutionGetDataRequest(id=node.id)),
        )
        attempts = admin.ListTaskExecutions(
            task_execution_pb2.TaskExecutionListRequest(node_execution_id=node.id, limit=1000)
        )
        yield f"{where} attempts", attempts
        for attempt in attempts.task_executions:
            yield (
                f"{where} {attempt.id.retry_attempt}",
                admin.GetTaskExecution(task_execution_pb2.TaskExecutionGetRequest(id=attempt.id)),
            )


def delete_views(data: Path) -> None:
    """Deletes all that the server calls a view; there must be some."""
    views = list(data.glob("views*"))
    assert views, f"no views in {data}"
    for view in views:
        shutil.rmtree(view) if view.is_dir() else view.unlink()


def test_views_deleted_answers_are_the_same(own: Client, witness: Witness) -> None:
    """Delete the views, restart: every list and get answers as before, byte for byte."""
    own.outputs("values.doubled", {"a": 4})
    own.outputs("values.large_text", {"size": 100_000})
    own.outputs("mapping.squares", {"xs": list(range(20))})
    own.outputs("values.attribute_access", {"x": 1})
    own.finish("failing.recoverable", {"x": 1}, task=True, envs=witness.variables)
    aborted = own.start("gates.waits", {"name": "never"}, envs=witness.variables)
    own.remote.terminate(aborted, "for the view")
    assert phase(own.wait(aborted)) == "ABORTED"

    before = dict(answers(own))
    assert own.server.stop() == 0
    delete_views(own.server.data)
    client = Client(own.server.start())
    after = dict(answers(client))

    assert after.keys() == before.keys()
    assert [name for name in before if after[name] != before[name]] == []


def lag(server: Skein) -> int:
    """How many records of executions the views have yet to take in, as the server tells it."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as answer:
        found = re.search(r'skein_gateway_views_lag{category="execution"} (\d+)', answer.read().decode())
    assert found, "the lag is among the metrics"
    return int(found[1])


def is_closed(server: Skein, name: str) -> bool:
    """Whether the execution's journal ends with a record that closes it."""
    records = subprocess.run(
        [str(binary()), "log", "cat", str(server.data), "--journal", name],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout.splitlines()
    return bool(records) and json.loads(records[-1])["closes"]


def test_views_that_stand_still_hold_no_execution_back(own: Client) -> None:
    """While nothing can be written to the views, an execution runs to its end; then they catch up by themselves."""
    own.outputs("values.doubled", {"a": 4})
    held = sqlite3.connect(own.server.data / "views" / "views.sqlite", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    name = unique("unseen")
    answer = own.admin.CreateExecution.future(create_request("workflows.values.doubled", integers(a=5), name=name))
    until("the execution has ended", lambda: is_closed(own.server, name))
    assert lag(own.server) > 0
    held.execute("ROLLBACK")
    assert answer.result(60).id.name == name
    until("the views have caught up", lambda: lag(own.server) == 0)
    ended = own.get(name)
    assert ended.closure.phase == core_execution_pb2.WorkflowExecution.SUCCEEDED
