"""What belongs to a process and not to a module: put back before whoever comes next in it.

What user code leaves in modules stays, because that is what a shared process is for. Where the streams lead, what signals do,
and which limits hold is nobody's to leave behind: the next one may be of another execution.
"""

# The functions of `signal` without its names for what they answer, which take ten times as long.
import _signal
import faulthandler
import fcntl
import gc
import io
import os
import sys
from typing import Any, List, Tuple

from skein_worker.marks import Raw

# From here on user code that closes or opens files by their numbers is not expected.
_KEPT_FROM = 200
_TIMERS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)


def stream(number: int) -> Any:
    """Opens standard output or error anew."""
    # By line: what was printed must have left the process when it is killed.
    raw = io.BufferedWriter(Raw(number, "w", closefd=False))
    text = io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    text.mode = "w"  # type: ignore[misc]
    return text


def flush() -> None:
    """Has what was printed leave the process, so that it belongs to whoever printed it."""
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except (AttributeError, OSError, ValueError):
            # It was closed, or something else was put in its place.
            pass


class Surroundings:
    """How a process is when its task is loaded."""

    def __init__(self) -> None:
        self._files = [(number, *_kept(number)) for number in (0, 1, 2)]
        self._streams = [(name, getattr(sys, name)) for name in ("stdin", "stdout", "stderr")]
        self.take_over()

    def take_over(self) -> None:
        """Has what was set since be what is put back, but for where the streams lead."""
        self._handlers = [(number, _signal.getsignal(number)) for number in _signal.valid_signals()]
        self._blocked = _signal.pthread_sigmask(_signal.SIG_BLOCK, [])
        self._limit = sys.getrecursionlimit()
        self._traces = (sys.gettrace(), sys.getprofile())
        self._collects = gc.isenabled()
        self._mask = os.umask(0o22)
        os.umask(self._mask)

    def put_back(self) -> None:
        """Has the process be so again."""
        self._put_signals_back()
        for number, kept, identity in self._files:
            if _identity(number) != identity and _identity(kept) == identity:
                os.dup2(kept, number)
        for number, (name, known) in enumerate(self._streams):
            if getattr(sys, name, None) is not known or known.closed:
                self._put_stream_back(number, name, known)
        if sys.getrecursionlimit() != self._limit:
            sys.setrecursionlimit(self._limit)
        if (sys.gettrace(), sys.getprofile()) != self._traces:
            sys.settrace(self._traces[0])
            sys.setprofile(self._traces[1])
        if gc.isenabled() != self._collects:
            (gc.enable if self._collects else gc.disable)()
        os.umask(self._mask)

    def _put_signals_back(self) -> None:
        # Timers first: what they send may have no handler soon.
        for timer in _TIMERS:
            _signal.setitimer(timer, 0)
        faulthandler.cancel_dump_traceback_later()
        for number, handler in self._handlers:
            # None is a handler that does not come from Python.
            if _signal.getsignal(number) != handler and handler is not None:
                _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self._blocked)

    def _put_stream_back(self, number: int, name: str, known: Any) -> None:
        if known.closed:
            known = open(0, closefd=False) if number == 0 else stream(number)
            self._streams[number] = (name, known)
        setattr(sys, name, known)
        setattr(sys, f"__{name}__", known)


def _kept(number: int) -> Tuple[int, List[int]]:
    """Answers a second number of a file, and by what it is known; of one that is not there, nothing that it could be."""
    try:
        kept = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _KEPT_FROM)
    except OSError:
        return -1, [-1]
    return kept, _identity(kept)


def _identity(number: int) -> List[int]:
    try:
        found = os.fstat(number)
    except OSError:
        return []
    return [found.st_dev, found.st_ino]
