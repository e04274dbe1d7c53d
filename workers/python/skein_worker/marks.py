"""Marks in what is printed: whose the text after them is, of the items that share a process.

A mark is written into the log itself, so that it is where it belongs whoever reads when. An item that prints nothing costs
nothing: its mark is written by the first write to standard output or error while it runs, or before it starts a program, and
what comes after goes the way it always went. What a library in C prints by itself is not seen here; for its sake an item is
marked every few milliseconds whether it prints or not.
"""

import fcntl
import functools
import io
import os
import sys
from typing import Any, List, Optional

from skein_worker.progress import Progress

_END = b"\x1e"
# From here on user code that closes or opens files by their numbers is not expected.
_KEPT_FROM = 200
# As it was before user code ran.
_write = os.write

_log: Optional[int] = None
_log_is: Any = None
# Of the chunk that runs.
_current: "Optional[Marks]" = None


class Raw(io.FileIO):
    """A standard stream whose `write` can be another for a while: a plain `FileIO` has no place for one."""


def keep(log: int) -> None:
    """Keeps the log under a number of its own: standard output may be led elsewhere while an item runs."""
    global _log, _log_is
    if _log is not None:
        # It is of the process that this one was forked from.
        os.close(_log)
    _log = fcntl.fcntl(log, fcntl.F_DUPFD_CLOEXEC, _KEPT_FROM)
    _log_is = _identity(_log)


def _identity(number: int) -> Any:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _mark_programs() -> None:
    """Has an item be marked before it starts a program, whose output comes from elsewhere."""
    popen = getattr(sys.modules.get("subprocess"), "Popen", None)
    owners = [(os, "system")] if popen is None else [(os, "system"), (popen, "_execute_child")]
    for owner, name in owners:
        known = getattr(owner, name, None)
        if known is not None and not hasattr(known, "_marks"):
            setattr(owner, name, _marking(known))


def _marking(known: Any) -> Any:
    @functools.wraps(known)
    def start(*arguments: Any, **named: Any) -> Any:
        if _current is not None:
            _current.mark()
        return known(*arguments, **named)

    start._marks = True  # type: ignore[attr-defined]
    return start


class Marks:
    """The marks of one chunk."""

    def __init__(self, prefix: Optional[str], progress: Progress) -> None:
        global _current
        # Not empty when something is to be done before an item runs: asking a list costs next to nothing.
        self.due: List[bool] = []
        self._progress = progress
        self._is_announced = True
        self._raws: List[Any] = []
        # Somebody may have closed everything and opened something else there.
        if prefix is None or _log is None or _identity(_log) != _log_is:
            return
        self._prefix = prefix.encode()
        streams = (sys.stdout, sys.stderr)
        raws = (getattr(getattr(stream, "buffer", None), "raw", None) for stream in streams)
        self._raws = [raw for raw in raws if isinstance(raw, Raw)]
        self.due.append(True)
        _current = self
        _mark_programs()

    def before_item(self) -> None:
        """Does what is due, now that the next item is noted as the one that runs."""
        if self._is_announced:
            self._is_announced = False
            self.mark()
        for raw in self._raws:
            raw.write = self._first_of(raw)
        self.due.clear()

    def announce(self) -> None:
        """Has the next item be marked even if it prints nothing by itself."""
        if self._raws and not self._is_announced:
            self._is_announced = True
            self.due.append(True)

    def end(self) -> None:
        """Leaves the streams as they were: what is printed from here on is nobody's."""
        global _current
        _current = None
        self._let_go()

    def _let_go(self) -> None:
        for raw in self._raws:
            raw.__dict__.pop("write", None)

    def _first_of(self, raw: Raw) -> Any:
        def write(data: Any) -> Any:
            self._let_go()
            if not self.due:
                self.due.append(True)
            self.mark()
            return raw.write(data)

        return write

    def mark(self) -> None:
        """Writes a mark of the item that runs."""
        number = self._progress.number[0]
        if number >= 0:
            try:
                # Short enough to be written whole, whoever else writes.
                _write(_log, self._prefix + str(number).encode() + _END)
            except OSError:
                # It was closed: whoever did that prints no more either.
                pass
