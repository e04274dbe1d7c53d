"""`skein up --profile`: where the time of a server goes."""

import os
import re
import signal
from pathlib import Path

from harness import cli as command_lines
from harness.client import Client
from harness.poll import until
from harness.server import Skein
from harness.settings import PACKAGE, PROJECT_FOLDER, VERSION


def test_the_profile_of_a_server_that_ran_a_map_names_its_parts_and_its_functions(tmp_path: Path) -> None:
    """It is written while the server runs, when it is asked for, and again when it ends."""
    folder = tmp_path / "profile"
    server = Skein(tmp_path, words=["--profile", str(folder)]).start()
    try:
        command_lines.pyflyte(server, tmp_path).register(
            PACKAGE, version=VERSION, folder=PROJECT_FOLDER
        ).expect_success()
        client = Client(server)
        items = list(range(2_000))
        assert client.outputs("mapping.squares", {"xs": items})["o0"] == [x * x for x in items]
        os.kill(server.pid, signal.SIGUSR1)
        until("the line that says where the profile is", lambda: "the profile is in" in server.said(), 120)
        asked = samples(folder)
        assert server.stop() == 0
    finally:
        server.end()
    server.check()
    assert server.said().count("the profile is in") == 2
    assert 0 < asked <= samples(folder)
    table = (folder / "profile.md").read_text()
    assert re.search(r"\| `(gateway|views|engine|log|workers|values)` \|", table), table
    assert re.search(r"\| `<?skein_\w+::", table), table
    assert "<svg" in (folder / "profile.svg").read_text()


def test_a_profile_that_cannot_be_kept_is_refused_at_the_start(tmp_path: Path) -> None:
    """The error names the folder and the option; nothing is served without the profile that was asked for."""
    (tmp_path / "file").write_text("in the way")
    server = Skein(tmp_path, words=["--profile", str(tmp_path / "file")])
    try:
        server.start()
    except AssertionError as error:
        assert str(tmp_path / "file") in str(error) and "--profile DIR" in str(error)
    else:
        raise AssertionError("it started")
    finally:
        server.end()


def samples(folder: Path) -> int:
    """How often the profiler has looked."""
    counted = re.search(r"^(\d+) samples", (folder / "profile.md").read_text(), re.MULTILINE)
    assert counted, "the table tells how many samples it is made of"
    return int(counted[1])
