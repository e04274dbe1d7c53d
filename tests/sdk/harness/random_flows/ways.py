"""Runs random workflows in every way, and says where what they come to differs."""

import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Union

import grpc
from flyteidl.admin import execution_pb2 as admin
from flyteidl.core import execution_pb2

from harness import cli as command_lines
from harness.client import Client, create_request, execution_id, integers, unique
from harness.poll import until
from harness.random_flows.locally import Expected, Locally
from harness.random_flows.program import LABEL, Program
from harness.random_flows.source import source
from harness.server import Skein

ENDED = {
    execution_pb2.WorkflowExecution.SUCCEEDED,
    execution_pb2.WorkflowExecution.FAILED,
    execution_pb2.WorkflowExecution.ABORTED,
    execution_pb2.WorkflowExecution.TIMED_OUT,
}
ENDED_SECONDS_MAX = 120
CALL_SECONDS_MAX = 30
KILLS_MAX = 3
CODES = {
    "raises": "USER:RuntimeError",
    "picky": "USER:RuntimeError",
    "again": "RetriesExhausted|USER:Recoverable",
    "none": "UserProvidedError",
}
"""What an execution fails with, by how the label of the step begins that fails."""


class Undisturbed:
    """Skein as it is."""

    words = "on Skein"

    def disturb(self, ways: "Ways") -> None:
        """Does nothing."""


class Killed:
    """Skein under kill -9, some times, at moments that the seed says in parts of how long a run has taken."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.words = f"on Skein, killed by seed {seed}"

    def disturb(self, ways: "Ways") -> None:
        """Kills the server, and starts it again on what it has left."""
        for _ in range(self.dice.randint(1, KILLS_MAX)):
            killer = threading.Timer(self.dice.uniform(0.01, ways.run_seconds), ways.server.kill)
            killer.start()
            killer.join()
            ways.server.start()


Way = Union[Undisturbed, Killed]


@dataclass(frozen=True)
class Failed:
    """How an execution failed."""

    code: str
    message: str


class Ways:
    """flytekit's local execution and one server."""

    def __init__(self, locally: Locally, server: Skein, folder: Path) -> None:
        self.locally = locally
        self.server = server
        self.folder = folder
        self.client = Client(server)
        self.run_seconds = 2.0
        """How long the last undisturbed run of all has taken."""
        self.registered: dict[tuple[Program, ...], str] = {}
        self.known: dict[Program, Expected] = {}

    def differences(self, programs: list[Program], way: Way) -> list[str]:
        """What differs for each program; nothing where nothing does."""
        for program in programs:
            if program not in self.known:
                self.known[program] = self.locally.expected(program)
        package = self.package(programs)
        plans = [f"{package}.{module_of(at, each)}.{each.flows[-1].name}" for at, each in enumerate(programs)]
        began = time.monotonic()
        names = [unique("random") for _ in programs]
        for plan, name, program in zip(plans, names, programs):
            request = create_request(plan, integers(a=program.a, b=program.b), name, version=package)
            self.call(self.client.admin.CreateExecution, request)
        way.disturb(self)
        ended = [self.ended(name) for name in names]
        if isinstance(way, Undisturbed):
            self.run_seconds = time.monotonic() - began
        return [different(self.known[program], outcome) for program, outcome in zip(programs, ended)]

    def package(self, programs: list[Program]) -> str:
        """Registers these programs, each as a module of one package, unless they are; gives its name, which is the version too."""
        key = tuple(programs)
        if key not in self.registered:
            package = f"random_{len(self.registered)}"
            folder = self.folder / package
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
            for at, program in enumerate(programs):
                module = module_of(at, program)
                (folder / f"{module}.py").write_text(source(program, f"{package}.{module}"), encoding="utf-8")
            pyflyte = command_lines.pyflyte(self.server, self.folder)
            pyflyte.register(package, version=package).expect_success()
            self.registered[key] = package
        return self.registered[key]

    def ended(self, name: str) -> "int | Failed":
        """Waits for the end of an execution, and gives its value or its failure."""
        named = execution_id(name)

        def closure() -> Any:
            found = self.call(self.client.admin.GetExecution, admin.WorkflowExecutionGetRequest(id=named)).closure
            return found if found.phase in ENDED else None

        found = until(f"execution {name} has ended", closure, ENDED_SECONDS_MAX)
        if found.phase != execution_pb2.WorkflowExecution.SUCCEEDED:
            return Failed(found.error.code, found.error.message)
        data = self.call(self.client.admin.GetExecutionData, admin.WorkflowExecutionGetDataRequest(id=named))
        return int(data.full_outputs.literals["o0"].scalar.primitive.integer)

    def call(self, call: Callable[..., Any], request: Any) -> Any:
        """Calls a server that may be dead just now, again until it answers."""
        while True:
            try:
                return call(request, timeout=CALL_SECONDS_MAX, wait_for_ready=True)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise


def module_of(at: int, program: Program) -> str:
    """What the module of a program is called in its package."""
    return f"seed_{program.seed}_{at}"


def different(expected: Expected, outcome: "int | Failed") -> str:
    """What differs, if anything does."""
    if isinstance(outcome, int):
        if expected.value is None:
            return f"gives {outcome}, where locally it fails with {sorted(expected.labels)}"
        return "" if outcome == expected.value else f"gives {outcome} instead of {expected.value}"
    told = f"fails with {outcome.code}: {outcome.message}"
    if expected.value is not None:
        return f"{told}, where locally it gives {expected.value}"
    labels = set(LABEL.findall(outcome.message))
    if not labels or not labels <= expected.labels:
        return f"{told}, where locally it can fail with {sorted(expected.labels)}"
    codes = {CODES[label.split("-")[0]] for label in labels}
    return "" if outcome.code in codes else f"{told}, whose code should be one of {sorted(codes)}"
