"""Tasks that harm the place they run in."""

import os
import shutil
import signal
import subprocess
import sys

from flytekit import task

from workflows import witness


@task
def prints_much(megabytes: int) -> int:
    """Prints lines of 1 KiB, a megabyte at a time, until there are so many of them."""
    lines = ("p" * 1023 + "\n") * 1024
    for _ in range(megabytes):
        sys.stdout.write(lines)
    sys.stdout.flush()
    return megabytes


@task
def leaves_a_child(x: int) -> int:
    """Starts a process that would outlive the attempt."""
    child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    witness.note("child", child.pid)
    return x


@task
def ignores_sigterm(x: int) -> int:
    """Will not end when asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    witness.note("ignores_sigterm", os.getpid())
    witness.pass_gate("never")
    return x


@task
def deletes_its_folder(x: int) -> int:
    """Deletes the folder that it runs in."""
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    return x
