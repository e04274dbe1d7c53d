"""Tasks that share warm processes: what stays there from one to the next, and what does not."""

import os
import signal

from flytekit import map_task, workflow
from union.actor import ActorEnvironment, actor_cache

from workflows import witness

shared = ActorEnvironment(name="shared", replica_count=1, ttl_seconds=60, environment={"OF": "shared"})
apart = ActorEnvironment(name="apart", replica_count=1, environment={"OF": "apart"})
pair = ActorEnvironment(name="pair", replica_count=2)

CALLS: list[str] = []


@actor_cache
def model(name: str) -> str:
    """Is computed once in a process, whichever task asks, and says where."""
    witness.note("computed", name, os.environ.get("OF"), os.getpid())
    return f"{name}@{os.getpid()}"


def _tell(name: str) -> str:
    CALLS.append(name)
    return f"{os.getpid()} {len(CALLS)} {os.environ.get('OF')} {model(name)}"


@shared.task
def first(name: str) -> str:
    """Tells its process, how many tasks it has run, and what is cached there."""
    return _tell(name)


@shared.task
def second(name: str, before: str) -> list[str]:
    """Does the same in a task of its own."""
    return [before, _tell(name)]


@apart.task
def elsewhere(name: str) -> str:
    """Does the same in another environment."""
    return _tell(name)


@shared.task
def number(value: int) -> str:
    """Does the same for an item."""
    return _tell(f"item-{value // 100}")


@pair.task(retries=2)
def at_gate(name: str) -> str:
    """Leaves its process, waits for its gate, and tells the process."""
    witness.note("reached", name, os.getpid())
    witness.pass_gate(name)
    return str(os.getpid())


@pair.task(retries=0)
def dies_once(name: str) -> str:
    """Its process is killed under it once."""
    witness.note("lives", name, os.getpid())
    if len(witness_lines(name)) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return str(os.getpid())


@shared.task
def raises(name: str) -> str:
    """Fails, and its process goes on."""
    if name:
        raise ValueError(f"{name} in {os.getpid()}")
    return name


def witness_lines(name: str) -> list[str]:
    """The lines that tasks of that name have left."""
    with open(os.environ["WITNESS"], encoding="utf-8") as file:
        return [line for line in file if line.startswith(f"lives {name} ")]


@workflow
def both(name: str) -> list[str]:
    """Two tasks of one environment, one after the other."""
    return second(name=name, before=first(name=name))


@workflow
def two_environments(name: str) -> tuple[str, str]:
    """The same in two environments."""
    return first(name=name), elsewhere(name=name)


@workflow
def gates(a: str, b: str, c: str) -> tuple[str, str, str]:
    """Three tasks at gates, in an environment with two replicas."""
    return at_gate(name=a), at_gate(name=b), at_gate(name=c)


@workflow
def mapped(values: list[int]) -> list[str]:
    """Items in the processes of an environment."""
    return map_task(number)(value=values)
