"""The plans of dataclasses, named tuples and typed dicts.

An instance of exactly the annotated class is written without a class name, so that a script's
classes are the same in every process. Fields are written by name: what was stored before a field
with a default was added is read with that default.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

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
            if not isinstance(value, self.cls):
                raise Misread(f"found {found(value)}, wanted {self.label}")
            return value
        return self.read_kin(source)

    def is_plain(self, value: Any) -> bool:
        """Whether the fields are all there is to it."""
        return True

    def write_body(self, value: Any, out: Sink) -> None:
        """Append what follows the tag and the name."""
        raise NotImplementedError

    def read_body(self, source: Source) -> Any:
        """Read what `write_body` wrote."""
        raise NotImplementedError

    def write_values(self, values: Sequence[Any], out: Sink) -> None:
        """Write the values of all fields, `MISSING` for one that is not set."""
        at = ""
        try:
            for (at, head, plan, _), value in zip(self.attributes, values, strict=True):  # noqa: B007 - names a fault
                out += head
                if value is MISSING:
                    out.append(ABSENT)
                else:
                    plan.write(value, out)
        except Fault as fault:
            fault.via(f".{at}")
            raise

    def read_values(self, source: Source, other: Callable[[str], Plan | None]) -> dict[str, Any]:
        """Read names and values; *other* says what an unknown name's value is, if it may be there."""
        data = source.data
        values: dict[str, Any] = {}
        name = ""
        expected = iter(self.attributes)
        try:
            for _ in range(read_size(source)):
                known = next(expected, None)
                if known is not None and data.startswith(known.head, source.pos):
                    name = known.name
                    plan: Plan | None = known.plan
                    source.pos += len(known.head)
                else:
                    name = read_text(source)
                    plan = self.by_name[name].plan if name in self.by_name else other(name)
                if plan is None:
                    raise Misread(f"found the field {name!r}, which {self.label} does not have")
                if name in values:
                    raise Misread(f"found the field {name!r} of {self.label} twice")
                values[name] = self._read_value(plan, source)
        except Fault as fault:
            fault.via(f".{name}")
            raise
        return values

    def fill(self, values: dict[str, Any]) -> dict[str, Any]:
        """Add the defaults of fields that the bytes do not have."""
        for name, _, _, default in self.attributes:
            if name not in values:
                if default is None:
                    raise Misread(f"the field {name!r} of {self.label} is missing and has no default")
                values[name] = default()
        return values

    @staticmethod
    def _read_value(plan: Plan, source: Source) -> Any:
        if source.data[source.pos] == ABSENT:
            source.pos += 1
            return MISSING
        return plan.read(source)


class DataclassPlan(StructPlan):
    """Dataclasses: the fields, then attributes that are no fields (`+name`).

    Made again without calling `__init__` or `__post_init__`, so the second instance is what the
    first one was, not what its constructor would make of it.
    """

    __slots__ = ("computed", "dict_fields", "slots")

    def __init__(self, label: str, cls: type[Any], attributes: Sequence[Attribute]) -> None:
        super().__init__(label, cls, attributes)
        slots = {name for base in cls.__mro__ for name in _slots(base)}
        self.slots = tuple(sorted(slots - set(self.by_name)))
        self.dict_fields = len(set(self.by_name) - slots)
        self.computed = frozenset(
            name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, cached_property)
        )

    def write_body(self, value: Any, out: Sink) -> None:
        enter(out)
        values = [getattr(value, name, MISSING) for name in self.by_name]
        extras = self._extras(value)
        write_size(len(values) + len(extras), out)
        self.write_values(values, out)
        for name, extra in extras:
            write_text(f"+{name}", out)
            try:
                out.dynamic.write(extra, out)
            except Fault as fault:
                fault.via(f".{name}")
                raise
        out.depth -= 1

    def read_body(self, source: Source) -> Any:
        values = self.fill(self.read_values(source, lambda name: source.dynamic if name[:1] == "+" else None))
        made = object.__new__(self.cls)
        put = object.__setattr__
        for name, value in values.items():
            if value is not MISSING:
                put(made, name.removeprefix("+"), value)
        return made

    def _extras(self, value: Any) -> list[tuple[str, Any]]:
        extras = [(name, getattr(value, name)) for name in self.slots if hasattr(value, name)]
        state = getattr(value, "__dict__", None)
        if state is not None and len(state) > self.dict_fields:
            skip = self.by_name.keys() | self.computed
            extras += [(name, extra) for name, extra in state.items() if name not in skip]
        return extras


class NamedTuplePlan(StructPlan):
    """Named tuples, typed or not."""

    __slots__ = ()

    def is_plain(self, value: Any) -> bool:
        return not getattr(value, "__dict__", None)

    def write_body(self, value: Any, out: Sink) -> None:
        enter(out)
        write_size(len(self.attributes), out)
        self.write_values(tuple(value), out)
        out.depth -= 1

    def read_body(self, source: Source) -> Any:
        values = self.fill(self.read_values(source, lambda _: None))
        made: Any = tuple.__new__(self.cls, [values[name] for name in self.by_name])  # pyright: ignore[reportUnknownMemberType]
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
            return f"found a dict with {_listed(surplus)}, which {self.label} does not have"
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


def dataclass_default(field: "dataclasses.Field[Any]") -> Callable[[], Any] | None:
    """What makes the default of a field, or None."""
    if field.default_factory is not MISSING:
        return field.default_factory
    if field.default is not MISSING:
        default = field.default
        return lambda: default
    return None


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
