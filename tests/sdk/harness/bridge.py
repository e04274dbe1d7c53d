"""One unmodified `unionai-actor-bridge`, started by hand beside a server as a user would."""

import subprocess
from pathlib import Path
from typing import Any

from flyteidl.admin import common_pb2

from harness.client import Client, identifier
from harness.poll import until
from harness.server import STOP_SECONDS_MAX, free_port
from harness.settings import DOMAIN, PROJECT, environment, union_python

CONNECTED_SECONDS_MAX = 30
TAKES = "a worker that this server did not start takes the tasks of an actor environment"


def queue_of(client: Client, task: str) -> str:
    """The queue of the environment of a registered task, for executions in the project of the tests."""
    found: Any = client.admin.GetTask(common_pb2.ObjectGetRequest(id=identifier("TASK", task)))
    custom = found.closure.compiled_task.template.custom
    return f"{PROJECT}_{DOMAIN}_{custom['name']}_{custom['version']}"


class Bridge:
    """A bridge process with one executor. It heartbeats each second, so that tests need not wait for ten."""

    def __init__(self, client: Client, folder: Path, task: str, worker: str = "bridge-1", slots: int = 1) -> None:
        self.client = client
        code = folder / "code"
        code.mkdir(parents=True)
        programs = union_python().parent
        command = [str(programs / "unionai-actor-bridge"), "--queue-id", queue_of(client, task)]
        command += ["--worker-id", worker, "--fasttask-url", client.server.url, "--parallelism", str(slots)]
        command += ["--executor-registration-addr", f"127.0.0.1:{free_port()}"]
        command += ["--fast-register-dir-override", str(code)]
        command += ["--heartbeat-interval-seconds", "1", "--task-status-report-interval-seconds", "1"]
        path = f"{programs}:{environment().get('PATH', '')}"
        before = self._known()
        with open(folder / "printed.txt", "w", encoding="utf-8") as printed:
            self.process = subprocess.Popen(
                command,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=code,
                env=environment(PATH=path),
                start_new_session=True,
            )
        self.connected(before)

    def _known(self) -> int:
        return self.client.server.said().count(TAKES)

    def connected(self, before: int) -> None:
        """Waits until the server has noticed one more worker than `before`."""
        until("the bridge is known", lambda: self._known() > before, CONNECTED_SECONDS_MAX)

    def end(self) -> None:
        """Ends it, whatever it runs."""
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)
