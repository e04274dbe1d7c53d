"""Lists that are passed by reference: uploaded by themselves, named by an offloaded literal."""

import pytest
from flyteidl.core import literals_pb2
from flytekit.models.literals import Literal
from flytekit.models.types import LiteralType, SimpleType
from flytekitplugins.skein import offload_list

from harness.client import Client, phase


def test_a_map_goes_through_an_offloaded_list(client: Client) -> None:
    """Item by item, in order, also beside a list that is in the request."""
    xs = offload_list(client.remote, range(30_000), int)
    assert client.outputs("mapping.squares", {"xs": xs})["o0"] == [x * x for x in range(30_000)]
    xs = offload_list(client.remote, iter([1, 2]), int)
    assert client.outputs("mapping.pairs", {"xs": xs, "ys": [10, 20]})["o0"] == [11, 22]


def test_a_bound_list_may_be_offloaded_too(client: Client) -> None:
    """Each item is given the whole of it."""
    factors = offload_list(client.remote, [2, 5], int)
    assert client.outputs("mapping.partials", {"xs": [1, 2, 3], "factors": factors})["o0"] == [10, 20, 30]


def test_a_task_reads_an_offloaded_list(client: Client) -> None:
    """As the SDK does."""
    inputs = {"x": 3, "factors": offload_list(client.remote, [2, 5], int)}
    assert client.outputs("mapping.scaled", inputs, task=True)["o0"] == 30


def test_an_empty_list_may_be_offloaded(client: Client) -> None:
    """A map over nothing gives nothing."""
    xs = offload_list(client.remote, [], int)
    assert client.outputs("mapping.squares", {"xs": xs})["o0"] == []


def test_lengths_are_compared_wherever_the_lists_are(client: Client) -> None:
    """An offloaded list and one in the request."""
    xs = offload_list(client.remote, [1, 2, 3], int)
    execution = client.finish("mapping.pairs", {"xs": xs, "ys": [1]})
    assert phase(execution) == "FAILED"
    error = client.get(execution).closure.error
    assert error.code == "InvalidArrayLength"
    assert "y has 1 elements and x has 3" in error.message


def test_what_was_not_uploaded_is_refused_at_the_start(client: Client) -> None:
    """The message names the input and the place."""
    xs = offload_list(client.remote, [1], int)
    uri = xs.offloaded_metadata.uri + "-gone"
    xs.offloaded_metadata._uri = uri
    with pytest.raises(Exception, match=f"input xs is offloaded to {uri}, where nothing is"):
        client.start("mapping.squares", {"xs": xs})


def test_what_is_no_list_is_told_with_its_place(client: Client) -> None:
    """An upload of something else, said to be a list."""
    xs = offload_list(client.remote, [1], int)
    other = client.server.folder / "other.pb"
    other.write_bytes(literals_pb2.Literal().SerializeToString() + b"\x0a\x00")
    _, xs.offloaded_metadata._uri = client.remote.upload_file(other)
    execution = client.finish("mapping.squares", {"xs": xs})
    assert phase(execution) == "FAILED"
    assert "input x of the map is not a list: what is stored at " in client.get(execution).closure.error.message


def test_a_list_of_another_type_is_refused_by_its_declared_type(client: Client) -> None:
    """The type travels with the reference."""
    xs = offload_list(client.remote, ["a"], str)
    assert isinstance(xs, Literal)
    assert xs.offloaded_metadata.inferred_type.collection_type == LiteralType(simple=SimpleType.STRING)
    with pytest.raises(Exception, match="xs"):
        client.start("mapping.squares", {"xs": xs})


def test_an_element_of_a_wrong_type_is_named_before_anything_is_uploaded(client: Client) -> None:
    """By its place and value."""
    with pytest.raises(TypeError, match="element 1 of the list, 'x': it is of type str, not int"):
        offload_list(client.remote, [1, "x"], int)
