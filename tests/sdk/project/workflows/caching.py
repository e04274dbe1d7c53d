"""Tasks whose outputs are kept for others. Each takes a salt, so that no test finds what another has left."""

import functools
import os
from pathlib import Path
from typing import Annotated, NamedTuple

from flytekit import HashMethod, current_context, map_task, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.types.file import FlyteFile

from workflows import witness


@task(cache=True, cache_version="1")
def spun(x: int, salt: str) -> int:
    """Leaves a line and gives one more."""
    witness.note("spun", x)
    return x + 1


@task(cache=True, cache_version="1", cache_ignore_input_vars=("loud",))
def spun_aloud(x: int, salt: str, loud: bool) -> int:
    """Leaves a line and gives one more; how loud makes no difference."""
    witness.note("spun_aloud", x)
    return x + 1


@task(cache=True, cache_version="1", cache_serialize=True)
def spun_alone(name: str) -> int:
    """Waits at a gate and leaves a line."""
    witness.note("reached", name)
    witness.pass_gate(name)
    return 7


@task(cache=True, cache_version="1")
def told(salt: str) -> None:
    """Has no outputs that could be kept."""
    witness.note("told")


@task(cache=True, cache_version="1", retries=1)
def spun_twice(salt: str) -> int:
    """Fails at first."""
    if os.environ["FLYTE_ATTEMPT_NUMBER"] == "0":
        raise FlyteRecoverableException("not yet")
    return 2


def by_content(file: FlyteFile) -> str:
    """What stands for a file in keys."""
    return Path(file).read_text(encoding="utf-8")


@task
def written(text: str) -> Annotated[FlyteFile, HashMethod(by_content)]:
    """Writes a new file each time."""
    path = Path(current_context().working_directory) / "written.txt"
    path.write_text(text, encoding="utf-8")
    return FlyteFile(str(path))


@task(cache=True, cache_version="1")
def measured(file: FlyteFile) -> int:
    """Leaves a line and tells how long a file is."""
    witness.note("measured")
    return len(Path(file).read_text(encoding="utf-8"))


@task(cache=True, cache_version="1")
def filed(salt: str) -> FlyteFile:
    """Leaves a line and a file."""
    witness.note("filed")
    path = Path(current_context().working_directory) / "filed.txt"
    path.write_text(salt, encoding="utf-8")
    return FlyteFile(str(path))


class Both(NamedTuple):
    """What two calls gave."""

    one: int
    other: int


@workflow
def spins(x: int, salt: str) -> int:
    """One cached task."""
    return spun(x=x, salt=salt)


@workflow
def spins_anew(x: int, salt: str) -> Both:
    """The same task with its own cache version and with another."""
    own = spun(x=x, salt=salt)
    other = spun(x=x, salt=salt).with_overrides(cache=True, cache_version="2")
    return Both(one=own, other=other)


@workflow
def spins_many(xs: list[int], salt: str) -> list[int]:
    """A cached task over a list."""
    return map_task(functools.partial(spun, salt=salt))(x=xs)


@workflow
def measures(text: str) -> int:
    """A file that is written anew, and a cached task that takes it."""
    return measured(file=written(text=text))
