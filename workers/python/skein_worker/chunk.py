"""Chunks: many items of one map task in one warm process.

Where arguments and results are plain values the function is called directly. Otherwise each item is dispatched as the SDK
does it, with inputs that hold this item alone: by the loaded task, or where that cannot be, by the SDK's own entry point.
"""

import contextlib
import os
import tempfile
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

import msgpack
from flyteidl.core import literals_pb2
from flytekit.bin import entrypoint
from flytekit.core.array_node_map_task import ArrayNodeMapTask, ArrayNodeMapTaskResolver
from flytekit.core.checkpointer import SyncCheckpoint
from flytekit.core.context_manager import FlyteContext

from skein_worker import direct, dispatch, outcome, plain
from skein_worker.context import Folders, entered, folders_of, options_of
from skein_worker.frames import Frames
from skein_worker.items import Items
from skein_worker.marks import Marks
from skein_worker.outcome import Raised, Returned, Written
from skein_worker.progress import Progress
from skein_worker.surroundings import flush

# Results wait this long at most before they are sent: what was sent is kept when the process dies.
_DELIVER_AFTER_S = 0.02
# After this long the next item is marked in the log, whether it prints or not.
_MARK_AFTER_S = 0.005
_RESOLVER = "flytekit.core.array_node_map_task.ArrayNodeMapTaskResolver"
# What reads the position of an item; set by Skein for each item to the item's place in the whole map.
_INDEX = "FLYTE_K8S_ARRAY_INDEX"
# As they were before user code ran, which may put something else in their place.
_monotonic, _perf_counter, _packb, _unpackb = time.monotonic, time.perf_counter, msgpack.packb, msgpack.unpackb


class Results:
    """Results on their way to the worker."""

    def __init__(self, frames: Frames, job: Dict[str, Any], marks: Marks) -> None:
        self._frames = frames
        self._job = job["job"]
        self._budget = job["budget"]
        self._marks = marks
        self._sent_at = self._looked_at = _monotonic()
        self._ends_at = None if job["within"] is None else self._sent_at + job["within"]
        # Whether further items are for another chunk: the errors fill what a report can hold, or the time is over.
        self.is_over = False
        self._clear()
        self.upto = job["start"]

    def _clear(self) -> None:
        self.values: List[Any] = []
        self._literals: List[Tuple[int, Dict[str, bytes]]] = []
        self._failed: List[Tuple[int, Optional[bytes], List[str]]] = []

    def settle(self, index: int, written: Written) -> None:
        """Takes what the SDK's dispatch left of an item."""
        if written.outputs is not None and written.error is None:
            self._literals.append((index, written.outputs))
            return
        self._failed.append((index, written.error, written.others))
        self._budget -= len(written.error or b"")
        self.is_over = self.is_over or self._budget <= 0

    def deliver_when_due(self) -> None:
        """Sends what there is if it has waited long enough."""
        now = _monotonic()
        if now - self._looked_at > _MARK_AFTER_S:
            self._looked_at = now
            flush()
            self._marks.announce()
            self._deliver_if_old(now)

    def _deliver_if_old(self, now: float) -> None:
        if now - self._sent_at > _DELIVER_AFTER_S:
            self._sent_at = now
            if self._ends_at is not None and now >= self._ends_at:
                self.is_over = True
            else:
                self.deliver()

    def deliver(self, done: bool = False, micros: int = 0) -> None:
        """Sends what there is: the fate of all items before `upto` that were not sent before."""
        self._frames.send(
            {
                "job": self._job,
                "values": self.values,
                "literals": self._literals,
                "failed": self._failed,
                "upto": self.upto,
                "done": done,
                "micros": micros,
            }
        )
        self._clear()


