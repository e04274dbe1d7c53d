"""The configuration of a task, and the task that carries it in its template."""

import dataclasses
import unicodedata
from dataclasses import dataclass
from typing import Any, Callable, Dict, Literal, Optional, get_args

from flytekit.configuration import SerializationSettings
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.extend import TaskPlugins

Isolation = Literal["fresh", "fork", "reuse"]
# The least and the most that each number may be.
BOUNDS = {
    "chunk_items_min": (1, 1_000_000),
    "chunk_items_max": (1, 1_000_000),
    "priority": (-100, 100),
    "weight": (1, 1_000),
    "concurrency_limit": (1, 1_000_000),
    "pool_size": (1, 10_000),
    "process_attempts_max": (1, 1_000_000),
    "process_seconds_max": (1, 31_536_000),
    "process_growth_mib_max": (1, 1_048_576),
    "queued_seconds_max": (1, 31_536_000),
    "node_seconds_max": (1, 31_536_000),
}
# The most characters of a concurrency key.
KEY_CHARS_MAX = 63
# What means something only where a process runs more than one attempt or item.
_OF_SHARED_PROCESSES = (
    "chunk_items_min",
    "chunk_items_max",
    "process_attempts_max",
    "process_seconds_max",
    "process_growth_mib_max",
)
# The key in a template's `custom` under which Skein looks.
_KEY = "skein"


@dataclass(frozen=True)
class Skein:
    """How Skein schedules a task and in what processes it runs; what is none is left to the server's configuration, and in
    the end to Skein.

    Args:
        isolation: How much of a process attempts share. `"fresh"`: nothing, each has an interpreter of its own.
            `"fork"`: what is imported, each is a forked child. `"reuse"`: everything, they run one after another in the
            same process, also those of other executions.
        chunk_items_min: The fewest items of a map that travel together while there are as many, 1 to 1 000 000.
        chunk_items_max: The most items of a map that travel together, 1 to 1 000 000.
        priority: What goes first when not all can run: the larger, -100 to 100. None is 0.
        weight: The share among what competes with the same priority, 1 to 1 000. None is 1.
        concurrency_key: A name of 1 to 63 characters under which attempts and items are counted together with those of
            other tasks, over all executions of a project and domain. None: by the task's own name. Goes with
            `concurrency_limit` only.
        concurrency_limit: How many attempts and items of what is counted together run at once at most, 1 to 1 000 000.
        pool_size: How many processes of one machine have the task at once at most, 1 to 10 000.
        process_attempts_max: How many attempts or chunks a process runs before it is replaced, 1 to 1 000 000.
        process_seconds_max: The age in seconds at which a process is replaced, 1 to 31 536 000.
        process_growth_mib_max: By how many MiB its resident memory may grow after its first attempt or chunk before a
            process is replaced, 1 to 1 048 576.
        queued_seconds_max: How many seconds may pass from when an attempt could run until its code begins, before its node
            has timed out, 1 to 31 536 000. Items of a map are not held to it.
        node_seconds_max: How many seconds may pass from the time at which a node has all that it waits for to its end,
            waits and retries included, before it has timed out, 1 to 31 536 000.

    Raises:
        ValueError: A setting is none of these, or two contradict each other; the message names them, their values, and
            what would be right.
    """

    isolation: Optional[Isolation] = None
    chunk_items_min: Optional[int] = None
    chunk_items_max: Optional[int] = None
    priority: Optional[int] = None
    weight: Optional[int] = None
    concurrency_key: Optional[str] = None
    concurrency_limit: Optional[int] = None
    pool_size: Optional[int] = None
    process_attempts_max: Optional[int] = None
    process_seconds_max: Optional[int] = None
    process_growth_mib_max: Optional[int] = None
    queued_seconds_max: Optional[int] = None
    node_seconds_max: Optional[int] = None

    def __post_init__(self) -> None:
        if self.isolation is not None and self.isolation not in get_args(Isolation):
            raise ValueError(f"isolation is {self.isolation!r}; it has to be one of 'fresh', 'fork' and 'reuse'")
        for name, (least, most) in BOUNDS.items():
            count = getattr(self, name)
            if count is not None and (type(count) is not int or not least <= count <= most):
                raise ValueError(f"{name} is {count!r}; it has to be a whole number from {least} to {most}")
        if self.concurrency_key is not None and not _is_name(self.concurrency_key):
            raise ValueError(
                f"concurrency_key is {self.concurrency_key!r}; it has to be a name of 1 to {KEY_CHARS_MAX} characters, such "
                "as letters, digits, dots, dashes and underscores; no slashes"
            )
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        fewest, most = self.chunk_items_min, self.chunk_items_max
        if fewest is not None and most is not None and fewest > most:
            raise ValueError(f"chunk_items_min is {fewest}, which is more than chunk_items_max, {most}")
        if self.isolation in ("fresh", "fork"):
            for name in _OF_SHARED_PROCESSES:
                value = getattr(self, name)
                if value is not None:
                    raise ValueError(
                        f"{name} is {value}, which goes with isolation 'reuse' only: with {self.isolation!r} each attempt, "
                        "and each item of a map, has a process of its own"
                    )
        if self.concurrency_key is not None and self.concurrency_limit is None:
            raise ValueError(
                f"concurrency_key is {self.concurrency_key!r}, but there is no concurrency_limit; say how many may run at "
                "once"
            )

    def to_custom(self) -> Dict[str, Any]:
        """Gives what stands in the template: the settings that were made."""
        return {_KEY: {name: value for name, value in dataclasses.asdict(self).items() if value is not None}}


def _is_name(key: Any) -> bool:
    """Says whether `key` is a name as the server takes them."""
    if type(key) is not str or not 1 <= len(key) <= KEY_CHARS_MAX or key in (".", ".."):
        return False
    return not any(char in "/\\" or unicodedata.category(char) in ("Cc", "Cs") for char in key)


class SkeinTask(PythonFunctionTask[Skein]):
    """A Python task like any other, with the configuration in its template."""

    def __init__(self, task_config: Skein, task_function: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(task_config=task_config, task_function=task_function, **kwargs)

    def get_custom(self, settings: SerializationSettings) -> Dict[str, Any]:
        """Gives the `custom` of the template."""
        return self.task_config.to_custom()


TaskPlugins.register_pythontask_plugin(Skein, SkeinTask)
