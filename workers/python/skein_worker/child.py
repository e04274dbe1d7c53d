"""A forked child: takes one job, or one chunk after another, and ends as a Python process of its own would."""

import atexit
import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import traceback
from typing import Any, Dict, Optional

from flytekit.loggers import initialize_global_loggers

from skein_worker import attempt, chunk, marks, room, single
from skein_worker.frames import Broken, Frames
from skein_worker.nest import Nest, reseed, settings_of
from skein_worker.progress import Progress
from skein_worker.surroundings import Surroundings, flush, stream
from skein_worker.zygote import Zygote


# Where modules are found by whoever has not been given a job.
_PATH = list(sys.path)
# Frames of these files say nothing to users.
_HERE = os.path.dirname(__file__) + os.sep
# As it was before user code ran.
_pause = signal.pause


def run(connection: int, log: int, progress: int, nest: Optional[Nest] = None) -> None:
    """Does what the worker asks, with the task of `nest` when it was forked from one; never returns."""
    code, frames = 1, None
    try:
        _take_over_output(log)
        frames = Frames(socket.socket(fileno=connection))
        if nest is not None:
            reseed()
            nest.print_again()
        code = _serve(frames, Progress(progress), None if nest is None else nest.task)
    except Broken as broken:
        code = _unheard(broken)
    except BaseException as error:  # noqa: BLE001 - whatever ends the task ends the process
        code = exit_code(error)
    finally:
        _finish(code, frames)


def _unheard(broken: Broken) -> int:
    """Does what is left when user code has closed the connection to the worker."""
    while broken.is_shared:
        # The worker ends this process. If it ended by itself it would do so in the name of whichever item runs by now.
        _pause()
    print(broken, file=sys.stderr)
    return 1


def _serve(frames: Frames, progress: Progress, task: Any) -> int:
    surroundings, secret = None, []
    while True:
        job = frames.receive()
        if job is None:
            return 0
        if "attempt" in job:
            settle(job["attempt"])
            if job.get("room") is not None:
                return _run_in_room(job["attempt"], job["room"], frames)
            frames.send({"started": True})
            attempt.run(job["attempt"]["argv"], fresh=job["fresh"])
            attempt.publish(job)
            return 0
        if "load" in job:
            settle(job["load"])
            task = _load(job["load"])
            if surroundings is None:
                surroundings = Surroundings()
            else:
                # Another task of the same environment: what its module set up when it was imported is there for it too.
                surroundings.take_over()
            forget(job["load"])
            frames.send({"loaded": task.why_not_fast, "pid": os.getpid()})
        elif "nest" in job:
            _become_nest(settings_of(job["nest"]), frames)
        elif task is None:
            raise RuntimeError("work came before its task")
        elif "chunk" in job:
            frames.is_shared = True
            settle(job["setting"])
            task.run_chunk(job["chunk"], frames, progress)
            forget(job["setting"])
        else:
            frames.is_shared = not job["single"]["once"]
            settle(job["single"])
            task.run(job["single"], frames)
            if job["single"]["once"]:
                return 0
            forget(job["single"])
        if not frames.is_own:
            # What comes next is not for a copy.
            return 0
        if surroundings is not None:
            # At once: a timer must not go off in the next one's time, and the answer is out already.
            surroundings.put_back()


def _run_in_room(setting: Dict[str, Any], place: Dict[str, Any], frames: Frames) -> int:
    """Runs a command that is none of the SDK's where its folders are; returns only when there is no such place."""
    try:
        room.enter([(here, there) for here, there in place["binds"]], place["staging"])
    except (room.Refused, OSError) as error:
        frames.send({"started": False, "obstacle": str(error)})
        return 1
    frames.send({"started": True})
    room.run(setting["argv"], dict(os.environ), setting["cwd"])
    return 1


def _become_nest(job: Dict[str, Any], frames: Frames) -> None:
    """Imports a task and forks children of it, if nothing is against that; returns only when something is."""
    settle(job)
    nest = Nest(lambda importing: _load(job, importing), job.get("secret") or ())
    frames.send({"obstacle": nest.obstacle, "slow": nest.task.why_not_fast})
    if nest.obstacle is not None:
        return
    zygote = Zygote(frames.connection, signal.getsignal(signal.SIGINT))
    files = zygote.serve()
    if files is None:
        zygote.end_everything()
        os._exit(0)
    run(*files, nest)


def _load(job: Dict[str, Any], importing: Any = contextlib.nullcontext()) -> Any:
    """Imports a task, of a map or a single one, in the context `importing`."""
    is_map = job["argv"][0] == "pyflyte-map-execute"
    return chunk.MapTask(job, importing) if is_map else single.SingleTask(job, importing)


def settle(job: Dict[str, Any]) -> None:
    """Makes environment, folder and module path those of the job, and of nothing else.

    What was read from the environment when the process started is read again: where temporary files go, how logs look.
    """
    for group in job.get("groups", ()):
        _join(group)
    env, logs = job["env"], _logs_of(os.environ)
    for name in [name for name in os.environ if name not in env]:
        del os.environ[name]
    for name, value in env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    tempfile.tempdir = None
    if logs != _logs_of(env):
        initialize_global_loggers()
    _enter(job["cwd"])
    # Empty entries and the zygote's own folder come from how the zygote was started. What an attempt before this one added
    # (the SDK adds its working folder) is gone: every import that finds nothing would look there too.
    first = job["path"]
    sys.path[:] = first + [entry for entry in _PATH if entry and entry != job["own"] and entry not in first]
    sys.argv = list(job["argv"])


def forget(job: Dict[str, Any]) -> None:
    """Takes the secrets of a job out of the environment: they are for that job alone, which has ended."""
    for name in job.get("secret") or ():
        os.environ.pop(name, None)


def _logs_of(env: Any) -> Dict[str, str]:
    """Answers the variables by which the SDK's loggers go."""
    return {name: env[name] for name in env if name.startswith("FLYTE_SDK_")}


def _join(group: str) -> None:
    """Enters a control group, by the file that lists its processes: from here on its limits hold."""
    with open(group, "w") as processes:
        processes.write("0")


def _enter(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)


def _take_over_output(log: int) -> None:
    os.dup2(log, 1)
    os.dup2(log, 2)
    marks.keep(log)
    os.close(log)
    sys.stdout = sys.__stdout__ = stream(1)
    sys.stderr = sys.__stderr__ = stream(2)


def exit_code(error: BaseException) -> int:
    """Answers what the interpreter would end with after `error`, and prints what it would print."""
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_HERE):
        trace = trace.tb_next
    # An error that is all ours is shown whole.
    traceback.print_exception(type(error), error, trace or error.__traceback__)
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    return 1


def _finish(code: int, frames: Optional[Frames]) -> None:
    """Does what the end of an interpreter does for user code, and leaves out tearing a thousand modules down."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    flush()
    # No user code runs from here on: the worker need not wait until the kernel has taken a thousand modules down.
    if frames is not None:
        try:
            frames.send({"ended": code})
        except OSError:
            pass
    os._exit(code)
