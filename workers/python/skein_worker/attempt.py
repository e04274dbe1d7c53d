"""One attempt: the SDK's own entry point in this process, or any other command in its place."""

import os
from typing import List

from flytekit.bin import entrypoint

# The SDK's commands, by the name under which the package installs them.
_COMMANDS = {
    "pyflyte-execute": entrypoint.execute_task_cmd,
    "pyflyte-map-execute": entrypoint.map_execute_task_cmd,
}


def run(argv: List[str]) -> None:
    """Runs a command line. What it produced is in its output folder, or in how this process ends."""
    command = _COMMANDS.get(argv[0])
    if command is None:
        os.execvpe(argv[0], argv, os.environ)
    command.main(args=argv[1:], prog_name=argv[0], standalone_mode=False)
