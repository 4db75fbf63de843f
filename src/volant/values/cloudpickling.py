"""The adapter to cloudpickle: what a script defines is found by name where the same script is loaded.

cloudpickle sends the classes and functions of `__main__` by value, and what it makes of them elsewhere is another
class: there `isinstance` is false, and `is` too. So they travel in both ways, by name first; by value is for
processes whose `__main__` is something else. Imported where it is needed, because cloudpickle is slow to import.
"""

import io
from types import FunctionType
from typing import Any, Final, cast

import cloudpickle  # type: ignore[import-untyped]

from volant.values.failing.pickling import find
from volant.values.references import name_of

_MAIN: Final = "__main__"
_LARGEST: Final = 1 << 20
"""Bytes of a definition that are sent along: what it refers to goes with it, and that may be anything."""


def dumps(value: Any) -> bytes:
    """The value as a pickle.

    Raises:
        Exception: it cannot be pickled, or its own code raises.
    """
    out = io.BytesIO()
    _Pickler(out, protocol=5).dump(value)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        kind: type = cast("type[object]", type(obj))
        is_definition = kind is FunctionType or issubclass(kind, type)
        if is_definition and getattr(obj, "__module__", None) == _MAIN and name_of(obj) is not None:
            return find, (_MAIN, obj.__qualname__, _by_value(obj))
        return super().reducer_override(obj)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _by_value(obj: Any) -> bytes:
    try:
        data: bytes = cloudpickle.dumps(obj, protocol=5)  # pyright: ignore[reportUnknownMemberType]
    except Exception:  # noqa: BLE001  # something it refers to cannot be pickled: then the name has to do
        return b""
    return data if len(data) <= _LARGEST else b""
