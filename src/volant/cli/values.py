"""Text of the command line to values of annotated types."""

import enum
import json
import sys
import types
from collections.abc import Callable, Collection, Iterable, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

from volant.cli.json_keys import unknown_key
from volant.cli.moments import Unreadable, parse_date, parse_duration, parse_instant, parse_time
from volant.kit.nearest import nearest
from volant.settings.parsing import Unparsable, parse_bool
from volant.values.annotations import describe
from volant.values.stored import Stored, stored_class

_PLAIN: dict[object, tuple[str, Callable[[str], Any]]] = {
    str: ("text", str),
    int: ("integer", lambda text: int(text.replace("_", ""), 10)),
    float: ("number", float),
    complex: ("complex number", complex),
    bytes: ("text", str.encode),
    Decimal: ("decimal", Decimal),
    Fraction: ("fraction", Fraction),
    UUID: ("uuid", UUID),
    Path: ("path", Path),
    PurePath: ("path", PurePath),
    datetime: ("date and time", parse_instant),
    date: ("date", lambda text: parse_date(text, date.today())),
    time: ("time", parse_time),
    timedelta: ("duration", parse_duration),
    bool: ("true|false", parse_bool),
}


_COLLECTIONS: dict[object, Callable[[Iterable[Any]], Any]] = {
    list: list,
    set: set,
    frozenset: frozenset,
    tuple: tuple,
    Sequence: list,
    MutableSequence: list,
    Collection: list,
    Iterable: list,
    AbstractSet: frozenset,
}
_LONGEST_SHOWN = 60


class BadText(ValueError):
    """The text is no value of the type; the message says what is wanted."""


def label(annotation: Any) -> str:
    """What the help shows in place of a value."""
    members = _members(annotation)
    if members is not None:
        wanted = [member for member in members if member is not type(None)]
        return "|".join(dict.fromkeys(label(member) for member in wanted))
    annotation = _plain(annotation)
    if found := choices(annotation):
        return "|".join(found)
    if annotation in _PLAIN:
        return _PLAIN[annotation][0]
    if annotation in (Any, object):
        return "text or json"
    if stored := _stored_class(annotation):
        return stored.named_by
    element = element_of(annotation)
    if element is not None and (inner := label(element)) not in {"json or @file", "text or json"}:
        return f"{inner} ..."
    return "json or @file"


def choices(annotation: Any) -> list[str]:
    """What may be written for an enum or a `Literal`; empty for all other types."""
    annotation = _only_member(annotation)
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return list(annotation.__members__)
    return []


def is_flag(annotation: Any) -> bool:
    """Whether it is true, false, or perhaps left open."""
    return _only_member(annotation) is bool


def element_of(annotation: Any) -> Any:
    """What the elements are of a collection whose option may be given several times; None for all other types."""
    plain = _only_member(annotation)
    origin, arguments = get_origin(plain), get_args(plain)
    if (plain if origin is None else origin) not in _COLLECTIONS:
        return None
    if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return None
    return arguments[0] if arguments else Any


def _stored_class(annotation: Any) -> type[Stored] | None:
    origin: Any = get_origin(annotation) or annotation
    return stored_class(origin) if isinstance(origin, type) else None


def parse_all(texts: Sequence[str], annotation: Any) -> Any:
    """The collection that options given one or several times stand for: one JSON list, or one element each.

    Raises:
        BadText: a text stands for none.
    """
    if len(texts) == 1 and texts[0].lstrip()[:1] in {"[", "@"}:
        return _parse_whole(texts[0], annotation)
    if len(texts) == 1 and texts[0].lower() in {"null", "none"} and _members(annotation) is not None:
        return None
    plain = _only_member(annotation)
    make = _COLLECTIONS[get_origin(plain) or plain]
    element = element_of(annotation)
    try:
        return make([parse(text, element) for text in texts])
    except TypeError as error:
        raise BadText(f"{_shown(texts)} cannot be elements of a {describe(annotation)}: {error}") from None


def parse(text: str, annotation: Any) -> Any:
    """The value that *text* stands for.

    Raises:
        BadText: it stands for none.
    """
    members = _members(annotation)
    if members is not None:
        return _parse_any_of(text, members)
    annotation = _plain(annotation)
    if get_origin(annotation) is Literal:
        return _choose(text, {str(value): value for value in get_args(annotation)})
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _choose(text, _enum_members(annotation))
    if annotation in _PLAIN:
        name, convert = _PLAIN[annotation]
        try:
            return convert(text)
        except Unreadable as error:
            raise BadText(f"{_shown(text)} is not a valid {name}: {error}") from None
        except Unparsable as error:
            raise BadText(f"{_shown(text)} is not {error}") from None
        except (ValueError, ArithmeticError):
            raise BadText(f"{_shown(text)} is not a valid {name}") from None
    if stored := _stored_class(annotation):
        try:
            return stored.at_path(text)
        except OSError as error:
            raise BadText(f"{_shown(text)} is not a {stored.named_by}: {error.strerror or error}") from None
    if annotation in (Any, object):
        return _parse_loosely(text)
    return _parse_json(text, annotation)


