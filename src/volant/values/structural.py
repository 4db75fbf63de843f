"""Stored values read without the classes they are of: what is in them, for people and for JSON.

Nothing is imported and no pickle is opened, so that values can be looked at long after the module that made them is
gone, and by whoever should not run its code. What only the class could tell is missing: an instance of the annotated
class has no name in its bytes, and what is pickled shows its size and the name of its class.
"""

import pickletools
import struct
from collections.abc import Callable
from datetime import datetime, time, tzinfo
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Final
from zoneinfo import ZoneInfo

from volant.model.errors import ValueCodecError
from volant.values.codec import PLANNER, read_payload
from volant.values.scalars import read_int
from volant.values.summaries import array_summary, composed_summary, stored_summary
from volant.values.wire import (
    ABSENT,
    ARRAY,
    BYTEARRAY,
    BYTES,
    CLASS,
    COMPLEX,
    COMPOSED,
    COUNTER,
    DATE,
    DATETIME,
    DECIMAL,
    DEFAULT_DICT,
    DEQUE,
    DICT,
    ELLIPSIS,
    ENUM,
    FALSE,
    FLOAT,
    FRACTION,
    FROZENSET,
    FUNCTION,
    INT,
    LIST,
    MEMBER,
    NAMED_ENUM,
    NAMED_STRUCT,
    NONE,
    NUMPY_SCALAR,
    ORDERED_DICT,
    PATH,
    PICKLE,
    RANGE,
    REGISTERED,
    SET,
    SHOWN,
    SLICE,
    STORED,
    STR,
    STRUCT,
    TIME,
    TIMEDELTA,
    TIMEZONE,
    TRUE,
    TUPLE,
    UUID,
    ZONEINFO,
    Misread,
    Source,
    read_size,
    read_text,
)

__all__ = ["Items", "Member", "Opaque", "Record", "Reference", "read_arguments", "read_value"]


class Record:
    """An instance of a class of fields."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        """The qualified name of the class; empty where only the annotation says it."""
        self.fields = fields


class Member:
    """A member of an enum."""

    def __init__(self, enum: str, name: str | int) -> None:
        self.enum = enum
        """The qualified name of the enum; empty where only the annotation says it."""
        self.name = name
        """Its name, or the number of a combination of flags."""


class Items:
    """A set, in the order of its bytes: the same in every process."""

    def __init__(self, kind: str, items: list[Any]) -> None:
        self.kind = kind
        self.items = items


class Reference:
    """A class or a function, by name."""

    def __init__(self, name: str) -> None:
        self.name = name


class Opaque:
    """Bytes that only their own code can read."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        """Of the class, as far as the bytes tell."""
        self.size = size
        self.preview: str | None = None
        """What its type says about it, if it does."""


def read_value(data: bytes) -> Any:
    """The structure of an encoded value: Python's own types as they are, and the classes above.

    Raises:
        ValueCodecError: the bytes are damaged, of another version, or nested too deeply to be shown.
    """
    return read_payload(_read, data, where="value")


def read_arguments(data: bytes) -> dict[str, Any]:
    """The structure of encoded inputs, by parameter.

    Raises:
        ValueCodecError: as `read_value`.
    """
    found = read_value(data)
    if not isinstance(found, Record):
        msg = "inputs: found a single value, wanted arguments"
        raise ValueCodecError(msg)
    return found.fields


def _read(source: Source) -> Any:
    tag = source.peek()
    reader = _READERS.get(tag)
    if reader is None:
        raise Misread(f"found the unknown tag {tag:#04x}")
    if tag not in _WITH_TAG:
        source.pos += 1
    return reader(source)


def _read_plainly(source: Source) -> Any:
    """A value of Python's own whose bytes say all there is to it."""
    return PLANNER.dynamic.readers[source.peek()].read(source)


def _read_list(source: Source) -> list[Any]:
    return [_read(source) for _ in range(_count(source))]


def _read_deque(source: Source) -> list[Any]:
    _read(source)  # its greatest length
    return _read_list(source)


def _read_set(kind: str) -> Callable[[Source], Items]:
    return lambda source: Items(kind, _read_list(source))


def _read_dict(source: Source) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for _ in range(_count(source)):
        key = _read(source)
        # A deque or the like is no key in Python either; what is one, is one here.
        found[key] = _read(source)
    return found


def _read_default_dict(source: Source) -> dict[Any, Any]:
    _read(source)  # what makes its defaults
    return _read_dict(source)


def _read_slice(source: Source) -> Any:
    return Record("slice", {name: _read(source) for name in ("start", "stop", "step")})


def _read_path(source: Source) -> Any:
    is_windows = source.take(1)[0] in (1, 3)
    return (PureWindowsPath if is_windows else PurePosixPath)(read_text(source))


def _read_datetime(source: Source) -> Any:
    year, month, day = struct.unpack(">HBB", source.take(4))
    return _with_zone(datetime(year, month, day, *_clock(source)), source)


def _read_time(source: Source) -> Any:
    return _with_zone(time(*_clock(source)), source)


def _clock(source: Source) -> tuple[int, int, int, int]:
    hour, minute, second, micro, _ = struct.unpack(">BBBIB", source.take(8))
    return hour, minute, second, micro


def _with_zone(naive: Any, source: Source) -> Any:
    zone = _read(source)
    if zone is None or isinstance(zone, tzinfo):
        return naive.replace(tzinfo=zone)
    return Record(type(naive).__name__, {"at": naive, "tzinfo": zone})


def _read_zone(source: Source) -> Any:
    key = read_text(source)
    try:
        return ZoneInfo(key)
    except (LookupError, ValueError, OSError):
        return Reference(f"ZoneInfo:{key}")


