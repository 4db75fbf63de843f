"""What every plan does: write values of one annotated type, and read them again.

A plan is built once per annotation and kept. All plans share one tagged format, so a value has
the same bytes under `int`, `int | str` and `Any`; the annotation decides what is accepted, what
is converted, and which classes need not be named in the bytes.
"""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

from volant.values.remedies import remedy
from volant.values.wire import TAG_NAMES, Misfit, Misread, Sink, Source, class_of, found


class Plan(ABC):
    """How values of one annotated type become bytes and come back.

    Attributes:
        label: the type as errors name it.
        cls: the class of which accepted values are instances; `object` when that says nothing.
        tags: tags that the bytes of an exact instance start with; None means any.
        total: every instance of exactly `cls` is accepted.
        anonymous: the bytes may hold classes that only this annotation names.
    """

    __slots__ = ("label",)
    cls: type[Any] = object
    tags: frozenset[int] | None = None
    total: bool = False
    anonymous: bool = False

    def __init__(self, label: str) -> None:
        self.label = label

    @abstractmethod
    def write(self, value: Any, out: Sink) -> None:
        """Append the bytes of *value*, or raise `Misfit` or `Unencodable`."""

    @abstractmethod
    def read(self, source: Source) -> Any:
        """The next value, or `Misread`."""

    def takes(self, cls: type[Any]) -> bool:
        """Whether an instance of exactly *cls* may be accepted."""
        return issubclass(cls, self.cls)

    def write_kin(self, value: Any, out: Sink) -> None:
        """Write an instance of a subclass, described by itself so that it stays what it is."""
        if not isinstance(value, self.cls) or (class_of(value) is bool and self.cls is int):
            raise self.misfit(value)
        out.dynamic.write(value, out)

    def read_kin(self, source: Source) -> Any:
        """Read what `write_kin` wrote."""
        tag = source.peek()
        if self.tags is not None and tag in self.tags:
            raise Misread(f"found damaged bytes, wanted {self.label}")
        value = source.dynamic.read(source)
        if not isinstance(value, self.cls) or (class_of(value) is bool and self.cls is int):
            raise Misread(f"found {TAG_NAMES.get(tag, f'unknown tag {tag:#04x}')}, wanted {self.label}")
        return value

    def misfit(self, value: Any) -> Misfit:
        cls: type[Any] = class_of(value)
        if cls is not self.cls and cls.__qualname__ == self.cls.__qualname__:
            return Misfit(f"found {found(value)}, wanted {self.label} of {self.cls.__module__}, which is another class")
        fault = Misfit(f"found {found(value)}, wanted {self.label}")
        fault.remedy = partial(remedy, value, self.cls, self.label)
        return fault


class SelfDescribing(Plan):
    """The plan for values whose type no annotation tells: every class is named in the bytes."""

    __slots__ = ()

    @abstractmethod
    def read_named(self, source: Source, fallback: type | None) -> Any:
        """Read an instance of a named class; *fallback* stands in for one of its qualname that is not found."""


class Deferred(Plan):
    """Stands for a plan that is still being built: the type mentions itself."""

    __slots__ = ("target",)
    anonymous = True
    target: Plan | None

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.target = None

    def write(self, value: Any, out: Sink) -> None:
        self._resolved().write(value, out)

    def read(self, source: Source) -> Any:
        return self._resolved().read(source)

    def takes(self, cls: type[Any]) -> bool:
        return self.target is None or self.target.takes(cls)

    def _resolved(self) -> Plan:
        if self.target is None:
            raise Misfit(f"the type {self.label} is made of nothing but itself")
        return self.target
