"""Says on what, when and how figures were taken."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

from environments import ROOT


def _field(file: str, name: str, separator: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(separator)
        if key.strip() == name:
            return value.strip().strip('"')
    return "unknown"


def _file_system(path: str) -> str:
    """Gives the kind of the file system that a path lies on: that of the longest mount point above it."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    above = [(at, kind) for at, kind in mounts if Path(path).is_relative_to(at)]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()


def describe(skein: Path, began: float, load: tuple[float, float, float], options: str) -> list[str]:
    """Gives one line for each thing that a reader has to know.

    Args:
        skein: Our program.
        began: When the first run began, in seconds since the epoch.
        load: The load average then.
        options: What was asked for beside the program, as it is typed.
    """
    memory = int(_field("/proc/meminfo", "MemTotal", ":").split()[0]) / (1 << 20)
    cpu = _field("/proc/cpuinfo", "model name", ":")
    system = _field("/etc/os-release", "PRETTY_NAME", "=")
    files = _file_system(str(Path(tempfile.gettempdir()).resolve()))
    date = time.strftime("%d %B %Y, %H:%M", time.gmtime(began))
    minutes = (time.time() - began) / 60
    loads = f"{load[0]:.1f} before, {os.getloadavg()[0]:.1f} after"
    commit = _said("git", "describe", "--always", "--dirty")
    command = f"`python benches/peers/run.py --skein target/release/skein{options}`"
    return [
        f"Machine: {os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, {system}, Linux {platform.release()}, {files}",
        f"Taken: {date} UTC, in {minutes:.0f} minutes; load average {loads}",
        f"Skein: {_said(str(skein.resolve()), '--version')}, commit {commit or 'unknown'}; Python {platform.python_version()}",
        f"Command: {command}",
    ]
