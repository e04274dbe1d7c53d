"""Single attempts in a process that has their task loaded.

The function is called directly where arguments and result are plain values; otherwise the loaded task is dispatched, or where
that cannot be, the SDK's own entry point runs.
"""

import contextlib
import os
import time
from typing import Any, Dict, Optional, Tuple

from flyteidl.core import literals_pb2
from flytekit.core import python_auto_container
from flytekit.core.context_manager import FlyteContext
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.models.literals import LiteralMap

from skein_worker import attempt, copies, direct, dispatch, outcome, plain
from skein_worker.context import WhenAsked, entered, options_of
from skein_worker.frames import Frames
from skein_worker.items import looked_for_in
from skein_worker.outcome import Ended, Raised, Returned
from skein_worker.surroundings import flush

# An attempt that ran this long leaves its outputs where they are found when the worker is gone: running it again costs
# more than writing them down twice.
_PUBLISH_AFTER_S = 0.25


class SingleTask:
    """A task whose module is imported, and whether its function can be called directly."""

    def __init__(self, job: Dict[str, Any], importing: Any = contextlib.nullcontext()) -> None:
        self._shapes: Dict[str, str] = job["inputs"]
        self._output: Optional[str] = job["output"]
        self._task: Optional[PythonFunctionTask] = None
        self._readers: Dict[str, Any] = {}
        self._write: Any = None
        # The context in which the task was loaded, when attempts can be dispatched by the loaded task.
        self._base: Optional[FlyteContext] = None
        # Whether the task was not imported here: the SDK's dispatch does it again, and words what is wrong with it.
        self.is_absent = False
        self.why_not_fast: Optional[str] = self._prepare(job, importing)

    def _prepare(self, job: Dict[str, Any], importing: Any) -> Optional[str]:
        options, arguments = options_of(job["argv"])
        if options.get("--resolver") != direct.RESOLVER:
            self.is_absent = True
            return "the task has a resolver of its own"
        try:
            # In the context of an execution, as the entry point loads it.
            with entered(job["argv"], job["cwd"], checkpoint=False) as base, importing:
                self._task = python_auto_container.default_task_resolver.load_task(loader_args=arguments)
        except Exception as error:  # noqa: BLE001
            self.is_absent = True
            return f"the task cannot be loaded: {type(error).__name__}"
        if job["dispatch"] and dispatch.obstacle(self._task, base) is None:
            self._base = base
        if not job["plain"]:
            return "the interface is not made of plain values"
        reason = direct.obstacle(self._task, self._shapes, self._output)
        if reason is None:
            self._readers = {name: plain.reader(shape) for name, shape in self._shapes.items()}
            self._write = plain.writer(self._output) if self._output is not None else None
        return reason

    def run(self, job: Dict[str, Any], frames: Frames) -> None:
        """Runs one attempt, and says so: its value, its outputs, or that it left what it has in its output folder."""
        if job["values"] is not None:
            value, is_direct = self._call(job)
            flush()
            frames.send({"job": job["job"], "finished": True, "value": value, "direct": is_direct})
            return
        is_done, outputs = self._dispatch(job)
        if not is_done:
            if job["inputs"] is not None:
                with open(_inputs_path(job), "wb") as file:
                    file.write(job["inputs"])
            attempt.run(job["argv"])
            attempt.publish(job)
        flush()
        frames.send({"job": job["job"], "finished": True, "value": None, "direct": False, "outputs": outputs})

    def _dispatch(self, job: Dict[str, Any]) -> Tuple[bool, Optional[bytes]]:
        """Has the loaded task dispatch itself; answers whether it did, and the outputs if they are all that it left."""
        ctx = self._base and copies.of_attempt(self._base, job["argv"], job["outputs"])
        if ctx is None:
            return False, None
        try:
            inputs = LiteralMap.from_flyte_idl(literals_pb2.LiteralMap.FromString(_inputs(job)))
        except Exception:  # noqa: BLE001 - the SDK cannot read them, and has words for that
            return False, None
        began = time.monotonic()
        with looked_for_in(os.getcwd()), copies.entered_copy(ctx):
            ended = dispatch.call(ctx, self._task, inputs)
            literals = dispatch.plain(ended)
            # What else it left is found in the folder alone.
            is_all = literals is not None and not os.path.exists(job["outputs"])
            if is_all and time.monotonic() - began < _PUBLISH_AFTER_S:
                return True, literals.SerializeToString(deterministic=True)
            outcome.again_into(ctx, self._task, ended, job["outputs"])
        attempt.publish(job)
        return True, None

    def _call(self, job: Dict[str, Any]) -> Any:
        assert self._task is not None
        inputs = {}
        for name, value in job["values"].items():
            read = self._readers[name]
            inputs[name] = value if read is None else read(value)
        began = time.monotonic()
        ended: Ended
        with WhenAsked(job["argv"], job["outputs"]) as asked:
            try:
                value = self._task._task_function(**inputs)
            except Exception as error:  # noqa: BLE001
                # Our own frame is the first.
                trace = error.__traceback__
                ended = Raised(error.with_traceback(trace and trace.tb_next))
            else:
                ended = Returned(value)
                try:
                    written = None if self._write is None else self._write(value)
                except plain.NotPlain:
                    pass
                else:
                    if time.monotonic() - began < _PUBLISH_AFTER_S:
                        return written, True
            outcome.replay_into(asked.context(), self._task, inputs, ended, job["outputs"])
        attempt.publish(job)
        return None, False


def _inputs_path(job: Dict[str, Any]) -> str:
    return options_of(job["argv"])[0]["--inputs"]


def _inputs(job: Dict[str, Any]) -> bytes:
    if job["inputs"] is not None:
        return job["inputs"]
    with open(_inputs_path(job), "rb") as file:
        return file.read()
