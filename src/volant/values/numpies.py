"""The plan of numpy scalars: their kind and their bytes. numpy is never imported here."""

import sys
from typing import Any, Final

from volant.values.pickles import write_pickle
from volant.values.plans import Plan
from volant.values.wire import (
    NUMPY_SCALAR,
    Misread,
    Sink,
    Source,
    class_of,
    read_size,
    read_text,
    write_size,
    write_text,
)

_KINDS: Final = frozenset("biufcMm")
_LARGEST: Final = 16
"""Bytes; `longdouble` differs from machine to machine and is left to pickle."""


def is_numpy_scalar(cls: type[Any]) -> bool:
    """Whether *cls* is a numpy scalar type."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(cls, numpy.generic)


class NumpyScalarPlan(Plan):
    """Booleans, numbers and times of numpy, by dtype; text and records as `composing` says; others are pickled."""

    __slots__ = ("other",)
    tags = frozenset({NUMPY_SCALAR})

    def __init__(self, label: str, other: Plan | None = None) -> None:
        super().__init__(label)
        self.other = other
        """For what is neither a boolean nor a number nor a time."""

    def write(self, value: Any, out: Sink) -> None:
        dtype = value.dtype
        numpy = sys.modules["numpy"]
        kind = dtype.newbyteorder("<").str
        if (
            dtype.kind not in _KINDS
            or dtype.char in "gG"
            or dtype.itemsize > _LARGEST
            or numpy.dtype(kind).type is not class_of(value)
        ):
            if self.other is not None:
                self.other.write(value, out)
            else:
                write_pickle(value, out)
            return
        data = value.astype(kind).tobytes() if sys.byteorder == "big" else value.tobytes()
        out.append(NUMPY_SCALAR)
        write_text(kind, out)
        write_size(len(data), out)
        out += data

    def read(self, source: Source) -> Any:
        source.pos += 1
        kind = read_text(source)
        data = source.take(read_size(source))
        try:
            import numpy
        except ImportError as error:
            raise Misread("found a numpy scalar, but numpy is not installed here") from error
        dtype = numpy.dtype(kind)
        if dtype.hasobject or dtype.itemsize != len(data):
            raise Misread(f"found {len(data)} bytes for a numpy scalar of {kind}")
        return numpy.frombuffer(data, dtype)[0]
