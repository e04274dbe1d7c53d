"""The user guide's accelerators: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-hardware-environment/accelerators"""

import os

import union
from flytekit import Resources
from flytekit.extras.accelerators import A100, T4


@union.task(limits=Resources(gpu="1"), accelerator=A100)
def my_task_on_a100() -> str:
    """Gives the A100 that it may use, whole or a part of one."""
    return os.environ["CUDA_VISIBLE_DEVICES"]


@union.task(limits=Resources(gpu="1"), accelerator=T4)
def my_task_on_t4() -> str:
    """Gives the T4 that it may use."""
    return os.environ["CUDA_VISIBLE_DEVICES"]


@union.task(limits=Resources(gpu="1"), accelerator=A100.partition_2g_10gb)
def my_task_on_a_part() -> str:
    """Gives the part of an A100 that it may use."""
    return os.environ["CUDA_VISIBLE_DEVICES"]
