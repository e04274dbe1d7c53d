"""Tasks that print, and what is unusual about how they do."""

import os
import subprocess
import sys
from dataclasses import dataclass

from flytekit import map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekitplugins.skein import Skein

from workflows import witness


@dataclass
class Box:
    """A value that is more than a plain one."""

    value: int


@task
def step_by_step(steps: int) -> int:
    """Prints a line, waits for its gate, and so on."""
    for step in range(steps):
        print(f"step {step}")
        witness.pass_gate(f"step-{step}")
    print("the end, without a line's", end="")
    return steps


@task(retries=2)
def anew_each_time(x: int) -> int:
    """Prints which attempt it is; the third one succeeds."""
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    print(f"attempt {attempt}")
    print(f"error of {attempt}", file=sys.stderr)
    if attempt < 2:
        raise FlyteRecoverableException("not yet")
    return x


@workflow
def retried(x: int) -> int:
    """A task of three attempts."""
    return anew_each_time(x=x)


@task
def odd_bytes(x: int) -> int:
    """Prints what is no text, through both streams and through a program, in turns."""
    sys.stdout.buffer.write(b"\x00\xff\xfe zero\n")
    sys.stdout.buffer.flush()
    print("error", file=sys.stderr)
    subprocess.run(["sh", "-c", "echo program"], check=True)
    os.write(1, b"\x1eskein:0000000000000000:7\x1e no mark\n")
    print("last")
    return x


@task
def without_end(mebibytes: int) -> int:
    """Prints one line and never ends it, then a word."""
    piece = b"x" * (1024 * 1024)
    for _ in range(mebibytes):
        os.write(1, piece)
    os.write(1, b"the very end")
    return mebibytes


@task
def leaves_the_pipe_open(x: int) -> int:
    """Starts a program that goes on printing after the attempt."""
    print("mine")
    subprocess.Popen(["sh", "-c", "while true; do echo not mine; sleep 0.01; done"], start_new_session=True)
    return x


@task(task_config=Skein(chunk_items_max=8))
def plain_item(x: int) -> int:
    """Prints in one of several ways."""
    if x % 4 == 0:
        print(f"item {x}")
    elif x % 4 == 1:
        print(f"error {x}", file=sys.stderr)
        print(f"and {x}")
    elif x % 4 == 2:
        subprocess.run(["sh", "-c", f"echo program {x}"], check=True)
    return x


@task(task_config=Skein(chunk_items_max=8))
def boxed_item(box: Box) -> int:
    """Prints a line, and one without end."""
    print(f"box {box.value}")
    print(f"rest {box.value}", end="")
    return box.value


@task(retries=1, task_config=Skein(chunk_items_max=1))
def retried_item(x: int) -> int:
    """Prints which attempt it is; the second one succeeds."""
    attempt = int(os.environ["FLYTE_ATTEMPT_NUMBER"])
    print(f"item {x} attempt {attempt}")
    if attempt == 0:
        raise FlyteRecoverableException("not yet")
    return x


@task(task_config=Skein(chunk_items_max=1))
def held_item(x: int) -> int:
    """Prints, and waits for its gate."""
    print(f"item {x} waits")
    witness.pass_gate(f"item-{x}")
    print(f"item {x} goes")
    return x


@workflow
def plain_items(xs: list[int]) -> list[int]:
    """A map of plain values."""
    return map_task(plain_item)(x=xs)


@workflow
def boxed_items(boxes: list[Box]) -> list[int]:
    """A map of dataclasses."""
    return map_task(boxed_item)(box=boxes)


@workflow
def retried_items(xs: list[int]) -> list[int]:
    """A map whose items need two attempts."""
    return map_task(retried_item)(x=xs)


@workflow
def held_items(xs: list[int]) -> list[int]:
    """A map that a test holds."""
    return map_task(held_item)(x=xs)


@task
def says(x: int) -> int:
    """Prints its value."""
    print(f"x is {x}")
    return x + 1


@workflow
def in_a_row(x: int) -> int:
    """Two tasks, one after the other."""
    return says(x=says(x=x))
