"""Pickling what an exception holds, where other exceptions may be anywhere inside.

An exception that is met in a value is not pickled there but named by a number, so that exceptions that refer to one
another (or to themselves) stay one object each, and none is rebuilt by calling its class with `args`.

Classes and functions travel by name. One that no import finds (a function's local class, a lambda) travels by value,
and one of `__main__` in both ways: where the other process runs the same script, `except` must see the same class.
"""

import importlib
import io
import pickle
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, cast

from volant.values.failing.details import is_extended, original_class

_PROTOCOL = 5


class TooLargeError(Exception):
    """What is being pickled is larger than what is left of the limit."""


def dumps(value: object, *, limit: int, number: Callable[[BaseException], int]) -> bytes:
    """Pickle a value in at most *limit* bytes; *number* gives the number of an exception inside it.

    Raises:
        TooLargeError: it does not fit; writing stopped there.
        BaseException: whatever the value's own code raised.
    """
    sink = _Bounded(limit)
    _Pickler(sink, number, limit).dump(value)
    return sink.getvalue()


def loads(data: bytes, *, exception: Callable[[int], BaseException]) -> Any:
    """Unpickle; *exception* gives the exception of a number.

    Raises:
        BaseException: whatever the code that is named there raised.
    """
    return _Unpickler(io.BytesIO(data), exception).load()


class _Bounded(io.BytesIO):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self._left = limit

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self._left -= size
        if self._left < 0:
            raise TooLargeError
        return super().write(data)


class _Pickler(pickle.Pickler):
    def __init__(self, sink: _Bounded, number: Callable[[BaseException], int], limit: int) -> None:
        super().__init__(sink, _PROTOCOL)
        self._number = number
        self._limit = limit

    def persistent_id(self, obj: Any) -> int | None:
        # Not `isinstance`: that also asks the object for its `__class__`, and proxies lie about it.
        return self._number(obj) if issubclass(type(obj), BaseException) else None

    def reducer_override(self, obj: Any) -> Any:
        kind = cast(type[object], type(obj))
        if issubclass(kind, type):
            if is_extended(obj):
                return _the_same, (original_class(obj),)
        elif kind is not FunctionType:
            return NotImplemented
        module, qualname = obj.__module__, obj.__qualname__
        if module == "builtins":  # also those that no name leads to, like the type of None: pickle knows them
            return NotImplemented
        named = _is_named(obj, module, qualname)
        if named and module != "__main__":
            return NotImplemented
        return find, (module if named else "", qualname, self._by_value(obj, needed=not named))

    def _by_value(self, obj: object, *, needed: bool) -> bytes:
        # Imported here because few failures need it and every worker would pay for it.
        cloudpickle: Any = importlib.import_module("cloudpickle")
        try:
            data: bytes = cloudpickle.dumps(obj, _PROTOCOL)
        except Exception:
            if needed:
                raise
            return b""
        return data if needed or len(data) < self._limit // 2 else b""


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, exception: Callable[[int], BaseException]) -> None:
        super().__init__(source)
        self._exception = exception

    def persistent_load(self, pid: Any) -> BaseException:
        return self._exception(pid)


def find(module: str, qualname: str, by_value: bytes) -> Any:
    """The class or function of that name, else what was sent by value. Named in pickles: do not move."""
    if module:
        found = _named(module, qualname)
        if found is not None:
            return found
        if not by_value:
            raise ImportError(f"{module}.{qualname} is not there in this process", name=module)
    return pickle.loads(by_value)


def _the_same(obj: object) -> object:
    return obj


def _is_named(obj: object, module: str, qualname: str) -> bool:
    if module not in sys.modules:
        try:
            importlib.import_module(module)
        except Exception:  # noqa: BLE001  # a made-up `__module__`: then no import finds it, which is the answer
            return False
    return _named(module, qualname) is obj


def _named(module: str, qualname: str) -> object:
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found
