"""What the tests see of the inside of a task: lines in a file, and gates that a test opens."""

import os
import time

GATE_SECONDS_MAX = 60


def note(*words: object) -> None:
    """Appends a line to the file that the environment names; lines of several processes do not mix."""
    line = " ".join(str(word) for word in words) + "\n"
    descriptor = os.open(os.environ["WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def pass_gate(name: str) -> None:
    """Waits until the test has opened the gate, which is a file in the folder that the environment names."""
    deadline = time.monotonic() + GATE_SECONDS_MAX
    while not os.path.exists(os.path.join(os.environ["GATES"], name)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"gate {name} stayed shut for {GATE_SECONDS_MAX} s")
        time.sleep(0.02)


def is_open(name: str) -> bool:
    """Whether the test has opened the gate."""
    return os.path.exists(os.path.join(os.environ["GATES"], name))
