"""Structures of `values.structural` as text for people and as JSON for programs."""

import base64
import math
from collections.abc import Iterator
from typing import Any

from volant.kit.quantities import format_bytes
from volant.values.structural import Items, Member, Opaque, Record, Reference

_MOST_ITEMS = 100
_MOST_TEXT = 2000
_INDENT = 4


def as_text(value: Any, *, width: int = 100, full: bool = False) -> str:
    """A structure as Python would write it, in lines of *width* where that is possible.

    Unless *full*, long texts and long containers are cut, and say so.
    """
    limits = _Limits(full=full)
    return "".join(_lines(value, "", width, width, limits))


def as_json(value: Any) -> Any:
    """A structure in the types of JSON: see `volant.cli.shapes` for what becomes of which type."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case list() | tuple():
            return [as_json(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        case Items(items=items):
            return [as_json(item) for item in items]
        case dict():
            return _mapping(value)  # pyright: ignore[reportUnknownArgumentType]
        case Record(fields=fields):
            return {name: as_json(item) for name, item in fields.items()}
        case Member(name=name):
            return name
        case Reference(name=name):
            return name
        case Opaque(name=name, size=size, preview=preview):
            return {"type": name, "bytes": size} | ({} if preview is None else {"preview": preview})
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def _mapping(value: dict[Any, Any]) -> Any:
    if all(isinstance(key, (str, int, Member)) and not isinstance(key, bool) for key in value):
        return {str(as_json(key)): as_json(item) for key, item in value.items()}
    return [[as_json(key), as_json(item)] for key, item in value.items()]


class _Limits:
    def __init__(self, *, full: bool) -> None:
        self.items = None if full else _MOST_ITEMS
        self.text = None if full else _MOST_TEXT


def _lines(value: Any, lead: str, width: int, room: int, limits: _Limits) -> Iterator[str]:
    """The pieces of a value whose first line has *room*, and whose others are indented by *lead*."""
    parts = _parts(value, limits)
    if parts is None:
        yield _atom(value, limits)
        return
    opening, items, closing = parts
    flat = _flat(value, limits, room)
    if flat is not None or not items:
        yield flat if flat is not None else opening + closing
        return
    inner = lead + " " * _INDENT
    yield f"{opening}\n"
    for name, item in items:
        yield f"{inner}{name}"
        if item is not _NO_ITEM:
            yield from _lines(item, inner, width, width - len(inner) - len(name) - 1, limits)
        yield ",\n"
    yield f"{lead}{closing}"


def _flat(value: Any, limits: _Limits, room: int) -> str | None:
    """A value on one line, or None if it has no room."""
    parts = _parts(value, limits)
    if parts is None:
        text = _atom(value, limits)
        return text if len(text) <= room else None
    opening, items, closing = parts
    room -= len(opening) + len(closing)
    pieces: list[str] = []
    for name, item in items:
        room -= len(name)
        piece = "" if item is _NO_ITEM else _flat(item, limits, room)
        if piece is None or room < 0:
            return None
        room -= len(piece) + 2
        pieces.append(name + piece)
    one = "," if isinstance(value, tuple) and len(items) == 1 else ""
    return f"{opening}{', '.join(pieces)}{one}{closing}"


_NO_ITEM = object()
"""For a line that has a name only."""

_Parts = tuple[str, list[tuple[str, Any]], str]


def _parts(value: Any, limits: _Limits) -> _Parts | None:
    """What a container begins with, its named items, what it ends with; None for what is no container."""
    match value:
        case list():
            return "[", _cut([("", item) for item in value], limits), "]"  # pyright: ignore[reportUnknownVariableType]
        case tuple():
            return "(", _cut([("", item) for item in value], limits), ")"  # pyright: ignore[reportUnknownVariableType]
        case Items(kind="set", items=items) if items:
            return "{", _cut([("", item) for item in items], limits), "}"
        case Items(kind=kind, items=items):
            inner = ("{", "}") if items else ("", "")
            return f"{kind}({inner[0]}", _cut([("", item) for item in items], limits), f"{inner[1]})"
        case dict():
            return "{", _cut(_pairs(value, limits), limits), "}"  # pyright: ignore[reportUnknownArgumentType]
        case Record(name=name, fields=fields):
            return f"{name}(", _cut([(f"{field}=", item) for field, item in fields.items()], limits), ")"
        case _:
            return None


def _pairs(mapping: dict[Any, Any], limits: _Limits) -> list[tuple[str, Any]]:
    return [(f"{_flat(key, limits, _MOST_TEXT) or '...'}: ", item) for key, item in mapping.items()]


def _cut(items: list[tuple[str, Any]], limits: _Limits) -> list[tuple[str, Any]]:
    if limits.items is None or len(items) <= limits.items:
        return items
    return [*items[: limits.items], (f"... {len(items) - limits.items:,} more", _NO_ITEM)]


def _atom(value: Any, limits: _Limits) -> str:
    match value:
        case Member(enum=enum, name=name):
            return f"{enum}.{name}" if enum else str(name)
        case Reference(name=name):
            return f"<{name}>"
        case Opaque(preview=str() as preview):
            return preview
        case Opaque(name=name, size=size):
            return f"<{name or 'a pickle'}, {format_bytes(size)}>"
        case str() | bytes() | bytearray() if limits.text is not None and len(value) > limits.text:
            return f"{value[: limits.text]!r} ... {len(value) - limits.text:,} more"
        case _:
            return repr(value)
