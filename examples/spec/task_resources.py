"""The user guide's resources: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-hardware-environment/customizing-task-resources"""

from pathlib import Path

import union
from flytekit import Resources, task, workflow
from flytekit.extras.accelerators import GPUAccelerator
from flytekit.types.file import FlyteFile


@union.task(
    requests=Resources(mem="120Gi", cpu="44", ephemeral_storage="100Gi"),
    limits=Resources(mem="200Gi", cpu="100", gpu="12", ephemeral_storage="200Gi"),
    accelerator=GPUAccelerator("nvidia-tesla-a100"),
)
def my_large_task():
    """Wants more than a small machine has."""
    print("nobody reads this")


@task
def files() -> tuple[FlyteFile, FlyteFile]:
    """Writes a small file and a larger one."""
    folder = Path(union.current_context().working_directory)
    small, big = folder / "small.txt", folder / "big.txt"
    small.write_text("s")
    big.write_text("b" * 1000)
    return FlyteFile(str(small)), FlyteFile(str(big))


@task
def my_task(ff: FlyteFile) -> int:
    """Counts the characters of a file."""
    return len(Path(ff).read_text())


@workflow
def my_workflow() -> tuple[int, int]:
    """Asks for more where the larger file is read."""
    small_file, big_file = files()
    small = my_task(ff=small_file)
    big = my_task(ff=big_file).with_overrides(requests=Resources(mem="120Gi", cpu="10"))
    return small, big


@union.task(requests=Resources(cpu="44", mem="120Gi"), limits=Resources(cpu="44", mem="120Gi"))
def my_monitored_task() -> int:
    """Has its requests and limits beside what it uses, as the page on monitoring shows them."""
    return 1
