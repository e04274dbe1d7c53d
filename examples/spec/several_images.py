"""The user guide's workflow of several images: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-software-environment/image-spec

A model is two numbers here: PyTorch is large.
"""

from typing import Tuple

import numpy as np
from flytekit import Resources, task, workflow


@task(
    requests=Resources(cpu="2", mem="16Gi"),
    container_image="ghcr.io/flyteorg/flytekit:py3.9-latest",
)
def get_data() -> Tuple[np.ndarray, np.ndarray]:
    """Gives points of a line."""
    features = np.arange(10.0)
    return features, 3.0 * features + 1.0


@task(
    requests=Resources(cpu="4", gpu="1", mem="16Gi"),
    limits=Resources(gpu="1"),
    container_image="ghcr.io/flyteorg/flytecookbook:kfpytorch-latest",
)
def train_model(features: np.ndarray, target: np.ndarray) -> list[float]:
    """Finds the line."""
    return [round(float(value), 6) for value in np.polyfit(features, target, 1)]


@workflow
def train() -> list[float]:
    """Gets data in one image and trains in the other."""
    features, target = get_data()
    return train_model(features=features, target=target)
