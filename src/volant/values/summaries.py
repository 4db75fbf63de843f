"""Arrays and frames read without the libraries that made them: what they are called, and how large they are."""

import math
from collections.abc import Callable
from typing import Any, Final

from volant.model.payloads import Blob
from volant.values.arrays import TEXT_ITEMS
from volant.values.contents import read_place
from volant.values.dtypes import has_objects
from volant.values.wire import Misread, Source, class_of, read_size, read_text

Read = Callable[[Source], Any]
"""Reads the structure of a value."""

_PLAIN: Final = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}


def array_summary(source: Source, read: Read) -> tuple[str, int]:
    """What an array is called and its bytes; *source* is behind its tag."""
    start = source.pos
    dtype = read(source)
    flags = source.take(1)[0]
    shape = tuple(read_size(source) for _ in range(read_size(source)))
    name = f"{_shown_dtype(dtype)} array{_shown_shape(shape)}"
    if flags & TEXT_ITEMS:
        return name, _content_size(source) + _content_size(source)
    if not has_objects(dtype):
        return name, _content_size(source)
    for _ in range(len(dtype[-1]) if dtype[0] == "fields" else math.prod(shape)):
        read(source)
    return name, source.pos - start


def composed_summary(source: Source, read: Read) -> tuple[str, int]:
    """What a value of another library is called and its bytes; *source* is behind its tag."""
    name = read_text(source)
    start = source.pos
    parts: Any = read(source)
    if class_of(parts) is not tuple or not parts:
        raise Misread(f"found damaged parts of a {name}")
    shape: Any = parts[0]
    shown = name.replace(":", ".") + (_shown_shape(shape) if class_of(shape) is tuple else "")
    return shown, _bulk(parts) or source.pos - start


def stored_summary(source: Source, read: Read) -> tuple[str, int]:
    """What a file, a directory or a frame is called and its bytes; *source* is behind its tag."""
    kind = read_text(source)
    facts: Any = read(source)
    count = read_size(source)
    size = 0
    for _ in range(count):
        read_text(source)
        size += _content_size(source)
    name = repr(facts[0]) if kind in ("File", "Dir") else str(facts[0])
    files = f", {count:,} files" if kind == "Dir" else ""
    return f"{kind} {name}{files}", size


def _bulk(parts: Any) -> int:
    """Bytes of the arrays among the parts of a value."""
    if class_of(parts) is tuple:
        return sum(map(_bulk, parts))
    size: int = getattr(parts, "size", 0)
    return size


def _shown_dtype(description: Any) -> str:
    if not isinstance(description, str):
        return {"text": "text", "fields": "record"}.get(description[0], "nested")
    kind, size = description[1:2], description[2:]
    if kind in _PLAIN and size.isdigit():
        return _PLAIN[kind] if kind == "b" else f"{_PLAIN[kind]}{int(size) * 8}"
    kinds = {"O": "object", "U": "text", "S": "bytes", "M": "datetime64", "m": "timedelta64"}
    return kinds.get(kind, description)


def _shown_shape(shape: tuple[int, ...]) -> str:
    return f", {' x '.join(f'{length:,}' for length in shape)}" if shape else ""


def _content_size(source: Source) -> int:
    place = read_place(source)
    return place.size if isinstance(place, Blob) else len(place)
