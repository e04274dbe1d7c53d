"""What the Flyte 1 backend was seen to answer to single calls, and what Skein answers: `observed/answers/calls.json`."""

import json
from dataclasses import dataclass
from typing import Any, Callable, Optional

import pytest
from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_pb2,
    task_execution_pb2,
    task_pb2,
)
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import dataproxy_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue

from harness.answers import flat, normal_call, told
from harness.client import Client, create_request, execution_id, identifier, integers, text, unique
from harness.differences import ABSENT, TABLE
from harness.observed import MODULE
from harness.poll import until
from harness.server import Skein
from harness.settings import DOMAIN, FOLDER, PROJECT, VERSION

ORIGINAL = json.loads((FOLDER / "observed" / "answers" / "calls.json").read_text(encoding="utf-8"))
W_OK = f"{MODULE}.w_ok"


@dataclass
class World:
    """A server with some executions that have ended."""

    client: Client
    ok: str
    sub: str
    dynamic: str
    labelled: str
    fixed: str
    new: str

    @property
    def admin(self) -> Any:
        """The service."""
        return self.client.admin

    def create(self, plan: str = W_OK, inputs: Any = None, name: str = "", **fields: Any) -> dict[str, Any]:
        """Creates an execution."""
        request = create_request(plan, integers(x=1) if inputs is None else inputs, name)
        for field, value in fields.items():
            setattr(request, field, value)
        return told(self.admin.CreateExecution, request)

    def list(self, filters: str = "", limit: int = 3, token: str = "", **more: Any) -> dict[str, Any]:
        """Lists executions: how many, and the token of the next page."""
        id_ = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
        request = common_pb2.ResourceListRequest(
            **{"id": id_, "limit": limit, "filters": filters, "token": token, **more}
        )
        answer = told(self.admin.ListExecutions, request)
        if "refused" in answer:
            return answer
        return {"count": len(answer.get("executions", [])), "token": answer.get("token", "")}

    def nodes(self, execution: str, **fields: Any) -> dict[str, Any]:
        """Lists nodes."""
        request = node_execution_pb2.NodeExecutionListRequest(
            **{"workflow_execution_id": execution_id(execution), "limit": 100, **fields}
        )
        return told(self.admin.ListNodeExecutions, request)

    def node(self, call: str, request: type, execution: str, node: str) -> dict[str, Any]:
        """Calls something about one node."""
        id_ = identifier_pb2.NodeExecutionIdentifier(execution_id=execution_id(execution), node_id=node)
        return told(getattr(self.admin, call), request(id=id_))

    def entities(self, **fields: Any) -> dict[str, Any]:
        """Lists the names of workflows: how many, and the token of the next page."""
        request = common_pb2.NamedEntityListRequest(
            resource_type=identifier_pb2.WORKFLOW, project=PROJECT, domain=DOMAIN, limit=2, **fields
        )
        answer = told(self.admin.ListNamedEntities, request)
        return {"count": len(answer["entities"]), "token": answer["token"]}

    def task(self, change: Callable[[task_pb2.TaskCreateRequest], object]) -> dict[str, Any]:
        """Registers the task `inc` again, changed."""
        id_ = identifier("TASK", f"{MODULE}.inc")
        known = self.admin.GetTask(common_pb2.ObjectGetRequest(id=id_))
        spec = task_pb2.TaskSpec(template=known.closure.compiled_task.template)
        request = task_pb2.TaskCreateRequest(id=id_, spec=spec)
        change(request)
        return told(self.admin.CreateTask, request)

    def url(self, place: str) -> dict[str, Any]:
        """Reads what an address of the form `flyte://` names."""
        request = dataproxy_pb2.GetDataRequest(flyte_url=f"flyte://v1/{PROJECT}/{DOMAIN}/{self.ok}/{place}")
        return told(self.client.data.GetData, request)

    def entity(self, call: str, kind: str, version: str = "v") -> dict[str, Any]:
        """Gets an entity that is not there."""
        return told(getattr(self.admin, call), common_pb2.ObjectGetRequest(id=identifier(kind, "nope", version)))

    def activate(self) -> dict[str, Any]:
        """Makes a launch plan the active one."""
        request = launch_plan_pb2.LaunchPlanUpdateRequest(
            id=identifier("LAUNCH_PLAN", f"{MODULE}.w_ok_lp"), state=launch_plan_pb2.ACTIVE
        )
        return told(self.admin.UpdateLaunchPlan, request)


