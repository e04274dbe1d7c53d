"""One execution that takes outputs from the cache under a reservation, asks for a secret, and has a container, an actor and a connector."""

import hashlib
import os

from flytekit import Secret, kwtypes, task, workflow
from union.actor import ActorEnvironment

from connected.tasks import FileJob
from contained.values import shell
from workflows import witness

actors = ActorEnvironment(name="lasting", replica_count=1, ttl_seconds=60)

job = FileJob("lasting.everything.job")
contained = shell(
    "lasting", "echo $(( {{.inputs.x}} * 2 )) > /var/outputs/x", inputs=kwtypes(x=int), outputs=kwtypes(x=int)
)


@task(cache=True, cache_version="1", cache_serialize=True)
def kept(salt: str, x: int) -> int:
    """Leaves a line and gives one more."""
    witness.note("kept", salt, x)
    return x + 1


@task(secret_requests=[Secret(group="skein", key="lasting", env_var="LASTING")])
def told(x: int) -> str:
    """Tells the digest of its secret."""
    witness.note("told", x)
    return hashlib.sha256(os.environ["LASTING"].encode()).hexdigest()


@actors.task
def acted(x: int) -> int:
    """Gives ten more, in a process that it shares."""
    witness.note("acted", x)
    return x + 10


@workflow
def everything(salt: str, x: int) -> tuple[int, str, int, int]:
    """All of them: two nodes want the same from the cache, and whoever comes second waits for the first."""
    one, other = kept(salt=salt, x=x), kept(salt=salt, x=x)
    return contained(x=one), told(x=other), acted(x=other), job(x=one)
