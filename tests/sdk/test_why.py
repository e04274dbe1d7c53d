"""`skein why`: what an execution waits for, and what each try that failed was charged to."""

import json
import subprocess

from harness.client import Client, phase, require_success, unique
from harness.poll import until
from harness.settings import binary, environment
from harness.witness import Witness

SECONDS_MAX = 60


def why(client: Client, *words: str) -> "subprocess.CompletedProcess[str]":
    """`skein why`, which finds the server by the configuration that the server wrote."""
    return subprocess.run(
        [str(binary()), "why", *words],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
    )


def test_each_node_says_what_it_waits_for(client: Client, witness: Witness) -> None:
    """One runs at a gate, and the next waits for it; when all has ended nothing waits."""
    gate = unique("why")
    execution = client.start(
        "gates.waits_in_the_middle", {"name": gate, "value": 1}, envs=witness.variables
    )
    name = execution.id.name
    until("the task at the gate", lambda: "its task, which runs on" in why(client, name).stdout, SECONDS_MAX)
    said = why(client, name)
    assert said.returncode == 0, said.stderr
    assert "n1  waits for its task, which runs on" in said.stdout
    assert "n2  waits for n1 to succeed" in said.stdout and "n0" not in said.stdout
    [wait] = json.loads(why(client, name, "n2", "--json").stdout)["waits"]
    assert (wait["node"], wait["what"]) == ("n2", "n1 to succeed")
    witness.open(gate)
    require_success(client.wait(execution))
    assert why(client, name).stdout.endswith("SUCCEEDED\n  nothing waits: it has ended\n")


def test_each_retry_says_who_paid(client: Client, witness: Witness) -> None:
    """Three tries of a task with two retries are charged to it, and the last is the last."""
    execution = client.finish("failing.recoverable", {"x": 1}, task=True, envs=witness.variables)
    assert phase(execution) == "FAILED"
    lines = why(client, execution.id.name).stdout.splitlines()
    tries = [line for line in lines if " try " in line]
    assert len(tries) == 3, lines
    for told, line in zip(["(1), tried again", "(2), tried again", "(3), not tried again"], tries, strict=True):
        assert f"charged to the task {told}" in line
        assert line.endswith("again 1")


def test_what_is_not_there_is_named(client: Client) -> None:
    """The error names the execution, or the node and those that there are."""
    absent = why(client, "absent")
    assert absent.returncode == 2 and "absent" in absent.stderr
    execution = client.finish("failing.boom", {"x": 1}, task=True)
    refused = why(client, execution.id.name, "n9")
    assert refused.returncode == 2 and "has no node n9; it has " in refused.stderr
