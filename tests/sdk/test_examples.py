"""The examples that the README shows give what they say."""

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from harness.cli import Cli
from harness.client import Client, require_success, unique
from harness.settings import FOLDER

EXAMPLES = FOLDER.parent.parent / "examples"


@pytest.fixture
def version(client: Client, pyflyte: Cli) -> str:
    """The examples with flytekit alone, registered under a version of this test alone."""
    name = unique("examples")
    pyflyte.register("with_flytekit", version=name, folder=EXAMPLES).expect_success()
    return name


def test_the_examples_give_what_they_say(client: Client, version: str) -> None:
    """The map, the long map, the chain and the diamond, files and folders included."""
    started = {
        name: client.remote.execute(
            client.remote.fetch_launch_plan(name=f"with_flytekit.{name}", version=version), inputs=inputs
        )
        for name, inputs in {
            "map_workflow.map_workflow": {},
            "map_workflow.map_many": {"count": 10_000},
            "chain.chain": {},
            "diamond.diamond": {"note": "hello"},
        }.items()
    }
    outputs = {}
    for name, execution in started.items():
        ended = client.wait(execution)
        require_success(ended)
        outputs[name] = ended.outputs

    assert outputs["map_workflow.map_workflow"]["o0"] == [
        x in (12, 13, 100) for x in [10, 12, 11, 10, 13, 12, 100, 11, 12, 10]
    ]
    assert sum(outputs["map_workflow.map_many"]["o0"]) == 10_000 // 13
    assert outputs["chain.chain"]["o0"] == 20
    report = outputs["diamond.diamond"]
    assert report["summary"] == {"lowest": -4.0, "highest": 1.5, "mean": -1.0}
    assert report["lines"] == ["6 readings", "files: north.csv, south.csv"]
    assert report["took"] == timedelta(hours=1)
    assert report["ended"] == datetime(2026, 1, 1, 7, tzinfo=timezone.utc)
    assert report["note"] == "hello"
    assert len(Path(str(report["table"].download())).read_text().splitlines()) == 6
