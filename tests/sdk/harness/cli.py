"""Runs the real command lines, `pyflyte` and `union`, as a user would."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.server import Skein
from harness.settings import DOMAIN, PROJECT, environment, flytekit_python, guide_python, union_python

COMMAND_SECONDS_MAX = 120


@dataclass
class Answer:
    """What a command ended with."""

    status: int
    output: str

    def expect_success(self) -> "Answer":
        """Fails with the whole output unless the command exited with 0."""
        assert self.status == 0, f"exit status {self.status}:\n{self.output}"
        return self


class Cli:
    """One SDK's command line, pointed at one server by nothing but the configuration that the server wrote."""

    def __init__(self, program: Path, server: Skein, folder: Path) -> None:
        self.program = program
        self.server = server
        self.folder = folder

    def __call__(self, *arguments: str, folder: "Path | None" = None) -> Answer:
        """Runs the command in an empty folder, or in the one given."""
        config = str(self.server.config)
        done = subprocess.run(
            [str(self.program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            cwd=folder or self.folder,
            env=environment(FLYTECTL_CONFIG=config, UNION_CONFIG=config),
            check=False,
        )
        return Answer(done.returncode, done.stdout)

    def register(
        self, *paths: str, version: str = "", domain: str = DOMAIN, folder: "Path | None" = None
    ) -> Answer:
        """Registers files or folders."""
        versioned = ["--version", version] if version else []
        return self("register", "-p", PROJECT, "-d", domain, *versioned, *paths, folder=folder)

    def run(self, *arguments: str, folder: "Path | None" = None) -> Answer:
        """Runs an entity on the server; without `--wait` it returns as soon as the execution exists."""
        return self("run", "--remote", "-p", PROJECT, "-d", DOMAIN, *arguments, folder=folder)


def pyflyte(server: Skein, folder: Path) -> Cli:
    """The command line of flytekit, from an environment without union."""
    return Cli(flytekit_python().parent / "pyflyte", server, folder)


def union(server: Skein, folder: Path) -> Cli:
    """The command line of union."""
    return Cli(union_python().parent / "union", server, folder)


def guide(server: Skein, folder: Path) -> Cli:
    """The command line of union, from the environment of the user guide's examples."""
    return Cli(guide_python().parent / "union", server, folder)
