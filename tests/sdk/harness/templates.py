"""Small definitions, made by hand where the SDK would refuse to make them."""

from typing import Optional

from flyteidl.admin import task_pb2, workflow_pb2
from flyteidl.core import interface_pb2, literals_pb2, tasks_pb2, types_pb2, workflow_pb2 as core_workflow_pb2

from harness.client import identifier

INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)
STRING = types_pb2.LiteralType(simple=types_pb2.STRING)


def variables(**types: types_pb2.LiteralType) -> interface_pb2.VariableMap:
    """A map of variables."""
    return interface_pb2.VariableMap(
        variables={name: interface_pb2.Variable(type=kind, description=name) for name, kind in types.items()}
    )


def task_request(
    name: str,
    version: str,
    inputs: Optional[interface_pb2.VariableMap] = None,
    outputs: Optional[interface_pb2.VariableMap] = None,
    image: str = "any",
) -> task_pb2.TaskCreateRequest:
    """A request to register a Python task that nobody is going to run."""
    task_id = identifier("TASK", name, version)
    template = tasks_pb2.TaskTemplate(
        id=task_id,
        type="python-task",
        metadata=tasks_pb2.TaskMetadata(
            runtime=tasks_pb2.RuntimeMetadata(type="FLYTE_SDK", version="1.16.31", flavor="python"),
            retries=literals_pb2.RetryStrategy(retries=0),
        ),
        interface=interface_pb2.TypedInterface(inputs=inputs, outputs=outputs),
        container=tasks_pb2.Container(image=image, args=["pyflyte-execute"]),
    )
    return task_pb2.TaskCreateRequest(id=task_id, spec=task_pb2.TaskSpec(template=template))


def promise(variable: str, node: str, source: str) -> literals_pb2.Binding:
    """Binds `variable` to the output `source` of `node`."""
    reference = types_pb2.OutputReference(node_id=node, var=source)
    return literals_pb2.Binding(var=variable, binding=literals_pb2.BindingData(promise=reference))


def node(
    node_id: str,
    task: str,
    version: str,
    inputs: Optional[list[literals_pb2.Binding]] = None,
    after: Optional[list[str]] = None,
) -> core_workflow_pb2.Node:
    """A node that runs a task."""
    return core_workflow_pb2.Node(
        id=node_id,
        metadata=core_workflow_pb2.NodeMetadata(name=task),
        inputs=inputs or [],
        upstream_node_ids=after or [],
        task_node=core_workflow_pb2.TaskNode(reference_id=identifier("TASK", task, version)),
    )


def workflow_request(
    name: str, version: str, nodes: list[core_workflow_pb2.Node]
) -> workflow_pb2.WorkflowCreateRequest:
    """A request to register a workflow without inputs and outputs."""
    workflow_id = identifier("WORKFLOW", name, version)
    template = core_workflow_pb2.WorkflowTemplate(
        id=workflow_id,
        metadata=core_workflow_pb2.WorkflowMetadata(),
        metadata_defaults=core_workflow_pb2.WorkflowMetadataDefaults(),
        interface=interface_pb2.TypedInterface(inputs=variables(), outputs=variables()),
        nodes=nodes,
    )
    return workflow_pb2.WorkflowCreateRequest(id=workflow_id, spec=workflow_pb2.WorkflowSpec(template=template))
