"""How soon `skein up` answers, and what it costs while nobody asks for anything.

    python benches/startup.py target/release/skein [PYTHON]
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import grpc
from flyteidl.admin import version_pb2
from flyteidl.service import admin_pb2_grpc

RUNS = 5
IDLE_SECONDS = 20
PORT = 18_743


def first_answer(channel: grpc.Channel, deadline: float) -> None:
    """Asks until there is an answer."""
    stub = admin_pb2_grpc.AdminServiceStub(channel)
    while time.monotonic() < deadline:
        try:
            stub.GetVersion(version_pb2.GetVersionRequest(), timeout=1)
            return
        except grpc.RpcError:
            time.sleep(0.002)
    raise SystemExit("no answer within 20 s")


def cpu_seconds(pid: int) -> float:
    """Gives the processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Gives the memory that a process has resident."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Starts the program several times on new folders; measures the last one while it is idle."""
    program, python = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else sys.executable
    seconds = []
    for run in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            command = [program, "up", "--data", folder, "--listen", f"127.0.0.1:{PORT}", "--python", python]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # A channel that was refused waits a second before it tries again: a new one for each question.
            options = [("grpc.initial_reconnect_backoff_ms", 5), ("grpc.max_reconnect_backoff_ms", 10)]
            with grpc.insecure_channel(f"127.0.0.1:{PORT}", options=options) as channel:
                first_answer(channel, began + 20)
            seconds.append(time.monotonic() - began)
            if run == RUNS - 1:
                before = cpu_seconds(process.pid)
                time.sleep(IDLE_SECONDS)
                share = (cpu_seconds(process.pid) - before) / IDLE_SECONDS
                print(f"idle: {rss_mib(process.pid):.0f} MiB, {share:.2%} of a core")
            process.send_signal(signal.SIGTERM)
            process.wait()
    print(f"from exec to the first answer: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
