"""flytekit's own connector service, with the connectors of the tests, which a test can kill and start again."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Optional

from harness.poll import until
from harness.server import free_port, listens
from harness.settings import PROJECT_FOLDER, environment

START_SECONDS_MAX = 60
END_SECONDS_MAX = 30


def program() -> Path:
    """`pyflyte` of an environment that has what a connector service needs."""
    named = os.environ.get("SKEIN_TEST_CONNECTOR_PYTHON")
    if not named:
        raise RuntimeError("set SKEIN_TEST_CONNECTOR_PYTHON to a python with flytekit[connector], or run cargo xtask test")
    return Path(named).parent / "pyflyte"


class Connector:
    """One service. Its port and the folder of its jobs stay the same over all restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.jobs.mkdir(parents=True)
        self.port = free_port()
        self.process: Optional["subprocess.Popen[bytes]"] = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Connector":
        """Starts it and waits until it listens."""
        words = ["--port", str(self.port), "--prometheus_port", str(free_port())]
        with open(self.folder / "connector.txt", "ab") as printed:
            self.process = subprocess.Popen(
                [str(program()), "serve", "connector", *words, "--modules", "connected.connectors"],
                stdout=printed,
                stderr=printed,
                cwd=PROJECT_FOLDER,
                env=environment(FILE_JOBS=str(self.jobs), PYTHONPATH=str(PROJECT_FOLDER)),
            )
        until("the connector listens", self._listens, START_SECONDS_MAX)
        return self

    def _listens(self) -> bool:
        assert self.process is not None and self.process.poll() is None, (
            (self.folder / "connector.txt").read_text(encoding="utf-8", errors="replace")
        )
        return listens(self.port)

    def kill(self) -> None:
        """Ends it at once; its jobs go on."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(END_SECONDS_MAX)

    def created(self, execution: str) -> list[dict[str, Any]]:
        """The jobs that were made for an execution, by attempt."""
        files = sorted(self.jobs.glob(f"{execution}-*.created"))
        return [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def job(self, execution: str, attempt: int = 0) -> str:
        """Waits for the job of an attempt, and names it."""
        def made() -> list[dict[str, Any]]:
            return [job for job in self.created(execution) if job["attempt"] == attempt]

        return str(until(f"a job for attempt {attempt}", made)[0]["job"])

    def say(self, job: str, phase: str = "", **more: Any) -> None:
        """Has the connector say this of a job from now on."""
        written = self.jobs / f"{job}.new"
        written.write_text(json.dumps({"phase": phase, **more}), encoding="utf-8")
        written.rename(self.jobs / f"{job}.state")

    def is_deleted(self, job: str) -> bool:
        """Whether the connector was asked to delete a job."""
        return (self.jobs / f"{job}.deleted").exists()
