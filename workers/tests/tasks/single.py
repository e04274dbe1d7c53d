"""Tasks that end in every way a task can end."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from flytekit import current_context, task
from flytekit.exceptions.base import FlyteRecoverableException as BaseRecoverable
from flytekit.exceptions.user import FlyteRecoverableException

assert BaseRecoverable


@task
def double(x: int) -> int:
    print(f"doubling {x}")
    return 2 * x


@task
def mutters(x: int) -> int:
    print(f"mutters {x} ", end="")
    return x


@task
def nothing(x: int):
    Path(os.environ["WITNESS"]).write_text(str(x))


@task
def raises(x: int) -> int:
    raise ValueError(f"boom {x}")


@task
def recoverable(x: int) -> int:
    raise FlyteRecoverableException(f"again {x}")


@task
def exits(x: int) -> int:
    print("going down")
    sys.exit(x)


@task
def exits_at_once(x: int) -> int:
    print("going down")
    os._exit(x)


@task
def killed(x: int) -> int:
    os.kill(os.getpid(), x)
    return x


@task
def wrong_type(x: int) -> int:
    return f"{x}"  # type: ignore


@task
def daemon(x: int) -> int:
    """Leaves one process in its group, and one in a session of its own whose parent is gone."""
    command = f"import os,time\nopen({os.environ['WITNESS']!r}+str(os.getpid()),'w').close()\ntime.sleep(600)"
    subprocess.Popen([sys.executable, "-c", command])
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen([sys.executable, "-c", command])
        os._exit(0)
    os.wait()
    folder = Path(os.environ["WITNESS"]).parent
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.01)
    return x


@task
def sleeps(x: int) -> int:
    Path(os.environ["WITNESS"]).write_text(str(os.getpid()))
    time.sleep(x)
    return x


@task
def deaf(x: int) -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(os.environ["WITNESS"]).write_text(str(os.getpid()))
    time.sleep(x)
    return x


@task
def deletes(x: int) -> int:
    shutil.rmtree(os.getcwd())
    return x


@task
def reads_beside(x: int) -> str:
    return Path("beside.txt").read_text() + os.environ.get("SECRET_OF_THE_ENGINE", "")


@task
def prints(x: int) -> int:
    line = "x" * 1023 + "\n"
    for _ in range(x * 1024):
        sys.stdout.write(line)
    print("the end")
    return x


CALLS = []


@task
def counts(x: int) -> str:
    """Tells the process, how often it was called in it, and whose attempt it is."""
    CALLS.append(x)
    print(f"call {len(CALLS)}")
    return f"{os.getpid()} {len(CALLS)} {os.environ['FLYTE_INTERNAL_EXECUTION_ID']}"


@task
def counts_too(x: int) -> str:
    """Counts with the task before."""
    CALLS.append(x)
    return f"{os.getpid()} {len(CALLS)} {os.environ['FLYTE_INTERNAL_EXECUTION_ID']}"


@task
def leaves_an_end(x: int) -> str:
    """Leaves a thread that ends the process when there is a witness, if `x` says so, and tells the process."""

    def end() -> None:
        while not os.path.exists(witness):
            time.sleep(0.01)
        os._exit(9)

    witness = os.environ["WITNESS"]
    if x:
        threading.Thread(target=end).start()
    return str(os.getpid())


@task
def lasts(x: int) -> str:
    """Takes some seconds, and tells the process."""
    time.sleep(x)
    return str(os.getpid())


@task
def hoards(x: int) -> str:
    """Holds some MiB more for ever, and tells the process."""
    CALLS.append(b"x" * (x << 20))
    return str(os.getpid())


@task
def gated(x: int) -> str:
    """Leaves a file when it begins, and waits at a gate."""
    CALLS.append(x)
    folder = Path(os.environ["WITNESS"]).parent
    (folder / f"begun-{os.getpid()}-{len(CALLS)}").touch()
    while not (folder / "gate").exists():
        time.sleep(0.01)
    return str(os.getpid())


@task
def asks(x: int) -> str:
    """Asks the SDK for what only the context of an attempt has."""
    context = current_context()
    Path(context.working_directory, "f").write_text("there")
    return f"{context.execution_id.name} {context.checkpoint is not None}"


@task
def twice(x: int) -> int:
    """Returns in a copy of this process first."""
    if os.fork() == 0:
        return -1
    os.wait()
    return x


@task
def paths(x: int) -> str:
    """Tells how many places modules are looked for in."""
    sys.path.append(f"/left/by/{len(CALLS)}")
    return str(len(sys.path))


@dataclass
class Point:
    x: int


@task
def makes_point(x: int) -> Point:
    CALLS.append(x)
    return Point(len(CALLS))


@task
def too_large(x: int) -> int:
    return 2**70


@task(enable_deck=True)
def decked(x: int) -> int:
    return x
