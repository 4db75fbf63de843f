"""Checks of what users write, and the one form of the messages that refuse it.

`<where>: <parameter> is <what was found>, expected <what was wanted>`
"""

import functools
import inspect
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, NoReturn, ParamSpec, TypeGuard, TypeVar, cast

from volant.authoring.examples import example_of
from volant.kit.nearest import did_you_mean
from volant.model.errors import DefinitionError, DefinitionTypeError, UnknownParameterError

_MOST = 2**31 - 1
"""Of anything that is counted."""

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def refuse_value(where: str, parameter: str, found: object, expected: str, *, hint: str | None = None) -> NoReturn:
    """Raise for a value of the right type that cannot be."""
    message = f"{where}: {parameter} is {shown(found)}, expected {expected}"
    raise DefinitionError(message, hint=hint or example_of(where, parameter))


def refuse_type(where: str, parameter: str, found: object, expected: str, *, hint: str | None = None) -> NoReturn:
    """Raise for a value of the wrong type."""
    kind = "" if found is None or isinstance(found, type) else f" ({type(found).__name__})"
    message = f"{where}: {parameter} is {shown(found)}{kind}, expected {expected}"
    raise DefinitionTypeError(message, hint=hint or example_of(where, parameter))


def instance_of(where: str, parameter: str, value: object, kind: type[T] | tuple[type[T], ...], expected: str) -> T:
    """A value of one class."""
    if not isinstance(value, kind):
        refuse_type(where, parameter, value, expected)
    return value


def number(where: str, parameter: str, value: object, expected: str) -> float:
    """A finite int or float that is no bool."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse_type(where, parameter, value, expected)
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # an int that no float can hold
        is_finite = False
    if not is_finite:
        refuse_value(where, parameter, value, expected)
    return value


def items(where: str, parameter: str, value: object, expected: str) -> tuple[object, ...]:
    """The members of a list or tuple."""
    if not isinstance(value, (list, tuple)):
        refuse_type(where, parameter, value, expected)
    return tuple(cast("Iterable[object]", value))


def is_sequence(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Whether it is a list or a tuple."""
    return isinstance(value, (list, tuple))


_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def shown(value: object) -> str:
    """`repr`, bounded and without addresses, so that a message stays readable."""
    if isinstance(value, timedelta):
        text = f"timedelta(seconds={value.total_seconds():g})"
    elif inspect.isfunction(value):
        text = f"<function {value.__qualname__}>"
    else:
        try:
            text = _ADDRESS.sub("", repr(value))
        except Exception:  # noqa: BLE001 - the user's own, or an int of thousands of digits
            text = f"<{type(value).__name__} that cannot be shown>"
    return text if len(text) <= 120 else f"{text[:117]}..."


def text(where: str, parameter: str, value: object) -> str:
    """A str, possibly empty."""
    if not isinstance(value, str):
        refuse_type(where, parameter, value, "a str")
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse_value(where, parameter, value, "a str without lone surrogates, which cannot be stored")
    return value


def filled_text(where: str, parameter: str, value: object) -> str:
    """A str that says something."""
    if not text(where, parameter, value).strip():
        refuse_value(where, parameter, value, "a str that is not empty")
    return cast(str, value)


def flag(where: str, parameter: str, value: object) -> bool:
    """True or False; 0 and 1 are something else."""
    if not isinstance(value, bool):
        refuse_type(where, parameter, value, "True or False")
    return value


