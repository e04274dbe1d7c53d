"""What a task finds around itself."""

import os

from flytekit import current_context, map_task, task, workflow

from workflows import neighbour


@task
def internal_variables() -> dict[str, str]:
    """Gives all variables that the platform sets."""
    return {name: value for name, value in os.environ.items() if name.startswith("FLYTE_")}


@task
def where_the_neighbour_is() -> str:
    """Gives the file that an import from the same archive came from."""
    return neighbour.PLACE


@task
def variable(name: str) -> str:
    """Gives one variable."""
    return os.environ.get(name, "")


@task
def raw_output_prefix() -> str:
    """Gives the prefix under which files and folders are uploaded."""
    return current_context().raw_output_prefix


@workflow
def variable_everywhere(name: str, names: list[str]) -> tuple[str, list[str]]:
    """Gives one variable as a task sees it, and as the items of a map do."""
    return variable(name=name), map_task(variable)(name=names)
