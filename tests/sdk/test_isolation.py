"""What a task may say through the plugin `flytekitplugins-skein`, and what it is told when it says something else."""

import dataclasses
import re

import grpc
import pytest
from flytekitplugins.skein import Skein
from google.protobuf import json_format

from harness.client import Client, phase, require_success, unique
from harness.templates import task_request


def test_attempts_share_as_much_as_their_task_says(client: Client) -> None:
    """`reuse` keeps what an attempt left; `fork` and `fresh` begin anew each time."""
    told = client.outputs("isolated.one_after_another")
    words = [told[f"o{place}"].split() for place in range(6)]
    processes, calls = [word[0] for word in words], [word[1] for word in words]
    assert calls[2:] == ["1"] * 4
    assert len(set(processes[2:])) == 4
    if processes[0] == processes[1]:
        assert int(calls[1]) > int(calls[0])


def test_reuse_keeps_one_process_for_many_executions(client: Client) -> None:
    """With as many executions as it takes, every slot runs them in its one process."""
    told = [client.outputs("isolated.reused", {"value": place}, task=True)["o0"].split() for place in range(12)]
    by_process: dict[str, list[int]] = {}
    for process, calls in told:
        by_process.setdefault(process, []).append(int(calls))
    assert len(by_process) < len(told)
    assert all(calls == sorted(calls) and len(set(calls)) == len(calls) for calls in by_process.values())


def test_items_of_a_map_share_as_much_as_their_task_says(client: Client) -> None:
    """Chunks of twenty run in one process each; forked items each have one of their own."""
    told = client.outputs("isolated.maps", {"values": list(range(40))})
    shared, alone = ([item.split() for item in told[name]] for name in ("o0", "o1"))
    for start in (0, 20):
        chunk = shared[start : start + 20]
        assert len({process for process, _ in chunk}) == 1
        counts = [int(calls) for _, calls in chunk]
        assert counts == list(range(counts[0], counts[0] + 20))
    assert len({process for process, _ in alone}) == 40
    assert {calls for _, calls in alone} == {"1"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"isolation": "thread"}, "isolation is 'thread'"),
        ({"chunk_items_max": 0}, "chunk_items_max is 0"),
        ({"chunk_items_min": True}, "chunk_items_min is True"),
        ({"chunk_items_min": 3, "chunk_items_max": 2}, "chunk_items_min is 3"),
        ({"isolation": "fork", "chunk_items_max": 2}, "chunk_items_max is 2, which goes with isolation 'reuse' only"),
        ({"isolation": "fresh", "process_attempts_max": 2}, "process_attempts_max is 2, which goes with isolation 'reuse'"),
        ({"priority": 101}, "priority is 101; it has to be a whole number from -100 to 100"),
        ({"weight": 0.5}, "weight is 0.5; it has to be a whole number from 1 to 1000"),
        ({"concurrency_key": "a/b", "concurrency_limit": 1}, "concurrency_key is 'a/b'; it has to be a name"),
        ({"concurrency_key": "k" * 64, "concurrency_limit": 1}, "a name of 1 to 63 characters"),
        ({"concurrency_key": "db"}, "concurrency_key is 'db', but there is no concurrency_limit"),
        ({"pool_size": 10_001}, "pool_size is 10001"),
        ({"process_seconds_max": "60"}, "process_seconds_max is '60'"),
        ({"process_growth_mib_max": -1}, "process_growth_mib_max is -1"),
    ],
)
def test_what_is_no_setting_is_refused_where_the_task_is_defined(settings: dict, message: str) -> None:
    """The message names the setting and its value."""
    with pytest.raises(ValueError, match=message):
        Skein(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"isolation": "thread"}, 'custom.skein.isolation is "thread"'),
        ({"priority": 1000}, "custom.skein.priority is 1000; it has to be a whole number from -100 to 100"),
        ({"concurrency_key": "db"}, 'custom.skein.concurrency_key is "db", but there is no concurrency_limit'),
        (
            {"isolation": "fork", "process_seconds_max": 60},
            'custom.skein.process_seconds_max is 60, which goes with isolation "reuse" only',
        ),
        ({"poolsize": 1}, "custom.skein.poolsize is unknown; there are isolation,"),
    ],
)
def test_what_is_no_setting_is_refused_at_registration(client: Client, settings: dict, message: str) -> None:
    """Also when it did not come from the plugin."""
    request = task_request(unique("isolated"), "v1")
    json_format.ParseDict({"skein": settings}, request.spec.template.custom)
    with pytest.raises(grpc.RpcError) as refused:
        client.admin.CreateTask(request)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert message in refused.value.details()


def test_every_setting_reaches_the_server(client: Client) -> None:
    """What the plugin takes, registration takes."""
    settings = Skein(
        isolation="reuse",
        chunk_items_min=1,
        chunk_items_max=2,
        priority=-100,
        weight=1000,
        concurrency_key="db",
        concurrency_limit=1,
        pool_size=1,
        process_attempts_max=1,
        process_seconds_max=1,
        process_growth_mib_max=1,
        queued_seconds_max=1,
        node_seconds_max=1,
    )
    assert len(settings.to_custom()["skein"]) == len(dataclasses.fields(Skein))
    request = task_request(unique("isolated"), "v1")
    json_format.ParseDict(settings.to_custom(), request.spec.template.custom)
    client.admin.CreateTask(request)


@pytest.mark.parametrize("name", ["readings", "waits"])
def test_a_shared_process_gives_what_an_interpreter_of_its_own_gives(client: Client, name: str) -> None:
    """The loaded task leaves the same literals as the SDK's own entry point."""
    for value in (1, 2):
        told = [_literals(client, f"alike.{name}_{kind}", value) for kind in ("fresh", "shared", "shared")]
        assert told[0]
        assert told[1] == told[0]
        assert told[2] == told[0]


@pytest.mark.parametrize("name", ["raises", "recovers"])
def test_a_shared_process_fails_in_the_words_of_an_interpreter_of_its_own(client: Client, name: str) -> None:
    """Code, kind and message, with the whole trace, are the SDK's own."""
    told = []
    for kind in ("fresh", "shared"):
        execution = client.finish(f"alike.{name}_{kind}", {"x": 7}, task=True)
        assert phase(execution) == "FAILED"
        error = client.get(execution).closure.error
        told.append((error.code, error.kind, re.sub(rf"{name}_{kind}|line \d+|\^+|\d{{10,}}", "", error.message)))
    assert told[0] == told[1]
    assert "Traceback" in told[0][2]


def test_items_hand_files_to_one_another(client: Client) -> None:
    """Forked items give values, items that share a process give files, and others read them."""
    told = client.outputs("alike.files", {"values": list(range(12))})
    assert told["o0"] == [f"{2 * value} mm" for value in range(12)]


def _literals(client: Client, name: str, value: int) -> str:
    execution = client.finish(name, {"x": value}, task=True)
    require_success(execution)
    return str(sorted((key, str(found)) for key, found in execution.outputs.literals.items()))
