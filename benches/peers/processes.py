"""Runs a peer's program, and ends all that it has started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOK_SECONDS = 0.001
# Found in the environment of whatever a program starts, also of what has left its group and lost its parent.
MARK = "PEER_RUN"
STDERR_LINES = 15


class Failed(Exception):
    """A run that gave no figure; the message says why, in words for the results."""


@dataclass
class Program:
    """A program that runs, with its files in a folder."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Starts it in a session of its own."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        environment = {**self.environment, "HOME": str(home), MARK: self.mark, "PEER_SPAWNED": repr(time.time())}
        with open(self.folder / "stdout.txt", "wb") as out, open(self.folder / "stderr.txt", "wb") as err:
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def answer(self, limit: float) -> dict[str, Any]:
        """Waits for its end; gives the line of JSON that it printed.

        Raises:
            Failed: When it takes longer, fails, or prints none.
        """
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failed(f"more than {limit:.0f} s") from None
        finally:
            self.kill()
        lines = (self.folder / "stdout.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        answers = [line for line in lines if line.startswith('{"seconds"')]
        if code != 0 or not answers:
            self.complain()
            raise Failed("failed")
        return json.loads(answers[-1])

    def has_ended(self) -> bool:
        """Says whether it has ended by itself."""
        return self.process.poll() is not None

    def complain(self) -> None:
        """Shows the end of what it wrote as errors."""
        text = (self.folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")
        print("\n".join(f"    {line}" for line in text.splitlines()[-STDERR_LINES:]), flush=True)

    def kill(self) -> float:
        """Kills it and all that it has started, as a crash would; gives when, in seconds since the epoch."""
        killed = time.time()
        while found := _members(self.process.pid, self.mark):
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            # A killed process can be seen until its parent has asked for it.
            self.process.poll()
            time.sleep(LOOK_SECONDS)
        self.process.wait()
        return killed


def _members(root: int, mark: str) -> list[int]:
    """Gives the processes that descend from one, or carry its mark."""
    wanted = f"{MARK}={mark}".encode()
    parents: dict[int, int] = {}
    members = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_bytes().rsplit(b") ", 1)[1].split()[:2]
            if state == b"Z":
                continue
            parents[int(entry.name)] = int(parent)
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                members.add(int(entry.name))
        except (OSError, IndexError):
            continue
    if root in parents:
        members.add(root)
    while more := {pid for pid, parent in parents.items() if parent in members and pid not in members}:
        members |= more
    members.discard(os.getpid())
    return sorted(members)
