"""One `skein worker` on a folder of its own."""

import subprocess
from pathlib import Path
from typing import Optional

from harness.poll import until
from harness.server import STOP_SECONDS_MAX
from harness.settings import binary, environment, flytekit_python

READY_SECONDS_MAX = 30
SLOTS = 2


class Worker:
    """A `skein worker` process with two slots."""

    def __init__(self, folder: Path, log: str, *words: str, data: Optional[Path] = None) -> None:
        folder.mkdir()
        self.data = data or folder / "data"
        self.file = folder / "printed.txt"
        command = [str(binary()), "worker", "--log", log, "--data", str(self.data)]
        command += ["--python", str(flytekit_python()), "--slots", str(SLOTS), *words]
        with open(self.file, "w", encoding="utf-8") as printed:
            self.process = subprocess.Popen(
                command, stdout=printed, stderr=subprocess.STDOUT, env=environment(), cwd=folder
            )

    def printed(self) -> str:
        """All that it has printed."""
        return self.file.read_text(encoding="utf-8", errors="replace")

    def ready(self) -> "Worker":
        """Waits until it says that it is ready."""
        until("the line that says the worker is ready", self._is_ready, READY_SECONDS_MAX)
        return self

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, f"the worker has ended:\n{self.printed()}"
        return "skein worker is ready" in self.printed()

    def ended(self) -> int:
        """Waits for its end, and gives its exit status."""
        return self.process.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        """Asks it to end, and gives its exit status."""
        self.process.terminate()
        return self.ended()

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)
