"""Tasks that say how much of a process they share."""

import os

from flytekit import map_task, task, workflow
from flytekitplugins.skein import Skein

CALLS: list[int] = []


def _tell(value: int) -> str:
    CALLS.append(value)
    return f"{os.getpid()} {len(CALLS)}"


@task(task_config=Skein(isolation="reuse"))
def reused(value: int) -> str:
    """Tells the process and how often it was called in it."""
    return _tell(value)


@task(task_config=Skein(isolation="fork"))
def forked(value: int) -> str:
    """Tells the process and how often it was called in it."""
    return _tell(value)


@task(task_config=Skein(isolation="fresh"))
def fresh(value: int) -> str:
    """Tells the process and how often it was called in it."""
    return _tell(value)


@task(task_config=Skein(isolation="reuse", chunk_items_min=20, chunk_items_max=20))
def bounded(value: int) -> str:
    """Tells the process and how often it was called in it."""
    return _tell(value)


@workflow
def one_after_another(value: int = 1) -> tuple[str, str, str, str, str, str]:
    """Each task twice."""
    reused_before, reused_after = reused(value=value), reused(value=value)
    forked_before, forked_after = forked(value=value), forked(value=value)
    fresh_before, fresh_after = fresh(value=value), fresh(value=value)
    reused_before >> reused_after  # noqa: B018
    forked_before >> forked_after  # noqa: B018
    fresh_before >> fresh_after  # noqa: B018
    return reused_before, reused_after, forked_before, forked_after, fresh_before, fresh_after


@workflow
def maps(values: list[int]) -> tuple[list[str], list[str]]:
    """The same over lists: items that share a process, and items that do not."""
    return map_task(bounded)(value=values), map_task(forked)(value=values)
