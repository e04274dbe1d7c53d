"""What the Flyte 1 backend answers about an execution, made from what a case says of it: every field that it was seen to give."""

from dataclasses import dataclass, field
from typing import Any, Optional

from harness.answers import flat

MODULE = "flows"


@dataclass(frozen=True)
class Error:
    """An error with the words of a try; what the SDK wrote down says when it happened."""

    code: str
    message: str
    kind: Optional[str] = "USER"

    def fields(self, message: Optional[str] = None) -> dict[str, Any]:
        """Its fields; where the original leaves code or kind empty they are absent."""
        given = {"code": self.code, "kind": self.kind, "message": message or self.message}
        dated = {"timestamp": "<time>"} if self.message.startswith("Trace:") else {}
        return {name: value for name, value in given.items() if value} | dated


def raised(words: str, code: str = "USER:RuntimeError") -> Error:
    """What the SDK writes down of an exception."""
    return Error(code, f"Trace:\n\n    <traceback>\n\nMessage:\n\n    {words}")


def died(attempt: int, status: int, kind: str = "USER") -> Error:
    """A process that ended without having written anything down."""
    name = f"<this>-n0-{attempt}"
    message = f"\r\n[{name}] terminated with exit code ({status}). Reason [Error]. Message: <printed>"
    return Error("Error", message, kind)


def exhausted(tries: int, last: Error, kind: str = "USER") -> Error:
    """What a node says whose tries are used up."""
    words = f"[{tries}/{tries}] currentAttempt done. Last Error: {last.kind}::{last.message}"
    return Error(f"RetriesExhausted|{last.code}", words, kind)


@dataclass(frozen=True)
class Task:
    """A node that runs a task: of each try its error, or none where it succeeded."""

    name: str
    inputs: dict[str, Any]
    outputs: Optional[dict[str, Any]] = None
    error: Optional[Error] = None
    tries: tuple[Optional[Error], ...] = (None,)
    cache: Optional[str] = None
    source: str = "<this>"
    """The execution that has computed what the cache gave."""
    failed_as: str = "FAILED"
    """How the node ends if it has an error."""

    def fields(self, node: str) -> dict[str, Any]:
        """The node as it is listed."""
        hit = self.cache == "CACHE_HIT"
        metadata = {} if hit else {"checkpoint_uri": "<uri>"}
        if self.cache:
            source = {"task_id": f"TASK {MODULE}.{self.name}", "node_execution_id": _node_id("n0", self.source)}
            key = {"dataset_id": f"DATASET flyte_task-{MODULE}.{self.name}", "artifact_tag": "flyte_cached"}
            metadata |= {
                "cache_status": self.cache,
                "catalog_key": key | {"source_task_execution": source},
            }
        tries = [] if hit else [self._try(node, number, error) for number, error in enumerate(self.tries)]
        listed = _node(self, node, {"task_node_metadata": metadata}, {}, tries)
        if self.error:
            listed["closure"]["phase"] = self.failed_as
        if hit:
            del listed["closure"]["started_at"], listed["closure"]["duration"]
        return listed

    def _try(self, node: str, number: int, error: Optional[Error]) -> dict[str, Any]:
        closure = {
            "task_type": "python-task",
            "logs": 1,
            "metadata": {"generated_name": f"<this>-{node}-{number}", "plugin_identifier": "container"},
        }
        return _try(self, node, number, error, closure)


@dataclass(frozen=True)
class Item:
    """One run of an item of a map."""

    index: int
    phase: str = "SUCCEEDED"
    attempt: int = 0
    cache: Optional[str] = None

    def fields(self) -> dict[str, Any]:
        """The external resource."""
        given = {
            "external_id": f"<this>-n0-0-n{self.index}-{self.attempt}",
            "phase": self.phase,
            "index": self.index,
            "retry_attempt": self.attempt,
            "cache_status": self.cache,
            "logs": 0 if self.cache == "CACHE_HIT" else 1,
        }
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True)
class Map:
    """A node that runs a map: one try, which lists the items that ran."""

    name: str
    inputs: dict[str, Any]
    outputs: Optional[dict[str, Any]] = None
    error: Optional[Error] = None
    items: tuple[Item, ...] = ()

    def fields(self, node: str) -> dict[str, Any]:
        """The node as it is listed."""
        metadata: dict[str, Any] = {"plugin_identifier": "k8s-array"}
        if self.items:
            resources = [item.fields() for item in self.items]
            metadata["external_resources"] = {each["external_id"]: each for each in resources}
        one = _try(self, node, 0, self.error, {"task_type": "container_array", "metadata": metadata})
        if not self.items:
            del one["input_uri"], one["closure"]["started_at"], one["closure"]["duration"]
            one["data"]["full_inputs"] = {}
        return _node(self, node, {}, {"is_array": True}, [one])


