"""The plans of enum members and of `Literal`."""

from collections.abc import Iterable
from enum import Enum, Flag
from typing import Any, Final

from volant.values.pickles import write_pickle
from volant.values.plans import Plan
from volant.values.references import name_of, resolve_class
from volant.values.scalars import read_int, write_int
from volant.values.wire import (
    ENUM,
    NAMED_ENUM,
    STR,
    Misfit,
    Misread,
    Sink,
    Source,
    class_of,
    found,
    read_text,
    write_text,
)

_MEMBER_TAGS: Final = frozenset({ENUM})


class EnumPlan(Plan):
    """Members of one enum, by member name; flags without a name of their own by their number."""

    __slots__ = ("cls", "members")
    tags = _MEMBER_TAGS
    total = True
    anonymous = True

    def __init__(self, label: str, cls: type[Enum]) -> None:
        super().__init__(label)
        self.cls: type[Enum] = cls
        self.members = dict(cls.__members__)

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
        elif self.is_plain(value):
            out.append(ENUM)
            self.write_body(value, out)
        else:
            write_pickle(value, out)

    def read(self, source: Source) -> Any:
        tag = source.peek()
        if tag == ENUM:
            source.pos += 1
            return self.read_body(source)
        if tag == NAMED_ENUM:
            value = source.dynamic.read_named(source, self.cls)
            if not isinstance(value, self.cls):
                raise Misread(f"found {found(value)}, wanted {self.label}")
            return value
        return self.read_kin(source)

    def is_plain(self, value: Any) -> bool:
        """Whether it is a member that its name leads to, or a flag."""
        return isinstance(value, Flag) or self.members.get(value.name) is value

    def write_body(self, value: Any, out: Sink) -> None:
        """Append what follows the tag and the name of the class."""
        name = value.name
        if self.members.get(name) is value:
            out.append(STR)
            write_text(name, out)
        else:
            write_int(value.value, out)

    def read_body(self, source: Source) -> Any:
        """Read what `write_body` wrote."""
        if source.peek() != STR:
            return self.cls(read_int(source))
        source.pos += 1
        name = read_text(source)
        member = self.members.get(name)
        if member is None:
            raise Misread(f"found {name!r}, which is no member of {self.label}")
        return member


class NamedEnumPlan(Plan):
    """Members of an enum that no annotation names: the name is written first."""

    __slots__ = ("body", "cls")
    tags = frozenset({NAMED_ENUM})

    def __init__(self, body: EnumPlan) -> None:
        super().__init__(body.label)
        self.body = body
        self.cls = body.cls

    def write(self, value: Any, out: Sink) -> None:
        name = name_of(self.cls)
        if name is None or not self.body.is_plain(value):
            write_pickle(value, out)
            return
        out.append(NAMED_ENUM)
        write_text(name, out)
        self.body.write_body(value, out)

    def read(self, source: Source) -> Any:
        return source.dynamic.read_named(source, self.cls)


class LiteralPlan(Plan):
    """The values of a `Literal`; 1 is not True."""

    __slots__ = ("anonymous", "inner", "tags", "values")

    def __init__(self, label: str, values: Iterable[Any], inner: Plan) -> None:
        super().__init__(label)
        self.values = frozenset((class_of(value), value) for value in values)
        self.inner = inner
        self.tags = inner.tags
        self.anonymous = inner.anonymous

    def write(self, value: Any, out: Sink) -> None:
        if not self._has(value):
            raise self.misfit(value)
        self.inner.write(value, out)

    def read(self, source: Source) -> Any:
        value = self.inner.read(source)
        if not self._has(value):
            raise Misread(f"found {found(value)}, wanted {self.label}")
        return value

    def takes(self, cls: type[Any]) -> bool:
        return any(cls is known for known, _ in self.values)

    def _has(self, value: Any) -> bool:
        try:
            return (class_of(value), value) in self.values
        except TypeError:
            raise Misfit(f"found {found(value)}, wanted {self.label}") from None


def read_enum_class(source: Source, fallback: type | None) -> type[Enum]:
    """Read the name of an enum."""
    source.pos += 1
    cls = resolve_class(read_text(source), fallback)
    if not issubclass(cls, Enum):
        raise Misread(f"found {cls.__qualname__}, which is not an enum")
    return cls
