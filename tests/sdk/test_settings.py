"""The server's configuration file: what it says of tasks that say nothing themselves, and what it is told when it is wrong."""

import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from harness import cli as command_lines
from harness.client import Client
from harness.server import Skein
from harness.settings import PACKAGE, PROJECT_FOLDER, VERSION, binary, environment, flytekit_python

RULES = """
[[tasks]]
name = "workflows.configured.*"
isolation = "reuse"
pool_size = 1

[[tasks]]
project = "flytesnacks"
domain = "dev*"
name = "*.replaced"
process_attempts_max = 1

[[tasks]]
name = "*.grown"
process_growth_mib_max = 32

[[tasks]]
name = "*.map_plain_*"
chunk_items_max = 5

[[tasks]]
domain = "production"
isolation = "fresh"

[[tasks]]
name = "workflows.isolated.*"
isolation = "reuse"
"""


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that has rules."""
    folder = tmp_path_factory.mktemp("configured")
    (folder / "skein.toml").write_text(RULES)
    server = Skein(folder, words=["--config", "skein.toml", "--slots", "2"]).start()
    command_lines.pyflyte(server, folder).register(
        PACKAGE, version=VERSION, folder=PROJECT_FOLDER
    ).expect_success()
    yield Client(server)
    server.end()
    server.check()


def run(client: Client, name: str, times: int) -> list[tuple[str, str]]:
    """Runs a task as one execution after another; answers the process of each, and how often it was called in it."""
    told = [client.outputs(f"configured.{name}", {"mib": 0}, task=True)["o0"].split() for _ in range(times)]
    return [(process, calls) for process, calls in told]


def test_the_file_is_named_on_the_screen(configured: Client) -> None:
    """With the number of its rules."""
    assert "skein.toml (rules for tasks: 6)" in "".join(configured.server.printed)


def test_a_plain_task_runs_in_one_process_when_a_rule_says_so(configured: Client) -> None:
    """What an execution leaves in its module is there for the next one, in whichever slot that runs."""
    told = run(configured, "kept", 4)
    assert len({process for process, _ in told}) == 1
    assert [calls for _, calls in told] == ["1", "2", "3", "4"]


def test_a_process_is_replaced_after_as_many_attempts_as_a_rule_says(configured: Client) -> None:
    """With one attempt for each process nothing is left of the one before."""
    told = run(configured, "replaced", 3)
    assert len({process for process, _ in told}) == 3
    assert {calls for _, calls in told} == {"1"}


def test_a_process_that_has_grown_is_replaced(configured: Client) -> None:
    """The first attempt is what growth is measured from; the second grows by too much."""
    outputs = configured.outputs("configured.three_times", {"mib": 48})
    told = [outputs[f"o{place}"].split() for place in range(3)]
    assert [calls for _, calls in told] == ["1", "2", "1"]
    assert told[0][0] == told[1][0] != told[2][0]


def test_the_chunks_of_a_map_are_bounded_by_a_rule(configured: Client) -> None:
    """The map runs whole, in the one process that its task may have."""
    told = [item.split() for item in configured.outputs("configured.mapped", {"values": [0] * 20})["o0"]]
    assert len({process for process, _ in told}) == 1
    assert sorted(int(calls) for _, calls in told) == list(range(1, 21))


def test_what_a_task_says_itself_counts_for_more_than_a_rule(configured: Client) -> None:
    """A task that wants to be forked is, although a rule says otherwise of all tasks of its module."""
    told = [configured.outputs("isolated.forked", {"value": place}, task=True)["o0"].split() for place in range(3)]
    assert len({process for process, _ in told}) == 3
    assert {calls for _, calls in told} == {"1"}


def refused(folder: Path, **variables: str) -> str:
    """Starts a server that does not come up; answers what it says."""
    answer = subprocess.run(
        [
            str(binary()),
            "up",
            "--listen",
            "127.0.0.1:0",
            "--data",
            str(folder / "data"),
            "--python",
            str(flytekit_python()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(**variables),
        cwd=folder,
    )
    assert answer.returncode != 0
    return answer.stderr


def test_a_file_that_is_wrong_is_refused_with_all_that_is(tmp_path: Path) -> None:
    """File, rule, key, value, and what would be right; nothing was made by then."""
    file = tmp_path / "bad.toml"
    file.write_text('[[tasks]]\npriority = 1000\n[[tasks]]\nisolation = "fork"\nprocess_seconds_max = 5\n')
    said = refused(tmp_path, SKEIN_CONFIG=str(file))
    assert f"the configuration file {file} is not right" in said
    assert "rule 1 of [[tasks]]: priority is 1000; it has to be a whole number from -100 to 100" in said
    assert 'rule 2 of [[tasks]]: process_seconds_max is 5, which goes with isolation "reuse" only' in said
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Whoever names one wants it to count."""
    said = refused(tmp_path, SKEIN_CONFIG="nowhere.toml")
    assert "the configuration file nowhere.toml cannot be read" in said