@dataclass(frozen=True)
class Case:
    """A workflow that was run, and how it went."""

    workflow: str
    inputs: dict[str, Any]
    nodes: dict[str, "Task | Map"]
    outputs: Optional[dict[str, Any]] = None
    error: Optional[Error] = None
    options: dict[str, Any] = field(default_factory=dict)
    is_single: bool = False
    """Whether the workflow is a task that is launched by itself, by a call that says nothing else."""

    def fields(self) -> dict[str, Any]:
        """All that is answered about the execution."""
        nodes = {node: what.fields(node) for node, what in self.nodes.items()}
        if self.error is None:
            nodes["end-node"] = _edge("end-node", "input_uri", full_inputs=_literals(self.outputs))
        nodes["start-node"] = _edge("start-node", "output_uri", full_outputs=_literals(self.inputs))
        data = _data("", full_inputs=_literals(self.inputs), full_outputs=_literals(self.outputs))
        return flat({"execution": self._execution(), "data": data, "nodes": nodes})

    def _spec(self) -> dict[str, Any]:
        kind = "TASK" if self.is_single else "LAUNCH_PLAN"
        spec = {
            "launch_plan": f"{kind} {MODULE}.{self.workflow}",
            "metadata": {"system_metadata": {"namespace": "flytesnacks-development"}},
            "security_context": {"run_as": {}},
        }
        if self.is_single:
            return spec
        empty = {name: {} for name in ("notifications", "labels", "annotations", "auth_role")}
        return {**spec, **empty, "max_parallelism": 25, **self.options}

    def _execution(self) -> dict[str, Any]:
        result = {"error": self.error.fields()} if self.error else {"outputs": {"uri": "<uri>"}}
        made = ".flytegen." if self.is_single else ""
        return {
            "id": "<this>",
            "spec": self._spec(),
            "closure": {
                "phase": "FAILED" if self.error else "SUCCEEDED",
                "workflow_id": f"WORKFLOW {made}{MODULE}.{self.workflow}",
                "state_change_details": {"occurred_at": "<time>"},
                **_times(),
                **result,
            },
        }


def _times() -> dict[str, str]:
    return {name: "<time>" for name in ("created_at", "started_at", "updated_at")} | {"duration": "<duration>"}


def _literals(values: Optional[dict[str, Any]]) -> dict[str, Any]:
    return {"literals": values} if values else {}


def _node_id(node: str, execution: str = "<this>") -> dict[str, str]:
    return {"node_id": node, "execution_id": execution}


def _data(place: str, full_inputs: dict[str, Any], full_outputs: dict[str, Any]) -> dict[str, Any]:
    urls = {name: f"flyte://v1/flytesnacks/development/<this>/{place}/{name[0]}" for name in ("inputs", "outputs")}
    data = {"inputs": {}, "outputs": {}, "full_inputs": full_inputs, "full_outputs": full_outputs}
    return data | ({"flyte_urls": urls} if place else {})


def _edge(node: str, uri: str, **full: dict[str, Any]) -> dict[str, Any]:
    """The start or the end node, which hand something on and run nothing."""
    closure = {"phase": "SUCCEEDED", "created_at": "<time>", "updated_at": "<time>"}
    if uri == "output_uri":
        closure[uri] = "<uri>"
    return {
        "id": _node_id(node),
        "closure": closure,
        "metadata": {"spec_node_id": node},
        "data": _data(node, **{"full_inputs": {}, "full_outputs": {}, **full}),
        **({uri: "<uri>"} if uri == "input_uri" else {}),
    }


def _result(error: Optional[Error], message: Optional[str] = None) -> dict[str, Any]:
    if error:
        return {"error": error.fields(message), "phase": "FAILED"}
    return {"output_uri": "<uri>", "phase": "SUCCEEDED"}


def _node(
    what: "Task | Map",
    node: str,
    closure: dict[str, Any],
    metadata: dict[str, Any],
    tries: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "id": _node_id(node),
        "input_uri": "<uri>",
        "closure": {**_times(), **_result(what.error, "<cut>"), **closure},
        "metadata": {"spec_node_id": node, **metadata},
        "data": _data(node, _literals(what.inputs), _literals(what.outputs)),
        "tries": tries,
    }


def _try(
    what: "Task | Map", node: str, number: int, error: Optional[Error], closure: dict[str, Any]
) -> dict[str, Any]:
    outputs = None if error else what.outputs
    return {
        "id": {
            "task_id": f"TASK {MODULE}.{what.name}",
            "node_execution_id": _node_id(node),
            **({"retry_attempt": number} if number else {}),
        },
        "input_uri": "<uri>",
        "closure": {**_times(), **_result(error), "event_version": 1, **closure},
        "data": _data(f"{node}/{number}", _literals(what.inputs), _literals(outputs)),
    }
