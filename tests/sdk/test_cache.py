"""Outputs that are kept for others: items 67 to 74 of the conformance checklist, and what a person can ask and change."""

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from flyteidl.core import catalog_pb2, execution_pb2

from harness.cli import Cli
from harness.client import Client, phase, require_success, unique
from harness.poll import until
from harness.settings import DOMAIN, LONG, PACKAGE, PROJECT, PROJECT_FOLDER, binary, environment
from harness.witness import Witness

ITEMS = 100_000 if LONG else 10_000


def status(node: Any) -> str:
    """What the cache did for a node."""
    return catalog_pb2.CatalogCacheStatus.Name(node.closure.task_node_metadata.cache_status)


def statuses(client: Client, execution: Any, node_id: str = "n0") -> list[str]:
    """What the cache did for each item of a map."""
    [attempt] = client.attempts(execution, node_id)
    resources = attempt.closure.metadata.external_resources
    return [catalog_pb2.CatalogCacheStatus.Name(resource.cache_status) for resource in resources]


def cache(client: Client, *words: str) -> "subprocess.CompletedProcess[str]":
    """`skein cache`, which finds the server by the configuration that the server wrote."""
    return subprocess.run(
        [str(binary()), "cache", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
    )


def test_67_a_second_run_is_a_hit(client: Client, witness: Witness) -> None:
    """Second run of a cached task shows CACHE_HIT and no task execution."""
    inputs = {"x": 1, "salt": unique("salt")}
    first = client.finish("caching.spins", inputs, envs=witness.variables)
    assert first.outputs["o0"] == 2
    populated = client.node(first, "n0")
    assert status(populated) == "CACHE_POPULATED"
    second = client.finish("caching.spins", inputs, envs=witness.variables)
    assert second.outputs["o0"] == 2 and len(witness.lines("spun")) == 1
    hit = client.node(second, "n0")
    assert status(hit) == "CACHE_HIT" and client.attempts(second, "n0") == []
    assert not hit.closure.HasField("started_at")
    key, made = hit.closure.task_node_metadata.catalog_key, populated.closure.task_node_metadata.catalog_key
    assert (key.dataset_id, key.artifact_tag) == (made.dataset_id, made.artifact_tag)
    assert key.dataset_id.name == f"flyte_task-{PACKAGE}.caching.spun"
    assert key.source_task_execution.node_execution_id.execution_id.name == first.id.name
    assert key.source_task_execution == made.source_task_execution


def test_68_another_version_of_the_task_hits(client: Client, witness: Witness, pyflyte: Cli) -> None:
    """Registering a new task version with equal cache version and interface still hits."""
    inputs, version = {"x": 1, "salt": unique("salt")}, unique("v")
    require_success(client.finish("caching.spins", inputs, envs=witness.variables))
    pyflyte.register(PACKAGE, version=version, folder=PROJECT_FOLDER).expect_success()
    second = client.finish("caching.spins", inputs, version=version, envs=witness.variables)
    assert status(client.node(second, "n0")) == "CACHE_HIT" and len(witness.lines("spun")) == 1


def test_69_what_differs_misses(client: Client, witness: Witness) -> None:
    """Changing cache version, an input, or the interface misses."""
    salt = unique("salt")
    both = client.finish("caching.spins_anew", {"x": 1, "salt": salt}, envs=witness.variables)
    require_success(both)
    assert len(witness.lines("spun")) == 2, "another cache version"
    other = client.finish("caching.spins", {"x": 2, "salt": salt}, envs=witness.variables)
    assert status(client.node(other, "n0")) == "CACHE_POPULATED" and len(witness.lines("spun")) == 3


def test_70_ignored_inputs_make_no_difference(client: Client, witness: Witness) -> None:
    """`cache_ignore_input_vars` differences hit."""
    salt = unique("salt")
    for loud in (True, False):
        inputs = {"x": 1, "salt": salt, "loud": loud}
        require_success(client.finish("caching.spun_aloud", inputs, task=True, envs=witness.variables))
    assert len(witness.lines("spun_aloud")) == 1


def test_71_overwriting_replaces_the_entry(client: Client, witness: Witness) -> None:
    """`--overwrite-cache` re-executes with CACHE_SKIPPED and replaces the entry."""
    inputs = {"x": 1, "salt": unique("salt")}
    require_success(client.finish("caching.spins", inputs, envs=witness.variables))
    again = client.finish("caching.spins", inputs, envs=witness.variables, overwrite_cache=True)
    assert len(witness.lines("spun")) == 2
    # The original ends with what it did last, too.
    assert status(client.node(again, "n0")) == "CACHE_POPULATED"
    third = client.finish("caching.spins", inputs, envs=witness.variables)
    source = client.node(third, "n0").closure.task_node_metadata.catalog_key.source_task_execution
    assert source.node_execution_id.execution_id.name == again.id.name


def test_72_a_hash_stands_for_a_value(client: Client, witness: Witness) -> None:
    """An input whose literal has a `hash` (HashMethod) hits when the hash matches although the URI differs."""
    text = unique("text")
    for _ in range(2):
        assert client.outputs("caching.measures", {"text": text}, envs=witness.variables)["o0"] == len(text)
    assert len(witness.lines("measured")) == 1


def test_73_of_two_at_once_one_computes(client: Client, witness: Witness) -> None:
    """Two concurrent executions of a `cache_serialize` task run the body once; the other ends with CACHE_HIT."""
    gate = unique("alone")
    first = client.start("caching.spun_alone", {"name": gate}, task=True, envs=witness.variables)
    until("the first computes", lambda: witness.lines("reached"))
    second = client.start("caching.spun_alone", {"name": gate}, task=True, envs=witness.variables)
    said = until("the second waits", lambda: serialized(client, second.id.name))
    assert first.id.name in said
    node = client.only_node(second)
    assert client.node(second, node).closure.phase == execution_pb2.NodeExecution.QUEUED
    witness.open(gate)
    for execution in (first, second):
        require_success(client.wait(execution))
    assert len(witness.lines("reached")) == 1
    assert status(client.node(second, node)) == "CACHE_HIT"


def serialized(client: Client, name: str) -> str:
    """What `skein why` says of an execution that waits for another's reservation; nothing before it does."""
    said = subprocess.run(
        [str(binary()), "why", name],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(FLYTECTL_CONFIG=str(client.server.config)),
    )
    return said.stdout if "serialized cache" in said.stdout else ""


def test_74_whoever_waits_goes_on_without_the_owner(client: Client, witness: Witness) -> None:
    """Killing the owner of a reservation lets the waiter proceed after expiry."""
    gate = unique("owner")
    owner = client.start("caching.spun_alone", {"name": gate}, task=True, envs=witness.variables)
    until("the owner computes", lambda: witness.lines("reached"))
    waiter = client.start("caching.spun_alone", {"name": gate}, task=True, envs=witness.variables)
    until("the other waits", lambda: serialized(client, waiter.id.name))
    # One that is ended gives up what it holds; that a reservation which nobody renews ends is held by the crate's own tests.
    client.remote.terminate(owner, "enough")
    until("the waiter computes", lambda: len(witness.lines("reached")) == 2)
    witness.open(gate)
    require_success(client.wait(waiter))
    assert status(client.node(waiter, client.only_node(waiter))) == "CACHE_POPULATED"


def test_an_owner_that_was_killed_with_its_server_goes_on_as_the_owner(own: Client, witness: Witness) -> None:
    """The reservation is in the log: after a crash the one still computes and the other still waits."""
    gate = unique("killed")
    owner = own.start("caching.spun_alone", {"name": gate}, task=True, envs=witness.variables)
    until("the owner computes", lambda: witness.lines("reached"))
    waiter = own.start("caching.spun_alone", {"name": gate}, task=True, envs=witness.variables)
    until("the other waits", lambda: serialized(own, waiter.id.name))
    own.server.kill()
    client = Client(own.server.start())
    until("the owner computes again", lambda: len(witness.lines("reached")) == 2)
    assert serialized(client, waiter.id.name)
    witness.open(gate)
    for execution in (owner, waiter):
        ended = client.wait(client.remote.fetch_execution(name=execution.id.name))
        require_success(ended)
    assert len(witness.lines("reached")) == 2
    assert status(client.node(waiter, client.only_node(waiter))) == "CACHE_HIT"


def test_a_task_without_outputs_runs_each_time(client: Client, witness: Witness) -> None:
    """There is nothing to keep, and nothing is said of the cache."""
    inputs = {"salt": unique("salt")}
    for _ in range(2):
        execution = client.finish("caching.told", inputs, task=True, envs=witness.variables)
        require_success(execution)
    assert len(witness.lines("told")) == 2
    assert status(client.node(execution, client.only_node(execution))) == "CACHE_DISABLED"


def test_a_try_that_failed_leaves_nothing(client: Client, witness: Witness) -> None:
    """What is kept names the try that gave it."""
    execution = client.finish(
        "caching.spun_twice", {"salt": unique("salt")}, task=True, envs=witness.variables
    )
    require_success(execution)
    key = client.node(execution, client.only_node(execution)).closure.task_node_metadata.catalog_key
    assert key.source_task_execution.retry_attempt == 1


def test_the_cache_survives_a_crash_and_the_loss_of_the_views(own: Client, witness: Witness) -> None:
    """The log is the catalog."""
    inputs = {"x": 1, "salt": unique("salt")}
    require_success(own.finish("caching.spins", inputs, envs=witness.variables))
    own.server.kill()
    for file in (own.server.data / "views").iterdir():
        file.unlink()
    client = Client(own.server.start())
    second = client.finish("caching.spins", inputs, envs=witness.variables)
    assert status(client.node(second, "n0")) == "CACHE_HIT" and len(witness.lines("spun")) == 1


def test_an_entry_whose_files_are_gone_is_a_miss(own: Client, witness: Witness) -> None:
    """It runs again, and its journal says why."""
    inputs = {"salt": unique("salt")}
    first = own.finish("caching.filed", inputs, task=True, envs=witness.variables)
    Path(first.outputs.literals["o0"].scalar.blob.uri.removeprefix("file://")).unlink()
    second = own.finish("caching.filed", inputs, task=True, envs=witness.variables)
    require_success(second)
    assert len(witness.lines("filed")) == 2
    assert status(own.node(second, own.only_node(second))) == "CACHE_POPULATED"
    journal = subprocess.run(
        [str(binary()), "log", "cat", str(own.server.data), "--journal", second.id.name],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "is gone" in journal.stdout and "is not there" in journal.stdout, journal.stdout + journal.stderr


def test_items_are_kept_one_by_one(client: Client, witness: Witness) -> None:
    """Of a map only the items run that are new, in whatever order they stand."""
    salt = unique("salt")
    first = client.finish("caching.spins_many", {"xs": [1, 2], "salt": salt}, envs=witness.variables)
    assert first.outputs["o0"] == [2, 3]
    assert statuses(client, first) == ["CACHE_POPULATED"] * 2
    partly = client.finish("caching.spins_many", {"xs": [3, 2, 1], "salt": salt}, envs=witness.variables)
    assert partly.outputs["o0"] == [4, 3, 2]
    assert statuses(client, partly) == ["CACHE_POPULATED", "CACHE_HIT", "CACHE_HIT"]
    assert sorted(words[1] for words in witness.lines("spun")) == ["1", "2", "3"]
    all_of_them = client.finish("caching.spins_many", {"xs": [2, 3], "salt": salt}, envs=witness.variables)
    assert all_of_them.outputs["o0"] == [3, 4]
    assert statuses(client, all_of_them) == ["CACHE_HIT"] * 2 and len(witness.lines("spun")) == 3


def test_a_large_map_is_taken_from_the_cache_as_a_whole(client: Client, witness: Witness) -> None:
    """The second run has every output and runs nothing; its progress says that."""
    inputs = {"xs": list(range(ITEMS)), "salt": unique("salt")}
    first = client.finish("caching.spins_many", inputs, envs=witness.variables)
    require_success(first)
    second = client.finish("caching.spins_many", inputs, envs=witness.variables)
    require_success(second)
    assert second.outputs["o0"] == [x + 1 for x in range(ITEMS)]
    assert set(statuses(client, second)) == {"CACHE_HIT"}
    address = f"{client.server.url}/api/v1/executions/{PROJECT}/{DOMAIN}/{second.id.name}/progress"
    with urllib.request.urlopen(address, timeout=30) as answer:
        [node] = [node for node in json.load(answer)["nodes"] if node["items"]]
    assert (node["items"]["succeeded"], node["items"]["cached"]) == (ITEMS, ITEMS)


def test_a_person_lists_and_evicts(client: Client, witness: Witness) -> None:
    """What was evicted is shown as that, runs again, and is kept again."""
    inputs = {"x": 1, "salt": unique("salt")}
    first = client.finish("caching.spins", inputs, envs=witness.variables)
    task = f"{PACKAGE}.caching.spun"
    listed = json.loads(cache(client, "ls", task, "--json").stdout)["datasets"]
    assert {dataset["task"] for dataset in listed} == {task} and listed[0]["entries"] >= 1
    assert f"flytesnacks/development/{task}  version 1: " in cache(client, "ls").stdout
    evicted = cache(client, "evict", "--execution", first.id.name)
    assert evicted.stdout == "1 entry evicted\n", evicted.stderr
    assert status(client.node(first, "n0")) == "CACHE_EVICTED"
    require_success(client.finish("caching.spins", inputs, envs=witness.variables))
    assert len(witness.lines("spun")) == 2
    assert status(client.node(first, "n0")) == "CACHE_POPULATED"
    numbers = {"xs": [1, 2, 3], "salt": unique("salt")}
    many = client.finish("caching.spins_many", numbers, envs=witness.variables)
    assert cache(client, "evict", "--execution", many.id.name, "--node", "n0").stdout == "3 entries evicted\n"


def test_what_there_is_none_of_is_named(client: Client) -> None:
    """The error says what to do."""
    refused = cache(client, "evict", "no.such.task")
    assert refused.returncode == 2
    assert "the cache has nothing of task flytesnacks/development/no.such.task" in refused.stderr
    assert cache(client, "evict").returncode == 2
    absent = cache(client, "evict", "--execution", "absent")
    assert absent.returncode == 2 and "absent" in absent.stderr
