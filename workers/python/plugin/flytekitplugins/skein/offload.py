"""Lists that are too large for a request: written as they come, uploaded, and passed by reference."""

import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterable, Optional, Type

from flyteidl.core import literals_pb2
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.type_engine import TypeEngine
from flytekit.models.literals import Literal, LiteralOffloadedMetadata
from flytekit.models.types import LiteralType
from flytekit.remote import FlyteRemote

# The keys of `Literal.collection` and of `LiteralCollection.literals`, both messages.
_COLLECTION = b"\x12"
_ELEMENT = b"\x0a"
# How many bytes the length of the list takes: it is written when all elements are, to a place kept for it.
_LENGTH_BYTES = 5
# No protobuf message may be longer.
_BYTES_MAX = 2**31 - 1
_PIECE_ELEMENTS = 10_000
_PRIMITIVES = {bool: "boolean", int: "integer", float: "float_value", str: "string_value"}


def offload_list(
    remote: FlyteRemote,
    values: Iterable[Any],
    item_type: Type[Any],
    *,
    project: Optional[str] = None,
    domain: Optional[str] = None,
) -> Literal:
    """Uploads a list, and gives what stands for it among the inputs of an execution.

    The values are taken one by one and never held: a generator of ten million will do. Skein maps over such a list
    without ever holding it either.

    ```python
    xs = offload_list(remote, range(10_000_000), int)
    remote.execute(map_workflow, inputs={"xs": xs})
    ```

    Args:
        remote: Where it is uploaded to.
        values: The elements, any number of them.
        item_type: The type of each element, as in the interface of the workflow.
        project: The project to upload under. Default: that of `remote`.
        domain: The domain to upload under. Default: that of `remote`.

    Raises:
        TypeError: When an element is not of the type; it names the element. Nothing is uploaded then.
        ValueError: When the list takes more than 2 GiB.
    """
    element_type = TypeEngine.to_literal_type(item_type)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.pb"
        with path.open("wb") as file:
            _write(file, values, _encoder(item_type, element_type))
        size = path.stat().st_size
        _, uri = remote.upload_file(path, project, domain)
    inferred = LiteralType(collection_type=element_type)
    metadata = LiteralOffloadedMetadata(uri=uri, size_bytes=size, inferred_type=inferred)
    return Literal(offloaded_metadata=metadata)


def _write(file: BinaryIO, values: Iterable[Any], encode: Callable[[Any], bytes]) -> None:
    file.write(_COLLECTION + bytes(_LENGTH_BYTES))
    size = 0
    piece = bytearray()
    for index, value in enumerate(values):
        try:
            element = encode(value)
        except Exception as error:
            raise TypeError(f"element {index} of the list, {value!r:.100}: {error}") from error
        piece += _ELEMENT + _number(len(element)) + element
        if index % _PIECE_ELEMENTS == 0:
            size += file.write(piece)
            piece.clear()
    size += file.write(piece)
    if size + len(_COLLECTION) + _LENGTH_BYTES > _BYTES_MAX:
        raise ValueError(f"the list takes {size} bytes, a message has at most {_BYTES_MAX}: cut it in two")
    file.seek(len(_COLLECTION))
    file.write(_number(size, _LENGTH_BYTES))


def _encoder(item_type: Type[Any], element_type: LiteralType) -> Callable[[Any], bytes]:
    field = _PRIMITIVES.get(item_type)
    if field is not None:
        return lambda value: _primitive(item_type, field, value)
    context = FlyteContextManager.current_context()
    return lambda value: (
        TypeEngine.to_literal(context, value, item_type, element_type).to_flyte_idl().SerializeToString()
    )


def _primitive(item_type: Type[Any], field: str, value: Any) -> bytes:
    # As the SDK has it: whole numbers are floats too, and truth values are no whole numbers.
    if type(value) is not item_type and not (item_type is float and type(value) is int):
        raise TypeError(f"it is of type {type(value).__name__}, not {item_type.__name__}")
    primitive = literals_pb2.Primitive(**{field: value})
    return literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=primitive)).SerializeToString()


def _number(value: int, length: int = 1) -> bytes:
    """Encodes a length, in at least so many bytes."""
    encoded = bytearray()
    while value > 0x7F or len(encoded) + 1 < length:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
