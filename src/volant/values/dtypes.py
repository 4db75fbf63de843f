"""numpy's dtypes as plain values.

A plain dtype is its `str`; one with fields lists them with their places; text of any length says what stands for
nothing. Other dtypes (extended precision, those of other libraries, those with metadata) have no description.
"""

import importlib
from typing import Any, Final

from volant.values.wire import Misread

_FIELDS: Final = "fields"
_REPEATED: Final = "repeated"
_TEXT: Final = "text"
_DIFFERENT_EVERYWHERE: Final = "gG"


class Undescribed(Exception):
    """The dtype has no description."""


def describe_dtype(dtype: Any) -> Any:
    """A dtype as a plain value.

    Raises:
        Undescribed: that would not be all there is to it.
    """
    if dtype.metadata is not None or dtype.char in _DIFFERENT_EVERYWHERE:
        raise Undescribed
    if dtype.names is not None:
        return _FIELDS, dtype.itemsize, dtype.isalignedstruct, dtype.type.__name__ == "record", _fields(dtype)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return _REPEATED, describe_dtype(base), tuple(shape)
    if dtype.char == "T":
        nothing = (dtype.na_object,) if hasattr(dtype, "na_object") else ()
        return _TEXT, bool(dtype.coerce), nothing
    text = dtype.str
    numpy = numpy_for("a numpy dtype")
    again = numpy.dtype(text)
    if again != dtype or again.type is not dtype.type or type(again) is not type(dtype):
        raise Undescribed
    return text


def read_dtype(description: Any, numpy: Any) -> Any:
    """The dtype of a description."""
    match description:
        case str():
            return numpy.dtype(description)
        case ("fields", int() as size, bool() as aligned, bool() as is_record, fields):
            names: list[str] = [field[0] for field in fields]
            layout = {
                "names": names,
                "formats": [read_dtype(field[3], numpy) for field in fields],
                "offsets": [field[1] for field in fields],
                "titles": [field[2] for field in fields],
                "itemsize": size,
            }
            dtype = numpy.dtype(layout, align=aligned)
            return numpy.dtype((numpy.record, dtype)) if is_record else dtype
        case ("repeated", base, shape):
            return numpy.dtype((read_dtype(base, numpy), shape))
        case ("text", bool() as coerce, nothing):
            kwargs: dict[str, Any] = {"na_object": nothing[0]} if nothing else {}
            return numpy.dtypes.StringDType(coerce=coerce, **kwargs)
        case _:
            raise Misread(f"found {description!r}, wanted the description of a dtype")


def has_objects(description: Any) -> bool:
    """Whether items of a described dtype hold values of any type."""
    match description:
        case str():
            return description == "|O"
        case ("fields", _, _, _, fields):
            return any(has_objects(field[3]) for field in fields)
        case ("repeated", base, _):
            return has_objects(base)
        case _:
            return True


def is_packed(dtype: Any) -> bool:
    """Whether every byte of an item belongs to exactly one field."""
    if dtype.subdtype is not None:
        return is_packed(dtype.subdtype[0])
    if dtype.names is None:
        return True
    at = 0
    for offset, inner in sorted((dtype.fields[name][1], index) for index, name in enumerate(dtype.names)):
        field = dtype[inner]
        if offset != at or not is_packed(field):
            return False
        at += field.itemsize
    return bool(at == dtype.itemsize)


def numpy_for(what: str) -> Any:
    """numpy, which *what* needs."""
    try:
        return importlib.import_module("numpy")
    except ImportError as error:
        raise Misread(f"found {what}, but numpy is not installed here") from error


def _fields(dtype: Any) -> tuple[Any, ...]:
    found: list[Any] = []
    for name in dtype.names:
        inner, offset, *title = dtype.fields[name]
        found.append((name, offset, title[0] if title else None, describe_dtype(inner)))
    return tuple(found)
