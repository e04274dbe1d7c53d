"""How fast what a task prints gets into its log, and what that costs the task.

    python benches/logs.py target/release/skein [PYTHON]

A task prints lines like those of any server, 1 MiB at a time, in three ways that take turns: to nowhere, to a pipe that `cat` empties, which
is the least that anybody who reads can cost, and to its standard output, of which all is kept. First with 5 ms of computing between two MiB,
which makes some 200 MB/s, then as fast as it can.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TASKS = '''
import hashlib
import os
import subprocess
import time

from flytekit import task

MIB = 1024 * 1024
WAYS = ["nowhere", "drained", "kept"]


def blocks() -> list[bytes]:
    """Sixteen MiB of lines, no two of them alike."""
    made, line = [], 0
    for _ in range(16):
        block = bytearray()
        while len(block) < MIB:
            line += 1
            number = hashlib.md5(str(line).encode()).hexdigest()
            block += f"2026-11-27T12:{line % 60:02}:00.{line % 1000:03}Z INFO worker-{line % 7} request={number[:12]} took {line % 977} ms, status 200\\n".encode()
        made.append(bytes(block[:MIB]))
    return made


def compute(seconds: float) -> int:
    """How many bytes are hashed in so many seconds."""
    data, began, count = bytes(64 * 1024), time.perf_counter(), 0
    while time.perf_counter() - began < 0.5:
        hashlib.sha256(data).digest()
        count += 1
    return max(1, int(count * seconds / 0.5))


def write(file: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(file, view):]


@task
def prints(mib: int, milliseconds: float, turns: int) -> list[str]:
    """Prints so many MiB in each way and turn, with so much computing between two of them."""
    made, data = blocks(), bytes(64 * 1024)
    rounds = compute(milliseconds / 1000) if milliseconds else 0
    cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    files = {"nowhere": os.open(os.devnull, os.O_WRONLY), "drained": cat.stdin.fileno(), "kept": 1}
    told = []
    for turn in range(turns):
        for way in WAYS[turn % 3:] + WAYS[:turn % 3]:
            began = time.perf_counter()
            for number in range(mib):
                for _ in range(rounds):
                    hashlib.sha256(data).digest()
                write(files[way], made[number % 16])
            told.append(f"{way} {time.perf_counter() - began}")
    cat.stdin.close()
    cat.wait()
    return told
'''

CONFIG = "[logs]\nkeep_mib = 8192\n"
TURNS = 7
READY = re.compile(r"skein is ready: (http://[0-9.:]+)")


def figures(remote: object, mib: int, milliseconds: float) -> dict[str, list[float]]:
    """The seconds of each way, turn by turn."""
    entity = remote.fetch_task(name="printing.prints", version="v1")
    inputs = {"mib": mib, "milliseconds": milliseconds, "turns": TURNS}
    execution = remote.execute(entity, inputs=inputs, wait=True)
    found: dict[str, list[float]] = {}
    for line in execution.outputs["o0"]:
        way, seconds = line.split()
        found.setdefault(way, []).append(float(seconds))
    return found


def report(what: str, mib: int, found: dict[str, list[float]]) -> None:
    """Prints a line for each way, and what keeping costs beside the others, turn by turn."""
    print(f"{what}: {mib} MiB a turn, {TURNS} turns; median (lowest to highest)")
    for way, seconds in found.items():
        rates = [mib * 1.048576 / second for second in seconds]
        print(f"  {way:8} {statistics.median(rates):7.0f} MB/s ({min(rates):.0f} to {max(rates):.0f})")
    for way in ("nowhere", "drained"):
        ratios = [kept / other - 1 for kept, other in zip(found["kept"], found[way])]
        print(f"  kept takes {statistics.median(ratios):+.1%} ({min(ratios):+.1%} to {max(ratios):+.1%}) beside {way}")


def main() -> None:
    """Starts a server that keeps everything, and runs the task there."""
    program, python = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "printing.py").write_text(TASKS)
        (folder / "skein.toml").write_text(CONFIG)
        command = [program, "up", "--data", "data", "--listen", "127.0.0.1:0", "--python", python]
        process = subprocess.Popen(
            [*command, "--config", "skein.toml"], stdout=subprocess.PIPE, text=True, cwd=folder
        )
        assert process.stdout is not None
        url = next(found[1] for line in process.stdout if (found := READY.search(line)))
        os.environ["FLYTECTL_CONFIG"] = str(folder / "data/client.yaml")
        register = [os.path.join(os.path.dirname(python), "pyflyte"), "register", "-p", "flytesnacks", "-d", "development"]
        subprocess.run([*register, "--version", "v1", "printing.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL)

        from flytekit.configuration import Config, PlatformConfig
        from flytekit.remote import FlyteRemote

        platform = PlatformConfig(endpoint=url.removeprefix("http://"), insecure=True)
        remote = FlyteRemote(Config(platform=platform), default_project="flytesnacks", default_domain="development")
        report("with 5 ms of computing between two MiB", 128, figures(remote, 128, 5.0))
        report("as fast as it can", 256, figures(remote, 256, 0.0))
        process.terminate()
        process.wait(60)


if __name__ == "__main__":
    main()
