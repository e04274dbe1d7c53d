"""Items that are of the wrong type, very large or very deep, and lists that do not fit together."""

from typing import Any

import grpc
import pytest
from flyteidl.admin import execution_pb2
from flyteidl.core import literals_pb2
from google.protobuf import struct_pb2

from harness.client import Client, create_request, integer, integers, phase, refused, require_success, text
from harness.settings import LONG

MIB = 100
DEEP = 1_000


@pytest.fixture(autouse=True)
def the_server_goes_on(client: Client):
    """After each of these tests the same process answers, and runs a map."""
    pid = client.server.pid
    yield
    assert client.server.process is not None and client.server.process.poll() is None
    assert client.server.pid == pid
    assert client.outputs("mapping.squares", {"xs": [3]})["o0"] == [9]


def collection(*literals: literals_pb2.Literal) -> literals_pb2.Literal:
    """A literal that is a list."""
    return literals_pb2.Literal(collection=literals_pb2.LiteralCollection(literals=literals))


def one_of(value: literals_pb2.Literal) -> literals_pb2.Literal:
    """A literal that is a union, of a type that nobody says."""
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(union=literals_pb2.Union(value=value)))


def structure(depth: int) -> literals_pb2.Literal:
    """A literal that is an object within an object."""
    found = struct_pb2.Struct()
    inner = found
    for _ in range(depth):
        inner = inner.fields["inner"].struct_value
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(generic=found))


WRONG = {
    "a text among numbers": collection(integer(1), text("two"), integer(3)),
    "a list among numbers": collection(integer(1), collection(integer(2))),
    "nothing among numbers": collection(integer(1), literals_pb2.Literal()),
    "a union among numbers": collection(integer(1), one_of(text("two"))),
    "an object among numbers": collection(integer(1), structure(3)),
    "a number": integer(1),
    "nothing": literals_pb2.Literal(),
    "a map": literals_pb2.Literal(map=integers(a=1)),
    "an object": structure(3),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_items_of_another_type_are_refused_at_launch(client: Client, wrong: str) -> None:
    """With INVALID_ARGUMENT, and the input's name."""
    request = create_request("workflows.mapping.squares", literals_pb2.LiteralMap(literals={"xs": WRONG[wrong]}))
    code, details = refused(client.admin.CreateExecution, request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT, details
    assert "xs" in details


@pytest.mark.parametrize("wrong", [["two"], [1, "two"], [[1]], [None], {"a": 1}, "one"])
def test_items_of_another_type_are_refused_by_the_sdk_or_the_server(client: Client, wrong: Any) -> None:
    """Whoever sees it first says so; nothing runs."""
    with pytest.raises(Exception, match="(?i)xs|type|expected a list"):
        client.start("mapping.squares", {"xs": wrong})


def deep_inputs(tags: bytes, outermost: bytes) -> bytes:
    """Encodes inputs whose one value lies a thousand messages deep in values of its own kind; tags are told from the inside.
    No honest encoder goes so far."""
    body = b""
    for tag in tags * (DEEP // len(tags)) + outermost:
        body = bytes([tag]) + varint(len(body)) + body
    entry = b"\x0a\x02xs\x12" + varint(len(body)) + body
    return b"\x0a" + varint(len(entry)) + entry


def varint(number: int) -> bytes:
    """Encodes a length."""
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


@pytest.mark.parametrize(
    ("tags", "outermost"),
    [(b"\x0a\x12", b""), (b"\x0a\x4a\x0a", b""), (b"\x2a\x12\x0a", b"\x3a\x0a")],
    ids=["lists", "unions", "objects"],
)
def test_inputs_a_thousand_deep_are_refused(client: Client, tags: bytes, outermost: bytes) -> None:
    """They are refused as what they are: an argument that is none."""
    request = create_request("workflows.mapping.squares").SerializeToString()
    deep = deep_inputs(tags, outermost)
    # Field 5 of the request: its inputs.
    raw = request + b"\x2a" + varint(len(deep)) + deep
    call = client.channel.unary_unary(
        "/flyteidl.service.AdminService/CreateExecution",
        request_serializer=lambda sent: sent,
        response_deserializer=execution_pb2.ExecutionCreateResponse.FromString,
    )
    code, details = refused(call, raw)
    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL), details
    assert "recursion limit" in details or "xs" in details, details


def test_a_value_that_is_too_deep_is_that_items_alone(client: Client) -> None:
    """Where the SDK itself gives up on an object a thousand deep, its item fails; those before and after it do not."""
    execution = client.finish("oversized.deep_results", {"depths": [1, DEEP, 0, 100]})
    require_success(execution)
    assert execution.outputs["o0"] == [1, None, 0, 100]


def test_an_item_of_a_hundred_mebibytes_is_taken_in(client: Client) -> None:
    """Between its neighbours, from one map to the next."""
    assert client.outputs("oversized.large_item", {"mib": MIB})["o0"] == [1, MIB << 20, 2]


def test_a_result_of_a_hundred_mebibytes_is_handed_on(client: Client) -> None:
    """It is more than a message holds, so the client is told where it is."""
    sizes = [0, MIB, 1] + ([MIB] * 4 if LONG else [])
    execution = client.finish("oversized.large_results", {"sizes": sizes})
    require_success(execution)
    assert [len(found) >> 20 for found in execution.outputs["o0"]] == sizes


@pytest.mark.parametrize(("xs", "ys"), [([1], []), ([], [1]), ([1, 2, 3], [1]), ([1], [1, 2])])
def test_lists_of_different_length_are_an_error(client: Client, xs: list[int], ys: list[int]) -> None:
    """Whichever is the shorter, and whether it has anything at all."""
    execution = client.finish("mapping.pairs", {"xs": xs, "ys": ys})
    assert phase(execution) == "FAILED"
    assert client.get(execution).closure.error.code == "InvalidArrayLength"


@pytest.mark.parametrize(("xs", "ys", "sums"), [([], [], []), ([1], [2], [3])])
def test_lists_of_nothing_and_of_one_are_lists(client: Client, xs: list[int], ys: list[int], sums: list[int]) -> None:
    """They are not special."""
    assert client.outputs("mapping.pairs", {"xs": xs, "ys": ys})["o0"] == sums
