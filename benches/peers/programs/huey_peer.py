"""Huey with its queue and results in SQLite, flushed to disk: a consumer with two worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import peer

# Whoever waits looks at least this often. The defaults are a tenth of a second and more, which would be all one measures.
LOOK_SECONDS = 0.005
# So long without a result while nothing is queued: what is not there yet is lost.
QUIET_SECONDS = 3.0


class Huey:
    """The producer, and the consumer as soon as it is needed."""

    def __init__(self, folder: Path, tasks: Any) -> None:
        self._ids = folder / "ids.json"
        self._tasks = tasks
        self._consumer: subprocess.Popen[bytes] | None = None

    def consume(self) -> None:
        """Starts the consumer unless it runs."""
        if self._consumer is not None:
            return
        program = str(Path(sys.executable).with_name("huey_consumer"))
        words = ["--workers", "2", "--worker-type", "process", "--delay", str(LOOK_SECONDS)]
        words += ["--max-delay", str(LOOK_SECONDS), "--quiet"]
        here = Path(__file__).parent
        self._consumer = subprocess.Popen([program, "huey_tasks.huey", *words], cwd=here, stdout=subprocess.DEVNULL)

    def end(self) -> None:
        """Ends the consumer."""
        if self._consumer is not None:
            self._consumer.terminate()
            self._consumer.wait()

    def map(self, items: list[int]) -> list[bool]:
        """See `peer.Engine`."""
        self.consume()
        return self._tasks.detect.map(items).get(blocking=True, max_delay=LOOK_SECONDS)

    def chain(self, steps: int) -> int:
        """See `peer.Engine`. A pipeline: each step is queued by the worker that ran the one before."""
        self.consume()
        step = self._tasks.step
        pipeline = step.s(0)
        for _ in range(steps - 1):
            pipeline = pipeline.then(step)
        *_, last = self._tasks.huey.enqueue(pipeline)
        return last.get(blocking=True, max_delay=LOOK_SECONDS)

    def begin_marked(self, items: list[int], path: Path) -> None:
        """See `peer.Durable`. Results are kept by the id of their task, and the ids are for the producer to keep.

        The consumer starts when all is queued: what a killed producer has not queued yet nobody can run.
        """
        tasks = [self._tasks.witnessed.s(item, str(path)) for item in items]
        self._ids.write_text(json.dumps([task.id for task in tasks]), encoding="utf-8")
        for task in tasks:
            self._tasks.huey.enqueue(task)
        self.consume()
        while True:
            time.sleep(1)

    def resume_marked(self, count: int) -> peer.Resumed:
        """See `peer.Durable`. A task that a killed worker had taken from the queue has no result, ever."""
        self.consume()
        huey = self._tasks.huey
        missing = set(json.loads(self._ids.read_text(encoding="utf-8")))
        last = time.time()
        while missing and (huey.pending_count() > 0 or time.time() - last < QUIET_SECONDS):
            there = {task for task in missing if huey.result(task, preserve=True) is not None}
            if there:
                last = time.time()
                missing -= there
            time.sleep(LOOK_SECONDS)
        return peer.Resumed(count - len(missing), last)


@contextmanager
def start(folder: Path) -> Iterator[Huey]:
    """Opens a database in the folder; ends the consumer that came to it."""
    here = str(Path(__file__).parent)
    os.environ.update(PEER_HUEY=str(folder / "huey.db"), PYTHONPATH=here)
    import huey_tasks  # only now: it opens the database that the environment names

    huey = Huey(folder, huey_tasks)
    try:
        yield huey
    finally:
        huey.end()


if __name__ == "__main__":
    peer.run(start)