def named(name: str, message: type = execution_pb2.WorkflowExecutionGetRequest) -> Message:
    """A request about an execution."""
    return message(id=execution_id(name))


def active(name: str) -> launch_plan_pb2.ActiveLaunchPlanRequest:
    """A request for the active version of a launch plan."""
    return launch_plan_pb2.ActiveLaunchPlanRequest(
        id=common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name)
    )


def archive(world: World, name: str) -> dict[str, Any]:
    """Archives an execution."""
    request = execution_pb2.ExecutionUpdateRequest(
        id=execution_id(name), state=execution_pb2.EXECUTION_ARCHIVED
    )
    return told(world.admin.UpdateExecution, request)


def deck(world: World) -> dict[str, Any]:
    """Asks for a deck that there is none of."""
    id_ = identifier_pb2.NodeExecutionIdentifier(node_id="n0", execution_id=execution_id(world.ok))
    request = dataproxy_pb2.CreateDownloadLinkRequest(
        artifact_type=dataproxy_pb2.ARTIFACT_TYPE_DECK, node_execution_id=id_, expires_in=Duration(seconds=3600)
    )
    return told(world.client.data.CreateDownloadLink, request)


def tries(world: World) -> list[Any]:
    """Lists the tries of a node."""
    request = task_execution_pb2.TaskExecutionListRequest(
        node_execution_id=identifier_pb2.NodeExecutionIdentifier(
            node_id="n0", execution_id=execution_id(world.ok)
        ),
        limit=10,
    )
    found = told(world.admin.ListTaskExecutions, request)["task_executions"]
    for each in found:
        each["closure"].pop("custom_info", None)
    return found


def upload(world: World, **fields: Any) -> dict[str, Any]:
    """Asks where to put something."""
    request = dataproxy_pb2.CreateUploadLocationRequest(project=PROJECT, domain=DOMAIN, **fields)
    return told(world.client.data.CreateUploadLocation, request)


def place(answer: dict[str, Any]) -> dict[str, Any]:
    """Where something is to be put, without what each platform calls the place of all such."""
    path = answer["native_url"]
    return {"native_url": path[path.index(f"{PROJECT}/{DOMAIN}/") :], "headers": answer["headers"]}


def relaunch(name: str, as_name: str = "") -> execution_pb2.ExecutionRelaunchRequest:
    """A request to start an execution again."""
    return execution_pb2.ExecutionRelaunchRequest(id=execution_id(name), name=as_name)


def no_spec(world: World) -> dict[str, Any]:
    """Creates an execution of nothing."""
    return told(world.admin.CreateExecution, execution_pb2.ExecutionCreateRequest(project=PROJECT, domain=DOMAIN))


def from_task(world: World) -> dict[str, Any]:
    """Creates an execution of a task."""
    request = create_request("", integers(x=1))
    request.spec.launch_plan.CopyFrom(identifier("TASK", f"{MODULE}.inc"))
    return told(world.admin.CreateExecution, request)


Get, Data = execution_pb2.WorkflowExecutionGetRequest, execution_pb2.WorkflowExecutionGetDataRequest
Node, NodeData = node_execution_pb2.NodeExecutionGetRequest, node_execution_pb2.NodeExecutionGetDataRequest
Made = node_execution_pb2.GetDynamicNodeWorkflowRequest
End = execution_pb2.ExecutionTerminateRequest
LISTS = "list executions, limit 3, filter "

