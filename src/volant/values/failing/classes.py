"""Classes that are the class of a user's exception and `TaskError` at once.

A class is made once for each original one and keeps its name, module and qualified name. It is found again for as long
as somebody holds it or an instance of it, so classes that come and go (notebook cells) leave nothing behind.
"""

import abc
from collections.abc import Callable
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

from volant.model.errors import TaskError
from volant.values.failing.details import ORIGINAL, Details, original_class, told_of
from volant.values.failing.formatting import traceback_of
from volant.values.failing.introspection import ancestry, namespace, type_name, type_place
from volant.values.failing.parts import DETAILS, is_plain


class Received:
    """First base of every extended class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        # Stops here: a registry in the user's `__init_subclass__` must not see a subclass that the user did not write.
        return None


class Extender:
    """Makes extended classes and remembers them; *first_base* derives from `Received`."""

    def __init__(self, first_base: type[Received]) -> None:
        self._first_base = first_base
        self._made: WeakKeyDictionary[type, dict[type, ref[type]]] = WeakKeyDictionary()

    def extend(self, original: type[BaseException], base: type[TaskError] = TaskError) -> type[BaseException]:
        """A class that is both *original* and *base*; *original* itself where there cannot be one.

        Not extended are classes that are a *base* already, those that no `except Exception` may catch
        (`KeyboardInterrupt`), and those whose instances hold state that only their own constructor can give them.
        """
        try:
            made = self._made.setdefault(original, {})
            known = made.get(base)
            cls = known() if known is not None else None
            if cls is None:
                cls = self._make(original, base)
                made[base] = ref(cls)
        except Exception:  # noqa: BLE001  # a metaclass may raise anything: then the original type alone is what there is
            return original
        return cast(type[BaseException], cls)

    def _make(self, original: type[BaseException], base: type[TaskError]) -> type:
        if issubclass(original, base) or not issubclass(original, Exception) or not is_plain(original):
            return original
        module, qualname = type_place(original)
        own = {name for k in ancestry(original) if type_place(k)[0] != TaskError.__module__ for name in namespace(k)}
        ask = next((namespace(k)["__getattr__"] for k in ancestry(original) if "__getattr__" in namespace(k)), None)
        body: dict[str, Any] = {name: Told(name, tell, ask) for name, tell in _TOLD.items() if name not in own}
        body |= {
            "__module__": module,
            "__qualname__": qualname,
            "__doc__": namespace(original).get("__doc__"),
            "__slots__": (DETAILS,),
            ORIGINAL: original,
        }
        # A metaclass of the user's decides how its classes behave, but its constructor is for the user's classes.
        metaclass = cast(Any, type(original))
        bases = (self._first_base, base) if issubclass(base, original) else (self._first_base, original, base)
        if metaclass is abc.ABCMeta:
            return abc.ABCMeta(type_name(original), bases, body)
        made: type = type.__new__(metaclass, type_name(original), bases, body)
        return made


_Teller = Callable[[BaseException, Details], object]


class Told:
    """An attribute of `TaskError` that an extended class answers from its details, unless the exception has its own."""

    def __init__(self, name: str, tell: _Teller, ask: Callable[..., Any] | None) -> None:
        self._name = name
        self._tell = tell
        self._ask = ask

    def __get__(self, exc: BaseException | None, owner: type) -> Any:
        if exc is None:
            return getattr(TaskError, self._name)
        if self._ask is not None:
            try:
                return self._ask(exc, self._name)
            except Exception:  # noqa: BLE001  # the user's `__getattr__` does not know it, or knows nothing
                ...
        return self._tell(exc, told_of(exc) or Details(code=type_name(original_class(owner))))


_TOLD: dict[str, _Teller] = {
    "code": lambda _, told: told.code,
    "kind": lambda _, told: str(told.kind),
    "action": lambda _, told: told.action,
    "task": lambda _, told: told.task,
    "attempts": lambda _, told: told.attempts,
    "remote_traceback": lambda exc, told: told.traceback or traceback_of(exc),
}
