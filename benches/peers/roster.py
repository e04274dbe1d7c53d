"""Who is measured, with what, and what is not like for like."""

from __future__ import annotations

from dataclasses import dataclass

FLYTEKIT = "flytekit==1.16.31"
# Our own plugin for flytekit, from this repository.
PLUGIN = "workers/python/plugin"
RECOVERY = "recovery"
FORKED = "chain-forked"


@dataclass(frozen=True)
class Peer:
    """One engine, or one way to run it."""

    name: str
    """What it is called on the command line, and its program: `programs/<name>_peer.py`."""
    title: str
    """What it is called in the results."""
    keeps: str
    """Where it keeps its state."""
    requirements: tuple[str, ...]
    """What is installed for it, with versions. Nothing for a peer that is left out."""
    note: str = ""
    """What has to be known beside its figures."""
    npm: str = ""
    """A package of npm's that brings its server."""
    environment: str = ""
    """The name of its environment, where it shares one."""
    also: tuple[str, ...] = ()
    """Workloads that not everybody has."""
    left_out: str = ""
    """Why it is not measured."""

    def versions(self) -> str:
        """Names what is installed, without paths."""
        return ", ".join(word for word in (*self.requirements, self.npm) if word and word != PLUGIN)

    def has(self, workload: str) -> bool:
        """Says whether it takes part in a workload."""
        return workload not in (RECOVERY, FORKED) or workload in self.also


OURS = "skein"

PEERS = (
    Peer(
        OURS,
        "Skein",
        "SQLite log, flushed to disk",
        (FLYTEKIT, PLUGIN),
        "From Python's integers to Python's results: the client encodes every item as a literal of flyteidl, creates the "
        "execution over gRPC, looks every 5 ms whether it has ended, and decodes the outputs. Its cold start has in it the "
        "registration by `pyflyte register`, most of which is the import of flytekit. Two worker processes.",
        environment="flytekit",
        also=(RECOVERY, FORKED),
    ),
    Peer(
        "flytekit",
        "flytekit local",
        "nothing",
        (FLYTEKIT, PLUGIN),
        "Calls the function in a loop in the calling process: no isolation, no retries, nothing kept. What user code can "
        "reach at best through flytekit's types, not an engine.",
    ),
    Peer(
        "flyte2",
        "Flyte 2 local",
        "nothing",
        ("flyte==2.12.1",),
        "Runs tasks one after another in the calling process, and converts and hashes the inputs of each call.",
    ),
    Peer("ray", "Ray", "memory", ("ray==2.60.0",), "Two worker processes; a chain is submitted whole, as futures."),
    Peer(
        "dask",
        "Dask distributed",
        "memory",
        ("distributed==2026.8.0",),
        "A scheduler and two worker processes of one thread; a chain is submitted whole, as futures.",
    ),
    Peer(
        "huey",
        "Huey",
        "SQLite, flushed to disk",
        ("huey==3.5.4",),
        "Two worker processes. Consumer and producer look every 5 ms instead of every 100 ms and more, as is the default, "
        "and wait 60 s instead of 5 s for a locked database, as a busy worker else gives up the result that it has in hands. "
        "Tasks are taken from the queue before they run: those that a killed worker had in hands are lost.",
        also=(RECOVERY,),
    ),
    Peer(
        "dbos",
        "DBOS",
        "SQLite, its defaults",
        ("dbos==3.4.0",),
        "Each item is a workflow on a queue, run by threads of one process; a chain is steps of one workflow. The queue is "
        "polled every second, which is the default. SQLite is what its quick start takes; PostgreSQL is steadier.",
        also=(RECOVERY,),
    ),
    Peer(
        "restate",
        "Restate",
        "its own log on disk",
        ("restate-sdk==1.3.0", "hypercorn==0.18.0"),
        "Each item is a durable step of a handler that has 500 of them, as one handler with ten thousand does not end in "
        "minutes; one service process. A chain is steps of one handler.",
        npm="@restatedev/restate-server@1.7.12",
        also=(RECOVERY,),
    ),
    Peer(
        "temporal",
        "Temporal dev server",
        "SQLite",
        (),
        left_out="its server is in no package of PyPI or npm",
        note="The SDK's `WorkflowEnvironment.start_local` downloads the dev server from its makers, and its Go module cannot "
        "be installed by name (it replaces others). What cannot be had from a package registry is not measured here.",
    ),
)
