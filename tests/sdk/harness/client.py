"""Calls a server: through the SDK's own client, and through bare stubs where the SDK would hide the answer."""

import uuid
from datetime import timedelta
from typing import Any, Optional

import grpc
from flyteidl.admin import common_pb2, execution_pb2, node_execution_pb2, task_execution_pb2
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import admin_pb2_grpc, dataproxy_pb2_grpc, signal_pb2_grpc
from flytekit.configuration import Config, PlatformConfig
from flytekit.models.core.execution import WorkflowExecutionPhase
from flytekit.remote import FlyteRemote
from flytekit.remote.executions import FlyteWorkflowExecution

from harness.server import Skein
from harness.settings import DOMAIN, PACKAGE, PROJECT, VERSION

WAIT_SECONDS_MAX = 90
POLL = timedelta(milliseconds=50)


class Client:
    """One user of one server, for whom names stand in one package."""

    def __init__(self, server: Skein, package: str = PACKAGE) -> None:
        self.server = server
        self.package = package
        self.remote = FlyteRemote(
            Config(platform=PlatformConfig(endpoint=server.endpoint, insecure=True)),
            default_project=PROJECT,
            default_domain=DOMAIN,
        )
        # Channels to one address share their connection, and the wait after it was refused while a server was dead.
        grpc.channel_ready_future(self.remote.client._channel).result(WAIT_SECONDS_MAX)
        self.channel = grpc.insecure_channel(
            server.endpoint,
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_reconnect_backoff_ms", 200)],
        )
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        self.signals = signal_pb2_grpc.SignalServiceStub(self.channel)
        self.data = dataproxy_pb2_grpc.DataProxyServiceStub(self.channel)

    def start(
        self,
        name: str,
        inputs: Optional[dict[str, Any]] = None,
        *,
        task: bool = False,
        version: str = VERSION,
        **options: Any,
    ) -> FlyteWorkflowExecution:
        """Starts a registered entity, named without its package, through the SDK."""
        fetch = self.remote.fetch_task if task else self.remote.fetch_launch_plan
        entity = fetch(name=f"{self.package}.{name}", version=version)
        return self.remote.execute(entity, inputs=inputs or {}, **options)

    def wait(
        self, execution: FlyteWorkflowExecution, *, nodes: bool = False, seconds: int = WAIT_SECONDS_MAX
    ) -> FlyteWorkflowExecution:
        """Waits until the execution has ended, whichever way."""
        return self.remote.wait(execution, timeout=seconds, poll_interval=POLL, sync_nodes=nodes)

    def finish(self, name: str, inputs: Optional[dict[str, Any]] = None, **options: Any) -> FlyteWorkflowExecution:
        """Starts and waits."""
        return self.wait(self.start(name, inputs, **options))

    def outputs(self, name: str, inputs: Optional[dict[str, Any]] = None, **options: Any) -> dict[str, Any]:
        """Starts, waits, requires success, and gives the outputs."""
        execution = self.finish(name, inputs, **options)
        require_success(execution)
        return {variable: execution.outputs[variable] for variable in execution.outputs.literals}

    def get(self, execution: Any) -> execution_pb2.Execution:
        """The execution as the server has it now."""
        return self.admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=execution_id(execution)))

    def node(self, execution: Any, node_id: str) -> Any:
        """One node execution, from the list."""
        return next(node for node in self.nodes(execution) if node.id.node_id == node_id)

    def nodes(self, execution: Any, parent: str = "") -> list[Any]:
        """All top-level node executions, or those inside the node `parent`."""
        request = node_execution_pb2.NodeExecutionListRequest(
            workflow_execution_id=execution_id(execution), limit=1000, unique_parent_id=parent
        )
        return list(self.admin.ListNodeExecutions(request).node_executions)

    def only_node(self, execution: Any) -> str:
        """The node of a single task's execution: the one that is neither the start nor the end."""
        [node_id] = {node.id.node_id for node in self.nodes(execution)} - {"start-node", "end-node"}
        return node_id

    def attempts(self, execution: Any, node_id: str = "") -> list[Any]:
        """All task executions of a node, by attempt; of the only node where none is named."""
        request = task_execution_pb2.TaskExecutionListRequest(
            node_execution_id=identifier_pb2.NodeExecutionIdentifier(
                node_id=node_id or self.only_node(execution), execution_id=execution_id(execution)
            ),
            limit=1000,
        )
        found = self.admin.ListTaskExecutions(request).task_executions
        return sorted(found, key=lambda attempt: attempt.id.retry_attempt)


def execution_id(execution: Any) -> identifier_pb2.WorkflowExecutionIdentifier:
    """The identifier of an execution, a name included, as a message."""
    name = execution if isinstance(execution, str) else execution.id.name
    return identifier_pb2.WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)


def phase(execution: FlyteWorkflowExecution) -> str:
    """The phase's name."""
    return WorkflowExecutionPhase.enum_to_string(execution.closure.phase)


def require_success(execution: FlyteWorkflowExecution) -> None:
    """Fails with the execution's own error unless it succeeded."""
    error = execution.error
    assert phase(execution) == "SUCCEEDED", (
        f"{phase(execution)}: {error.code if error else ''} {error.message if error else ''}"
    )


def unique(prefix: str) -> str:
    """A name for an execution or an entity that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def identifier(kind: str, name: str, version: str = VERSION) -> identifier_pb2.Identifier:
    """The identifier of an entity: `kind` is TASK, WORKFLOW or LAUNCH_PLAN."""
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Value(kind),
        project=PROJECT,
        domain=DOMAIN,
        name=name,
        version=version,
    )


def integers(**values: int) -> literals_pb2.LiteralMap:
    """A literal map of whole numbers."""
    return literals_pb2.LiteralMap(literals={name: integer(value) for name, value in values.items()})


def integer(value: int) -> literals_pb2.Literal:
    """A literal that is a whole number."""
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=value)))


def text(value: str) -> literals_pb2.Literal:
    """A literal that is a text."""
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(string_value=value)))


def create_request(
    plan: str,
    inputs: Optional[literals_pb2.LiteralMap] = None,
    name: str = "",
    version: str = VERSION,
    **spec: Any,
) -> execution_pb2.ExecutionCreateRequest:
    """A request to start a launch plan, as the CLI sends it."""
    return execution_pb2.ExecutionCreateRequest(
        project=PROJECT,
        domain=DOMAIN,
        name=name,
        inputs=inputs or literals_pb2.LiteralMap(),
        spec=execution_pb2.ExecutionSpec(
            launch_plan=identifier("LAUNCH_PLAN", plan, version),
            metadata=execution_pb2.ExecutionMetadata(principal="placeholder"),
            disable_all=False,
            **spec,
        ),
    )


def list_request(limit: int, filters: str = "", token: str = "") -> common_pb2.ResourceListRequest:
    """A request for one page of executions."""
    return common_pb2.ResourceListRequest(
        id=common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN),
        limit=limit,
        filters=filters,
        token=token,
    )


def refused(call: Any, request: Any) -> tuple[grpc.StatusCode, str]:
    """The status and the details of a call that must fail."""
    try:
        answer = call(request, timeout=60)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError(f"the call was answered: {answer}")