def whole_number(where: str, parameter: str, value: object, *, at_least: int, at_most: int = _MOST) -> int:
    """An int that is no bool and within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        refuse_type(where, parameter, value, f"an int, {at_least} or more")
    if value < at_least:
        refuse_value(where, parameter, value, f"an int, {at_least} or more")
    if value > at_most:
        refuse_value(where, parameter, value, f"an int, at most {at_most}")
    return value


def duration(where: str, parameter: str, value: object, *, zero: bool, also: str = "") -> timedelta:
    """Seconds or a `timedelta`, above zero, or from zero on; *also* ends the sentence about what was wanted."""
    wanted = f"seconds or a timedelta, {'0 or more' if zero else 'more than 0'}{also}"
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        refuse_type(where, parameter, value, wanted)
    try:
        length = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError):
        refuse_value(where, parameter, value, wanted)
    if length < timedelta(0) or (not length and (not zero or value)):
        refuse_value(where, parameter, value, wanted)
    return length


def path_text(where: str, parameter: str, value: object) -> str:
    """A path as a str."""
    if not isinstance(value, (str, os.PathLike)):
        refuse_type(where, parameter, value, "a path")
    return filled_text(where, parameter, os.fspath(cast("str | os.PathLike[str]", value)))


def choice(where: str, parameter: str, value: object, choices: tuple[str, ...]) -> str:
    """One of a few words."""
    wanted = " or ".join(repr(word) for word in choices)
    if not isinstance(value, str):
        refuse_type(where, parameter, value, wanted)
    if value not in choices:
        refuse_value(where, parameter, value, wanted + did_you_mean(value, choices))
    return value


def texts(where: str, parameter: str, value: object) -> tuple[str, ...]:
    """A sequence of str; a bare str is refused, since it is a sequence of its letters."""
    if isinstance(value, str):
        refuse_type(where, parameter, value, f"a sequence of str, such as [{shown(value)}]")
    if not isinstance(value, (list, tuple, set, frozenset)):
        refuse_type(where, parameter, value, "a sequence of str")
    members = cast("Iterable[object]", value)
    ordered = sorted(members, key=repr) if isinstance(value, (set, frozenset)) else members
    return tuple(filled_text(where, f"{parameter}[{index}]", item) for index, item in enumerate(ordered))


def text_map(where: str, parameter: str, value: object) -> dict[str, str]:
    """A mapping from str to str, as a copy."""
    if not isinstance(value, Mapping):
        refuse_type(where, parameter, value, "a dict[str, str]")
    return {
        filled_text(where, f"a name in {parameter}", name): text(where, f"{parameter}[{shown(name)}]", item)
        for name, item in cast("Mapping[object, object]", value).items()
    }


_QUEUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


def queue_name(where: str, value: object, *, parameter: str = "queue") -> str:
    """The name of a queue, as the settings may name one."""
    if not _QUEUE.fullmatch(filled_text(where, parameter, value)):
        refuse_value(where, parameter, value, "letters and digits with '.', '-' or '_' between")
    return cast(str, value)


_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*", re.ASCII)


def variable_name(where: str, parameter: str, value: object) -> str:
    """The name of an environment variable."""
    if not _VARIABLE.fullmatch(text(where, parameter, value)):
        wanted = "the name of an environment variable: letters, digits, '_', '-' and '.', no digit first"
        refuse_value(where, parameter, value, wanted)
    return cast(str, value)


def variables(where: str, parameter: str, value: object) -> dict[str, str]:
    """Environment variables, as a copy."""
    found = text_map(where, parameter, value)
    for name, content in found.items():
        variable_name(where, f"a name in {parameter}", name)
        if "\0" in content:
            refuse_value(where, f"{parameter}[{shown(name)}]", content, "a str without null characters")
    return found


def known_keywords(
    where: str, explain: Callable[[str, tuple[str, ...]], UnknownParameterError] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let an unknown keyword, a missing and a surplus argument be errors that say more than Python's own."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        expected = _Expected(where, function)
        known = frozenset(expected.names)

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not kwargs.keys() <= known and not expected.takes_any_keyword:
                unknown = next(name for name in kwargs if name not in known)
                raise explain(unknown, expected.names) if explain else unknown_parameter(where, unknown, expected.names)
            expected.check_count(len(args), kwargs.keys())
            return function(*args, **kwargs)

        return checked

    return wrap


class _Expected:
    """The parameters of a function of ours, the first one left out where it is `self` or `cls`."""

    def __init__(self, where: str, function: Callable[..., Any]) -> None:
        plain = cast(Any, function)
        code = plain.__code__
        self.where = where
        self._bound = 1 if code.co_varnames[:1] in (("self",), ("cls",)) else 0
        self.names: tuple[str, ...] = code.co_varnames[self._bound : code.co_argcount + code.co_kwonlyargcount]
        self._positional: tuple[str, ...] = code.co_varnames[self._bound : code.co_argcount]
        self._required = self._positional[: len(self._positional) - len(plain.__defaults__ or ())]
        self._takes_any_position = bool(code.co_flags & inspect.CO_VARARGS)
        self.takes_any_keyword = bool(code.co_flags & inspect.CO_VARKEYWORDS)

    def check_count(self, given: int, keywords: Collection[str]) -> None:
        """Refuse more positional arguments than there are, and too few.

        Raises:
            DefinitionTypeError: the message names what is missing, or how many were found.
        """
        given -= self._bound
        most = len(self._positional)
        if given > most and not self._takes_any_position:
            by_name = "keywords only" if self.names or self.takes_any_keyword else "none"
            wanted = f"at most {most} ({', '.join(self._positional)})" if most else by_name
            found = f"{given} positional argument{'s' * (given > 1)}"
            raise DefinitionTypeError(f"{self.where}: found {found}, expected {wanted}", hint=self._hint())
        for name in self._required[given:]:
            if name not in keywords:
                raise DefinitionTypeError(f"{self.where}: the argument {name!r} is missing", hint=self._hint())

    def _hint(self) -> str | None:
        return example_of(self.where, "") or _listed(self.names)


def unknown_parameter(where: str, name: str, names: Iterable[str]) -> UnknownParameterError:
    """The error for a keyword that nothing accepts."""
    names = list(names)
    return UnknownParameterError(f"{where} has no parameter {name!r}{did_you_mean(name, names)}", hint=_listed(names))


def _listed(names: Collection[str]) -> str:
    return f"the parameters are {', '.join(names)}" if names else "it takes none"
