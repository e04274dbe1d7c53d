"""`skein show`: an execution as it was at any moment; `skein diff`: what is different between two."""

import json
import subprocess
from typing import Any, Optional

from harness.client import Client, require_success, unique
from harness.poll import until
from harness.settings import binary, environment
from harness.witness import Witness

SECONDS_MAX = 60


def skein(client: Client, *words: str) -> "subprocess.CompletedProcess[str]":
    """`skein`, which finds the server by the configuration that the server wrote."""
    return subprocess.run(
        [str(binary()), *words],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
        check=False,
    )


def shown(client: Client, name: str, *words: str) -> dict[str, Any]:
    """What is shown of an execution."""
    answer = skein(client, "show", name, "--json", *words)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def differences(client: Client, one: str, other: str) -> list[tuple[str, str, str, str]]:
    """All that is different between two executions: of what, its name, and what both have."""
    answer = skein(client, "diff", one, other, "--json")
    assert answer.returncode == 0, answer.stderr
    return [tuple(found[key] for key in ("part", "name", "one", "other")) for found in json.loads(answer.stdout)["differences"]]


def test_an_execution_is_shown_as_it_was_at_each_version_and_time(client: Client, witness: Witness) -> None:
    """While it waits at a gate, and the same moment again when all has ended."""
    gate = unique("show")
    execution = client.start("gates.waits_in_the_middle", {"name": gate, "value": 1}, envs=witness.variables)
    name = execution.id.name
    until("the task at the gate", lambda: "try 1  RUNNING" in skein(client, "show", name).stdout, SECONDS_MAX)
    then = shown(client, name)
    assert then["phase"] == "RUNNING" and then["version"] == then["versions"]
    witness.open(gate)
    require_success(client.wait(execution))
    ended = shown(client, name)
    assert ended["phase"] == "SUCCEEDED" and ended["version"] > then["version"]
    assert {node["phase"] for node in ended["nodes"]} == {"SUCCEEDED"}
    for moment in (str(then["version"]), then["at"]):
        again = shown(client, name, "--at", moment)
        assert {**again, "versions": 0} == {**then, "versions": 0}
    first = shown(client, name, "--at", "1")
    assert (first["phase"], first["nodes"]) == ("QUEUED", [])
    lines = skein(client, "show", name).stdout.splitlines()
    assert lines[0] == f"flytesnacks/development/{name}  SUCCEEDED  at {ended['at']}, version {ended['version']} of {ended['versions']}"
    assert "launch_plan workflows.gates.waits_in_the_middle v1, workflow workflows.gates.waits_in_the_middle v1" in lines[1]


def test_tries_and_maps_are_shown_with_errors_and_progress(client: Client, witness: Witness) -> None:
    """Three tries with what each raised, and a map with its items counted."""
    name = client.finish("failing.recoverable", {"x": 1}, task=True, envs=witness.variables).id.name
    [node] = shown(client, name)["nodes"]
    assert [attempt["phase"] for attempt in node["attempts"]] == ["FAILED"] * 3
    assert all("again 1" in attempt["error"]["message"] for attempt in node["attempts"])
    assert node["phase"] == "FAILED" and "again 1" in node["error"]["message"]
    mapped = client.finish("mapping.squares", {"xs": list(range(20))}).id.name
    [node] = [node for node in shown(client, mapped)["nodes"] if node["items"]]
    assert (node["items"]["total"], node["items"]["succeeded"], node["items"]["waiting"]) == (20, 20, 0)


def test_a_moment_that_there_is_not_is_refused(client: Client) -> None:
    """With the execution, what was asked for, and what there is."""
    name = client.finish("failing.boom", {"x": 1}, task=True).id.name
    versions = shown(client, name)["versions"]
    for at, expected in {
        str(versions + 1): f"at is version {versions + 1}; the journal of flytesnacks/development/{name} has versions 1 to {versions}",
        "0": "at is version 0",
        "yesterday": 'at is "yesterday"; it has to be a version of the journal, such as 12, or a time by RFC 3339',
        "2001-01-01T00:00:00Z": f"the journal of flytesnacks/development/{name} begins at ",
    }.items():
        refused = skein(client, "show", name, "--at", at)
        assert refused.returncode == 2 and expected in refused.stderr, refused.stderr
    assert "absent" in skein(client, "show", "absent").stderr
    assert "absent" in skein(client, "diff", name, "absent").stderr


def test_the_first_difference_is_what_was_launched_then_inputs_then_settings_then_how_it_went(
    client: Client, witness: Witness
) -> None:
    """Each of two runs of one task differs in one thing more."""

    def run(x: int, envs: Optional[dict[str, str]] = None, **options: Any) -> str:
        variables = {**witness.variables, **(envs or {})}
        return client.finish("failing.boom", {"x": x}, task=True, envs=variables, **options).id.name

    failed, same = run(1), run(1)
    assert differences(client, failed, same) == []
    assert skein(client, "diff", failed, same).stdout == (
        f"flytesnacks/development/{failed} and flytesnacks/development/{same} are not different\n"
    )
    succeeded = run(-1, envs={"WOOL": "soft"}, tags=["mine"])
    found = differences(client, failed, succeeded)
    assert found[:3] == [
        ("inputs", "x", "1", "-1"),
        ("settings", "env WOOL", "-", '"soft"'),
        ("settings", "tags", "[]", '["mine"]'),
    ]
    rest = {(part, name.split(" ")[-1]): (one, other) for part, name, one, other in found[3:]}
    assert rest["nodes", "phase"] == ("FAILED", "SUCCEEDED")
    assert rest["outputs", "o0"] == ("-", "-1")
    assert rest["end", "phase"] == ("FAILED", "SUCCEEDED")
    assert "boom 1" in rest["end", "error"][0]
    said = skein(client, "diff", failed, succeeded).stdout.splitlines()
    assert said == ["the first difference: inputs: x: 1 / -1", f"and {len(found) - 1} more; --all names them"]
    other = client.finish("failing.recoverable", {"x": 1}, task=True).id.name
    assert differences(client, failed, other)[0] == ("launched", "name", "workflows.failing.boom", "workflows.failing.recoverable")
