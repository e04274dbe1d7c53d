"""Tasks that use memory and processor time, and wait so that somebody can look."""

import os
import subprocess
import sys
import time

from flytekit import Resources, map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekitplugins.skein import Skein

from workflows import witness

MEBIBYTE = 1024 * 1024
GATE_SECONDS_MAX = 60
FILLS = f"import sys; held = b'x' * (int(sys.argv[1]) * {MEBIBYTE}); print('held', flush=True); sys.stdin.read()"


def spin(gate: str) -> None:
    """Uses all of one core until the test has opened the gate."""
    deadline = time.monotonic() + GATE_SECONDS_MAX
    while not os.path.exists(os.path.join(os.environ["GATES"], gate)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"gate {gate} stayed shut for {GATE_SECONDS_MAX} s")
        sum(range(10_000))


@task(requests=Resources(cpu="1", mem="100Mi"), limits=Resources(cpu="2", mem="1Gi"))
def holds(mib: int) -> int:
    """Fills so much memory, and holds it until the gate is open."""
    held = b"x" * (mib * MEBIBYTE)
    witness.note("holds", os.environ["FLYTE_ATTEMPT_NUMBER"])
    witness.pass_gate("held")
    return len(held) // MEBIBYTE


@task
def spins(gate: str) -> str:
    """Uses all of one core until the gate is open."""
    spin(gate)
    return gate


@task(task_config=Skein(isolation="reuse"))
def either(gate: str, works: bool) -> str:
    """Works or waits until the gate is open, in a process that it shares with others of it."""
    witness.note("process", os.getpid())
    if works:
        spin(gate)
    else:
        witness.pass_gate(gate)
    return gate


@workflow
def first_works_then_rests() -> str:
    """Two attempts in one process, one after the other: the first one works, the second one waits."""
    worked = either(gate="worked", works=True)
    rested = either(gate="rested", works=False)
    worked >> rested
    return rested


@task(limits=Resources(cpu="1", mem="400Mi"))
def fills_a_child(mib: int) -> int:
    """Has a program that it starts hold so much memory, and waits."""
    child = subprocess.Popen(
        [sys.executable, "-c", FILLS, str(mib)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout and child.stdout.readline() == "held\n"
    witness.note("child", child.pid)
    witness.pass_gate("child")
    child.communicate()
    return mib


@task(retries=1)
def hungrier_each_time(mib: int) -> int:
    """Fails when it has held so much memory; the second attempt holds twice as much."""
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    held = b"x" * (mib * (attempt + 1) * MEBIBYTE)
    witness.note("attempt", attempt)
    witness.pass_gate(f"attempt-{attempt}")
    if attempt == 0:
        raise FlyteRecoverableException(f"not with {len(held)}")
    return attempt


@task(task_config=Skein(chunk_items_max=4))
def item(mib: int) -> int:
    """Holds so much memory until the gate is open; without any it does not wait."""
    if mib:
        held = b"x" * (mib * MEBIBYTE)
        witness.note("item", os.getpid(), len(held))
        witness.pass_gate("item")
    return mib


@workflow
def with_a_hungry_item(mib: list[int]) -> list[int]:
    """A map of which items hold memory."""
    return map_task(item)(mib=mib)


@task
def at_once(x: int) -> int:
    """Is over before anybody looks."""
    return x
