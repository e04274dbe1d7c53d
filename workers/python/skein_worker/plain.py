"""Plain values: what travels as MessagePack and needs nothing of the SDK to become a literal.

A shape names a type: `int`, `float`, `bool`, `str`, `datetime`, `timedelta`, `list[shape]`, `dict[str, shape]`.
Times travel as microseconds since the epoch, durations as microseconds. What the SDK's type engine would refuse,
change or merely warn about is not plain: whoever meets it asks the type engine itself.
"""

import datetime
import typing
from typing import Any, Callable, List, Optional

_SIMPLE = {
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
    datetime.datetime: "datetime",
    datetime.timedelta: "timedelta",
}
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)
# What a protobuf Duration can hold.
_DURATION_MAX = 315_576_000_000 * 1_000_000


class NotPlain(Exception):
    """A value that is not exactly of its shape."""


def shape_of(annotation: Any) -> Optional[str]:
    """Answers the shape of a type; none for a type that is not plain, or not plainly written."""
    if isinstance(annotation, type) and annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list and len(arguments) == 1:
        inner = shape_of(arguments[0])
        return None if inner is None else f"list[{inner}]"
    if origin is dict and len(arguments) == 2 and arguments[0] is str:
        inner = shape_of(arguments[1])
        return None if inner is None else f"dict[str, {inner}]"
    return None


def reader(shape: str) -> Optional[Callable[[Any], Any]]:
    """Answers what makes a value of `shape` of what travelled; none where that is the value itself."""
    if shape == "datetime":
        return lambda micros: _EPOCH + micros * _MICROSECOND
    if shape == "timedelta":
        return lambda micros: micros * _MICROSECOND
    inner = _inner(shape)
    read = reader(inner) if inner is not None else None
    if read is None:
        return None
    if shape.startswith("list["):
        return lambda values: [read(value) for value in values]
    return lambda values: {key: read(value) for key, value in values.items()}


def writer(shape: str) -> Callable[[Any], Any]:
    """Answers what makes of a value of `shape` what travels, and raises `NotPlain` for any other value."""
    inner = _inner(shape)
    if inner is None:
        return _WRITERS[shape]
    write = writer(inner)
    if shape.startswith("list["):

        def write_list(value: Any) -> List[Any]:
            if type(value) is not list:
                raise NotPlain
            return [write(element) for element in value]

        return write_list

    def write_dict(value: Any) -> Any:
        if type(value) is not dict:
            raise NotPlain
        return {_write_str(key): write(element) for key, element in value.items()}

    return write_dict


def is_container(shape: str) -> bool:
    """Says whether user code could change a value of `shape` in place."""
    return _inner(shape) is not None


def _inner(shape: str) -> Optional[str]:
    if shape.startswith("list["):
        return shape[len("list[") : -1]
    if shape.startswith("dict[str, "):
        return shape[len("dict[str, ") : -1]
    return None


def _write_int(value: Any) -> int:
    if type(value) is not int or not _INT_MIN <= value <= _INT_MAX:
        raise NotPlain
    return value


def _write_float(value: Any) -> float:
    if type(value) is not float:
        raise NotPlain
    return value


def _write_bool(value: Any) -> bool:
    if value is not True and value is not False:
        raise NotPlain
    return value


def _write_str(value: Any) -> str:
    if type(value) is not str:
        raise NotPlain
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise NotPlain from None
    return value


def _write_datetime(value: Any) -> int:
    if type(value) is not datetime.datetime:
        raise NotPlain
    try:
        aware = value if value.tzinfo is not None else value.replace(tzinfo=datetime.timezone.utc)
        since = aware.astimezone(datetime.timezone.utc) - _EPOCH
    except (OverflowError, ValueError):
        raise NotPlain from None
    return since // _MICROSECOND


def _write_timedelta(value: Any) -> int:
    if type(value) is not datetime.timedelta:
        raise NotPlain
    micros = value // _MICROSECOND
    if abs(micros) > _DURATION_MAX:
        raise NotPlain
    return micros


_WRITERS = {
    "int": _write_int,
    "float": _write_float,
    "bool": _write_bool,
    "str": _write_str,
    "datetime": _write_datetime,
    "timedelta": _write_timedelta,
}
