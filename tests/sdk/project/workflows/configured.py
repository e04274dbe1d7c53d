"""Plain tasks, of which a server's configuration file says how they run."""

import os

from flytekit import map_task, task, workflow

HELD: list[bytes] = []


def _tell(mib: int) -> str:
    HELD.append(b"x" * (mib << 20))
    return f"{os.getpid()} {len(HELD)}"


@task
def kept(mib: int) -> str:
    """Holds some MiB more; tells the process and how often it was called in it."""
    return _tell(mib)


@task
def replaced(mib: int) -> str:
    """Tells the process and how often it was called in it."""
    return _tell(mib)


@task
def grown(mib: int) -> str:
    """Holds some MiB more; tells the process and how often it was called in it."""
    return _tell(mib)


@task
def plain(mib: int) -> str:
    """Tells the process and how often it was called in it."""
    return _tell(mib)


@workflow
def three_times(mib: int) -> tuple[str, str, str]:
    """A task of which a rule says that its processes grow little, three times in a row."""
    first, second, third = grown(mib=mib), grown(mib=mib), grown(mib=mib)
    first >> second >> third  # noqa: B018
    return first, second, third


@workflow
def mapped(values: list[int]) -> list[str]:
    """A map of which a rule says how large its chunks are."""
    return map_task(plain)(mib=values)
