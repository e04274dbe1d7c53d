"""A real NATS server on loopback, which a test can kill and start again."""

import os
import subprocess
from pathlib import Path
from typing import Optional

from harness.poll import until
from harness.server import free_port, listens

END_SECONDS_MAX = 30


def binary() -> Path:
    """The server's program."""
    named = os.environ.get("SKEIN_TEST_NATS_SERVER")
    if not named:
        raise RuntimeError("set SKEIN_TEST_NATS_SERVER to a nats-server, or run cargo xtask test")
    return Path(named)


class Nats:
    """One server with JetStream. Folder and port stay the same over all restarts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: Optional["subprocess.Popen[bytes]"] = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> "Nats":
        """Starts it and waits until it listens."""
        command = [str(binary()), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the NATS server listens", lambda: listens(self.port))
        return self

    def kill(self) -> None:
        """Ends it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(END_SECONDS_MAX)
