"""What to do about a value that does not fit its type: the conversion that was probably left out."""

import inspect
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

from volant.kit.nearest import nearest
from volant.values.wire import class_of

_LONGEST: Final = 40
_FROM_TEXT: Final[dict[type, tuple[str, Callable[[str], Any]]]] = {
    int: ("int({})", int),
    float: ("float({})", float),
    complex: ("complex({})", complex),
    bytes: ("{}.encode()", str.encode),
    Decimal: ("Decimal({})", Decimal),
    Fraction: ("Fraction({})", Fraction),
    UUID: ("UUID({})", UUID),
    date: ("date.fromisoformat({})", date.fromisoformat),
    datetime: ("datetime.fromisoformat({})", datetime.fromisoformat),
    time: ("time.fromisoformat({})", time.fromisoformat),
}
"""How text becomes a value of a class, and the function that tells whether this text does."""
_COLLECTIONS: Final = (list, tuple, set, frozenset)
_ITERABLES: Final = (*_COLLECTIONS, range, map, filter, zip)


def remedy(value: Any, cls: type[Any], label: str) -> str | None:
    """What would make *value* one of *cls*, which errors call *label*; None where nothing obvious does."""
    given = class_of(value)
    if inspect.isawaitable(value) or inspect.iscoroutine(value):
        if inspect.iscoroutine(value):
            value.close()  # it is never awaited now, and the error says so better than Python would
        return "await the call, and pass what it returns"
    if value is None:
        return f"where None is meant, the annotation is {label} | None" if label != "Never" else None
    if issubclass(cls, Enum):
        return _member(value, cls)
    if given is str:
        return _from_text(value, cls)
    if cls is str:
        return "pass value.decode()" if given is bytes else f"pass str({_short(value)})"
    if cls in _COLLECTIONS and issubclass(given, _ITERABLES):
        return f"pass {cls.__name__}(...)" if value else f"pass {cls()!r}"
    if cls is int and given is float and value.is_integer():
        return f"pass {int(value)}"
    if cls is int and given is float:
        return "round it, or annotate a float"
    if cls is bool and given is int and value in (0, 1):
        return f"pass {bool(value)}"
    if cls is int and given is bool:
        return f"pass int({value})"
    if isinstance(value, Mapping) and _is_made_of_fields(cls):
        return f"pass {cls.__name__}(**...)"
    if isinstance(value, tuple) and hasattr(cls, "_fields"):
        return f"pass {cls.__name__}(*...)"
    return None


def remedy_of_unpicklable(value: Any) -> str:
    """What to do about a value that nothing can turn into bytes."""
    if inspect.isgenerator(value):
        return "pass list(...)"
    if inspect.isasyncgen(value):
        return "pass a list of what it yields"
    if inspect.iscoroutine(value):
        value.close()
        return "await the call, and pass what it returns"
    return "pass what it is made from, and make it in the task"


def _from_text(value: str, cls: type[Any]) -> str | None:
    if issubclass(cls, PurePath):
        return f"pass {cls.__name__}({_short(value)})"
    form, convert = _FROM_TEXT.get(cls, (None, str))
    if form is None:
        return None
    try:
        convert(value)
    except (ValueError, ArithmeticError):
        return None
    return "pass " + form.format(_short(value))


def _member(value: Any, cls: type[Enum]) -> str:
    """The member that a name or a value stands for."""
    if isinstance(value, (str, int, float)):
        for member in cls:
            if value in (member.value, member.name):
                return f"pass {cls.__name__}.{member.name}"
    near = nearest(value, cls.__members__) if isinstance(value, str) else None
    return f"pass {cls.__name__}.{near or next(iter(cls.__members__), '...')}"


def _is_made_of_fields(cls: type[Any]) -> bool:
    return any(hasattr(cls, name) for name in ("__dataclass_fields__", "model_fields", "_fields", "__attrs_attrs__"))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else "..."
