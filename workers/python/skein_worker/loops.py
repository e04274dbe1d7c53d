"""The SDK's coroutines on the thread that waits for them.

The SDK hands each coroutine to an event loop in another thread and waits: two switches of threads for what is mostly
computed at once. Here the main thread runs the loop itself while it would only wait. What a coroutine leaves behind in
the loop (a task, a timer, a connection) has to go on while user code runs, so from then on that loop runs in a thread, as
the SDK's own do. A coroutine that is waited for inside another one has a thread from the beginning.

The SDK's own functions stay as they are, and so do the traces that they leave: only where they hand a coroutine over is
another hand.
"""

import asyncio
import concurrent.futures
import threading
from typing import Any, Optional

try:
    from flytekit.utils import asyn
except ImportError:  # Before 1.14 the SDK had no loops.
    asyn = None  # type: ignore[assignment]

# Where the SDK's runner keeps its loop; it starts a thread for one when there is none.
_LOOP = "_TaskRunner__loop"
# What is looked at in a loop: another version of Python, or another loop, may have it otherwise.
_OF_LOOP = ("_ready", "_scheduled", "_selector", "_signal_handlers")
_KNOWS_LOOP = hasattr(asyncio.SelectorEventLoop, "_run_once") and hasattr(asyncio.Handle, "_run")


class _Loop(asyncio.SelectorEventLoop):
    """Does not ask the kernel for what cannot have happened."""

    def _run_once(self) -> None:
        # Nothing is waited for but the calls that are ready: no timer, no signal, no file but its own wake-up calls.
        if self._ready and not self._scheduled and not self._signal_handlers and len(self._selector.get_map()) == 1:
            for _ in range(len(self._ready)):
                handle = self._ready.popleft()
                if not handle._cancelled:
                    handle._run()
        else:
            super()._run_once()  # type: ignore[misc]


class _Hand:
    """What a runner of the main thread has in the place of its loop."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._thread = threading.get_ident()
        # The loop that runs here, and the one that runs in a thread.
        self._here: Optional[asyncio.AbstractEventLoop] = None
        self._there: Optional[asyncio.AbstractEventLoop] = None
        self._has_moved = False

    def take(self, coroutine: Any) -> "concurrent.futures.Future[Any]":
        """Runs a coroutine to its end, or has a thread do so."""
        if self._has_moved or threading.get_ident() != self._thread or asyncio._get_running_loop() is not None:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop_in_a_thread())
        loop = self._here
        if loop is None:
            loop = self._here = self._new_loop()
            if not _shows_what_is_left(loop):
                self._move()
                return self.take(coroutine)
        task = loop.create_task(coroutine)
        task.add_done_callback(lambda _: loop.stop())
        try:
            loop.run_forever()
        finally:
            if _has_more(loop):
                self._move()
        return _future_of(task)

    def stop(self) -> None:
        """Stops what there is, as the SDK does at the end of the process."""
        for loop in (self._here, self._there):
            if loop is not None:
                loop.stop()

    def close(self) -> None:
        """Closes the loop that ran here, so that no copy of this process has its files."""
        if self._here is not None:
            self._here.close()
            self._here = None

    def _move(self) -> None:
        """From now on the loop that ran here runs in a thread."""
        self._here, self._there, self._has_moved = None, self._here, True
        self._start(self._there)

    def _loop_in_a_thread(self) -> asyncio.AbstractEventLoop:
        if self._there is None:
            self._there = self._new_loop()
            self._start(self._there)
        return self._there

    def _start(self, loop: Any) -> None:
        name = f"{threading.current_thread().name} : loop-runner"
        threading.Thread(target=loop.run_forever, daemon=True, name=name).start()

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        # Never set as the current one: what user code finds there is none of the SDK's.
        is_usual = type(asyncio.get_event_loop_policy()) is asyncio.DefaultEventLoopPolicy
        loop = _Loop() if is_usual and _KNOWS_LOOP else asyncio.new_event_loop()
        loop.set_exception_handler(self._runner.get_exc_handler())
        return loop


def _shows_what_is_left(loop: Any) -> bool:
    return all(hasattr(loop, name) for name in _OF_LOOP)


def _has_more(loop: Any) -> bool:
    """Says whether something in the loop goes on: a call, a timer, a connection besides its own wake-up calls, a task."""
    return bool(
        loop._ready
        or (loop._scheduled and any(not timer.cancelled() for timer in loop._scheduled))
        or len(loop._selector.get_map()) > 1
        or asyncio.all_tasks(loop)
    )


def _future_of(task: Any) -> "concurrent.futures.Future[Any]":
    """Answers the end of a task as the one who waits in another thread would be told it."""
    if not task.cancelled() and task.exception() is not None:
        return _Failing(task.exception())
    future: "concurrent.futures.Future[Any]" = concurrent.futures.Future()
    if task.cancelled():
        future.cancel()
        future.set_running_or_notify_cancel()
    else:
        future.set_result(task.result())
    return future


class _Failing(concurrent.futures.Future):  # type: ignore[type-arg]
    """Fails while it is waited for: a trace names the line that waits, and what runs in a thread has mostly not ended yet."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._condition.wait = lambda timeout=None: self.set_exception(error)  # type: ignore[attr-defined]


class _Asyncio:
    """What the SDK's module of loops sees of `asyncio`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    def run_coroutine_threadsafe(coroutine: Any, loop: Any) -> "concurrent.futures.Future[Any]":
        """Hands a coroutine over to where it runs."""
        if isinstance(loop, _Hand):
            return loop.take(coroutine)
        return asyncio.run_coroutine_threadsafe(coroutine, loop)


def install() -> bool:
    """Has the SDK's loops run here; false when this version of the SDK has others, which are left alone then."""
    if asyn is None or not _is_known():
        return False

    class Runner(asyn._TaskRunner):  # type: ignore[name-defined, misc]
        """The SDK's runner, that finds a loop which needs no thread."""

        def __init__(self) -> None:
            super().__init__()
            if threading.current_thread() is threading.main_thread():
                setattr(self, _LOOP, _Hand(self))

    asyn._TaskRunner = Runner
    asyn.asyncio = _Asyncio()  # type: ignore[attr-defined]
    return True


def forget() -> None:
    """Closes the loops of this process; it makes others when it needs some."""
    if asyn is None:
        return
    for runner in asyn.loop_manager._runner_map.values():
        hand = getattr(runner, _LOOP, None)
        if isinstance(hand, _Hand):
            hand.close()
    asyn.loop_manager._runner_map.clear()


def _is_known() -> bool:
    runner = getattr(asyn, "_TaskRunner", None)
    run = getattr(getattr(runner, "run", None), "__code__", None)
    return (
        run is not None
        and {_LOOP, "run_coroutine_threadsafe"} <= set(run.co_names)
        and hasattr(runner, "get_exc_handler")
        and getattr(asyn, "asyncio", None) is asyncio
        and "_TaskRunner" in asyn._AsyncLoopManager.run_sync.__code__.co_names
    )
