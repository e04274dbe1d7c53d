"""A task that is loaded, run as the SDK's dispatch runs it, without the files that the dispatch reads and writes.

What is not a plain success is not described here: `outcome` hands it to the SDK's own dispatch.
"""

import os
from typing import Any, Optional

from flyteidl.core import literals_pb2
from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.context_manager import FlyteContext
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.models.literals import LiteralMap

from skein_worker import copies
from skein_worker.outcome import Ended, Raised, Returned

# From how many MiB on the SDK puts a literal into a file of its own.
_OFFLOADED_FROM = "_F_L_MIN_SIZE_MB"


def obstacle(task: Any, base: FlyteContext) -> Optional[str]:
    """Answers why a task cannot be run so, in words; none when it can. `base` is the context in which it was loaded."""
    inner = task.python_function_task if isinstance(task, ArrayNodeMapTask) else task
    if not isinstance(inner, PythonFunctionTask):
        return "the task is not a function task"
    if inner.execution_mode != PythonFunctionTask.ExecutionBehavior.DEFAULT:
        return "the task is dynamic or eager"
    if task.enable_deck:
        return "the task has a deck"
    return copies.obstacle(base)


def call(ctx: FlyteContext, task: Any, inputs: LiteralMap) -> Ended:
    """Runs a task in `ctx`, which is entered."""
    try:
        return Returned(task.dispatch_execute(ctx, inputs))
    except Exception as error:  # noqa: BLE001
        # Our own frame is the first.
        trace = error.__traceback__
        return Raised(error.with_traceback(trace and trace.tb_next))


def plain(ended: Ended) -> Optional[literals_pb2.LiteralMap]:
    """Answers the outputs of a success in which the SDK would do nothing but write them down; otherwise none."""
    if not isinstance(ended, Returned) or type(ended.value) is not LiteralMap:
        return None
    try:
        literals = ended.value.to_flyte_idl()
    except Exception:  # noqa: BLE001 - the SDK falls over it in its own way
        return None
    least = os.environ.get(_OFFLOADED_FROM)
    if least is not None and any(value.ByteSize() >= _bytes(least) for value in literals.literals.values()):
        return None
    return literals


def _bytes(mebibytes: str) -> int:
    """Answers a size; where it is no number the SDK has words for that."""
    return int(mebibytes) * 1024 * 1024 if mebibytes.isdecimal() else 0
