"""What the SDK makes of how an item ended, in the words and with the types of its own dispatch.

A call that raised, or returned what is not plain, is not described here: it is handed to the SDK's dispatch, which
calls a function that does the same again, and what the SDK then writes is the answer. So is a whole task that ended in
another way than by a plain success: no user code runs twice.
"""

import contextlib
import os
import shutil
import tempfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Union

from flyteidl.core import errors_pb2, literals_pb2
from flytekit.bin import entrypoint
from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.context_manager import FlyteContext


class Written(NamedTuple):
    """What a dispatch left: outputs by name as encoded literals, or an encoded error document, or neither."""

    outputs: Optional[Dict[str, bytes]]
    error: Optional[bytes]
    # What there is besides, such as a dynamic task's nodes.
    others: List[str]


class Raised(NamedTuple):
    """A call that raised."""

    error: Exception


class Returned(NamedTuple):
    """A call that returned."""

    value: Any


Ended = Union[Raised, Returned]


def replay(ctx: FlyteContext, task: ArrayNodeMapTask, inputs: Dict[str, Any], ended: Ended) -> Written:
    """Has the SDK's dispatch see an item's call with `inputs` that ended as `ended`."""
    with _standing_in(task, task.python_function_task, inputs, ended):
        return _collected(ctx, task)


def again(ctx: FlyteContext, task: ArrayNodeMapTask, ended: Ended) -> Written:
    """Has the SDK's dispatch see an item whose own dispatch ended as `ended`."""
    return _collected(ctx, _Again(task, ended))


def replay_into(ctx: FlyteContext, task: Any, inputs: Dict[str, Any], ended: Ended, folder: str) -> None:
    """Has the SDK's dispatch see a call of a single task, and leaves what it writes in `folder`."""
    with _standing_in(task, task, inputs, ended):
        _write_into(ctx, task, folder)


def again_into(ctx: FlyteContext, task: Any, ended: Ended, folder: str) -> None:
    """Has the SDK's dispatch see a single task whose own dispatch ended as `ended`; what it writes is left in `folder`."""
    _write_into(ctx, _Again(task, ended), folder)


class _Again:
    """A task whose dispatch ends as it did before."""

    disable_deck = True

    def __init__(self, task: Any, ended: Ended) -> None:
        self.name = task.name
        self.interface = task.interface
        self._ended = ended

    def dispatch_execute(self, *_: Any) -> Any:
        """Ends."""
        if isinstance(self._ended, Returned):
            return self._ended.value
        raise self._ended.error


def _collected(ctx: FlyteContext, task: Any) -> Written:
    written = collect(lambda folder: _dispatch(ctx, task, os.path.join(folder, "out"), is_map_task=True))
    return written if written.error is None else written._replace(error=_without_own_frames(written.error))


def _write_into(ctx: FlyteContext, task: Any, folder: str) -> None:
    _dispatch(ctx, task, folder, is_map_task=False)
    for path in errors_in(folder):
        with open(path, "rb") as file:
            document = file.read()
        with open(path, "wb") as file:
            file.write(_without_own_frames(document))


def errors_in(folder: str) -> List[str]:
    """Lists the error documents that a dispatch left."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in names if name.startswith("error") and name.endswith(".pb")]


@contextlib.contextmanager
def _standing_in(task: Any, inner: Any, inputs: Dict[str, Any], ended: Ended) -> Iterator[None]:
    """Has `inner` end as `ended` whenever it is called, and `task` take `inputs` for what it was given."""
    function = inner._task_function
    inner._task_function = _again(ended)
    task._literal_map_to_python_input = lambda *_: inputs
    try:
        yield
    finally:
        inner._task_function = function
        del task._literal_map_to_python_input


def collect(dispatch: Callable[[str], None]) -> Written:
    """Runs a dispatch that writes into the folder it is given, and answers what it wrote."""
    folder = tempfile.mkdtemp(prefix="item")
    try:
        dispatch(folder)
        return _read(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _dispatch(ctx: FlyteContext, task: Any, target: str, is_map_task: bool) -> None:
    # The dispatch hands over all that is in its folder, so an earlier item's error would come along.
    shutil.rmtree(ctx.execution_state.engine_dir, ignore_errors=True)
    os.makedirs(ctx.execution_state.engine_dir, exist_ok=True)
    no_inputs = os.path.join(ctx.execution_state.working_dir, "no-inputs")
    with open(no_inputs, "wb"):
        pass
    entrypoint._dispatch_execute(ctx, lambda: task, no_inputs, target, is_map_task=is_map_task)


def _read(folder: str) -> Written:
    outputs, errors, others = None, [], []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            if name == "outputs.pb":
                with open(path, "rb") as file:
                    literals = literals_pb2.LiteralMap.FromString(file.read()).literals
                outputs = {key: literals[key].SerializeToString(deterministic=True) for key in literals}
            elif name.startswith("error") and name.endswith(".pb"):
                with open(path, "rb") as file:
                    errors.append(file.read())
            elif name != "no-inputs":
                others.append(name)
    return Written(outputs, min(errors) if errors else None, others)


def _again(ended: Ended) -> Callable[..., Any]:
    if isinstance(ended, Returned):
        return lambda **_: ended.value

    def raise_again(**_: Any) -> Any:
        raise ended.error

    return raise_again


def _without_own_frames(document: bytes) -> bytes:
    """Takes the frames of this package out of the trace, because in the SDK's own dispatch they are not there."""
    parsed = errors_pb2.ErrorDocument.FromString(document)
    kept, ours = [], False
    for line in parsed.error.message.split("\n"):
        if line.lstrip().startswith('File "'):
            ours = os.path.dirname(__file__) + os.sep in line
        elif not line.startswith("        "):
            ours = False
        if not ours:
            kept.append(line)
    parsed.error.message = "\n".join(kept)
    return parsed.SerializeToString()
