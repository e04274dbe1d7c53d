"""A disk that is full in the middle of a map: nothing acknowledged is lost, and with room made the map ends."""

from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness import cli as command_lines
from harness.client import Client, require_success
from harness.poll import until
from harness.server import Skein
from harness.settings import PACKAGE, PROJECT_FOLDER, VERSION
from harness.small_disk import SmallDisk
from harness.witness import Witness

ITEMS = 200
LOG_MIB = 4
BLOBS_MIB = 8
LOG_FAILED = 70
"""The exit status of a server whose log takes no more."""

Start = Callable[[str, int], tuple[Client, SmallDisk]]


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[Start]:
    """Starts a server of which one folder is on a small disk."""
    if SmallDisk.why_not():
        pytest.skip(SmallDisk.why_not())
    disks: list[SmallDisk] = []
    servers: list[Skein] = []

    def start(name: str, mib: int) -> tuple[Client, SmallDisk]:
        folder = tmp_path / "server"
        disk = SmallDisk(folder / "data" / name, mib)
        disks.append(disk)
        if disk.refused:
            pytest.skip(f"the small disk that this test fills cannot be mounted: {disk.refused}")
        server = Skein(folder)
        servers.append(server.start())
        pyflyte = command_lines.pyflyte(server, tmp_path)
        pyflyte.register(PACKAGE, version=VERSION, folder=PROJECT_FOLDER).expect_success()
        return Client(server), disk

    yield start
    for server in servers:
        server.end()
        server.check()
    for disk in disks:
        disk.end()


def test_a_full_log_ends_the_server_with_words_and_a_restart_ends_the_map(
    on_small_disk: Start, witness: Witness
) -> None:
    """The server names the folder and what to do; what had ended stays as it was, and no item of the map is lost."""
    client, disk = on_small_disk("log", LOG_MIB)
    ended_before = client.start("values.doubled", {"a": 4})
    require_success(client.wait(ended_before))
    before = client.get(ended_before)
    mapped = client.start("mapping.ten_at_once", {"xs": list(range(ITEMS))}, envs=witness.variables)
    until("some items have run", lambda: len(witness.lines("item")) >= ITEMS // 10)
    disk.fill()
    process = client.server.process
    assert process is not None
    assert until("the server ends", lambda: process.poll(), 60) == LOG_FAILED
    assert len(witness.lines("item")) < ITEMS, "the disk was full in the middle"
    said = client.server.said()
    assert f"Make room in {disk.folder}" in said, said

    disk.make_room()
    client = Client(client.server.start())
    again = client.wait(client.remote.fetch_execution(name=mapped.id.name))
    require_success(again)
    assert again.outputs["o0"] == [x * x for x in range(ITEMS)]
    assert {int(words[1]) for words in witness.lines("item")} == set(range(ITEMS))
    assert client.get(ended_before) == before


def test_full_values_hold_results_until_there_is_room(on_small_disk: Start, witness: Witness) -> None:
    """Nothing fails and nothing runs twice: results wait, the server says where to make room, and the map ends."""
    client, disk = on_small_disk("blobs", BLOBS_MIB)
    mapped = client.start("mapping.texts", {"xs": list(range(ITEMS))}, envs=witness.variables)
    until("some items have run", lambda: len(witness.lines("item")) >= ITEMS // 10)
    disk.fill()
    words = f"no space is left in {disk.folder}; make room there"
    until("the server says where to make room", lambda: words in client.server.said(), 60)
    ran = len(witness.lines("item"))
    assert ran < ITEMS, "the disk was full in the middle"

    disk.make_room()
    ended = client.wait(mapped)
    require_success(ended)
    assert [len(text) for text in ended.outputs["o0"]] == [3000] * ITEMS
    assert len(witness.lines("item")) == ITEMS, "no item ran twice"


def test_full_values_are_no_loss_for_a_server_that_is_killed_meanwhile(
    on_small_disk: Start, witness: Witness
) -> None:
    """The same, but the server is killed while the disk is full, and started again when there is room."""
    client, disk = on_small_disk("blobs", BLOBS_MIB)
    mapped = client.start("mapping.texts", {"xs": list(range(ITEMS))}, envs=witness.variables)
    until("some items have run", lambda: len(witness.lines("item")) >= ITEMS // 10)
    disk.fill()
    words = f"no space is left in {disk.folder}; make room there"
    until("the server says where to make room", lambda: words in client.server.said(), 60)
    client.server.kill()

    disk.make_room()
    client = Client(client.server.start())
    ended = client.wait(client.remote.fetch_execution(name=mapped.id.name))
    require_success(ended)
    assert [len(text) for text in ended.outputs["o0"]] == [3000] * ITEMS
