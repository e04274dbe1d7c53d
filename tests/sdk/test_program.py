"""The program as its user meets it: what it prints, what it writes, what it refuses."""

import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from harness.client import Client
from harness.processes import descendants
from harness.server import READY, Skein, free_port
from harness.settings import binary, environment, flytekit_python


def skein(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs the program to its end."""
    return subprocess.run(
        [str(binary()), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(**variables),
    )


def test_up_prints_where_it_listens_where_its_data_is_and_what_to_export(server: Skein) -> None:
    """Everything that a user needs stands on the screen."""
    printed = "".join(server.printed)
    assert READY.search(printed)
    assert str(server.data) in printed
    assert f"FLYTECTL_CONFIG={server.config}" in printed
    assert f"UNION_CONFIG={server.config}" in printed


def test_up_writes_the_configuration_of_its_clients(server: Skein) -> None:
    """The file names the address, plaintext, and nothing that leads to a login."""
    text = server.config.read_text()
    assert f"dns:///{server.endpoint}" in text
    assert "insecure: true" in text


def test_up_without_flytekit_says_which_command_helps(tmp_path: Path) -> None:
    """An interpreter without flytekit is refused before anything is made."""
    subprocess.run([str(flytekit_python()), "-m", "venv", "--without-pip", str(tmp_path / "empty")], check=True)
    refused = skein(
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data",
        str(tmp_path / "data"),
        "--python",
        str(tmp_path / "empty/bin/python"),
    )
    assert refused.returncode != 0
    assert "pip install flytekit" in refused.stderr
    missing = skein(
        "up", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--python", str(tmp_path / "none")
    )
    assert missing.returncode != 0
    assert "--python" in missing.stderr


def test_up_takes_the_active_virtual_environment(tmp_path: Path) -> None:
    """Without --python it is the interpreter of VIRTUAL_ENV that is looked at."""
    subprocess.run([str(flytekit_python()), "-m", "venv", "--without-pip", str(tmp_path / "active")], check=True)
    refused = skein(
        "up", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), VIRTUAL_ENV=str(tmp_path / "active")
    )
    assert refused.returncode != 0
    assert str(tmp_path / "active/bin/python") in refused.stderr


def test_up_on_a_port_that_is_taken_names_the_port(tmp_path: Path) -> None:
    """Another program's port is not shared."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = skein(
            "up", "--data", str(tmp_path / "data"), "--listen", address, "--python", str(flytekit_python())
        )
    assert refused.returncode != 0
    assert address in refused.stderr


def test_up_does_not_open_itself_to_others_unasked(tmp_path: Path) -> None:
    """There is no login, so an address that others can reach needs a word."""
    address = f"0.0.0.0:{free_port()}"
    refused = skein(
        "up", "--data", str(tmp_path / "data"), "--listen", address, "--python", str(flytekit_python())
    )
    assert refused.returncode != 0
    assert "--allow-remote" in refused.stderr


def test_a_second_signal_ends_at_once(new_server: Callable[[], Skein]) -> None:
    """The first asks, the second does not wait for what runs."""
    server = new_server()
    process = server.process
    assert process is not None
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) is not None


def test_log_reads_a_folder_in_use_and_a_copy(client: Client, tmp_path: Path) -> None:
    """`skein log` verifies, counts and prints; it changes nothing and needs no server."""
    execution = client.finish("values.doubled", {"a": 4})
    copy = tmp_path / "copy"
    shutil.copytree(client.server.data, copy, ignore=shutil.ignore_patterns("*.lock", "scratch*"))
    for folder in (client.server.data, copy):
        for command in ("verify", "stats"):
            answer = skein("log", command, str(folder))
            assert answer.returncode == 0, answer.stdout + answer.stderr
        printed = skein("log", "cat", str(folder), "--journal", execution.id.name)
        assert printed.returncode == 0, printed.stderr
        assert execution.id.name in printed.stdout


def test_log_verify_finds_a_byte_that_was_changed(client: Client, tmp_path: Path) -> None:
    """Damage is named, and the exit status says so."""
    client.finish("values.doubled", {"a": 4})
    copy = tmp_path / "copy"
    shutil.copytree(client.server.data, copy, ignore=shutil.ignore_patterns("*.lock", "scratch*"))
    needle = b"workflows.values.doubled"
    damaged = 0
    for path in copy.glob("log/**/*"):
        content = path.read_bytes() if path.is_file() else b""
        if needle in content:
            path.write_bytes(content.replace(needle, b"workflows.values.doublex"))
            damaged += 1
    assert damaged, f"no log file under {copy} holds {needle!r}"
    answer = skein("log", "verify", str(copy))
    assert answer.returncode != 0, answer.stdout


def test_doctor_says_of_each_thing_whether_it_is_fine(tmp_path: Path) -> None:
    """Each line is fine, or not fine with what to do."""
    words = ["doctor", "--data", str(tmp_path), "--listen", f"127.0.0.1:{free_port()}"]
    fine = skein(*words, "--python", str(flytekit_python()))
    assert fine.returncode == 0, fine.stdout
    assert "flytekit 1.16" in fine.stdout
    assert all(line.startswith(("fine", "not fine", " ")) for line in fine.stdout.splitlines())
    broken = skein(*words, "--python", str(tmp_path / "none"))
    assert broken.returncode != 0
    assert "not fine  python" in broken.stdout


@pytest.mark.parametrize("words", [["--help"], ["up", "--help"], ["log", "--help"], ["doctor", "--help"]])
def test_help_teaches(words: list[str]) -> None:
    """Help is printed, and ends with 0."""
    answer = skein(*words)
    assert answer.returncode == 0
    assert "Usage:" in answer.stdout


def test_version_is_one_line() -> None:
    """The name and the version."""
    answer = skein("version")
    assert answer.returncode == 0
    assert answer.stdout.startswith("skein ")
    assert len(answer.stdout.splitlines()) == 1


def test_what_is_idle_starts_no_python(new_server: Callable[[], Skein]) -> None:
    """No Python process before the first work needs one."""
    server = new_server()
    Client(server).remote.client.get_domains()
    assert not descendants(server.pid)
