"""What Linux offers so that no process outlives the one that answers for it."""

import ctypes
import os
import signal
from typing import List

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

# Loaded here, before any fork: a child must not have to search for a library.
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Makes descendants whose parents die children of this process, so that it can end them."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when `parent` dies, and ends it at once if that has happened already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def children() -> List[int]:
    """Lists the children of this process, those it adopted included."""
    own = os.getpid()
    try:
        with open(f"/proc/{own}/task/{own}/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except FileNotFoundError:
        return _children_by_search(own)


def _children_by_search(own: int) -> List[int]:
    """Does the same on a kernel that keeps no list."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:
                # The name in parentheses may hold anything, so what follows its last one is read.
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == own:
            found.append(int(entry))
    return found


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}) was refused: {os.strerror(number)}")
