"""A nest: a child that has imported a task and forks a child of its own for each attempt of it.

What user code does when it is imported is done once, and its pages are shared. That is right only as long as the import
does not depend on whose attempt it is for and leaves nothing behind that a fork does not take along; whether that is so is
looked at here.
"""

import contextlib
import gc
import os
import stat
import sys
import tempfile
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set

from flytekit.core.context_manager import ExecutionParameters

# Variables that say whose attempt it is. An import that asks for one of them has to be done for each attempt.
_OF_ATTEMPT = frozenset(
    {
        "FLYTE_ATTEMPT_NUMBER",
        "FLYTE_INTERNAL_EXECUTION_ID",
        "FLYTE_INTERNAL_EXECUTION_LAUNCHPLAN",
        "FLYTE_INTERNAL_EXECUTION_WORKFLOW",
    }
)
# What user code printed while it was imported is printed again by each attempt, up to this many bytes.
_PRINTED_MAX = 64 * 1024


class _Watched(os._Environ):  # type: ignore[misc]
    """An environment that notices when it is asked for what differs between attempts."""

    def __getitem__(self, name: str) -> str:
        if name in _OF_ATTEMPT or name in _secret:
            _asked.append(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:
        _asked.append("the whole environment")
        return super().__iter__()


# What the SDK's context answers that differs between attempts.
_OF_CONTEXT = ("execution_id", "checkpoint", "raw_output_prefix", "working_directory")
_asked: List[str] = []
# Variables with secrets, which are given to attempts alone.
_secret: Set[str] = set()
# Files that were opened while the task was imported.
_opened: Set[int] = set()


def _noticing(name: str) -> Any:
    """Answers the property of that name of the SDK's context, which notices when it is read."""
    real = getattr(ExecutionParameters, name)

    def read(self: Any) -> Any:
        _asked.append(name)
        return real.fget(self)

    return property(read)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Notices what is asked for of what differs between attempts, and what is opened."""
    kind, real = os.environ.__class__, {name: getattr(ExecutionParameters, name) for name in _OF_CONTEXT}
    _asked.clear()
    before = _open_files()
    os.environ.__class__ = _Watched  # type: ignore[assignment]
    for name in _OF_CONTEXT:
        setattr(ExecutionParameters, name, _noticing(name))
    try:
        yield
    finally:
        os.environ.__class__ = kind
        for name in _OF_CONTEXT:
            setattr(ExecutionParameters, name, real[name])
        _opened.clear()
        _opened.update(_open_files() - before)


class Nest:
    """A task that was imported here, and what there is to say against forking from here."""

    def __init__(self, load: Callable[[Any], Any], secret: Iterable[str] = ()) -> None:
        """Has `load` import the task, in the context that it is given; `secret` are variables that attempts alone have."""
        _secret.update(secret)
        with tempfile.TemporaryFile() as printed:
            with _Redirected(printed.fileno()):
                self.task = load(_watched())
            printed.seek(0)
            self.printed = printed.read(_PRINTED_MAX)
        self.obstacle: Optional[str] = self._look()

    def _look(self) -> Optional[str]:
        if self.task.is_absent:
            return str(self.task.why_not_fast)
        if _asked:
            return f"its module asks whose attempt it is when it is imported: {_asked[0]}"
        if len(os.listdir("/proc/self/task")) > 1:
            return "its module starts threads when it is imported"
        if any(map(_is_shared_badly, _opened)):
            return "its module opens a connection or a device when it is imported"
        gc.collect()
        gc.freeze()
        return None

    def print_again(self) -> None:
        """Prints what was printed when the task was imported."""
        if self.printed:
            os.write(1, self.printed)


def _open_files() -> Set[int]:
    return {int(number) for number in os.listdir("/proc/self/fd")}


def _is_shared_badly(number: int) -> bool:
    """Says whether two processes with this file would disturb each other: all but files and folders."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        # What was read to list the files.
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


class _Redirected:
    """Has standard output and error go elsewhere for a while."""

    def __init__(self, file: int) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._saved = [os.dup(1), os.dup(2)]
        for number in (1, 2):
            os.dup2(self._file, number)

    def __exit__(self, *_: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, saved in zip((1, 2), self._saved):
            os.dup2(saved, number)
            os.close(saved)


def reseed() -> None:
    """Gives a forked child random numbers of its own, as the standard library does for its own generator."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed()


def settings_of(job: Dict[str, Any]) -> Dict[str, Any]:
    """Answers a job's settings without what says whose attempt it is."""
    env = {name: value for name, value in job["env"].items() if name not in _OF_ATTEMPT}
    return {**job, "env": env}
