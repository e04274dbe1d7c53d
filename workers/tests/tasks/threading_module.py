"""A task whose module starts a thread when it is imported, which a fork would not take along."""

import threading

from flytekit import task

ASKED, ANSWERED = threading.Event(), threading.Event()


def answer() -> None:
    ASKED.wait()
    ANSWERED.set()


threading.Thread(target=answer, daemon=True).start()


@task
def answers(x: int) -> str:
    ASKED.set()
    return str(ANSWERED.wait(60))
