"""The zygote: imports the SDK once, runs nothing, starts no thread, and forks a child for whoever asks.

It owns the process ids. Signals are sent by it alone, because only it knows which ids have not been reaped and
so cannot mean somebody else. When the worker goes, its end of the control socket closes, and everything that was
ever forked here is killed.
"""

import contextlib
import gc
import importlib.util
import os
import select
import signal
import socket
import sys
from typing import Any, Dict, Iterator, List, Optional, Tuple

# Bytecode goes where the worker said (-X pycache_prefix), whatever this machine's environment asks for: without it each
# start compiles the whole SDK.
sys.dont_write_bytecode = False

from skein_worker import processes  # noqa: E402
from skein_worker.frames import Frames, Splitter  # noqa: E402

PROTOCOL = "1"
"""The version of the protocol between the worker and this side of it."""

# A request comes with the child's socket, its log and its progress page.
_FILES_PER_CHILD = 3


class Zygote:
    """Forks, signals and reaps."""

    def __init__(self, control: socket.socket, on_interrupt: Any) -> None:
        self._control = control
        self._on_interrupt = on_interrupt
        self._frames = Frames(control)
        self._splitter = Splitter()
        self._files: List[int] = []
        self._pids: Dict[int, int] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    def serve(self) -> Optional[Tuple[int, int, int]]:
        """Serves until the worker goes: then none. In a forked child: the files it was given."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write)
        while True:
            readable, _, _ = select.select([self._control, self._wake_read], [], [])
            if self._wake_read in readable:
                self._drain_wake()
            self._reap()
            if self._control not in readable:
                continue
            messages = self._receive()
            if messages is None:
                return None
            for message in messages:
                child = self._obey(message)
                if child is not None:
                    return child

    def end_everything(self) -> None:
        """Kills all children and what they left behind, until there are none."""
        for child in list(self._pids):
            self._signal(child, signal.SIGKILL)
        while True:
            for pid in processes.children():
                _kill(pid)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def _receive(self) -> Optional[List[Dict[str, Any]]]:
        received, files, _, _ = socket.recv_fds(self._control, 65536, 16 * _FILES_PER_CHILD)
        for file in files:
            os.set_inheritable(file, False)
        self._files.extend(files)
        return self._splitter.feed(received) if received else None

    def _obey(self, message: Dict[str, Any]) -> Optional[Tuple[int, int, int]]:
        if "fork" in message:
            return self._fork(message["fork"])
        self._signal(message["kill"], message["signal"])
        return None

    def _fork(self, child: int) -> Optional[Tuple[int, int, int]]:
        connection, log, progress = self._files[:_FILES_PER_CHILD]
        del self._files[:_FILES_PER_CHILD]
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            # No memory or no process left at present: that is one child's misfortune, not everybody's.
            print(f"cannot fork: {error}", file=sys.stderr, flush=True)
            for file in (connection, log, progress):
                os.close(file)
            self._frames.send({"exited": child, "status": None})
            return None
        if pid == 0:
            self._forget_everything(parent)
            return connection, log, progress
        self._pids[child] = pid
        for file in (connection, log, progress):
            os.close(file)
        self._frames.send({"forked": child, "pid": pid})
        return None

    def _forget_everything(self, parent: int) -> None:
        """In the child: keeps nothing of the zygote's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, self._on_interrupt)
        self._control.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        for file in self._files:
            os.close(file)
        # A session of its own is a process group of its own, and no terminal can reach it.
        os.setsid()
        processes.die_with_parent(parent)
        processes.adopt_orphans()

    def _signal(self, child: int, number: int) -> None:
        pid = self._pids.get(child)
        if pid is None:
            return
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            # Not yet a group leader: it was forked a moment ago.
            _kill(pid, number)

    def _reap(self) -> None:
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if dead is None:
                return
            self._bury(dead.si_pid)

    def _bury(self, pid: int) -> None:
        """Ends what a dead child left behind, then says how the child ended."""
        # Until it is reaped its id is its own, and so is the id of its group.
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        _, status = os.waitpid(pid, 0)
        child = next((child for child, known in self._pids.items() if known == pid), None)
        if child is None:
            return
        del self._pids[child]
        known = set(self._pids.values())
        # Whoever left the group was adopted by the child, and after its death by us.
        for orphan in processes.children():
            if orphan not in known:
                _kill(orphan)
        self._frames.send({"exited": child, "status": os.waitstatus_to_exitcode(status)})

    def _drain_wake(self) -> None:
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            pass


def _kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


@contextlib.contextmanager
def _installed_bytecode() -> Iterator[None]:
    """Reads bytecode from beside the installed SDK, if it is there: a new data folder has none, and compiling takes seconds."""
    prefix, sys.pycache_prefix = sys.pycache_prefix, None
    found = importlib.util.find_spec("flytekit")
    compiled = importlib.util.cache_from_source(found.origin) if found and found.origin else ""
    if os.path.exists(compiled):
        sys.dont_write_bytecode = True
    else:
        sys.pycache_prefix = prefix
    try:
        yield
    finally:
        sys.pycache_prefix = prefix
        sys.dont_write_bytecode = False


def _versions() -> Dict[str, str]:
    import flytekit

    return {"protocol": PROTOCOL, "python": sys.version.split()[0], "flytekit": flytekit.__version__}


def main(version: str) -> None:
    """Imports what every child needs, then serves the control socket, which is standard input.

    `version` is the version of the protocol that the worker speaks.
    """
    if version != PROTOCOL:
        sys.exit(f"this side speaks version {PROTOCOL} of the worker protocol, and the worker version {version}")
    # The worker drains and then closes the socket; a Ctrl-C in its terminal is not for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    processes.adopt_orphans()

    with _installed_bytecode():
        import flytekit  # noqa: F401
        import flytekit.bin.entrypoint  # noqa: F401
        import flytekit.core.array_node_map_task  # noqa: F401

    from skein_worker import child, copies, loops, warming

    copies.install()
    if loops.install():
        warming.warm_up()

    # The SDK's own handler, which is for the children, took the place of ours.
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Children share these pages for as long as nobody writes to them, and a collection would.
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    Frames(control).send({"ready": _versions()})
    zygote = Zygote(control, on_interrupt)
    files = zygote.serve()
    if files is None:
        zygote.end_everything()
        os._exit(0)
    child.run(*files)

