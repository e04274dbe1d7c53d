"""Restate: its server, one service process, and this client. All files of the server lie in the folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import peer

READY_SECONDS = 60
LOOK_SECONDS = 0.02
# Both sending and waiting again carry it: the second finds the invocation of the first.
MARKED = "marked"


def post(url: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    """Posts JSON and gives the JSON that comes back; None for no content."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request, timeout=3600) as response:
        text = response.read()
    return json.loads(text) if text else None


def wait_for(url: str) -> None:
    """Asks until there is an answer.

    Raises:
        SystemExit: When there is none in time.
    """
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(LOOK_SECONDS)
    raise SystemExit(f"{url} does not answer")


class Restate:
    """A client of the ingress."""

    def __init__(self, folder: Path, ingress: str) -> None:
        self._bench = f"{ingress}/bench"
        self._request = folder / "request.json"

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        return post(f"{self._bench}/ints", items)

    def chain(self, steps: int) -> int:
        """See `peer.Engine`."""
        return post(f"{self._bench}/chain", steps)

    def begin_marked(self, items: list[int], path: Path) -> None:
        """See `peer.Durable`."""
        request = {"values": items, "path": str(path)}
        self._request.write_text(json.dumps(request), encoding="utf-8")
        post(f"{self._bench}/marks", request, {"idempotency-key": MARKED})

    def resume_marked(self, _count: int) -> peer.Resumed:
        """See `peer.Durable`. The ingress refuses calls until its partitions are led again."""
        request = json.loads(self._request.read_text(encoding="utf-8"))
        while True:
            try:
                results = post(f"{self._bench}/marks", request, {"idempotency-key": MARKED})
                return peer.Resumed(results, time.time())
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise
            time.sleep(LOOK_SECONDS)


def ports(folder: Path) -> dict[str, int]:
    """Gives the ports of the server and the service in the folder: the same ones after a restart."""
    file = folder / "ports.json"
    if not file.exists():
        file.write_text(json.dumps({name: peer.free_port() for name in ("ingress", "admin", "node", "service")}))
    return json.loads(file.read_text())


@contextmanager
def start(folder: Path) -> Iterator[Restate]:
    """Starts server and service, registers the one with the other, and ends both."""
    at = ports(folder)
    known = (folder / "data").exists()
    server = Path(os.environ["PEER_NPM"]) / "node_modules/.bin/restate-server"
    native = next(server.resolve().parents[2].glob("restate-server-*/bin/restate-server"), server)
    settings = {
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{at['ingress']}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{at['admin']}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{at['node']}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{at['node']}",
    }
    words = ["--base-dir", str(folder / "data"), "--node-name", "peers", "--listen-mode", "tcp", "--no-logo"]
    with open(folder / "server.log", "ab") as log, open(folder / "service.log", "ab") as said:
        processes = [
            subprocess.Popen([native, *words], env={**os.environ, **settings}, stdout=log, stderr=log),
            subprocess.Popen(
                [sys.executable, "-m", "hypercorn", "--bind", f"127.0.0.1:{at['service']}", "restate_service:app"],
                cwd=Path(__file__).parent,
                stdout=said,
                stderr=said,
            ),
        ]
    try:
        admin, ingress = (f"http://127.0.0.1:{at[name]}" for name in ("admin", "ingress"))
        wait_for(f"{admin}/health")
        if not known:
            register(f"{admin}/deployments", f"http://127.0.0.1:{at['service']}")
        wait_for(f"{ingress}/restate/health")
        yield Restate(folder, ingress)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def register(deployments: str, service: str) -> None:
    """Registers the service, as soon as it answers and the server can write down that it does.

    Raises:
        SystemExit: When that is not so in time.
    """
    until = time.monotonic() + READY_SECONDS
    why: Exception | None = None
    while time.monotonic() < until:
        try:
            post(deployments, {"uri": service})
            return
        except urllib.error.URLError as error:
            why = error
            time.sleep(LOOK_SECONDS)
    raise SystemExit(f"the service cannot be registered: {why}")


if __name__ == "__main__":
    peer.run(start, server=True)
