"""Values as JSON that every program can read, whatever they are and whatever the output's encoding."""

import json
import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec


def as_json(value: object, *, compact: bool = False) -> str:
    """*value* as JSON, indented or on one line.

    What JSON does not know is written as its nearest relative, in the end as its text; `nan` and infinity are null.
    """
    try:
        encoded = msgspec.json.encode(value, enc_hook=_relative)
        text = (encoded if compact else msgspec.json.format(encoded, indent=2)).decode()
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        # Keys that are no text, numbers of more than 64 bits, half a surrogate pair.
        text = json.dumps(_plain(value), indent=None if compact else 2, separators=(",", ":") if compact else None)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=None if compact else 2, separators=(",", ":") if compact else None)
    return text


def fields_of(value: object) -> dict[str, Any] | None:
    """What a mapping, a dataclass, a NamedTuple, a model or a struct holds by name; None for all other values."""
    if isinstance(value, Mapping):
        items = cast("Iterable[tuple[object, Any]]", value.items())  # pyright: ignore[reportUnknownMemberType]
        return {str(key): each for key, each in items}
    names: Iterable[str] | None = None
    for attribute in ("__dataclass_fields__", "_fields", "model_fields", "__struct_fields__"):
        names = getattr(type(value), attribute, None)
        if names is not None:
            return {name: getattr(value, name) for name in names}
    return None


def _relative(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(mode="json")
    to_list = getattr(value, "tolist", None)
    return to_list() if callable(to_list) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    fields = fields_of(value)
    if fields is not None:
        return {name: _plain(each) for name, each in fields.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in cast("Iterable[Any]", value)]
    try:
        return json.loads(msgspec.json.encode(value, enc_hook=_relative))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return str(value)
