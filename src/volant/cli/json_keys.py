"""Keys of JSON objects that stand for no field. Decoders drop them, and a misspelt one with a default goes unseen."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from volant.kit.nearest import did_you_mean

_LISTS = frozenset({list, set, frozenset, Sequence, Collection, Iterable, AbstractSet})
_DICTS = frozenset({dict, Mapping})


def unknown_key(text: str, annotation: Any) -> str | None:
    """What is wrong, and where, with the first key that no field has; None when there is none.

    Dataclasses and typed dicts are looked into; models say by themselves what they take.
    """
    return _look(json.loads(text), annotation, "$")


def _look(value: Any, annotation: Any, place: str) -> str | None:
    kind = _plain(annotation)
    if isinstance(value, dict) and (known := _fields_of(kind)) is not None:
        for key, each in cast("dict[str, Any]", value).items():
            if key not in known:
                return f"{kind.__name__} has no field {key!r}{did_you_mean(key, known)} - at `{place}`"
            if found := _look(each, known[key], f"{place}.{key}"):
                return found
        return None
    return next(
        (found for each, inner, where in _inside(value, kind, place) if (found := _look(each, inner, where))), None
    )


def _inside(value: Any, kind: Any, place: str) -> Iterable[tuple[Any, Any, str]]:
    """What a container holds: value, type and place of each."""
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(value, dict):
        if origin in _DICTS and len(args) == 2:
            yield from ((each, args[1], f"{place}.{key}") for key, each in cast("dict[str, Any]", value).items())
    elif isinstance(value, list):
        items = cast("Sequence[Any]", value)
        if (origin in _LISTS and len(args) == 1) or (origin is tuple and len(args) == 2 and args[1] is Ellipsis):
            yield from ((each, args[0], f"{place}[{number}]") for number, each in enumerate(items))
        elif origin is tuple:
            yield from (
                (each, inner, f"{place}[{n}]") for n, (each, inner) in enumerate(zip(items, args, strict=False))
            )


def _fields_of(kind: Any) -> dict[str, Any] | None:
    if not is_typeddict(kind) and not (isinstance(kind, type) and is_dataclass(kind)):
        return None
    if hasattr(kind, "__pydantic_fields__"):
        return None
    try:
        hints = get_type_hints(kind, include_extras=True)
    except (NameError, TypeError):
        return None
    return hints if is_typeddict(kind) else {each.name: hints[each.name] for each in fields(kind) if each.init}


def _plain(annotation: Any) -> Any:
    """Without what says nothing about the shape: metadata, new names, `None` beside one other type."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif (supertype := getattr(annotation, "__supertype__", None)) is not None:
            annotation = supertype
        elif get_origin(annotation) in (Union, UnionType):
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) != 1:
                return annotation
            annotation = members[0]
        else:
            return annotation