CALLS: dict[str, Callable[[World], Any]] = {
    "get unknown execution": lambda w: told(w.admin.GetExecution, named("nope")),
    "get execution, empty id": lambda w: told(w.admin.GetExecution, Get()),
    "get data of unknown execution": lambda w: told(w.admin.GetExecutionData, named("nope", Data)),
    "terminate unknown": lambda w: told(w.admin.TerminateExecution, named("nope", End)),
    "relaunch unknown": lambda w: told(w.admin.RelaunchExecution, relaunch("nope")),
    "relaunch, name that is taken": lambda w: told(w.admin.RelaunchExecution, relaunch(w.ok, w.ok)),
    "create with unknown launch plan": lambda w: w.create("nope"),
    "create in unknown project": lambda w: w.create(project="nope"),
    "create in unknown domain": lambda w: w.create(domain="nope"),
    "create, wrong input type": lambda w: w.create(
        inputs=literals_pb2.LiteralMap(literals={"x": text("no")})
    ),
    "create, unknown input": lambda w: w.create(inputs=integers(zz=1)),
    "create, missing required input": lambda w: w.create(f"{MODULE}.w_cond", inputs=integers()),
    "create, fixed input overridden": lambda w: w.create(f"{MODULE}.fixed_lp"),
    "create, name with capitals": lambda w: w.create(name="abc_X"),
    "create, name starting with a digit": lambda w: w.create(name="1fb8bf050dd1"),
    "create, name of 64 characters": lambda w: w.create(name="a" * 64),
    "create, name of 30 characters": lambda w: w.create(name=f"b{unique('')[1:]}".ljust(30, "a")),
    "create, empty name": lambda w: w.create(),
    "create": lambda w: w.create(name=unique("new")),
    "create, same name again": lambda w: w.create(name=w.ok),
    "create, no spec": no_spec,
    "create from a task id": from_task,
    "get execution just after create": lambda w: told(w.admin.GetExecution, named(w.new)),
    "execution data just after create": lambda w: told(w.admin.GetExecutionData, named(w.new, Data)),
    "create with labels, annotations, tags, envs, interruptible, max_parallelism=3": lambda w: {
        "id": {"project": PROJECT, "domain": DOMAIN, "name": w.labelled}
    },
    "... its record": lambda w: told(w.admin.GetExecution, named(w.labelled)),
    "archive": lambda w: archive(w, w.labelled),
    "... state_change_details": lambda w: told(w.admin.GetExecution, named(w.labelled))["closure"][
        "state_change_details"
    ],
    "create from LP with fixed inputs": lambda w: w.create(f"{MODULE}.fixed_lp", inputs=integers()),
    "... its data": lambda w: told(w.admin.GetExecutionData, named(w.fixed, Data)),
    "list executions, limit 0": lambda w: w.list(limit=0),
    "list executions, bad filter": lambda w: w.list("foo"),
    "list executions, unknown field": lambda w: w.list("eq(foo,1)"),
    "list executions, unknown function": lambda w: w.list("like(phase,FAILED)"),
    "list executions, unknown sort key": lambda w: w.list(sort_by=common_pb2.Sort(key="foo")),
    "list executions, bad token": lambda w: w.list(token="abc"),
    "list executions, no project": lambda w: w.list(id=None),
    "list executions, limit 2, token 2": lambda w: w.list(limit=2, token="2"),
    "list executions, token past the end": lambda w: w.list(token="1000000"),
    "get unknown workflow": lambda w: w.entity("GetWorkflow", "WORKFLOW"),
    "get unknown task": lambda w: w.entity("GetTask", "TASK"),
    "get unknown launch plan": lambda w: w.entity("GetLaunchPlan", "LAUNCH_PLAN", VERSION),
    "get active launch plan, none active": lambda w: told(w.admin.GetActiveLaunchPlan, active(W_OK)),
    "update launch plan to active twice": lambda w: [w.activate(), w.activate()],
    "get active launch plan": lambda w: {
        "closure.state": told(w.admin.GetActiveLaunchPlan, active(f"{MODULE}.w_ok_lp"))["closure"]["state"]
    },
    "create task, identical, same version": lambda w: w.task(lambda request: None),
    "create task, other content, same version": lambda w: w.task(
        lambda request: setattr(request.spec.template, "task_type_version", 7)
    ),
    "create task, no type": lambda w: w.task(lambda request: request.spec.template.ClearField("type")),
    "create task, no image": lambda w: w.task(
        lambda request: request.spec.template.container.ClearField("image")
    ),
    "create task, no version": lambda w: w.task(lambda request: request.id.ClearField("version")),
    "create project flytesnacks again": lambda w: told(
        w.admin.RegisterProject,
        project_pb2.ProjectRegisterRequest(project=project_pb2.Project(id=PROJECT, name=PROJECT)),
    ),
    "list projects": lambda w: told(w.admin.ListProjects, project_pb2.ProjectListRequest(limit=1)),
    "list named entities, workflows, limit 2": lambda w: w.entities(),
    "list named entities, workflows, {'limit': 2}": lambda w: w.entities(),
    "list named entities, workflows, {'limit': 2, 'filters': 'eq(state,0)'}": lambda w: w.entities(
        filters="eq(state,0)"
    ),
    "list named entities, workflows, {'limit': 2, 'sort_by': 'name asc'}": lambda w: w.entities(
        sort_by=common_pb2.Sort(key="name", direction=common_pb2.Sort.ASCENDING)
    ),
    "list named entities, workflows, {'limit': 2, 'sort_by': 'name desc'}": lambda w: w.entities(
        sort_by=common_pb2.Sort(key="name", direction=common_pb2.Sort.DESCENDING)
    ),
    "get dynamic node workflow of a task node": lambda w: w.node(
        "GetDynamicNodeWorkflow", Made, w.ok, "n0"
    ),
    "get dynamic node workflow of a dynamic node": lambda w: {
        "compiled_workflow": sorted(
            w.node("GetDynamicNodeWorkflow", Made, w.dynamic, "n0")["compiled_workflow"]
        )
    },
    "get node execution, unknown node": lambda w: w.node("GetNodeExecution", Node, w.ok, "zz"),
    "get node execution data, unknown node": lambda w: w.node("GetNodeExecutionData", NodeData, w.ok, "zz"),
    "list node executions of an unknown execution": lambda w: w.nodes("nope"),
    "list node executions, unique_parent_id of a node without children": lambda w: w.nodes(
        w.ok, unique_parent_id="n0"
    ),
    "list node executions, limit 0": lambda w: w.nodes(w.ok, limit=0),
    "list node executions without unique_parent_id, workflow with a subworkflow: node ids": lambda w: sorted(
        node["id"]["node_id"] for node in w.nodes(w.sub)["node_executions"]
    ),
    "list node executions, limit 2": lambda w: {
        "count": len(w.nodes(w.ok, limit=2)["node_executions"]),
        "token": w.nodes(w.ok, limit=2)["token"],
    },
    "list task executions": tries,
    "update execution archive of unknown": lambda w: archive(w, "nope"),
    "dataproxy: CreateUploadLocation without filename": upload,
    "dataproxy: CreateUploadLocation a.txt with an md5": lambda w: place(
        upload(w, filename="a.txt", content_md5=b"0" * 16, add_content_md5_metadata=True)
    ),
    "dataproxy: GetDataProxy of flyte url inputs": lambda w: w.url("n0/i"),
    "dataproxy: GetData flyte url outputs": lambda w: w.url("n0/o"),
    "dataproxy: GetData flyte url one output": lambda w: w.url("n0/o/o0"),
    "dataproxy: GetData flyte url attempt 0 outputs": lambda w: w.url("n0/0/o"),
    "dataproxy: GetData bad url": lambda w: told(
        w.client.data.GetData, dataproxy_pb2.GetDataRequest(flyte_url="flyte://v1/a/b")
    ),
    "dataproxy: signed deck link, no deck": deck,
    **{
        name: (lambda filters: lambda w: w.list(filters))(name.removeprefix(LISTS))
        for name in ORIGINAL
        if name.startswith(LISTS)
    },
    # The task had never been launched by itself.
    f"{LISTS}eq(task.name,{MODULE}.inc)": lambda w: w.list(f"eq(task.name,{MODULE}.pair)"),
}

