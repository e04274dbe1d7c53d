"""Tasks that ask for an image, each of which says where it ran; registered by the tests that map images."""

import os
import sys

from flytekit import map_task, task, workflow


@task
def default_image() -> str:
    """Gives the environment that it runs in."""
    return sys.prefix


@task(container_image="localhost/train:v1")
def train() -> str:
    """Gives the environment that it runs in, and that its shell would be in."""
    return f"{sys.prefix} {os.environ.get('VIRTUAL_ENV', '')} {os.environ['PATH'].split(':')[0]}"


@task(container_image="localhost/serve:v1")
def serve(x: int) -> str:
    """Gives the environment that it runs in."""
    return sys.prefix


@workflow
def several() -> tuple[str, str, str, str, list[str]]:
    """Each task in its own image, one in another's, and a map."""
    return (
        default_image(),
        train(),
        serve(x=1),
        default_image().with_overrides(container_image="localhost/train:v2"),
        map_task(serve)(x=[1, 2]),
    )


@task(environment={"A": "task", "B": "task"})
def variables() -> str:
    """Gives variables of its own and of its execution."""
    return f"{os.environ['A']} {os.environ['B']}"
