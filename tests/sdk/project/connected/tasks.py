"""Tasks without anything to run: each is a job of a connector."""

from datetime import timedelta
from typing import Any, Optional

from flytekit import task, workflow
from flytekit.configuration import SerializationSettings
from flytekit.core.base_task import PythonTask, TaskMetadata
from flytekit.core.interface import Interface
from flytekit.extend.backend.base_connector import AsyncConnectorExecutorMixin, SyncConnectorExecutorMixin
from flytekit.sensor.file_sensor import FileSensor


class FileJob(AsyncConnectorExecutorMixin, PythonTask):
    """A job whose state is a file that the test writes."""

    def __init__(self, name: str, retries: int = 0, timeout: Optional[timedelta] = None, cached: bool = False) -> None:
        super().__init__(
            task_type="file_job",
            name=name,
            task_config=None,
            interface=Interface(inputs={"x": int}, outputs={"o0": int}),
            metadata=TaskMetadata(
                retries=retries, timeout=timeout, cache=cached, cache_version="1" if cached else ""
            ),
        )

    def get_custom(self, settings: SerializationSettings) -> dict[str, Any]:
        """What the connector is told beside the inputs."""
        return {"asked_by": self.name}


class Doubled(SyncConnectorExecutorMixin, PythonTask):
    """Twice a number, within one call."""

    def __init__(self, name: str) -> None:
        super().__init__(
            task_type="doubled",
            name=name,
            task_config=None,
            interface=Interface(inputs={"x": int}, outputs={"o0": int}),
        )


job = FileJob("connected.tasks.job")
job_with_retries = FileJob("connected.tasks.job_with_retries", retries=2)
job_with_limit = FileJob("connected.tasks.job_with_limit", timeout=timedelta(seconds=2))
job_kept = FileJob("connected.tasks.job_kept", cached=True)
doubled = Doubled("connected.tasks.doubled")
file_is_there = FileSensor(name="connected.tasks.file_is_there")


@task
def added(x: int) -> int:
    """A task of Python's, after one of a connector's."""
    return x + 1


@workflow
def through_connectors(x: int) -> int:
    """One of each kind, one after another."""
    return added(x=doubled(x=job(x=x)))


@workflow
def after_a_file(path: str, x: int) -> int:
    """A sensor that something waits for."""
    sensed = file_is_there(path=path)
    out = added(x=x)
    sensed >> out
    return out
