"""75 and 76: branches."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from harness.client import Client, phase

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("workflow", "inputs", "expected"),
    [
        ("of_numbers", {"x": 1, "y": 0.5}, "one and a half"),
        ("of_numbers", {"x": 2, "y": 0.4}, "another, and less"),
        ("of_numbers", {"x": 6, "y": 0.5}, "either"),
        ("of_numbers", {"x": 1, "y": 0.25}, "either"),
        ("of_numbers", {"x": 1, "y": 0.3}, "neither"),
        ("of_text", {"word": "a"}, "first"),
        ("of_text", {"word": "z"}, "late"),
        ("of_text", {"word": "b"}, "early"),
        ("of_truth", {"yes": True}, "yes"),
        ("of_truth", {"yes": False}, "no"),
        ("of_moments", {"at": NOON, "other": NOON + SECOND}, "before"),
        ("of_moments", {"at": NOON, "other": NOON}, "then"),
        ("of_moments", {"at": NOON + SECOND, "other": NOON}, "after"),
        ("of_spans", {"took": SECOND, "limit": SECOND}, "within"),
        ("of_spans", {"took": 2 * SECOND, "limit": SECOND}, "over"),
        ("of_nothing", {}, "none"),
        ("of_nothing", {"x": 3}, "some"),
        ("of_outputs", {}, "all"),
    ],
)
def test_a_branch_goes_by_what_it_compares(
    nested: Client, workflow: str, inputs: dict[str, Any], expected: str
) -> None:
    """Numbers, texts, booleans, points and lengths of time, and whether there is a value at all."""
    assert nested.outputs(f"conditions.{workflow}", inputs) == {"o0": expected}


@pytest.mark.parametrize(("x", "expected"), [(200, 400), (20, 21), (6, 7)])
def test_075_branches_in_each_other_take_one_way_each(nested: Client, x: int, expected: int) -> None:
    """Conditional takes exactly one branch; nested conditionals work; the untaken node is not executed."""
    assert nested.outputs("conditions.in_each_other", {"x": x}) == {"o0": expected}


def test_075_what_is_not_taken_is_neither_run_nor_listed(nested: Client) -> None:
    """Inside the branch there is the one node that was taken."""
    execution = nested.finish("conditions.not_taken", {"x": 1})
    assert phase(execution) == "SUCCEEDED"
    [taken] = nested.nodes(execution, "n0")
    assert taken.metadata.spec_node_id == "n0-n0"
    assert taken.metadata.retry_group == "0"
    assert nested.node(execution, "n0").metadata.is_parent_node


def test_076_a_branch_without_a_case_that_holds_fails_with_its_message(nested: Client) -> None:
    """`else_().fail("m")` fails the workflow with message m."""
    execution = nested.finish("conditions.in_each_other", {"x": 1})
    assert phase(execution) == "FAILED"
    assert execution.error.code == "UserProvidedError"
    assert execution.error.message == "[UserProvidedError] x is too small"
