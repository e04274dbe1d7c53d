"""One attempt: the SDK's own entry point in this process, or any other command in its place."""

import os
import shutil
from typing import List, Optional

from flytekit.bin import entrypoint

# The SDK's commands, by the name under which the package installs them.
_COMMANDS = {
    "pyflyte-execute": entrypoint.execute_task_cmd,
    "pyflyte-map-execute": entrypoint.map_execute_task_cmd,
}


def run(argv: List[str], fresh: bool = False) -> None:
    """Runs a command line: here, or by a program of its own in the place of this process when that is to be `fresh`.

    What it produced is in its output folder, or in how this process ends.
    """
    command = _COMMANDS.get(argv[0])
    if command is None or fresh:
        os.execvpe(argv[0], argv, os.environ)
    command.main(args=argv[1:], prog_name=argv[0], standalone_mode=False)


_OUTPUTS = "outputs.pb"


def publish(outputs: str, target: Optional[str]) -> None:
    """Puts the outputs where they are looked for when the worker is gone before it could report them.

    Only outputs that stand alone: an error is for the worker to judge, and files beside them are named by their place
    here. Whole or not at all; not synced, because losing them only means running again.
    """
    if target is None or os.listdir(outputs) != [_OUTPUTS]:
        return
    os.makedirs(target, exist_ok=True)
    unfinished = os.path.join(target, ".%s.%d" % (_OUTPUTS, os.getpid()))
    shutil.copyfile(os.path.join(outputs, _OUTPUTS), unfinished)
    os.replace(unfinished, os.path.join(target, _OUTPUTS))