class MapTask:
    """A map task whose module is imported, and whether its function can be called directly."""

    def __init__(self, job: Dict[str, Any], importing: Any = contextlib.nullcontext()) -> None:
        self._shapes: Dict[str, str] = job["inputs"]
        self._output: Optional[str] = job["output"]
        self._task: Optional[ArrayNodeMapTask] = None
        self._readers: Dict[str, Any] = {}
        self._write: Any = None
        # The context in which the task was loaded, when items can be dispatched by the loaded task.
        self._base: Optional[FlyteContext] = None
        # Whether the task was not imported here: the SDK's dispatch does it again, and words what is wrong with it.
        self.is_absent = False
        self.why_not_fast: Optional[str] = self._prepare(job, importing)
        # The inputs of an item's own dispatch hold this item alone.
        ArrayNodeMapTask._compute_array_job_index = staticmethod(lambda: 0)  # type: ignore[method-assign]

    def _prepare(self, job: Dict[str, Any], importing: Any) -> Optional[str]:
        options, arguments = options_of(job["argv"])
        if options.get("--resolver") != _RESOLVER or len(arguments) < 4 or arguments[3] != direct.RESOLVER:
            self.is_absent = True
            return "the task has a resolver of its own"
        try:
            # In the context of an execution, as the entry point loads it: outside of one the SDK refuses modules that
            # it accepts here, such as one with a task that only raises.
            with _context({"argv": job["argv"], "outputs": job["cwd"]}, lambda: 0) as base, importing:
                self._task = ArrayNodeMapTaskResolver().load_task(loader_args=arguments)
        except Exception as error:  # noqa: BLE001 - the SDK's dispatch meets it again, item by item, and words it
            self.is_absent = True
            return f"the task cannot be loaded: {type(error).__name__}"
        if job["dispatch"] and dispatch.obstacle(self._task, base) is None:
            self._base = base
        if not job["plain"]:
            return "the interface is not made of plain values"
        reason = self._why_not_fast()
        if reason is None:
            self._readers = {name: plain.reader(shape) for name, shape in self._shapes.items()}
            self._write = plain.writer(self._output) if self._output is not None else None
        return reason

    def _why_not_fast(self) -> Optional[str]:
        assert self._task is not None
        if self._task.enable_deck:
            return "the task has a deck"
        return direct.obstacle(self._task.python_function_task, self._shapes, self._output)

    def run_chunk(self, job: Dict[str, Any], frames: Frames, progress: Progress) -> None:
        """Runs the items of a chunk and sends what became of them."""
        os.environ.update(job["env"])
        marks = Marks(job.get("mark"), progress)
        results = Results(frames, job, marks)
        began = _perf_counter()
        run = self._dispatch if "inputs" in job else self._call
        try:
            run(job, results, progress, marks)
        except BaseException:
            # This item ends the process; those before it have results.
            results.deliver()
            raise
        marks.end()
        micros = int((_perf_counter() - began) * 1e6)
        flush()
        results.deliver(done=True, micros=micros)
        # Only now: whoever dies before its results are sent had begun.
        progress.at(-1)

    def _call(self, job: Dict[str, Any], results: Results, progress: Progress, marks: Marks) -> None:
        """Calls the function for item after item."""
        assert self._task is not None
        function = self._task.python_function_task._task_function
        start, environment, write, due = job["start"], os.environ, self._write, marks.due
        with _context(job, lambda: start + position) as ctx:
            position = 0
            for position, inputs in enumerate(self._arguments(job)):
                index = start + position
                progress.number[0] = index
                if due:
                    marks.before_item()
                environment[_INDEX] = str(index)
                ended: Any = None
                try:
                    value = function(**inputs)
                except Exception as error:  # noqa: BLE001
                    # Our own frame is the first.
                    trace = error.__traceback__
                    ended = Raised(error.with_traceback(trace and trace.tb_next))
                else:
                    try:
                        results.values.append(None if write is None else write(value))
                    except plain.NotPlain:
                        ended = Returned(value)
                if ended is not None:
                    results.settle(index, outcome.replay(ctx, self._task, inputs, ended))
                    ended = None
                results.upto = index + 1
                results.deliver_when_due()
                if results.is_over:
                    return

    def _arguments(self, job: Dict[str, Any]) -> Iterator[Dict[str, Any]]:
        """Answers the arguments of one item after the other; what could be changed in place is new for each."""
        columns = []
        for name, values in job["columns"].items():
            read = self._readers[name]
            columns.append((name, values if read is None else map(read, values)))
        fixed, packed = {}, []
        for name, value in job["bound"].items():
            read = self._readers[name]
            if plain.is_container(self._shapes[name]):
                packed.append((name, _packb(value, use_bin_type=True), read))
            else:
                fixed[name] = value if read is None else read(value)
        names = [name for name, _ in columns]
        rows = zip(*[values for _, values in columns]) if columns else (() for _ in range(job["count"]))
        for row in rows:
            inputs = dict(zip(names, row))
            inputs.update(fixed)
            for name, body, read in packed:
                value = _unpackb(body, raw=False, strict_map_key=False)
                inputs[name] = value if read is None else read(value)
            yield inputs

    def _dispatch(self, job: Dict[str, Any], results: Results, progress: Progress, marks: Marks) -> None:
        """Dispatches item after item."""
        with open(job["inputs"], "rb") as file:
            literals = literals_pb2.LiteralMap.FromString(file.read())
        options, _ = options_of(job["argv"])
        with contextlib.ExitStack() as stack:
            items = None
            if self._base is not None:
                items = stack.enter_context(Items.of_chunk(self._task, self._base, job, literals))
            for number in range(job["count"]):
                index, position = job["start"] + number, job["skip"] + number
                flush()
                progress.at(index)
                if marks.due:
                    marks.before_item()
                os.environ[_INDEX] = str(index)
                _stay_in(job["cwd"])
                written = None if items is None else items.run(position, _paths(options, index))
                if written is None:
                    written = outcome.collect(lambda folder: _run_item(job, literals.literals, number, folder))
                results.settle(index, written)
                results.upto = index + 1
                results.deliver_when_due()
                if results.is_over:
                    return


