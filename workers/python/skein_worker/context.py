"""The SDK's context of an execution, set up as its entry point does, and its command lines taken apart for that."""

import contextlib
import threading
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

from flytekit.bin import entrypoint
from flytekit.core.context_manager import FlyteContext, FlyteContextManager


def options_of(argv: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """Splits a command line of the SDK's entry point into its options and its loader's arguments."""
    end = argv.index("--") if "--" in argv else len(argv)
    words = argv[1:end]
    return dict(zip(words[0::2], words[1::2])), argv[end + 1 :]


class Folders(NamedTuple):
    """Where large values, checkpoints and the checkpoint of the try before are; as the SDK understands the words."""

    raw: Optional[str]
    checkpoint: Optional[str]
    previous: Optional[str]


def folders_of(options: Dict[str, str]) -> Folders:
    """Answers the folders that a command line names."""
    return Folders(
        *entrypoint.normalize_inputs(
            options.get("--raw-output-data-prefix"), options.get("--checkpoint-path"), options.get("--prev-checkpoint")
        )
    )


@contextlib.contextmanager
def entered(argv: List[str], outputs: str, *, checkpoint: bool = True) -> Iterator[FlyteContext]:
    """Is in the context in which the entry point would run `argv`, with `outputs` as its output folder."""
    options, _ = options_of(argv)
    folders = folders_of(options)
    with entrypoint.setup_execution(
        folders.raw,
        outputs,
        folders.checkpoint if checkpoint else None,
        folders.previous if checkpoint else None,
        options.get("--dynamic-addl-distro"),
        options.get("--dynamic-dest-dir"),
    ) as ctx:
        yield ctx


class WhenAsked:
    """The same context, set up only when somebody asks for it.

    Setting it up makes folders and costs as much as a whole short task; most functions of plain values never ask.
    """

    def __init__(self, argv: List[str], outputs: str) -> None:
        self._argv = argv
        self._outputs = outputs
        self._stack = contextlib.ExitStack()
        self._thread = threading.get_ident()
        self._is_entered = False
        self._current = FlyteContextManager.current_context

    def __enter__(self) -> "WhenAsked":
        FlyteContextManager.current_context = staticmethod(self.context)  # type: ignore[method-assign]
        return self

    def __exit__(self, *raised: Any) -> None:
        FlyteContextManager.current_context = staticmethod(self._current)  # type: ignore[method-assign]
        self._stack.close()

    def context(self) -> FlyteContext:
        """Answers what the SDK's own function would: in another thread, a context of that thread."""
        if not self._is_entered and threading.get_ident() == self._thread:
            self._is_entered = True
            # The SDK asks for the context that is there while it makes a new one.
            self._stack.enter_context(entered(self._argv, self._outputs))
        return self._current()
