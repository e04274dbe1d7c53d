"""Contexts of single items and attempts, each made out of one that the SDK set up.

Setting one up anew makes folders and reads configurations, which costs as much as many short items. What all have in
common is taken over, what differs is set, and what costs something is made when somebody asks for it.
"""

import contextlib
import logging
import pathlib
import sys
import tempfile
import threading
import traceback
from typing import Any, Callable, Dict, Iterator, List, Optional

from flytekit.bin import entrypoint
from flytekit.core.checkpointer import SyncCheckpoint
from flytekit.core.context_manager import (
    ExecutionParameters,
    ExecutionState,
    FlyteContext,
    FlyteContextManager,
    OutputMetadataTracker,
)
from flytekit.core.data_persistence import FileAccessProvider, get_protocol
from flytekit.core.utils import timeit
from flytekit.loggers import logger

from skein_worker.context import Folders, entered, folders_of, options_of

# What is set here, and so has to be there: another version of the SDK may have it otherwise.
_OF_FILES = {"_raw_output_prefix", "_local_sandbox_dir", "_default_protocol", "_default_remote", "_execution_metadata"}
_OF_PARAMETERS = {"_working_directory", "_checkpoint", "_decks", "_timeline_deck", "_attrs", "_execution_id"}
_OF_STATE = {"working_dir", "engine_dir", "mode", "branch_eval_mode", "user_space_params"}
# What the SDK notes on files that it uploads, and the variables which say it: those that differ between executions.
_METADATA = {
    "flyte-execution-launchplan": ("FLYTE_INTERNAL_EXECUTION_LAUNCHPLAN", "_F_LP"),
    "flyte-execution-workflow": ("FLYTE_INTERNAL_EXECUTION_WORKFLOW", "_F_WF"),
    "flyte-execution-name": ("FLYTE_INTERNAL_EXECUTION_ID", "_F_NM"),
}
_HERE = traceback.FrameSummary(__file__, 0, "entered_copy")
_making = threading.RLock()


class _Files(FileAccessProvider):
    """Access to files, whose folder for downloads is made when somebody asks."""

    def __getattr__(self, name: str) -> Any:
        if name != "_local_sandbox_dir":
            raise AttributeError(name)
        with _making:
            if name not in self.__dict__:
                self._local_sandbox_dir = self._make_sandbox()
        return self.__dict__[name]


class _State(ExecutionState):
    """A state of an execution, whose folders are made when somebody asks."""

    def __getattr__(self, name: str) -> Any:
        if name not in ("working_dir", "engine_dir"):
            raise AttributeError(name)
        self.working_dir = self._files.local_sandbox_dir
        self.engine_dir = str(pathlib.Path(self.working_dir, "engine_dir"))
        pathlib.Path(self.engine_dir).mkdir(parents=True, exist_ok=True)
        return self.__dict__[name]

    def with_params(
        self,
        working_dir: Any = None,
        mode: Any = None,
        engine_dir: Any = None,
        branch_eval_mode: Any = None,
        user_space_params: Any = None,
    ) -> Any:
        """Answers a copy with these values, as the SDK does, which makes the folders again."""
        if working_dir or engine_dir:
            return super().with_params(working_dir, mode, engine_dir, branch_eval_mode, user_space_params)
        changed = {"mode": mode, "branch_eval_mode": branch_eval_mode, "user_space_params": user_space_params}
        return _taken_over(self, _State, **{name: value for name, value in changed.items() if value})


