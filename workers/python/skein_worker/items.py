"""The items of one chunk, each dispatched by the loaded task in a context of its own."""

import contextlib
import os
import sys
from typing import Any, Dict, Iterator, Optional

from flyteidl.core import literals_pb2
from flytekit.core.context_manager import FlyteContext
from flytekit.models.literals import Literal, LiteralCollection, LiteralMap

from skein_worker import copies, dispatch, outcome
from skein_worker.context import Folders
from skein_worker.outcome import Written


class Items:
    """What the items of a chunk have in common."""

    def __init__(self, task: Any, ctx: FlyteContext, literals: literals_pb2.LiteralMap, names: "set[str]") -> None:
        self._task = task
        self._ctx = ctx
        # What was bound is decoded once: user code never sees these objects, only what is made of them.
        self._bound: Dict[str, Literal] = {}
        self._columns: Dict[str, Any] = {}
        for name, literal in literals.literals.items():
            if name in names:
                self._bound[name] = Literal.from_flyte_idl(literal)
            else:
                self._columns[name] = literal.collection.literals

    @staticmethod
    @contextlib.contextmanager
    def of_chunk(
        task: Any, base: FlyteContext, job: Dict[str, Any], literals: literals_pb2.LiteralMap
    ) -> "Iterator[Optional[Items]]":
        """Is ready for the items of a chunk; none when the SDK's entry point has to run them."""
        ctx = copies.of_attempt(base, job["argv"], job["outputs"])
        try:
            items = ctx and Items(task, ctx, literals, set(job["names"]))
        except Exception:  # noqa: BLE001 - a literal that the SDK cannot read: it has words for that
            items = None
        with looked_for_in(os.getcwd()):
            yield items

    def run(self, position: int, folders: Folders) -> Optional[Written]:
        """Runs an item; none when the SDK's entry point has to."""
        try:
            inputs = dict(self._bound)
            for name, elements in self._columns.items():
                inputs[name] = Literal(collection=LiteralCollection([Literal.from_flyte_idl(elements[position])]))
        except Exception:  # noqa: BLE001 - a literal that the SDK cannot read: it has words for that
            return None
        with copies.entered_copy(copies.of_item(self._ctx, folders)) as ctx:
            ended = dispatch.call(ctx, self._task, LiteralMap(inputs))
            literals = dispatch.plain(ended)
            if literals is None:
                return outcome.again(ctx, self._task, ended)
        outputs = {name: literal.SerializeToString(deterministic=True) for name, literal in literals.literals.items()}
        return Written(outputs, None, [])


@contextlib.contextmanager
def looked_for_in(folder: str) -> Iterator[None]:
    """Has modules be looked for in a folder too, as the entry point does with the working folder."""
    if folder in sys.path:
        yield
        return
    sys.path.append(folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
