"""The connectors of the tests, for `pyflyte serve connector --modules connected.connectors`.

What becomes of a job stands in files, in the folder that FILE_JOBS names: it outlives this service, as a job elsewhere would.
"""

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from flyteidl.core.execution_pb2 import TaskExecution, TaskLog
from flytekit import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.extend.backend.base_connector import (
    AsyncConnectorBase,
    ConnectorRegistry,
    Resource,
    ResourceMeta,
    SyncConnectorBase,
)
from flytekit.models.literals import LiteralMap
from flytekit.models.task import TaskTemplate

FOLDER = Path(os.environ["FILE_JOBS"])


@dataclass
class JobMeta(ResourceMeta):
    """How a job is found again."""

    job: str


class FileJobs(AsyncConnectorBase):
    """Jobs whose state the test writes."""

    name = "File Jobs"

    def __init__(self) -> None:
        super().__init__(task_type_name="file_job", metadata_type=JobMeta)

    async def create(
        self,
        task_template: TaskTemplate,
        output_prefix: str,
        inputs: Optional[LiteralMap] = None,
        task_execution_metadata: Any = None,
        **kwargs: Any,
    ) -> JobMeta:
        """Leaves a file that says who asked for what."""
        id = task_execution_metadata.task_execution_id
        execution = id.node_execution_id.execution_id.name
        x = inputs.literals["x"].scalar.primitive.integer if inputs else 0
        job = uuid.uuid4().hex[:8]
        told = {
            "job": job,
            "execution": execution,
            "attempt": id.retry_attempt,
            "x": x,
            "custom": task_template.custom,
            "output_prefix": output_prefix,
            "namespace": task_execution_metadata.namespace,
        }
        # Whole at once: a test may look at any moment.
        written = FOLDER / f"{job}.writing"
        written.write_text(json.dumps(told), encoding="utf-8")
        written.rename(FOLDER / f"{execution}-{id.retry_attempt}-{job}.created")
        return JobMeta(job)

    async def get(self, resource_meta: JobMeta, **kwargs: Any) -> Resource:
        """Says what stands in the job's file."""
        file = FOLDER / f"{resource_meta.job}.state"
        if not file.exists():
            return Resource(phase=TaskExecution.RUNNING)
        state = json.loads(file.read_text(encoding="utf-8"))
        if "raise" in state:
            raise RuntimeError(state["raise"])
        links = [TaskLog(name=name, uri=uri) for name, uri in state.get("links", {}).items()]
        return Resource(
            phase=TaskExecution.Phase.Value(state["phase"]),
            message=state.get("message"),
            log_links=links or None,
            outputs=state.get("outputs"),
            custom_info=state.get("info"),
        )

    async def delete(self, resource_meta: JobMeta, **kwargs: Any) -> None:
        """Leaves a file that says so."""
        (FOLDER / f"{resource_meta.job}.deleted").write_text("", encoding="utf-8")


class Doubler(SyncConnectorBase):
    """Doubles a number."""

    name = "Doubler"

    def __init__(self) -> None:
        super().__init__(task_type_name="doubled")

    async def do(
        self, task_template: TaskTemplate, output_prefix: str, inputs: Optional[LiteralMap] = None, **kwargs: Any
    ) -> Resource:
        """Answers twice its input; of 13 it wants to know nothing."""
        native = await TypeEngine._literal_map_to_kwargs(
            FlyteContextManager.current_context(), inputs or LiteralMap({}), {"x": int}
        )
        if native["x"] == 13:
            return Resource(phase=TaskExecution.FAILED, message="13 is not doubled here")
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"o0": native["x"] * 2})


ConnectorRegistry.register(FileJobs())
ConnectorRegistry.register(Doubler())
