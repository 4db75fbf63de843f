"""The plans of dataclasses, named tuples and typed dicts.

An instance of exactly the annotated class is written without a class name, so that a script's
classes are the same in every process. Fields are written by name: what was stored before a field
with a default was added is read with that default.
"""

import dataclasses
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, NamedTuple

from volant.kit.nearest import did_you_mean
from volant.values.containers import enter
from volant.values.pickles import write_pickle
from volant.values.plans import Plan
from volant.values.references import name_of
from volant.values.wire import (
    ABSENT,
    DICT,
    NAMED_STRUCT,
    STR,
    STRUCT,
    Fault,
    Misfit,
    Misread,
    Sink,
    Source,
    class_of,
    found,
    read_size,
    read_text,
    text_bytes,
    write_size,
    write_text,
)

MISSING: Final = dataclasses.MISSING
_HEAP_TYPE: Final = 1 << 9
_COPY_PROTOCOL: Final = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__")


class Attribute(NamedTuple):
    """A field: its name, its name's bytes, its plan, and what makes its default."""

    name: str
    head: bytes
    plan: Plan
    default: Callable[[], Any] | None


def attribute(name: str, plan: Plan, default: Callable[[], Any] | None) -> Attribute:
    return Attribute(name, text_bytes(name), plan, default)


class StructPlan(Plan):
    """Instances of one class, field by field."""

    __slots__ = ("attributes", "by_name", "cls")
    tags = frozenset({STRUCT})
    anonymous = True

    def __init__(self, label: str, cls: type[Any], attributes: Sequence[Attribute]) -> None:
        super().__init__(label)
        self.cls = cls
        self.attributes = tuple(attributes)
        self.by_name = {attribute.name: attribute for attribute in attributes}

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
        elif self.is_plain(value):
            out.append(STRUCT)
            self.write_body(value, out)
        else:
            write_pickle(value, out)

    def read(self, source: Source) -> Any:
        tag = source.peek()
        if tag == STRUCT:
            source.pos += 1
            return self.read_body(source)
        if tag == NAMED_STRUCT:
            value = source.dynamic.read_named(source, self.cls)
            if not self.takes(class_of(value)):
                raise Misread(f"found {found(value)}, wanted {self.label}")
            return value
        return self.read_kin(source)

    def is_plain(self, value: Any) -> bool:
        """Whether the fields are all there is to it."""
        return True

    @abstractmethod
    def values_of(self, value: Any) -> Sequence[Any]:
        """The values of all fields, `MISSING` for one that is not set."""

    def others_of(self, value: Any) -> Sequence[tuple[str, Any]]:
        """What else belongs to it, under names that no field can have."""
        return ()

    def may_have(self, name: str) -> bool:
        """Whether `others_of` may name something so."""
        return False

    @abstractmethod
    def make(self, values: dict[str, Any]) -> Any:
        """The instance that has these fields and others."""

    # Few calls deep on purpose: Python's recursion limit bounds how deeply values may be nested.

    def write_body(self, value: Any, out: Sink) -> None:
        """Append what follows the tag and the name."""
        enter(out)
        others = self.others_of(value)
        write_size(len(self.attributes) + len(others), out)
        at = ""
        try:
            for (at, head, plan, _), item in zip(self.attributes, self.values_of(value), strict=True):  # noqa: B007 - names a fault
                out += head
                if item is MISSING:
                    out.append(ABSENT)
                else:
                    plan.write(item, out)
            for name, item in others:
                at = name[1:]
                write_text(name, out)
                out.dynamic.write(item, out)
        except Fault as fault:
            fault.via(f".{at}")
            raise
        out.depth -= 1

    def read_body(self, source: Source) -> Any:
        """Read what `write_body` wrote."""
        data = source.data
        values: dict[str, Any] = {}
        name = ""
        expected = iter(self.attributes)
        try:
            for _ in range(read_size(source)):
                known = next(expected, None)
                if known is not None and data.startswith(known.head, source.pos):
                    name = known.name
                    plan = known.plan
                    source.pos += len(known.head)
                else:
                    name = read_text(source)
                    plan = self._plan_named(name, source)
                if name in values:
                    raise Misread(f"found the field {name!r} of {self.label} twice")
                if data[source.pos] == ABSENT:
                    source.pos += 1
                    values[name] = MISSING
                else:
                    values[name] = plan.read(source)
        except Fault as fault:
            fault.via(f".{name}")
            raise
        self._add_defaults(values)
        return self.make(values)

    def _plan_named(self, name: str, source: Source) -> Plan:
        if name in self.by_name:
            return self.by_name[name].plan
        if not self.may_have(name):
            suggestion = did_you_mean(name, self.by_name)
            raise Misread(
                f"found the field {name!r}, which {self.label} does not have (any more){suggestion}",
                hint=f"keep {name!r}, with a default, as long as values are read that were stored with it",
            )
        return source.dynamic

    def _add_defaults(self, values: dict[str, Any]) -> None:
        for name, _, _, default in self.attributes:
            if name not in values:
                if default is None:
                    raise Misread(
                        f"the field {name!r} of {self.label} is missing and has no default",
                        hint=f"give {name!r} a default: the value was stored before there was such a field",
                    )
                values[name] = default()


