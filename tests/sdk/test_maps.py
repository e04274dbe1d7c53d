"""Map tasks: items 86, 87, 89, 90 and 92 of the conformance checklist."""

import collections

import pytest

from harness.client import Client, phase, require_success
from harness.witness import Witness

EARLY_SECONDS_MAX = 30


def test_086_no_more_items_run_at_once_than_asked_for(client: Client, witness: Witness) -> None:
    """Map over 100 items with concurrency 10 never runs more than 10 at once and returns results in order."""
    items = list(range(100))
    outputs = client.outputs("mapping.ten_at_once", {"xs": items}, envs=witness.variables)
    assert outputs["o0"] == [x * x for x in items]
    spans = [(int(began), int(ended)) for _, _, began, ended in witness.lines("item")]
    assert len(spans) == 100
    edges = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    assert most <= 10


def test_087_enough_successes_make_a_success(client: Client) -> None:
    """`min_success_ratio=0.8` with 2 of 10 failing succeeds with None in failed slots (the first half of item 87)."""
    outputs = client.outputs("mapping.most_succeed", {"xs": list(range(10)), "limit": 2})
    assert outputs["o0"] == [None, None, *range(2, 10)]


def test_087_too_many_failures_fail_early(client: Client, witness: Witness) -> None:
    """3 of 10 fails early (the second half of item 87): an item that would run for a minute is not waited for."""
    execution = client.start(
        "mapping.most_succeed_or_wait", {"xs": list(range(10)), "limit": 3}, envs=witness.variables
    )
    ended = client.remote.wait(execution, timeout=EARLY_SECONDS_MAX, sync_nodes=False, poll_interval=1)
    assert phase(ended) == "FAILED"
    assert "is below 3" in client.get(execution).closure.error.message


def test_088_all_items_run_before_the_map_fails(client: Client, witness: Witness) -> None:
    """`run_all_sub_nodes=True` runs all items before failing."""
    inputs = {"xs": list(range(10)), "limit": 3}
    execution = client.finish("mapping.all_run", inputs, envs=witness.variables)
    assert phase(execution) == "FAILED"
    assert "0 is below 3" in client.get(execution).closure.error.message
    assert sorted(int(words[1]) for words in witness.lines("ran")) == list(range(10))


def test_089_a_bound_value_is_passed_whole(client: Client) -> None:
    """Map with a partial (`functools.partial`) passes the bound value whole."""
    outputs = client.outputs("mapping.partials", {"xs": [1, 2, 3], "factors": [2, 5]})
    assert outputs["o0"] == [10, 20, 30]


def test_090_lists_of_different_length_are_an_error(client: Client) -> None:
    """Map inputs of different length fail with InvalidArrayLength, and their node is a map's although it never began."""
    execution = client.wait(client.start("mapping.pairs", {"xs": [1, 2, 3], "ys": [1, 2]}), nodes=True)
    assert phase(execution) == "FAILED"
    assert client.get(execution).closure.error.code == "InvalidArrayLength"
    assert client.outputs("mapping.pairs", {"xs": [1, 2], "ys": [10, 20]})["o0"] == [11, 22]


def test_092_only_the_item_that_failed_is_tried_again(client: Client, witness: Witness) -> None:
    """Per-item retry: one flaky item is retried alone."""
    outputs = client.outputs("mapping.one_flaky", {"xs": list(range(8))}, envs=witness.variables)
    assert outputs["o0"] == list(range(8))
    runs = collections.Counter(int(words[1]) for words in witness.lines("flaky"))
    assert runs == {**{x: 1 for x in range(8)}, 3: 2}


def test_a_map_is_one_task_execution_with_a_resource_for_every_item(client: Client) -> None:
    """The node is an array; its one task execution is of type `container_array` and lists its items."""
    execution = client.finish("mapping.squares", {"xs": [1, 2, 3]})
    require_success(execution)
    assert client.node(execution, "n0").metadata.is_array
    [attempt] = client.attempts(execution, "n0")
    assert attempt.closure.task_type == "container_array"
    assert [resource.index for resource in attempt.closure.metadata.external_resources] == [0, 1, 2]


def test_an_empty_map_succeeds_at_once(client: Client) -> None:
    """A map over nothing gives nothing."""
    assert client.outputs("mapping.squares", {"xs": []})["o0"] == []


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_a_map_gives_its_results_in_order(client: Client, count: int) -> None:
    """However the items are cut into chunks, results come in the order of the inputs."""
    assert client.outputs("mapping.squares", {"xs": list(range(count))})["o0"] == [x * x for x in range(count)]


def test_a_failing_map_names_the_first_failing_item(client: Client) -> None:
    """The message begins with the index, and the kind is the item's."""
    execution = client.finish("mapping.most_succeed", {"xs": [5, 0, 6], "limit": 2})
    assert phase(execution) == "FAILED"
    error = client.get(execution).closure.error
    assert error.message.startswith("[1]: ")
    assert error.code == "USER:RuntimeError"
