"""How long a chain and maps take through the SDK, by the server's own clock.

Against a running `skein up`, with its Python and the variables that it printed:

    pyflyte register examples/with_flytekit
    python benches/sdk.py
"""

from __future__ import annotations

import statistics
from datetime import timedelta

from flytekit.configuration import Config
from flytekit.remote import FlyteRemote

RUNS = 5
CASES = [
    ("chain of 20 tasks, each forked", "with_flytekit.chain.chain", {}, 20, "ms a step"),
    ("map of 10 000, int to bool", "with_flytekit.map_workflow.map_many", {"count": 10_000}, 10_000, "items/s"),
    ("map of 100 000, int to bool", "with_flytekit.map_workflow.map_many", {"count": 100_000}, 100_000, "items/s"),
]


def node_seconds(remote: FlyteRemote, execution) -> float:
    """Gives how long the map's own node took, without the task that makes its inputs."""
    nodes = remote.sync_execution(execution, sync_nodes=True).node_executions
    spans = [node.closure.duration.total_seconds() for node in nodes.values() if node.metadata.is_array]
    return spans[0] if spans else execution.closure.duration.total_seconds()


def main() -> None:
    """Runs every case several times and prints median, lowest and highest."""
    remote = FlyteRemote(Config.auto(), "flytesnacks", "development")
    for name, plan, inputs, size, unit in CASES:
        launch_plan = remote.fetch_launch_plan(name=plan)
        figures = []
        for _ in range(RUNS):
            execution = remote.execute(launch_plan, inputs=inputs)
            execution = remote.wait(execution, poll_interval=timedelta(seconds=1), sync_nodes=False)
            if not execution.is_successful:
                raise SystemExit(f"{plan}: {execution.error}")
            seconds = node_seconds(remote, execution)
            figures.append(seconds * 1000 / size if unit == "ms a step" else size / seconds)
        middle, low, high = statistics.median(figures), min(figures), max(figures)
        print(f"{name:<36} {middle:>10.1f} {unit}  ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
