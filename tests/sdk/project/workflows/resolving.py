"""Tasks that are found by resolvers of their own, of which one finds nothing."""

from typing import List

from flytekit import task
from flytekit.core.base_task import TaskResolverMixin


class ByNumber(TaskResolverMixin):
    """Finds a task by its place in a list."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.tasks: list = []

    @property
    def location(self) -> str:
        """Where the resolver itself is found."""
        return f"{__name__}.{self._name}"

    def name(self) -> str:
        """What it is called."""
        return self._name

    def loader_args(self, settings, task) -> List[str]:
        """What is said to find the task again."""
        if task not in self.tasks:
            self.tasks.append(task)
        return ["number", str(self.tasks.index(task))]

    def load_task(self, loader_args: List[str]):
        """Finds it."""
        return self.tasks[int(loader_args[1])]

    def get_all_tasks(self) -> list:
        """All that it knows."""
        return self.tasks


class Lost(ByNumber):
    """Finds nothing."""

    def load_task(self, loader_args: List[str]):
        """Raises."""
        raise LookupError(f"nothing is known of {' '.join(loader_args)}")


by_number = ByNumber("by_number")
lost = Lost("lost")


def _whoever(x: int) -> int:
    return x + 40


resolved = task(_whoever, task_resolver=by_number)
by_number.tasks.append(resolved)


@task(task_resolver=lost)
def unresolved(x: int) -> int:
    """Cannot be found again."""
    return x
