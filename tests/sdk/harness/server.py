"""One `skein up` on a data folder of its own, which a test can stop, kill and start again."""

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import Optional, Sequence

from harness.poll import until
from harness.settings import binary, environment, flytekit_python

READY = re.compile(r"skein is ready: http://([0-9.]+:[0-9]+)")
READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 60
VERIFY_SECONDS_MAX = 120
NEVER_SAID = ("differs from the fold of its journal", "panicked at", "\x1b[")
"""What no server may ever have written: a debug build compares each execution with its journal at the execution's end. Nor
does it colour what goes into a file."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    """Whether somebody takes connections to a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Skein:
    """A `skein up` process. The data folder and the port stay the same over all restarts."""

    def __init__(
        self,
        folder: Path,
        python: Optional[Path] = None,
        words: Sequence[str] = (),
        variables: Optional[dict[str, str]] = None,
    ) -> None:
        self.folder = folder
        self.words = words
        self.variables = variables or {}
        self.data = folder / "data"
        self.python = python or flytekit_python()
        self.port = free_port()
        self.process: Optional[subprocess.Popen[str]] = None
        self.printed: list[str] = []

    @property
    def endpoint(self) -> str:
        """Where it listens, as gRPC wants it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where it listens, as HTTP wants it."""
        return f"http://{self.endpoint}"

    @property
    def config(self) -> Path:
        """The client configuration that it writes."""
        return self.data / "client.yaml"

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self.process is not None, "the server was never started"
        return self.process.pid

    def start(self) -> "Skein":
        """Starts the server and waits for the line that says it is ready."""
        ready = threading.Event()
        self.printed = []
        errors = open(self.folder / "stderr.txt", "a", encoding="utf-8")
        self.process = subprocess.Popen(
            [
                str(binary()),
                "up",
                "--data",
                str(self.data),
                "--listen",
                self.endpoint,
                "--python",
                str(self.python),
                *self.words,
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(**self.variables),
            cwd=self.folder,
        )
        errors.close()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        until(
            "the line that says skein is ready",
            lambda: ready.is_set() or self._ended(),
            READY_SECONDS_MAX,
        )
        assert ready.is_set(), f"skein ended before it was ready:\n{self.errors()}"
        return self

    def _read(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stdout is not None, "stdout is a pipe"
        for line in process.stdout:
            self.printed.append(line)
            if READY.search(line):
                ready.set()

    def _ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def errors(self) -> str:
        """The end of what it wrote to standard error."""
        return self.said()[-4000:]

    def said(self) -> str:
        """All that it wrote to standard error, over all restarts."""
        return (self.folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """Asks it to end, and returns its exit status."""
        assert self.process is not None, "the server was never started"
        self.process.terminate()
        return self.process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        assert self.process is not None, "the server was never started"
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(STOP_SECONDS_MAX)

    def freeze(self) -> None:
        """Stops it without ending it; what it started goes on."""
        os.kill(self.pid, signal.SIGSTOP)

    def end(self) -> None:
        """Ends it in any case: for the end of a test."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()

    def check(self) -> None:
        """Fails unless what an ended server leaves is whole: its log, and what it said of it."""
        bad = [line for line in self.said().splitlines() if any(words in line for words in NEVER_SAID)]
        assert not bad, "\n".join(bad)
        if (self.data / "log").exists():
            verified = subprocess.run(
                [str(binary()), "log", "verify", str(self.data)],
                capture_output=True,
                text=True,
                timeout=VERIFY_SECONDS_MAX,
                check=False,
            )
            assert verified.returncode == 0, verified.stdout + verified.stderr