class DataclassPlan(StructPlan):
    """Dataclasses: the fields, then attributes that are no fields (`+name`).

    Made again without calling `__init__` or `__post_init__`, so the second instance is what the
    first one was, not what its constructor would make of it.
    """

    __slots__ = ("computed", "dict_fields", "get_all", "slots")

    def __init__(self, label: str, cls: type[Any], attributes: Sequence[Attribute]) -> None:
        super().__init__(label, cls, attributes)
        slots = {name for base in cls.__mro__ for name in _slots(base)}
        self.slots = tuple(sorted(slots - set(self.by_name)))
        self.dict_fields = len(set(self.by_name) - slots)
        self.computed = computed_names(cls)
        names = tuple(self.by_name)
        self.get_all: Callable[[Any], tuple[Any, ...]] = (
            attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)
        )

    def values_of(self, value: Any) -> Sequence[Any]:
        try:
            return self.get_all(value)
        except AttributeError:
            return [getattr(value, name, MISSING) for name in self.by_name]

    def others_of(self, value: Any) -> Sequence[tuple[str, Any]]:
        state: dict[str, Any] | None = getattr(value, "__dict__", None)
        if not self.slots and (state is None or len(state) <= self.dict_fields):
            return ()
        skip = self.by_name.keys() | self.computed
        others = [(f"+{name}", getattr(value, name)) for name in self.slots if hasattr(value, name)]
        return others + [(f"+{name}", other) for name, other in (state or {}).items() if name not in skip]

    def may_have(self, name: str) -> bool:
        return name[:1] == "+"

    def make(self, values: dict[str, Any]) -> Any:
        made = object.__new__(self.cls)
        put = object.__setattr__
        for name, value in values.items():
            if value is not MISSING:
                put(made, name.removeprefix("+"), value)
        return made


class NamedTuplePlan(StructPlan):
    """Named tuples, typed or not."""

    __slots__ = ()

    def is_plain(self, value: Any) -> bool:
        return not getattr(value, "__dict__", None)

    def values_of(self, value: Any) -> Sequence[Any]:
        return tuple(value)

    def make(self, values: dict[str, Any]) -> Any:
        items = [values[name] for name in self.by_name]
        if any(item is MISSING for item in items):
            raise Misread(f"found {self.label} without one of its items")
        made: Any = tuple.__new__(self.cls, items)  # pyright: ignore[reportUnknownMemberType]
        return made


class NamedPlan(Plan):
    """Instances of a class that no annotation names: the name is written before the fields."""

    __slots__ = ("body", "cls")
    tags = frozenset({NAMED_STRUCT})

    def __init__(self, body: StructPlan) -> None:
        super().__init__(body.label)
        self.cls = body.cls
        self.body = body

    def write(self, value: Any, out: Sink) -> None:
        name = name_of(self.cls)
        if name is None or not self.body.is_plain(value):
            write_pickle(value, out)
            return
        out.append(NAMED_STRUCT)
        write_text(name, out)
        self.body.write_body(value, out)

    def read(self, source: Source) -> Any:
        return source.dynamic.read_named(source, self.cls)


