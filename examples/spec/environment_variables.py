"""The user guide's environment variables: https://www.union.ai/docs/v1/union/user-guide/core-concepts/tasks/task-software-environment/environment-variables"""

import os

import union


@union.task(environment={"MY_ENV_VAR": "my_value"})
def my_task() -> str:
    """Gives the variable."""
    return os.environ["MY_ENV_VAR"]