def _parse_any_of(text: str, members: Sequence[Any]) -> Any:
    if type(None) in members and text.lower() in {"null", "none"} and str not in members:
        return None
    # Everything is text, so text is what is left when nothing else fits.
    ordered = sorted((member for member in members if member is not type(None)), key=lambda member: member is str)
    reasons: list[str] = []
    for member in ordered:
        try:
            return parse(text, member)
        except BadText as error:
            reasons.append(str(error))
    raise BadText("; ".join(dict.fromkeys(reasons)))


def _parse_loosely(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _parse_whole(text: str, annotation: Any) -> Any:
    """A list; or its only element, where that is written like a list too."""
    try:
        return parse(text, annotation)
    except BadText:
        element = element_of(annotation)
        is_listed = element_of(element) is not None or label(element) in {"json or @file", "text or json"}
        if text.startswith("@") or not is_listed:
            raise
        try:
            return _COLLECTIONS[get_origin(plain := _only_member(annotation)) or plain]([parse(text, element)])
        except (BadText, TypeError):
            pass
        raise


def _read(text: str) -> str:
    """JSON as it stands, or that of a file (`@file.json`) or of standard input (`@-`)."""
    if not text.startswith("@"):
        return text
    if text == "@-":
        return sys.stdin.read()
    path = Path(text[1:]).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadText(f"the file {path} of {text!r} cannot be read: {reason}") from None


def _parse_json(written: str, annotation: Any) -> Any:
    text = _read(written)
    where = _shown(text) if text is written else f"what is in {written!r}"
    found = _decode_json(text, annotation, where)
    if wrong := unknown_key(text, annotation):
        raise BadText(f"{where} is not JSON for {describe(annotation)}: {wrong}")
    return found


def _decode_json(text: str, annotation: Any, where: str) -> Any:
    # Where nobody imported pydantic there is no model of its in the annotation, and half the start-up time is saved.
    if "pydantic" in sys.modules:
        from volant.cli.models import Unknown, parse_model

        try:
            return parse_model(text, annotation)
        except Unknown:
            pass  # a TypedDict of the standard library, for one
        except ValueError as error:
            raise BadText(f"{where} is not JSON for {describe(annotation)}: {error}{_quotes(text)}") from None
    try:
        return msgspec.json.decode(text.encode(), type=annotation, dec_hook=_parse_inside)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise BadText(f"{where} is not JSON for {describe(annotation)}: {error}{_quotes(text)}") from None
    except (TypeError, NameError) as error:
        raise BadText(f"a {describe(annotation)} cannot be written on the command line: {error}") from None


def _quotes(text: str) -> str:
    """What is known of people who write Python's quotes, or whose shell has taken theirs away."""
    if "'" in text and '"' not in text:
        return "; JSON has double quotes, which a shell leaves alone within single ones: '{\"x\": 1}'"
    return ""


def _parse_inside(kind: type[Any], value: Any) -> Any:
    """A value inside JSON whose type JSON does not have."""
    if isinstance(value, str):
        return parse(value, kind)
    # A ValueError is what msgspec tells with its place inside the JSON; anything else it lets through.
    raise BadText(f"no JSON stands for {describe(kind)}, which only Python code can pass")


def _choose(text: str, named: dict[str, Any]) -> Any:
    if text in named:
        return named[text]
    folded = {name.casefold(): value for name, value in named.items()}
    if len(folded) == len(named) and text.casefold() in folded:
        return folded[text.casefold()]
    meant = nearest(text.casefold(), folded)
    suggestion = f"; did you mean {next(name for name in named if name.casefold() == meant)!r}?" if meant else ""
    raise BadText(f"{_shown(text)} is not one of {', '.join(named)}{suggestion}")


def _shown(text: object) -> str:
    written = repr(text)
    return written if len(written) <= _LONGEST_SHOWN else f"{written[: _LONGEST_SHOWN - 4]}...{written[-1]}"


def _enum_members(cls: type[enum.Enum]) -> dict[str, Any]:
    """By name, and by value where that says something else."""
    named: dict[str, Any] = dict(cls.__members__)
    for member in cls:
        named.setdefault(str(member.value), member)
    return named


def _only_member(annotation: Any) -> Any:
    """What is left of an optional type."""
    members = _members(annotation)
    if members is None:
        return _plain(annotation)
    wanted = [member for member in members if member is not type(None)]
    return _plain(wanted[0]) if len(wanted) == 1 else None


def _members(annotation: Any) -> tuple[Any, ...] | None:
    plain = _plain(annotation)
    return get_args(plain) if get_origin(plain) in (Union, types.UnionType) else None


def _plain(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    supertype = getattr(annotation, "__supertype__", None)
    if supertype is not None:
        return _plain(supertype)
    return annotation
