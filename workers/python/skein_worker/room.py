"""A command in a room of its own: folders of its attempt lie where it expects them, and nothing that it starts outlives it.

What it sees of files is the machine's own but for these folders, in a mount namespace that nobody else is in. Its processes
are in a namespace too, whose end is the end of all of them. Nothing is left behind on the machine, not even an empty folder.

Imports nothing of this package: it is also run on its own, to find out whether the machine allows it.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from typing import Any, Dict, List, Optional, Set, Tuple

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWPID = 0x20000000
_MS_BIND = 4096
_MS_REC = 16384
_MS_PRIVATE = 1 << 18
_MS_SLAVE = 1 << 19
_PR_SET_PDEATHSIG = 1
# What a shell ends with when it cannot run a command.
_NOT_RUN = 126
_NOT_FOUND = 127
# How many entries of a folder are shown anew one by one, to have a new one beside them.
_ENTRIES_MAX = 10_000

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The machine does not allow it."""


def enter(binds: List[Tuple[str, str]], staging: str) -> None:
    """Has this process see each folder of this machine, the first of a pair, at the second.

    `staging` is an empty folder of the attempt's own. The processes that this one starts from now on are in a namespace.
    """
    is_root = os.geteuid() == 0
    user, group = os.geteuid(), os.getegid()
    flags = _CLONE_NEWNS | _CLONE_NEWPID | (0 if is_root else _CLONE_NEWUSER)
    _check(_libc.unshare(flags), "new namespaces")
    if not is_root:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    # What is mounted here is nobody else's to see.
    _mount(None, "/", _MS_REC | (_MS_PRIVATE if is_root else _MS_SLAVE))
    made: Set[str] = set()
    for number, (here, there) in enumerate(binds):
        # Opened before anything is put in its place.
        source = f"/proc/self/fd/{os.open(here, os.O_RDONLY | os.O_DIRECTORY)}"
        _make_place(there, os.path.join(staging, str(number)), made)
        _mount(source, there, _MS_BIND | _MS_REC)


def _make_place(there: str, staging: str, made: Set[str]) -> None:
    """Has a folder be at `there`, without making one on the machine's own disk."""
    if os.path.isdir(there):
        return
    base = os.path.dirname(there)
    while not os.path.lexists(base):
        base = os.path.dirname(base)
    if os.path.lexists(there) or not os.path.isdir(base):
        raise Refused(f"{there if os.path.lexists(there) else base} is there, and is no folder")
    base = os.path.realpath(base)
    if base not in made:
        _show_anew(base, staging)
        made.add(base)
    os.makedirs(there)


def _show_anew(base: str, staging: str) -> None:
    """Puts a folder in memory in the place of `base`, in which all that was there is to be seen."""
    entries = list(os.scandir(base))
    if len(entries) > _ENTRIES_MAX:
        raise Refused(f"{base} has more than {_ENTRIES_MAX} entries; make the folder that the task names in it")
    os.makedirs(staging)
    _mount("tmpfs", staging, 0, "tmpfs")
    os.chmod(staging, os.stat(base).st_mode & 0o7777)
    for entry in entries:
        copy = os.path.join(staging, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), copy)
            continue
        if entry.is_dir():
            os.mkdir(copy)
        else:
            os.close(os.open(copy, os.O_CREAT | os.O_WRONLY, 0o600))
        _mount(entry.path, copy, _MS_BIND | _MS_REC)
    if base == "/":
        os.chroot(staging)
        os.chdir("/")
    else:
        _mount(staging, base, _MS_BIND | _MS_REC)


def run(argv: List[str], env: Dict[str, str], cwd: str) -> None:
    """Runs a command in the room that this process has entered, and ends as it did; never returns."""
    # For the command and what it started; this process tells how they ended.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    told, tell = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(told)
        _first(argv, env, cwd, tell)
    os.close(tell)
    said = b""
    while len(said) < 4:
        more = os.read(told, 4 - len(said))
        if not more:
            break
        said += more
    os.waitpid(first, 0)
    # Without a word it was killed, and with it all the others.
    _end_as(struct.unpack("i", said)[0] if len(said) == 4 else signal.SIGKILL)


def _first(argv: List[str], env: Dict[str, str], cwd: str, tell: int) -> None:
    """As the first process of its namespace: starts the command, buries what dies, and says how the command ended."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        _mount("proc", "/proc", 0, "proc")
    except Refused:
        # Inside other containers it may be hidden in part, and cannot be shown whole then.
        pass
    command = os.fork()
    if command == 0:
        _command(argv, env, cwd)
    while True:
        pid, status = os.wait()
        if pid == command:
            os.write(tell, struct.pack("i", status))
            os._exit(0)


def _command(argv: List[str], env: Dict[str, str], cwd: str) -> None:
    # Python ignores these, and a command expects to be ended by them.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.chdir(cwd)
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode(errors="replace"))
        os._exit(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN)


def _end_as(status: int) -> None:
    """Ends this process the way that another ended."""
    if not os.WIFSIGNALED(status):
        os._exit(os.waitstatus_to_exitcode(status))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    number = os.WTERMSIG(status)
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _mount(source: Optional[str], target: str, flags: int, kind: Optional[str] = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), None), f"a mount at {target}")


def _check(answer: int, what: str) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise Refused(f"{what}: {os.strerror(number)}")


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error


def probe(folder: str) -> Any:
    """Says why the machine does not allow a room, as an exit status; `folder` is any."""
    try:
        enter([(folder, folder)], folder)
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    except (Refused, OSError) as error:
        return str(error)
    return 0


if __name__ == "__main__":
    sys.exit(probe(sys.argv[1]))
