"""Maps of which one item harms the process that it runs in."""

import builtins
import ctypes
import faulthandler
import functools
import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable, Optional

from flytekit import current_context, map_task, task, workflow
from flytekitplugins.skein import Skein

from workflows import witness

MEBIBYTE = 1024 * 1024
HELD: list[Any] = []


@dataclass
class Box:
    """A value that only the SDK's own dispatch takes apart."""

    value: int


def _close_all() -> None:
    os.closerange(3, 4096)


def _close_standard_streams() -> None:
    for number in (0, 1, 2):
        os.close(number)
    # What is opened next would be taken for one of them.
    HELD.append(open(os.devnull, encoding="utf-8"))


def _replace_builtins() -> None:
    """What the SDK itself can do without, and whoever tells the worker about results could not."""
    msgpack = sys.modules["msgpack"]
    builtins.print = msgpack.packb = msgpack.unpackb = None  # type: ignore[assignment, attr-defined]
    os.getpid = lambda: 1


def _ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _leave_threads() -> None:
    for _ in range(3):
        threading.Thread(target=time.sleep, args=(600,)).start()


def _leave_children() -> None:
    """One in this group, which holds standard output; and a daemon of its own session whose parent is gone."""
    witness.note("left", subprocess.Popen(["sleep", "600"]).pid)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            witness.note("left", os.getpid())
            os.execvp("sleep", ["sleep", "600"])
        os._exit(0)
    os.wait()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _disturb_the_interpreter() -> None:
    gc.disable()
    gc.freeze()
    faulthandler.enable()
    faulthandler.dump_traceback_later(0.3, exit=True)
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)
    sys.setrecursionlimit(150)
    sys.argv, sys.path[:] = [], []
    os.umask(0o777)


DEEDS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "raises_system_exit": lambda: sys.exit(3),
    "exits_with_words": lambda: sys.exit("out of geese"),
    "interrupts": _interrupt,
    "exits_with_0": lambda: os._exit(0),
    "exits_with_3": lambda: os._exit(3),
    "segfaults": lambda: ctypes.string_at(0),
    "closes_all_files": _close_all,
    "leaks": lambda: HELD.append(b"x" * 64 * MEBIBYTE),
    "prints": lambda: print("p" * 64 * MEBIBYTE),
    "leaves_threads": _leave_threads,
    "leaves_children": _leave_children,
    "goes_elsewhere": lambda: os.chdir("/"),
    "deletes_its_folder": lambda: shutil.rmtree(os.getcwd()),
    "clears_the_environment": os.environ.clear,
    "replaces_functions": _replace_builtins,
    "closes_standard_streams": _close_standard_streams,
    "closes_stdout": lambda: sys.stdout.close(),
    "ignores_signals": _ignore_signals,
    "sets_an_alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 0.3),
    "disturbs_the_interpreter": _disturb_the_interpreter,
}


def _run(x: int, deed: str, culprit: int) -> int:
    if x == culprit:
        DEEDS[deed]()
    return x * x


@task
def usual(x: int, deed: str, culprit: int) -> int:
    """An item that shares its process with others of its map."""
    return _run(x, deed, culprit)


@task(task_config=Skein(isolation="reuse", process_growth_mib_max=32))
def reused(x: int, deed: str, culprit: int) -> int:
    """An item that shares its process with others, also of other executions."""
    return _run(x, deed, culprit)


@task(task_config=Skein(isolation="reuse"))
def boxed(x: Box, deed: str, culprit: int) -> Box:
    """The same, by the SDK's own dispatch."""
    return Box(_run(x.value, deed, culprit))


@task(task_config=Skein(isolation="fork"))
def forked(x: int, deed: str, culprit: int) -> int:
    """An item that shares its process with nobody."""
    return _run(x, deed, culprit)


@task
def unbox(x: Optional[Box]) -> Optional[int]:
    """Takes the value out."""
    return x and x.value


@workflow
def usual_map(xs: list[int], deed: str, culprit: int) -> list[Optional[int]]:
    """Items that share a process within the execution."""
    return map_task(functools.partial(usual, deed=deed, culprit=culprit), min_success_ratio=0.5)(x=xs)


@workflow
def reused_map(xs: list[int], deed: str, culprit: int) -> list[Optional[int]]:
    """Items that share a process with other executions."""
    return map_task(functools.partial(reused, deed=deed, culprit=culprit), min_success_ratio=0.5)(x=xs)


@workflow
def boxed_map(xs: list[Box], deed: str, culprit: int) -> list[Optional[Box]]:
    """The same, by the SDK's own dispatch."""
    return map_task(functools.partial(boxed, deed=deed, culprit=culprit), min_success_ratio=0.5)(x=xs)


@workflow
def forked_map(xs: list[int], deed: str, culprit: int) -> list[Optional[int]]:
    """Items that share no process."""
    return map_task(functools.partial(forked, deed=deed, culprit=culprit), min_success_ratio=0.5)(x=xs)


@workflow
def strict_map(xs: list[int], deed: str, culprit: int) -> list[int]:
    """All items have to succeed."""
    return map_task(functools.partial(usual, deed=deed, culprit=culprit))(x=xs)


def _tell(deed: str) -> list[str]:
    print("still heard")
    told = [
        f"execution {current_context().execution_id.name}",
        f"variable {os.environ.get('FLYTE_INTERNAL_EXECUTION_ID')}",
        f"folder {os.path.isdir(os.getcwd()) and os.getcwd() != '/'}",
        f"timer {signal.getitimer(signal.ITIMER_REAL)[0] > 0}",
        f"limit {sys.getrecursionlimit() >= 1000}",
        f"trace {sys.gettrace()} {sys.getprofile()} {gc.isenabled()}",
        f"signals {[str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)]}",
        f"mask {oct(os.umask(0o22))} {bool(sys.argv)} {bool(sys.path)}",
    ]
    DEEDS[deed]()
    return told + [f"process {os.readlink('/proc/self')}"]


@task(task_config=Skein(isolation="reuse"))
def tells(deed: str) -> list[str]:
    """Tells what it finds in a process that others had before it, and does its deed."""
    return _tell(deed)


@task(task_config=Skein(isolation="reuse"))
def tells_boxed(box: Box, deed: str) -> list[str]:
    """The same, by the SDK's own dispatch."""
    return _tell(deed)


@task(task_config=Skein(isolation="reuse"))
def tells_item(x: int, deed: str) -> list[str]:
    """The same, as an item of a map."""
    return _tell(deed)


@workflow
def tells_map(xs: list[int], deed: str) -> list[list[str]]:
    """Each item tells."""
    return map_task(functools.partial(tells_item, deed=deed))(x=xs)
