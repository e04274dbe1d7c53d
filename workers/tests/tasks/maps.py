"""Tasks for maps."""

import os
import signal
import sys
import threading
import time
from datetime import datetime, timedelta
from typing import Dict, List, Optional

from flytekit import current_context, task


@task
def mutters(x: int) -> int:
    print(f"mutters {x} ", end="")
    return x


@task
def is_even(x: int) -> bool:
    return x % 2 == 0


@task
def scaled(x: int, by: float, names: List[str]) -> str:
    names.append(str(x))
    return f"{x * by} {names}"


@task
def odd_raises(x: int) -> int:
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


@task
def only_raises(x: int) -> int:
    """The SDK refuses to load this outside of an execution."""
    raise ValueError(f"always {x}")


@task
def seven_dies(x: int) -> int:
    if x == 7:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@task
def seven_exits(x: int) -> int:
    if x == 7:
        sys.exit(3)
    return x


@task
def three_leaves_a_killer(x: int) -> int:
    """Leaves a thread behind that ends the process some items later."""
    if x == 3:
        threading.Thread(target=lambda: (time.sleep(0.1), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
    time.sleep(0.03)
    return x


@task
def leaves_a_killer_and_waits(x: int) -> int:
    if x == 3:
        threading.Thread(target=lambda: (time.sleep(0.1), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
        time.sleep(600)
    return x


@task
def takes_a_while(x: int) -> int:
    time.sleep(0.03)
    return x


@task
def seven_sleeps(x: int) -> int:
    time.sleep(600 if x == 7 else 0.03)
    return x


@task
def index_of(x: int) -> str:
    return os.environ[os.environ["BATCH_JOB_ARRAY_INDEX_VAR_NAME"]]


@task
def process_of(x: int) -> int:
    return os.getpid()


@task
def name_of(x: int) -> str:
    return current_context().execution_id.name


@task
def returns_nothing(x: int):
    assert x >= 0


@task
def as_int(x: int) -> int:
    return [1, 1.0, None, True, "1", -(2**63), 2**63][x]  # type: ignore


@task
def same_int(x: int) -> int:
    return x


@task
def same_float(x: float) -> float:
    return x


@task
def same_bool(x: bool) -> bool:
    return x


@task
def same_str(x: str) -> str:
    return x


@task
def same_datetime(x: datetime) -> datetime:
    return x


@task
def same_timedelta(x: timedelta) -> timedelta:
    return x


@task
def same_list(x: List[List[int]]) -> List[List[int]]:
    return x


@task
def same_dict(x: Dict[str, List[float]]) -> Dict[str, List[float]]:
    return x


@task
def optional(x: Optional[int]) -> Optional[int]:
    return x


@task
def pid_of(x: int) -> int:
    return os.getpid()
