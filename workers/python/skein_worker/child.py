"""A forked child: takes one job, or one chunk after another, and ends as a Python process of its own would."""

import atexit
import os
import signal
import socket
import sys
import tempfile
import threading
import traceback
from typing import Any, Dict, Optional

from flytekit.loggers import initialize_global_loggers

from skein_worker import attempt, chunk
from skein_worker.frames import Frames
from skein_worker.progress import Progress


def run(connection: int, log: int, progress: int) -> None:
    """Does what the worker asks; never returns."""
    code = 1
    try:
        _take_over_output(log)
        frames = Frames(socket.socket(fileno=connection))
        code = _serve(frames, Progress(progress))
    except BaseException as error:  # noqa: BLE001 - whatever ends the task ends the process
        code = exit_code(error)
    finally:
        _finish(code)


def _serve(frames: Frames, progress: Progress) -> int:
    task: Optional[chunk.MapTask] = None
    while True:
        job = frames.receive()
        if job is None:
            return 0
        if "attempt" in job:
            settle(job["attempt"])
            frames.send({"started": True})
            attempt.run(job["attempt"]["argv"])
            attempt.publish(job["outputs"], job["publish"])
            return 0
        if "load" in job:
            settle(job["load"])
            task = chunk.MapTask(job["load"])
            frames.send({"loaded": task.why_not_fast})
        elif task is None:
            raise RuntimeError("a chunk came before its task")
        else:
            _enter(job["chunk"]["cwd"])
            task.run_chunk(job["chunk"], frames, progress)


def settle(job: Dict[str, Any]) -> None:
    """Makes environment, folder and module path those of the job, and of nothing else.

    What was read from the environment when the zygote started is read again: where temporary files go, how logs look.
    """
    os.environ.clear()
    os.environ.update(job["env"])
    tempfile.tempdir = None
    initialize_global_loggers()
    _enter(job["cwd"])
    # Empty entries and the zygote's own folder come from how the zygote was started.
    sys.path[:] = job["path"] + [entry for entry in sys.path if entry and entry != job["own"]]
    sys.argv = list(job["argv"])


def _enter(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)


def _take_over_output(log: int) -> None:
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    # By line: what was printed must have left the process when it is killed.
    sys.stdout = sys.__stdout__ = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = sys.__stderr__ = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def exit_code(error: BaseException) -> int:
    """Answers what the interpreter would end with after `error`, and prints what it would print."""
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    traceback.print_exception(type(error), error, error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return 1


def _finish(code: int) -> None:
    """Does what the end of an interpreter does for user code, and leaves out tearing a thousand modules down."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)
