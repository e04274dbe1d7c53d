"""flytekit's local execution of modules, each in a process of its own that has nothing but flytekit imported.

As a program it reads lines of JSON, `{"path", "flow", "a", "b"}`, and answers each with `{"value"}` or `{"failed"}`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from harness.random_flows.program import LABEL, Program
from harness.random_flows.source import source
from harness.settings import environment, flytekit_python


@dataclass(frozen=True)
class Expected:
    """What a program comes to: its value, or which failures it may end with."""

    value: Optional[int]
    labels: frozenset[str] = frozenset()


class Locally:
    """Runs programs in flytekit's local execution."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.errors = open(folder / "local.txt", "a", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(flytekit_python()), str(Path(__file__).parent / "local_runner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=folder,
            env=environment(),
        )

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self.errors.close()

    def once(self, program: Program) -> dict[str, Any]:
        """Runs a program once."""
        self.count += 1
        path = self.folder / f"local_{self.count}.py"
        path.write_text(source(program, path.stem), encoding="utf-8")
        asked = {"path": str(path), "flow": program.flows[-1].name, "a": program.a, "b": program.b}
        assert self.process.stdin and self.process.stdout, "both are pipes"
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def expected(self, program: Program) -> Expected:
        """Runs a program until it succeeds, each time without the failures seen before: so all that can be reported are found.

        Locally a failure ends the execution; elsewhere, what does not depend on it may fail first.
        """
        labels: frozenset[str] = frozenset()
        while True:
            answer = self.once(program.muted(labels))
            if "value" in answer:
                return Expected(None, labels) if labels else Expected(answer["value"])
            found = frozenset(LABEL.findall(answer["failed"])) - labels
            if not found:
                raise AssertionError(f"seed {program.seed} cannot be run locally: {answer['failed']}")
            labels |= found
