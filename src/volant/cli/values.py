"""Text of the command line to values of annotated types."""

import enum
import json
import sys
import types
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

from volant.settings.parsing import Unparsable, parse_bool, parse_duration
from volant.values.annotations import describe

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
    datetime: ("date and time", datetime.fromisoformat),
    date: ("date", date.fromisoformat),
    time: ("time", time.fromisoformat),
    timedelta: ("duration", parse_duration),
    bool: ("true|false", parse_bool),
}


class BadText(ValueError):
    """The text is no value of the type; the message says what is wanted."""


def label(annotation: Any) -> str:
    """What the help shows in place of a value."""
    members = _members(annotation)
    if members is not None:
        wanted = [member for member in members if member is not type(None)]
        return "|".join(dict.fromkeys(label(member) for member in wanted))
    annotation = _plain(annotation)
    if choices := _choices(annotation):
        return "|".join(choices)
    if annotation in _PLAIN:
        return _PLAIN[annotation][0]
    return "text or json" if annotation is Any else "json"


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
        except Unparsable as error:
            raise BadText(f"{text!r} is not {error}") from None
        except (ValueError, ArithmeticError):
            raise BadText(f"{text!r} is not a valid {name}") from None
    if annotation is Any:
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


def _parse_json(text: str, annotation: Any) -> Any:
    # Where nobody imported pydantic there is no model of its in the annotation, and half the start-up time is saved.
    if "pydantic" in sys.modules:
        from volant.cli.models import Unknown, parse_model

        try:
            return parse_model(text, annotation)
        except Unknown:
            pass  # a TypedDict of the standard library, for one
        except ValueError as error:
            raise BadText(f"{text!r} is not JSON for {describe(annotation)}: {error}") from None
    try:
        return msgspec.json.decode(text.encode(), type=annotation)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeEncodeError) as error:
        raise BadText(f"{text!r} is not JSON for {describe(annotation)}: {error}") from None
    except (TypeError, NameError) as error:
        raise BadText(f"a {describe(annotation)} cannot be written on the command line: {error}") from None


def _choose(text: str, choices: dict[str, Any]) -> Any:
    if text in choices:
        return choices[text]
    folded = {name.casefold(): value for name, value in choices.items()}
    if len(folded) == len(choices) and text.casefold() in folded:
        return folded[text.casefold()]
    raise BadText(f"{text!r} is not one of {', '.join(choices)}")


def _enum_members(cls: type[enum.Enum]) -> dict[str, Any]:
    """By name, and by value where that says something else."""
    named: dict[str, Any] = dict(cls.__members__)
    for member in cls:
        named.setdefault(str(member.value), member)
    return named


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return list(annotation.__members__)
    return []


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
