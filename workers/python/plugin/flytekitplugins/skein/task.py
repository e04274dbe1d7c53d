"""The configuration of a task, and the task that carries it in its template."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, Dict, Literal, Optional, get_args

from flytekit.configuration import SerializationSettings
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.extend import TaskPlugins

Isolation = Literal["fresh", "fork", "reuse"]
# The most items that a chunk may be asked to have.
CHUNK_ITEMS_MAX = 1_000_000
# The key in a template's `custom` under which Skein looks.
_KEY = "skein"


@dataclass(frozen=True)
class Skein:
    """How Skein runs a task; what is none is left to it.

    Args:
        isolation: How much of a process attempts share. `"fresh"`: nothing, each has an interpreter of its own.
            `"fork"`: what is imported, each is a forked child. `"reuse"`: everything, they run one after another in the
            same process, also those of other executions.
        chunk_items_min: The fewest items of a map that travel together while there are as many, 1 to 1 000 000.
        chunk_items_max: The most items of a map that travel together, 1 to 1 000 000.

    Raises:
        ValueError: A setting is none of these; the message names it, its value, and what would be right.
    """

    isolation: Optional[Isolation] = None
    chunk_items_min: Optional[int] = None
    chunk_items_max: Optional[int] = None

    def __post_init__(self) -> None:
        if self.isolation is not None and self.isolation not in get_args(Isolation):
            raise ValueError(f"isolation is {self.isolation!r}; it has to be one of 'fresh', 'fork' and 'reuse'")
        for name in ("chunk_items_min", "chunk_items_max"):
            count = getattr(self, name)
            if count is not None and (type(count) is not int or not 1 <= count <= CHUNK_ITEMS_MAX):
                raise ValueError(f"{name} is {count!r}; it has to be a whole number from 1 to {CHUNK_ITEMS_MAX}")
        least, most = self.chunk_items_min, self.chunk_items_max
        if least is not None and most is not None and least > most:
            raise ValueError(f"chunk_items_min is {least}, which is more than chunk_items_max, {most}")
        if self.isolation in ("fresh", "fork") and (least is not None or most is not None):
            raise ValueError(
                f"with isolation {self.isolation!r} each item of a map runs in a process of its own; chunk_items_min and "
                "chunk_items_max go with 'reuse' only"
            )

    def to_custom(self) -> Dict[str, Any]:
        """Gives what stands in the template: the settings that were made."""
        return {_KEY: {name: value for name, value in dataclasses.asdict(self).items() if value is not None}}


class SkeinTask(PythonFunctionTask[Skein]):
    """A Python task like any other, with the configuration in its template."""

    def __init__(self, task_config: Skein, task_function: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(task_config=task_config, task_function=task_function, **kwargs)

    def get_custom(self, settings: SerializationSettings) -> Dict[str, Any]:
        """Gives the `custom` of the template."""
        return self.task_config.to_custom()


TaskPlugins.register_pythontask_plugin(Skein, SkeinTask)
