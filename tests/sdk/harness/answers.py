"""Whole answers about one execution, as a flat table of fields, so that two of them can be compared field by field.

What differs from run to run stands there as a word in angle brackets: that it is there is compared, and not what it is.
"""

import re
from typing import Any, Callable, Iterator

import grpc
from flyteidl.admin import execution_pb2, node_execution_pb2, task_execution_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from harness.client import Client, execution_id

LISTED_CHARS_MAX = 100
"""How much of an error's message a list shows."""

TIMES = {"created_at", "started_at", "updated_at", "occurred_at", "timestamp"}
URIS = {"uri", "input_uri", "output_uri", "checkpoint_uri", "dynamic_job_spec_uri"}
WORDS = {"reason", "reasons"}
"""Fields in which each platform says in words of its own what goes on."""


def fields(client: Client, execution: Any, names: dict[str, str]) -> dict[str, Any]:
    """All that the gateway says of an execution, by field. `names` says what to call other executions."""
    name = execution_id(execution).name
    return flat(normal(all_of(client, execution), {**names, name: "<this>"}))


def all_of(client: Client, execution: Any) -> dict[str, Any]:
    """What the gateway says of an execution: itself, its data, its nodes by id, and of each its data and its tries."""
    admin, named = client.admin, execution_id(execution)
    return {
        "execution": told(admin.GetExecution, execution_pb2.WorkflowExecutionGetRequest(id=named)),
        "data": told(admin.GetExecutionData, execution_pb2.WorkflowExecutionGetDataRequest(id=named)),
        "nodes": of_nodes(client, execution),
    }


def of_nodes(client: Client, execution: Any, parent: str = "") -> dict[str, Any]:
    """The nodes of an execution, or those inside one of its nodes, by what their workflow calls them."""
    listed = client.nodes(execution, parent)
    return {node.metadata.spec_node_id: of_node(client, node) for node in listed}


def of_node(client: Client, node: Any) -> dict[str, Any]:
    """A node execution, its data, its tries in their order, and what is inside."""
    get_data = client.admin.GetTaskExecutionData
    tries = client.attempts(node.id.execution_id.name, node.id.node_id)
    data = node_execution_pb2.NodeExecutionGetDataRequest(id=node.id)
    return {
        **as_dict(node),
        "data": told(client.admin.GetNodeExecutionData, data),
        "tries": [
            {
                **as_dict(each),
                "data": told(get_data, task_execution_pb2.TaskExecutionGetDataRequest(id=each.id)),
            }
            for each in tries
        ],
        "nodes": of_nodes(client, node.id.execution_id.name, node.id.node_id),
    }


def as_dict(message: Message) -> dict[str, Any]:
    """A message with the names that its definition has."""
    return MessageToDict(message, preserving_proto_field_name=True)


def told(call: Callable[[Any], Message], request: Message) -> dict[str, Any]:
    """The answer of a call, or the status by which it was refused."""
    try:
        return as_dict(call(request))
    except grpc.RpcError as error:
        return {"refused": error.code().name, "details": error.details()}


def normal(answers: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The same answers without what differs from run to run."""
    whole = answers["execution"].get("closure", {}).get("error", {}).get("message", "")
    names = dict(names)
    for path, node in each_node(answers["nodes"]):
        if "/" in path:
            names[node["id"]["node_id"]] = f"<{path}>"
        for each in node["tries"]:
            # What a try used is an addition, and stands only where it lasted long enough to be looked at.
            if set(each["closure"].get("custom_info", {})) == {"used"}:
                del each["closure"]["custom_info"]
        error = node["closure"].get("error", {})
        message = error.get("message", "")
        if message and (message == whole[:LISTED_CHARS_MAX] or message.startswith("Trace:")):
            error["message"] = "<cut>"
    # The longest first, as the name of one node is in the names of those inside it.
    return _normal(answers, dict(sorted(names.items(), key=lambda each: -len(each[0]))))


def normal_call(answer: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """The answers of single calls without what differs from run to run."""
    return _normal_message(answer, names, "")


def each_node(nodes: dict[str, Any], parents: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All nodes with their paths: their own name after those of the nodes that they are inside of."""
    for name, node in nodes.items():
        yield f"{parents}{name}", node
        yield from each_node(node["nodes"], f"{parents}{name}/")


def _normal(value: Any, names: dict[str, str], key: str = "") -> Any:
    if key in TIMES | URIS | {"duration"}:
        return "<time>" if key in TIMES else "<uri>" if key in URIS else "<duration>"
    if key == "logs":
        return len(value)
    if key == "executionId":
        return "<child>"
    if key == "container":
        return "<container>"
    if key == "external_resources":
        return {_normal_text(each["external_id"], names): _normal(each, names) for each in value}
    if isinstance(value, list):
        return [_normal(each, names) for each in value]
    if isinstance(value, dict):
        return _normal_message(value, names, key)
    return _normal_text(value, names) if isinstance(value, str) else value


def _normal_message(value: dict[str, Any], names: dict[str, str], key: str) -> Any:
    if set(value) in ({"scalar"}, {"collection"}) and is_plain(value):
        return literal(value)
    if {"resource_type", "name"} <= value.keys():
        return _normal_text(f"{value['resource_type']} {value['name']}", names)
    if set(value) == {"project", "domain", "name"}:
        return names.get(value["name"], value["name"])
    if key == "artifact_tag":
        return value["name"].split("-")[0]
    return {each: _normal(inner, names, each) for each, inner in value.items() if each not in WORDS}


def _normal_text(text: str, names: dict[str, str]) -> str:
    for name, word in names.items():
        text = text.replace(name, word)
    text = re.sub(r"\b(map_\w+)_[0-9a-f]{32}-arraynode", r"\1", text)
    text = re.sub(r"Traceback \(most recent.*?\n\nMessage:", "<traceback>\n\nMessage:", text, flags=re.DOTALL)
    return re.sub(r"(Reason \[\w+\]\. Message: ).*", r"\1<printed>", text, flags=re.DOTALL)


def is_plain(value: dict[str, Any]) -> bool:
    """Whether `literal` can say what it is."""
    if "collection" in value:
        return "bindings" not in value["collection"]
    return bool({"none_type", "primitive"} & value["scalar"].keys())


def literal(value: dict[str, Any]) -> Any:
    """The plain value of a literal that is a whole number, a text, a boolean, nothing, or a list of such."""
    if "collection" in value:
        return [literal(each) for each in value["collection"].get("literals", [])]
    if "none_type" in value["scalar"]:
        return None
    [(kind, plain)] = value["scalar"]["primitive"].items()
    return int(plain) if kind == "integer" else plain


def flat(value: Any) -> dict[str, Any]:
    """All fields by their path; a list of plain values is one field."""
    return dict(_flat(value, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{path}[{index}]")
    elif value or not path.endswith((".tries", ".nodes")):
        yield path, value