class _Parameters(ExecutionParameters):
    """What user code can ask of its execution; most of it is found out when it does, and then it is the SDK's own."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") or name.startswith("__"):
            return super().__getattr__(name)
        with _making:
            if "_rest" in self.__dict__:
                for key, value in self._rest().items():
                    self.__dict__.setdefault(key, value)
                del self._rest
                self.__class__ = ExecutionParameters  # type: ignore[assignment]
        if name in self.__dict__:
            return self.__dict__[name]
        raise AttributeError(name)


def install() -> None:
    """Has the SDK note less of what it does while nobody looks: together a fifth of what a short item costs.

    Where a context was made it shows in its debug log; the source's text need not be looked for there. How long its steps
    take it shows in a deck, which no task has that is run in a copy, and in its log at level INFO.
    """
    if hasattr(FlyteContextManager, "get_origin_stackframe"):
        FlyteContextManager.get_origin_stackframe = staticmethod(_origin)  # type: ignore[method-assign]
    if "start_time" in vars(timeit("")):
        timeit.__enter__ = _entering(timeit.__enter__)  # type: ignore[method-assign]
        timeit.__exit__ = _leaving(timeit.__exit__)  # type: ignore[method-assign]


def _entering(enter: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def __enter__(self: Any) -> Any:
        if type(FlyteContextManager.current_context().user_space_params) is _Parameters:
            if not logger.isEnabledFor(logging.INFO):
                self.start_time = None
                return self
        return enter(self)

    return __enter__


def _leaving(leave: Callable[..., Any]) -> Callable[..., Any]:
    def __exit__(self: Any, *raised: Any) -> Any:
        return None if self.start_time is None else leave(self, *raised)

    return __exit__


def _origin(limit: int = 2) -> traceback.FrameSummary:
    frame = sys._getframe()
    while limit > 0 and frame.f_back is not None:
        frame, limit = frame.f_back, limit - 1
    return traceback.FrameSummary(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, lookup_line=False)


def obstacle(base: FlyteContext) -> Optional[str]:
    """Answers why `base` cannot be copied, in words; none when it can."""
    parts = (
        (base.file_access, FileAccessProvider, _OF_FILES),
        (base.user_space_params, ExecutionParameters, _OF_PARAMETERS),
        (base.execution_state, ExecutionState, _OF_STATE),
    )
    for part, kind, names in parts:
        if type(part) is not kind or not names <= set(vars(part)):
            return f"this version of the SDK has another {kind.__name__}"
    return None


def of_attempt(base: FlyteContext, argv: List[str], outputs: str) -> Optional[FlyteContext]:
    """Answers the context in which the entry point would run `argv`; none when it is too different from `base`.

    `base` is that of the same task, and maybe of another execution.
    """
    raw = folders_of(options_of(argv)[0]).raw
    if raw is None or get_protocol(raw) != base.file_access._default_protocol:
        return None
    files = _files(base, raw, _sandbox)
    known = files._execution_metadata
    if known is not None:
        told = {name: entrypoint.get_one_of(*words) for name, words in _METADATA.items() if name in known}
        files._execution_metadata = {**known, **told}
    return _context(base, files, lambda: _told_by_the_sdk(argv, outputs))


def of_item(chunk: FlyteContext, folders: Folders) -> FlyteContext:
    """Answers the context of one item of a map, out of that of its chunk."""
    files = _files(chunk, str(folders.raw), lambda: chunk.file_access.local_sandbox_dir)

    def rest() -> Dict[str, Any]:
        shared = chunk.user_space_params
        assert shared is not None and shared.execution_date is not None
        checkpoint = folders.checkpoint and SyncCheckpoint(folders.checkpoint, folders.previous)
        own = {"_working_directory": files.get_random_local_directory(), "_checkpoint": checkpoint or None}
        return {**vars(shared), **own, "_raw_output_prefix": folders.raw}

    return _context(chunk, files, rest)


@contextlib.contextmanager
def entered_copy(ctx: FlyteContext) -> Iterator[FlyteContext]:
    """Is in `ctx`."""
    FlyteContextManager.push_context(ctx, _HERE)
    depth = FlyteContextManager.size()
    try:
        yield ctx
    finally:
        while FlyteContextManager.size() >= depth:
            FlyteContextManager.pop_context()


def _context(base: FlyteContext, files: _Files, rest: Callable[[], Dict[str, Any]]) -> FlyteContext:
    parameters = object.__new__(_Parameters)
    # What the SDK itself asks for all the time, and what user code adds to.
    vars(parameters).update(_attrs={}, _decks=[], _timeline_deck=None, _enable_deck=False, _rest=rest)
    state = _taken_over(base.execution_state, _State, _files=files, user_space_params=parameters)
    for name in ("working_dir", "engine_dir"):
        vars(state).pop(name, None)
    builder = base.new_builder().with_file_access(files).with_execution_state(state)
    return builder.with_output_metadata_tracker(OutputMetadataTracker()).build()


def _files(base: FlyteContext, raw: str, make_sandbox: Callable[[], Any]) -> _Files:
    files = _taken_over(base.file_access, _Files, _make_sandbox=make_sandbox)
    vars(files).pop("_local_sandbox_dir", None)
    separator = files.sep(files._default_remote)
    files._raw_output_prefix = raw if raw.endswith(separator) else raw + separator
    return files


def _sandbox() -> pathlib.Path:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flyte"), "local_flytekit")
    folder.mkdir()
    return folder


def _told_by_the_sdk(argv: List[str], outputs: str) -> Dict[str, Any]:
    with entered(argv, outputs) as ctx:
        return vars(ctx.user_space_params)


def _taken_over(original: Any, kind: Any, **changed: Any) -> Any:
    """Answers a copy as one of `kind`: without `__init__`, which makes folders."""
    copy = object.__new__(kind)
    vars(copy).update(vars(original), **changed)
    return copy
