"""Servers, command lines and clients that the tests share.

One server serves the whole session; a test that stops or kills its server asks for one of its own.
"""

from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import cli as command_lines
from harness.cli import Answer, Cli
from harness.client import Client
from harness.differences import TABLE
from harness.server import Skein
from harness.settings import FOLDER, PACKAGE, PROJECT_FOLDER, VERSION, union_python
from harness.witness import Witness


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Skein]:
    """The server of the session; what it leaves must be whole."""
    skein = Skein(tmp_path_factory.mktemp("skein")).start()
    yield skein
    skein.end()
    skein.check()


@pytest.fixture(scope="session")
def registration(server: Skein, tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """The one registration of all workflows of the tests, through the command line of flytekit."""
    pyflyte = command_lines.pyflyte(server, tmp_path_factory.mktemp("cli"))
    return pyflyte.register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER)


@pytest.fixture(scope="session")
def client(server: Skein, registration: Answer) -> Client:
    """A client of a server that knows all workflows of the tests."""
    registration.expect_success()
    return Client(server)


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Skein]:
    """A server that knows the workflows whose answers by the original are known, and makes none of them wait for another."""
    folder = tmp_path_factory.mktemp("observed")
    skein = Skein(folder, words=("--slots", "16")).start()
    pyflyte = command_lines.pyflyte(skein, folder)
    pyflyte.register("flows.py", version=VERSION, folder=FOLDER / "observed").expect_success()
    yield skein
    skein.end()
    skein.check()


@pytest.fixture(scope="session")
def nested(server: Skein, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A client of a server that knows all workflows with nodes inside nodes."""
    pyflyte = command_lines.pyflyte(server, tmp_path_factory.mktemp("cli"))
    pyflyte.register("nested", version=VERSION, folder=PROJECT_FOLDER).expect_success()
    return Client(server, "nested")


@pytest.fixture
def pyflyte(server: Skein, tmp_path: Path) -> Cli:
    """The command line of flytekit alone."""
    return command_lines.pyflyte(server, tmp_path)


@pytest.fixture
def union(server: Skein, tmp_path: Path) -> Cli:
    """The command line of union."""
    return command_lines.union(server, tmp_path)


@pytest.fixture(params=["pyflyte", "union"])
def sdk(request: pytest.FixtureRequest) -> Cli:
    """Each of both command lines in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    """Lines and gates of this test alone."""
    return Witness(tmp_path)


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[[], Skein]]:
    """Makes servers of this test alone, which end with it."""
    made: list[Skein] = []

    def make(python: "Path | None" = None) -> Skein:
        folder = tmp_path / f"server-{len(made)}"
        folder.mkdir()
        made.append(Skein(folder, python).start())
        return made[-1]

    yield make
    for skein in made:
        skein.end()
    for skein in made:
        skein.check()


@pytest.fixture
def own(new_server: Callable[[], Skein], tmp_path: Path) -> Client:
    """A client of a server of this test alone that knows all workflows of the tests."""
    skein = new_server()
    command_lines.pyflyte(skein, tmp_path).register(
        PACKAGE, version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    return Client(skein)


@pytest.fixture
def union_server(new_server: Callable[..., Skein]) -> Skein:
    """A server of this test alone whose tasks run where union is installed."""
    return new_server(union_python())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what was compared with the original's answers, where anything was."""
    if TABLE.rows:
        terminalreporter.section("compared with the answers of Flyte 1")
        for line in TABLE.lines():
            terminalreporter.write_line(line)
