"""Logging in: item 40 of the conformance checklist. There is nobody to log in as yet; TLS is taken off before the server."""

import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Iterator

import pytest

from harness.server import Skein
from harness.settings import environment, union_python
from harness.tls import Endpoint

LOGIN_SECONDS_MAX = 60
CALLS = re.compile(r'^skein_gateway_requests_total\{[^}]*method="[^"]*UserInfo"[^}]*\} (\d+)', re.MULTILINE)


@pytest.fixture
def endpoint(server: Skein, tmp_path: Path) -> Iterator[Endpoint]:
    """A TLS endpoint in front of the server."""
    made = Endpoint(server.port, tmp_path)
    yield made
    made.end()


def user_infos(server: Skein) -> int:
    """How often the server was asked who asks."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        return sum(int(count) for count in CALLS.findall(answer.read().decode()))


def test_040_a_login_is_one_question(server: Skein, endpoint: Endpoint, tmp_path: Path) -> None:
    """`union create login` against a TLS endpoint completes with one UserInfo call."""
    before = user_infos(server)
    trusted = str(endpoint.certificate)
    told = subprocess.run(
        [str(union_python().parent / "union"), "create", "login", "--host", endpoint.address],
        capture_output=True,
        text=True,
        timeout=LOGIN_SECONDS_MAX,
        env=environment(HOME=str(tmp_path), GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=trusted, SSL_CERT_FILE=trusted),
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"Login successful into {endpoint.address}" in told.stdout
    assert endpoint.address in (tmp_path / ".union" / "config.yaml").read_text()
    assert user_infos(server) - before == 1
