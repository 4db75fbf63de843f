"""The last resort: values that only cloudpickle can carry, and classes of no known kind.

A pickle is opaque: equal values may have different pickles, so whatever holds one has no digest.
It carries a checksum, because damaged pickles are not safe to load.
"""

import pickle
from functools import partial
from typing import Any
from zlib import crc32

from volant.values.plans import Plan
from volant.values.remedies import remedy_of_unpicklable
from volant.values.wire import (
    PICKLE,
    Located,
    Misread,
    Sink,
    Source,
    Unencodable,
    class_of,
    found,
    read_size,
    write_size,
)


def write_pickle(value: Any, out: Sink) -> None:
    """Write *value* as a pickle, and note that it is one."""
    out.digestable = False
    out.pickles.append(class_of(value))
    if out.probe >= 0:
        if out.probe == len(out.pickles) - 1:
            raise Located("")
        return
    data = _dump(value)
    out.append(PICKLE)
    write_size(len(data), out)
    out += crc32(data).to_bytes(4, "big")
    out += data
    out.opaque += len(data)


def read_pickle(source: Source) -> Any:
    """Read what `write_pickle` wrote."""
    source.pos += 1
    size = read_size(source)
    checksum = int.from_bytes(source.take(4), "big")
    data = source.take(size)
    if crc32(data) != checksum:
        raise Misread("found a damaged pickle")
    try:
        return pickle.loads(data)
    except Exception as error:
        raise Misread(f"a pickle cannot be loaded: {type(error).__name__}: {error}") from error


class PicklePlan(Plan):
    """Anything, as a pickle."""

    __slots__ = ()
    tags = frozenset({PICKLE})

    def write(self, value: Any, out: Sink) -> None:
        write_pickle(value, out)

    def read(self, source: Source) -> Any:
        return read_pickle(source)


class InstancePlan(Plan):
    """Instances of a class of no known kind; they describe themselves."""

    __slots__ = ("checks", "cls")

    def __init__(self, label: str, cls: type[Any]) -> None:
        super().__init__(label)
        self.cls = cls
        self.checks = _can_check(cls)

    def write(self, value: Any, out: Sink) -> None:
        if self.checks and not isinstance(value, self.cls):
            raise self.misfit(value)
        out.dynamic.write(value, out)

    def read(self, source: Source) -> Any:
        value = source.dynamic.read(source)
        if self.checks and not isinstance(value, self.cls):
            raise Misread(f"found {found(value)}, wanted {self.label}")
        return value

    def takes(self, cls: type[Any]) -> bool:
        return not self.checks or issubclass(cls, self.cls)


def _dump(value: Any) -> bytes:
    from volant.values.cloudpickling import dumps

    try:
        return dumps(value)
    except RecursionError:
        raise
    except Exception as error:
        fault = Unencodable(f"found {found(value)}, which cannot be pickled: {error}")
        fault.remedy = partial(remedy_of_unpicklable, value)
        raise fault from error


def _can_check(cls: type[Any]) -> bool:
    try:
        isinstance(None, cls)
        issubclass(type(None), cls)
    except TypeError:
        return False
    return True
