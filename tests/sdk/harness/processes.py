"""Reads from /proc who started whom."""

from pathlib import Path


def stat(pid: int) -> tuple[str, int, int]:
    """State, parent and start time of a process, by the layout of proc(5); the name may hold blanks."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return fields[0], int(fields[1]), int(fields[19])


def descendants(ancestor: int) -> set[tuple[int, int]]:
    """All processes below `ancestor`, as (pid, start time), so that a pid that is used again is another one."""
    parents: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                _, parent, started = stat(int(entry.name))
            except (OSError, IndexError):
                continue
            parents[int(entry.name)] = (parent, started)
    found: set[tuple[int, int]] = set()
    for pid, (parent, started) in parents.items():
        seen = set()
        while parent in parents and parent not in seen and parent != ancestor:
            seen.add(parent)
            parent = parents[parent][0]
        if parent == ancestor:
            found.add((pid, started))
    return found


def alive(process: tuple[int, int]) -> bool:
    """Whether this very process still runs; one that only waits to be reaped does not."""
    try:
        state, _, started = stat(process[0])
    except (OSError, IndexError):
        return False
    return started == process[1] and state != "Z"


def runs(pid: int) -> bool:
    """Whether any process has this id now, one that only waits to be reaped apart."""
    try:
        return stat(pid)[0] != "Z"
    except (OSError, IndexError):
        return False


def reset_peak(pid: int) -> None:
    """Has the kernel forget the most memory that a process had, by proc(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def peak_bytes(pid: int) -> int:
    """The most memory that a process had since it began, or since this was reset."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [kibibytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(kibibytes) * 1024