class TypedDictPlan(Plan):
    """A dict with a plan for each key, in the order the value has them."""

    __slots__ = ("items", "required")
    cls = dict
    tags = frozenset({DICT})
    anonymous = True

    def __init__(self, label: str, items: Mapping[str, Plan], required: frozenset[str]) -> None:
        super().__init__(label)
        self.items = {name: (bytes((STR,)) + text_bytes(name), plan) for name, plan in items.items()}
        self.required = required

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not dict:
            raise self.misfit(value)
        enter(out)
        fault = self._wrong_keys(value)
        if fault is not None:
            raise Misfit(fault)
        out.append(DICT)
        write_size(len(value), out)
        name = ""
        try:
            for name, item in value.items():
                head, plan = self.items[name]
                out += head
                plan.write(item, out)
        except Fault as inner:
            inner.via(f"[{name!r}]")
            raise
        out.depth -= 1

    def read(self, source: Source) -> Any:
        if source.peek() != DICT:
            raise Misread(f"found {found(source.dynamic.read(source))}, wanted {self.label}")
        source.pos += 1
        values: dict[Any, Any] = {}
        name: Any = ""
        try:
            for _ in range(read_size(source)):
                name = source.dynamic.read(source)
                if name not in self.items:
                    raise Misread(f"found the key {name!r}, which {self.label} does not have")
                values[name] = self.items[name][1].read(source)
        except Fault as fault:
            fault.via(f"[{name!r}]")
            raise
        wrong = self._wrong_keys(values)
        if wrong is not None:
            raise Misread(wrong)
        return values

    def takes(self, cls: type[Any]) -> bool:
        return cls is dict

    def _wrong_keys(self, value: dict[Any, Any]) -> str | None:
        keys: set[Any] = set(value)
        if missing := self.required - keys:
            return f"found a dict without {_listed(missing)}, wanted {self.label}"
        if surplus := keys - self.items.keys():
            suggestion = did_you_mean(str(next(iter(surplus))), self.items) if len(surplus) == 1 else ""
            return f"found a dict with {_listed(surplus)}, which {self.label} does not have{suggestion}"
        return None


def is_named_tuple(cls: Any) -> bool:
    """Whether this is a class made by `NamedTuple` or `namedtuple`, or a subclass of one."""
    return hasattr(cls, "_fields") and issubclass(cls, tuple)


def field_names(cls: Any) -> tuple[str, ...]:
    """The names of the fields of a named tuple."""
    names: tuple[str, ...] = cls._fields
    return names


def is_faithful(cls: type[Any]) -> bool:
    """Whether the attributes of an instance are all there is to it, so that it can be made again from them."""
    for base in cls.__mro__[:-1]:
        if not base.__flags__ & _HEAP_TYPE:
            return False
        for name in _COPY_PROTOCOL:
            method = vars(base).get(name)
            if method is not None and getattr(method, "__module__", None) != "dataclasses":
                return False
    return True


def computed_names(cls: type[Any]) -> frozenset[str]:
    """Attributes that are computed when first asked for, and need not be kept."""
    return frozenset(
        name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)
    )


def dataclass_default(field: "dataclasses.Field[Any]") -> Callable[[], Any] | None:
    """What makes the default of a field, or None."""
    factory: Any = field.default_factory
    default: Any = field.default
    if not is_missing(factory):
        return factory  # type: ignore[no-any-return]
    if not is_missing(default):
        return lambda: default
    return None


def is_missing(value: object) -> bool:
    """Whether this is dataclasses' `MISSING`, or a copy of it: a class that travelled by value has copies."""
    return isinstance(value, type(MISSING))


def _slots(cls: type[Any]) -> list[str]:
    slots = vars(cls).get("__slots__", ())
    names: list[str] = [slots] if isinstance(slots, str) else list(slots)
    private = "_" + cls.__name__.lstrip("_")
    return [
        private + name if name.startswith("__") and not name.endswith("__") else name
        for name in names
        if name not in ("__dict__", "__weakref__")
    ]


def _listed(names: set[Any] | frozenset[Any]) -> str:
    return ", ".join(sorted(repr(name) for name in names))