def _read_struct(source: Source) -> Record:
    return Record("", _fields(source))


def _read_named_struct(source: Source) -> Record:
    return Record(_qualname(read_text(source)), _fields(source))


def _fields(source: Source) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(_count(source)):
        name = read_text(source)
        if source.data[source.pos] == ABSENT:
            source.pos += 1
            continue
        value = _read(source)
        # `*` lists which fields of a model were given; `+` and `-` mark attributes that are no fields.
        if name != "*":
            found[name.lstrip("+-")] = value
    return found


def _read_enum(source: Source) -> Member:
    return Member("", _member(source))


def _read_named_enum(source: Source) -> Member:
    return Member(_qualname(read_text(source)), _member(source))


def _member(source: Source) -> str | int:
    if source.peek() != STR:
        return read_int(source)
    source.pos += 1
    return read_text(source)


def _read_labelled(source: Source) -> Any:
    label = read_text(source)
    value = _read(source)
    if isinstance(value, Record) and not value.name:
        value.name = label
    elif isinstance(value, Member) and not value.enum:
        value.enum = label
    return value


def _read_reference(source: Source) -> Reference:
    return Reference(read_text(source))


def _read_registered(source: Source) -> Opaque:
    name = read_text(source)
    size = read_size(source)
    source.take(size)
    return Opaque(name, size)


def _read_shown(source: Source) -> Any:
    preview = read_text(source)
    value = _read(source)
    if isinstance(value, Opaque):
        value.preview = preview
    return value


def _read_stored(source: Source) -> Opaque:
    return Opaque(*stored_summary(source, _read))


def _read_pickle(source: Source) -> Opaque:
    size = read_size(source)
    source.take(4)
    return Opaque(_pickled_class(source.take(size)), size)


def _pickled_class(data: bytes) -> str:
    """The first class that a pickle names, read without executing it."""
    texts: list[str] = []
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name in ("SHORT_BINUNICODE", "BINUNICODE", "UNICODE"):
                texts = [*texts[-1:], str(argument)]
            elif operation.name == "STACK_GLOBAL" and len(texts) == 2:
                if texts[0].partition(".")[0] not in _PICKLERS:
                    return ":".join(texts)
            elif operation.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                if module.partition(".")[0] not in _PICKLERS:
                    return f"{module}:{name}"
    except ValueError:
        return ""
    return ""


def _read_numpy(source: Source) -> Any:
    kind = read_text(source)
    data = source.take(read_size(source))
    code = _NUMPY_CODES.get(kind.lstrip("<>|="))
    if code is not None and struct.calcsize(f"<{code}") == len(data):
        parts = struct.unpack(f"<{code}", data)
        return complex(*parts) if len(parts) == 2 else parts[0]
    return Opaque(f"numpy:{kind}", len(data))


def _read_array(source: Source) -> Opaque:
    return Opaque(*array_summary(source, _read))


def _read_composed(source: Source) -> Opaque:
    return Opaque(*composed_summary(source, _read))


def _count(source: Source) -> int:
    count = read_size(source)
    if count > source.end - source.pos:
        raise Misread(f"found a count of {count} items with {source.end - source.pos} bytes left")
    return count


def _qualname(name: str) -> str:
    """Of `module:Outer.Inner[module:int]`, what a person calls it."""
    plain, bracket, rest = name.partition("[")
    arguments = ", ".join(part.rpartition(":")[2] for part in rest.rstrip("]").split(","))
    return plain.rpartition(":")[2] + (f"[{arguments}]" if bracket else "")


_PICKLERS: Final = frozenset({"copyreg", "cloudpickle", "volant", "builtins", "_codecs"})
"""Modules that help to make objects, and say nothing about what they are."""

_NUMPY_CODES: Final = {
    "b1": "?",
    "i1": "b",
    "i2": "h",
    "i4": "i",
    "i8": "q",
    "u1": "B",
    "u2": "H",
    "u4": "I",
    "u8": "Q",
    "f2": "e",
    "f4": "f",
    "f8": "d",
    "c8": "ff",
    "c16": "dd",
}

_WITH_TAG: Final = frozenset(
    {
        NONE,
        FALSE,
        TRUE,
        INT,
        FLOAT,
        COMPLEX,
        STR,
        BYTES,
        BYTEARRAY,
        ELLIPSIS,
        RANGE,
        DECIMAL,
        FRACTION,
        UUID,
        DATE,
        TIMEDELTA,
        TIMEZONE,
    }
)
"""Read by the plans of `Any`, which see the tag themselves."""

_READERS: Final[dict[int, Callable[[Source], Any]]] = {
    **dict.fromkeys(_WITH_TAG, _read_plainly),
    LIST: _read_list,
    TUPLE: lambda source: tuple(_read_list(source)),
    DEQUE: _read_deque,
    SET: _read_set("set"),
    FROZENSET: _read_set("frozenset"),
    DICT: _read_dict,
    ORDERED_DICT: _read_dict,
    COUNTER: _read_dict,
    DEFAULT_DICT: _read_default_dict,
    SLICE: _read_slice,
    PATH: _read_path,
    DATETIME: _read_datetime,
    TIME: _read_time,
    ZONEINFO: _read_zone,
    STRUCT: _read_struct,
    NAMED_STRUCT: _read_named_struct,
    ENUM: _read_enum,
    NAMED_ENUM: _read_named_enum,
    MEMBER: _read_labelled,
    CLASS: _read_reference,
    FUNCTION: _read_reference,
    REGISTERED: _read_registered,
    PICKLE: _read_pickle,
    NUMPY_SCALAR: _read_numpy,
    SHOWN: _read_shown,
    STORED: _read_stored,
    ARRAY: _read_array,
    COMPOSED: _read_composed,
}
