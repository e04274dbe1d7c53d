"""Runs a task of our own some times before any child is forked.

What is set up when code runs for the first time (imports on demand, converters of types, the caches that the interpreter
keeps in the code itself) would otherwise be set up again in each child, in pages of its own.
"""

import contextlib
import tempfile
from dataclasses import dataclass

from flyteidl.core import literals_pb2
from flytekit import task
from flytekit.core.array_node_map_task import ArrayNodeMapTask
from flytekit.core.context_manager import FlyteEntities
from flytekit.models.literals import LiteralMap

from skein_worker import copies, dispatch, loops
from skein_worker.context import Folders, entered
from skein_worker.items import Items

# Python 3.11 fills the caches in the code of a function that has been called about so often.
_TIMES = 16
# A dataclass as the SDK encodes it: {"value": 1}.
_PACKED = b"\x81\xa5value\x01"


@dataclass
class Box:
    """A value that is not plain."""

    value: int


def warm_up() -> None:
    """Runs the task alone and as an item of a map. A failure is of no consequence: children are slower then."""
    known = list(FlyteEntities.entities)
    try:
        with contextlib.suppress(Exception), tempfile.TemporaryDirectory() as folder:
            _run(folder)
    finally:
        # User code that looks for its tasks is to find none of ours.
        FlyteEntities.entities[:] = known
        loops.forget()


def _run(folder: str) -> None:
    boxed = task(_same)
    argv = ["pyflyte-execute", "--output-prefix", folder, "--raw-output-data-prefix", folder, "--"]
    literals = literals_pb2.LiteralMap()
    literals.literals["box"].scalar.binary.value = _PACKED
    literals.literals["box"].scalar.binary.tag = "msgpack"
    columns = literals_pb2.LiteralMap()
    columns.literals["box"].collection.literals.add().CopyFrom(literals.literals["box"])
    with entered(argv, folder, checkpoint=False) as base:
        pass
    for _ in range(_TIMES):
        ctx = copies.of_attempt(base, argv, folder)
        assert ctx is not None
        with copies.entered_copy(ctx):
            dispatch.plain(dispatch.call(ctx, boxed, LiteralMap.from_flyte_idl(literals)))
        job = {"argv": argv, "outputs": folder, "names": []}
        with Items.of_chunk(ArrayNodeMapTask(boxed), base, job, columns) as items:
            assert items is not None
            items.run(0, Folders(folder, None, None))


def _same(box: Box) -> Box:
    return box
