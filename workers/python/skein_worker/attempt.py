"""One attempt: the SDK's own entry point in this process, or any other command in its place."""

import os
import sys
from typing import Any, Dict, List

from flyteidl.core import literals_pb2
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


def publish(job: Dict[str, Any]) -> None:
    """Puts the outputs where they are looked for when the worker is gone before it could report them.

    An attempt that failed leaves nothing there: an error is for the worker to judge. The outputs come last and whole, so
    whoever finds them finds what belongs to them; not synced, because losing them only means running again.
    """
    folder, target = job["outputs"], job["publish"]
    names = _files_in(folder) if target is not None else []
    if _OUTPUTS not in names or any(name.startswith("error") or name == "futures.pb" for name in names):
        return
    try:
        for name in names:
            if name != _OUTPUTS:
                _place(target, name, _read(folder, name))
        _place(target, _OUTPUTS, _with_stored_uris(_read(folder, _OUTPUTS), folder, job["prefix"]))
    except OSError as error:
        # The worker has them all the same, and waits until there is room.
        print(f"skein: the outputs cannot be written to {target} as well: {error}", file=sys.stderr)


def _files_in(folder: str) -> List[str]:
    found = []
    for base, _, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(base, name), folder) for name in names]
    return found


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def _place(target: str, name: str, body: bytes) -> None:
    path = os.path.join(target, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unfinished = f"{path}.{os.getpid()}.unfinished"
    with open(unfinished, "wb") as file:
        file.write(body)
    os.replace(unfinished, path)


def _with_stored_uris(outputs: bytes, folder: str, prefix: str) -> bytes:
    """Has literals that lie in files of their own point to where those are now."""
    literals = literals_pb2.LiteralMap.FromString(outputs)
    is_changed = False
    for literal in literals.literals.values():
        if literal.HasField("offloaded_metadata") and literal.offloaded_metadata.uri.startswith(folder):
            literal.offloaded_metadata.uri = prefix + literal.offloaded_metadata.uri[len(folder) :]
            is_changed = True
    return literals.SerializeToString(deterministic=True) if is_changed else outputs
