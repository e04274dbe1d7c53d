"""Says to Skein what neither `flytekit` nor `union` has words for: `@task(task_config=Skein(isolation="reuse"))`."""

from flytekitplugins.skein.offload import offload_list
from flytekitplugins.skein.task import Skein, SkeinTask

__all__ = ["Skein", "SkeinTask", "offload_list"]
