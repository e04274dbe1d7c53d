"""Makes the environment of each peer, once, under `target/peers/`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from roster import PLUGIN, Peer

ROOT = Path(__file__).resolve().parents[2]
# Versions of Python that all peers have packages for.
MINORS = (12, 11, 10)
CLEARED = (
    "FLYTECTL_CONFIG",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPATH",
    "UNION_CONFIG",
    "VIRTUAL_ENV",
)


class NotInstallable(Exception):
    """A peer cannot be had here; the message says why, in words for the results."""


@dataclass(frozen=True)
class Environment:
    """Where a peer is installed."""

    python: Path
    npm: Path


def clean_environment() -> dict[str, str]:
    """Gives this process's variables without those that lead a peer elsewhere or make each start of Python slow."""
    return {name: value for name, value in os.environ.items() if name not in CLEARED}


def base_python() -> str:
    """Finds a Python for the environments.

    Raises:
        SystemExit: When there is none of a version that all peers have.
    """
    if sys.version_info[:2] in [(3, minor) for minor in MINORS]:
        return sys.executable
    found = next((path for minor in MINORS if (path := shutil.which(f"python3.{minor}"))), None)
    if found is None:
        raise SystemExit(f"the peers need one of Python {', '.join(f'3.{minor}' for minor in MINORS)}")
    return found


def ensure(peer: Peer, folder: Path) -> Environment:
    """Makes a peer's environment unless it is there with the same packages.

    Args:
        peer: Whose.
        folder: The folder that has one folder for each environment.

    Raises:
        NotInstallable: When a package cannot be had.
    """
    home = folder / (peer.environment or peer.name)
    environment = Environment(home / "bin/python", home / "server")
    stamp = home / ".requirements"
    wanted = "\n".join([*peer.requirements, peer.npm])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return environment
    if peer.npm and shutil.which("npm") is None:
        raise NotInstallable("its server is a package of npm's, and there is no npm")
    print(f"making the environment of {peer.title}: {peer.versions()}", flush=True)
    shutil.rmtree(home, ignore_errors=True)
    requirements = [str(ROOT / word) if word == PLUGIN else word for word in peer.requirements]
    _install(home, requirements)
    if peer.npm:
        environment.npm.mkdir(parents=True, exist_ok=True)
        _call(["npm", "install", "--prefix", str(environment.npm), "--no-audit", "--no-fund", peer.npm])
    stamp.write_text(wanted, encoding="utf-8")
    return environment


def _install(home: Path, requirements: list[str]) -> None:
    """Makes a virtual environment with `uv`, also the one that `cargo xtask` keeps, or else with what Python brings."""
    kept = ROOT / "target/uv/bin/uv"
    uv = shutil.which("uv") or (str(kept) if kept.exists() else None)
    python = str(home / "bin/python")
    if uv is not None:
        _call([uv, "venv", "--python", base_python(), str(home)])
        _call([uv, "pip", "install", "--compile-bytecode", "--python", python, *requirements])
    else:
        _call([base_python(), "-m", "venv", str(home)])
        _call([python, "-m", "pip", "install", "--quiet", *requirements])


def _call(command: list[str]) -> None:
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise NotInstallable("its packages cannot be installed here")
