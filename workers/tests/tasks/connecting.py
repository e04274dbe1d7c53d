"""A task whose module opens a connection when it is imported, which two processes must not share."""

import os
import socket

from flytekit import task

ONE, OTHER = socket.socketpair()
OPENED_BY = os.getpid()


@task
def opened_here(x: int) -> str:
    return str(OPENED_BY == os.getpid())
