"""What the tests are told from outside, each through one environment variable."""

import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
PROJECT_FOLDER = FOLDER / "project"
PROJECT = "flytesnacks"
DOMAIN = "development"
VERSION = "v1"
PACKAGE = "workflows"

LONG = os.environ.get("SKEIN_LONG") == "1"
"""Whether the long forms run: more moments to be killed at, more of everything."""


def binary() -> Path:
    """The program under test."""
    named = os.environ.get("SKEIN_BINARY")
    if not named:
        raise RuntimeError("set SKEIN_BINARY to the built program, or run cargo xtask test, which does")
    return Path(named)


def native_program(name: str) -> Path:
    """A program with tasks in Rust: an example of the crate `skein-task`."""
    folder = os.environ.get("SKEIN_NATIVE_EXAMPLES")
    program = (Path(folder) if folder else binary().parent / "examples") / name
    if not program.is_file():
        raise RuntimeError(f"{program} is not there: run cargo build --package skein-task --examples")
    return program


def flytekit_python() -> Path:
    """An interpreter with flytekit and without union: by default the one that runs the tests."""
    return Path(os.environ.get("SKEIN_TEST_FLYTEKIT_PYTHON", sys.executable))


def union_python() -> Path:
    """An interpreter with flytekit and union."""
    named = os.environ.get("SKEIN_TEST_PYTHON")
    if not named:
        raise RuntimeError("set SKEIN_TEST_PYTHON to a python with union installed, or run cargo xtask test")
    return Path(named)


def guide_python() -> Path:
    """An interpreter with union and what the examples of its user guide import."""
    named = os.environ.get("SKEIN_TEST_GUIDE_PYTHON")
    if not named:
        raise RuntimeError("set SKEIN_TEST_GUIDE_PYTHON to a python with union and pandas, or run cargo xtask test")
    return Path(named)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would lead an SDK elsewhere, and with byte code cached."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FLYTE", "UNION", "_U", "_F_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    for name in ("VIRTUAL_ENV", "SKEIN_CONFIG"):
        kept.pop(name, None)
    return {**kept, "UNION_USAGE_STATS_ENABLED": "0", "COLUMNS": "400", "NO_COLOR": "1", **more}
