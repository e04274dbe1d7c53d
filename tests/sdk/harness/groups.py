"""Control groups, which not every user may make."""

import subprocess
from pathlib import Path

import pytest

from harness.settings import binary, environment

SECONDS_MAX = 90


def require_control_groups(folder: Path) -> None:
    """Leaves the test out where this user may make no control groups."""
    words = [str(binary()), "up", "--data", str(folder / "probe"), "--listen", "127.0.0.1:0"]
    words += ["--python", "/nonexistent", "--resources", "enforce"]
    probe = subprocess.run(
        words, capture_output=True, text=True, timeout=SECONDS_MAX, env=environment(), check=False
    )
    if "control group" in probe.stderr:
        pytest.skip(f"limits cannot be held to here: {probe.stderr.strip()}")