def _alone(job: Dict[str, Any], literals: Any, position: int) -> literals_pb2.LiteralMap:
    """Answers the inputs of one item."""
    single, bound = literals_pb2.LiteralMap(), set(job["names"])
    for name, literal in literals.items():
        if name in bound:
            single.literals[name].CopyFrom(literal)
        else:
            single.literals[name].collection.literals.add().CopyFrom(literal.collection.literals[position])
    return single


def _run_item(job: Dict[str, Any], literals: Any, number: int, folder: str) -> None:
    """Has the SDK's entry point run an item."""
    path = os.path.join(folder, "no-inputs")
    with open(path, "wb") as file:
        file.write(_alone(job, literals, job["skip"] + number).SerializeToString())
    options, arguments = options_of(job["argv"])
    raw, checkpoint, previous = _paths(options, job["start"] + number)
    entrypoint._execute_map_task(
        inputs=path,
        output_prefix=os.path.join(folder, "out"),
        raw_output_data_prefix=raw,
        max_concurrency=0,
        test=False,
        dynamic_addl_distro=options.get("--dynamic-addl-distro"),
        dynamic_dest_dir=options.get("--dynamic-dest-dir"),
        resolver=options["--resolver"],
        resolver_args=arguments,
        checkpoint_path=checkpoint,
        prev_checkpoint=previous,
    )


def _paths(options: Dict[str, str], index: int) -> Folders:
    """Answers the folders of one item for large values, its checkpoint and the checkpoint before."""
    return Folders(*(path and f"{path.rstrip('/')}/{index}" for path in folders_of(options)))


@contextlib.contextmanager
def _context(job: Dict[str, Any], index: Any) -> Iterator[FlyteContext]:
    """Is in the context of all items of the chunk, whose checkpoint is that of the item which runs."""
    folders = folders_of(options_of(job["argv"])[0])
    with entered(job["argv"], job["outputs"], checkpoint=False) as ctx:
        if folders.checkpoint is not None:
            ctx.user_space_params._checkpoint = _ItemCheckpoint(folders.checkpoint, folders.previous, index)
        yield ctx


class _ItemCheckpoint(SyncCheckpoint):
    """The checkpoint of whichever item runs."""

    def __init__(self, checkpoint: str, previous: Optional[str], index: Any) -> None:
        super().__init__(checkpoint, previous)
        self._bases = (checkpoint, previous)
        self._index = index
        self._restored_for: Optional[int] = None

    @property
    def _checkpoint_dest(self) -> str:
        return f"{self._bases[0].rstrip('/')}/{self._index()}"

    @_checkpoint_dest.setter
    def _checkpoint_dest(self, _: str) -> None:
        pass

    @property
    def _checkpoint_src(self) -> Optional[str]:
        previous = self._bases[1]
        return previous and f"{previous.rstrip('/')}/{self._index()}"

    @_checkpoint_src.setter
    def _checkpoint_src(self, _: Optional[str]) -> None:
        pass

    def restore(self, path: Any = None) -> Any:
        """Restores as the SDK does, but what was restored for another item does not count."""
        if self._restored_for != self._index():
            self._restored_for = self._index()
            self._prev_download_path = None
            self._td = tempfile.TemporaryDirectory()
        return super().restore(path)


def _stay_in(folder: str) -> None:
    """Goes back to the working folder if the item before left or deleted it."""
    try:
        if os.getcwd() == folder:
            return
    except FileNotFoundError:
        pass
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
