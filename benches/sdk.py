"""How long chains and maps take through the SDK, by the server's own clock.

Against a running `skein up`, with a Python that has `workers/python/plugin` installed and the variables that it printed:

    pyflyte register examples/with_flytekit
    (cd benches && pyflyte register bench_tasks)
    python benches/sdk.py
"""

from __future__ import annotations

import statistics
from datetime import timedelta

from flytekit.configuration import Config
from flytekit.remote import FlyteRemote

RUNS = 5
CHAINS = [
    ("chain, plain values, reuse", "bench_tasks.chains.chain_reused"),
    ("chain, a dataclass, reuse", "bench_tasks.chains.chain_dispatched"),
    ("chain, plain values, fork", "bench_tasks.chains.chain_forked"),
]
MAPS = [("map of 10 000, int to bool", 10_000), ("map of 100 000, int to bool", 100_000)]


def run(remote: FlyteRemote, plan: str, inputs: dict) -> list:
    """Runs a launch plan to its end; gives its node executions."""
    execution = remote.execute(remote.fetch_launch_plan(name=plan), inputs=inputs)
    execution = remote.wait(execution, poll_interval=timedelta(seconds=1), sync_nodes=False)
    if not execution.is_successful:
        raise SystemExit(f"{plan}: {execution.error}")
    return remote.client.list_node_executions(execution.id, limit=1000)[0]


def steps(nodes: list) -> list[float]:
    """Gives the milliseconds between the end of one node of a chain and the end of the next."""
    ends = sorted(node.closure.updated_at.timestamp() for node in nodes if node.id.node_id.startswith("n"))
    return [(after - before) * 1000 for before, after in zip(ends, ends[1:])]


def map_seconds(nodes: list) -> float:
    """Gives how long the map's own node took, without the task that makes its inputs."""
    [seconds] = [node.closure.duration.total_seconds() for node in nodes if node.metadata.is_array]
    return seconds


def show(name: str, figures: list[float], unit: str) -> None:
    """Prints median, lowest and highest."""
    print(f"{name:<34} {statistics.median(figures):>10.1f} {unit}  ({min(figures):.1f} to {max(figures):.1f})")


def main() -> None:
    """Runs every case once to warm up and several times for the figures."""
    remote = FlyteRemote(Config.auto(), "flytesnacks", "development")
    for name, plan in CHAINS:
        run(remote, plan, {})
        runs = [steps(run(remote, plan, {})) for _ in range(RUNS)]
        show(f"{name}, p50", [statistics.median(run) for run in runs], "ms a step")
        show(f"{name}, p99", [sorted(run)[len(run) * 99 // 100] for run in runs], "ms a step")
    for name, count in MAPS:
        plan, inputs = "with_flytekit.map_workflow.map_many", {"count": count}
        run(remote, plan, inputs)
        show(name, [count / map_seconds(run(remote, plan, inputs)) for _ in range(RUNS)], "items/s")


if __name__ == "__main__":
    main()