TAKEN = "already exists: value with matching already exists"
FILLED = {"answer": ABSENT, "answer.count": 2, "answer.token": "2"}
FOUND = {"answer.refused": ABSENT, "answer.details": ABSENT, "answer.count": 3, "answer.token": "3"}

OURS: dict[str, dict[str, Any]] = {
    # What is taken is named, and not by what the database calls the rule.
    "relaunch, name that is taken": {"answer.details": f"execution {PROJECT}/{DOMAIN}/<this> {TAKEN}"},
    "create, same name again": {"answer.details": f"execution {PROJECT}/{DOMAIN}/<this> {TAKEN}"},
    "create project flytesnacks again": {"answer.details": f"project {PROJECT} {TAKEN}"},
    # The original was observed without a login.
    "get execution just after create": {"answer.spec.metadata.principal": "anonymous"},
    "... its record": {"answer.spec.metadata.principal": "anonymous"},
    "... state_change_details": {"answer.principal": "anonymous"},
    # Pages are filled after what is hidden has been left out.
    "list named entities, workflows, limit 2": FILLED,
    "list named entities, workflows, {'limit': 2}": FILLED,
    "list named entities, workflows, {'limit': 2, 'filters': 'eq(state,0)'}": FILLED,
    "list named entities, workflows, {'limit': 2, 'sort_by': 'name asc'}": FILLED,
    # The request has no field for a length, and what is put is as long as it is.
    "dataproxy: CreateUploadLocation a.txt with an md5": {"answer.headers.Content-Length": ABSENT},
    # Names work as numbers do.
    f"{LISTS}eq(state,EXECUTION_ACTIVE)": FOUND,
    f"{LISTS}eq(mode,MANUAL)": FOUND,
}
"""What Skein answers where it differs on purpose, by call and path."""


@pytest.fixture(scope="module")
def world(observed: Skein) -> World:
    """Executions of each kind that calls are about, and enough of them for pages."""
    client = Client(observed)

    def start(workflow: str, inputs: Optional[dict[str, Any]] = None, **options: Any) -> str:
        plan = client.remote.fetch_launch_plan(name=f"{MODULE}.{workflow}", version=VERSION)
        return str(client.remote.execute(plan, inputs=inputs or {}, **options).id.name)

    request = bare(W_OK)
    request.spec.labels.values["a"] = "b"
    request.spec.annotations.values["c"] = "d"
    request.spec.tags.append("t1")
    request.spec.envs.values.add(key="K", value="V")
    request.spec.interruptible.CopyFrom(BoolValue(value=True))
    request.spec.max_parallelism = 3
    made = [
        *(start("w_slow") for _ in range(4)),
        *(start("w_boom") for _ in range(4)),
        *(start("w_ok") for _ in range(2)),
    ]
    ok, sub, dynamic = start("w_ok"), start("w_sub"), start("w_dyn")
    labelled, fixed = client.admin.CreateExecution(request).id.name, start("fixed_lp")
    for name in [*made, ok, sub, dynamic, labelled, fixed]:
        client.wait(client.remote.fetch_execution(name=name))
    new = client.admin.CreateExecution(bare(f"{MODULE}.w_slow")).id.name
    until("it has begun", lambda: client.nodes(new))
    return World(client, ok, sub, dynamic, labelled, fixed, new)


def bare(plan: str) -> execution_pb2.ExecutionCreateRequest:
    """A request that says nothing but what to run."""
    request = create_request(plan, integers(x=1))
    request.spec.ClearField("disable_all")
    return request


def test_every_call_that_was_seen_is_made(world: World) -> None:
    """None is left out but those that depend on the moment they came at."""
    assert set(ORIGINAL) - set(CALLS) == {"node list just after create"}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_answered_as_the_original_does(world: World, name: str) -> None:
    """The status and its text, or every field of the answer."""
    names = {each: "<this>" for each in vars(world).values() if isinstance(each, str)}
    if name.endswith("just after create"):
        # One that is still under way when it is looked at.
        names[f"{MODULE}.w_slow"] = W_OK
    answered = CALLS[name](world)
    if isinstance(answered, dict) and set(answered) == {"id"}:
        names[answered["id"]["name"]] = "<this>"
    answered = flat(normal_call({"answer": answered}, names))
    TABLE.compare(name, flat({"answer": ORIGINAL[name]}), answered, OURS.get(name, {}))
