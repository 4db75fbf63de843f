"""The plans of the standard library's value types other than times: numbers, ids, paths, ranges."""

from decimal import Decimal
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any, Final
from uuid import UUID as Uuid
from uuid import SafeUUID

from volant.values.plans import Plan
from volant.values.scalars import read_int, write_int
from volant.values.wire import (
    DECIMAL,
    FRACTION,
    PATH,
    RANGE,
    SLICE,
    UUID,
    Misread,
    Sink,
    Source,
    class_of,
    read_text,
    write_text,
)

_SAFETY: Final = (SafeUUID.unknown, SafeUUID.safe, SafeUUID.unsafe)
FLAVOURS: Final[tuple[type[PurePath], ...]] = (PurePosixPath, PureWindowsPath, PosixPath, WindowsPath)


class DecimalPlan(Plan):
    """`Decimal`: digits, exponent, sign and payload as given."""

    __slots__ = ()
    cls = Decimal
    tags = frozenset({DECIMAL})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not Decimal:
            self.write_kin(value, out)
            return
        out.append(DECIMAL)
        # The thread's decimal context chooses between "E" and "e".
        write_text(str(value).upper(), out)

    def read(self, source: Source) -> Any:
        if source.peek() != DECIMAL:
            return self.read_kin(source)
        source.pos += 1
        return Decimal(read_text(source))


class FractionPlan(Plan):
    """`Fraction`."""

    __slots__ = ()
    cls = Fraction
    tags = frozenset({FRACTION})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not Fraction:
            self.write_kin(value, out)
            return
        out.append(FRACTION)
        write_int(value.numerator, out)
        write_int(value.denominator, out)

    def read(self, source: Source) -> Any:
        if source.peek() != FRACTION:
            return self.read_kin(source)
        source.pos += 1
        numerator = read_int(source)
        return Fraction(numerator, read_int(source))


class UuidPlan(Plan):
    """`UUID`, with what it says about its safety."""

    __slots__ = ()
    cls = Uuid
    tags = frozenset({UUID})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not Uuid:
            self.write_kin(value, out)
            return
        out.append(UUID)
        out += value.bytes
        out.append(_SAFETY.index(value.is_safe))

    def read(self, source: Source) -> Any:
        if source.peek() != UUID:
            return self.read_kin(source)
        source.pos += 1
        data = source.take(16)
        return Uuid(bytes=data, is_safe=_SAFETY[source.take(1)[0]])


class PathPlan(Plan):
    """`Path`, `PurePath` and their flavours."""

    __slots__ = ("cls",)
    tags = frozenset({PATH})

    def __init__(self, label: str, cls: type[PurePath]) -> None:
        super().__init__(label)
        self.cls = cls

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) not in FLAVOURS or not isinstance(value, self.cls):
            self.write_kin(value, out)
            return
        out.append(PATH)
        out.append(FLAVOURS.index(class_of(value)))
        write_text(str(value), out)

    def read(self, source: Source) -> Any:
        if source.peek() != PATH:
            return self.read_kin(source)
        source.pos += 1
        flavour = FLAVOURS[source.take(1)[0]]
        value = flavour(read_text(source))
        if not isinstance(value, self.cls):
            raise Misread(f"found {flavour.__name__}, wanted {self.label}")
        return value


class RangePlan(Plan):
    """`range`."""

    __slots__ = ()
    cls = range
    tags = frozenset({RANGE})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not range:
            raise self.misfit(value)
        out.append(RANGE)
        for part in (value.start, value.stop, value.step):
            write_int(int(part), out)

    def read(self, source: Source) -> Any:
        if source.peek() != RANGE:
            return self.read_kin(source)
        source.pos += 1
        start = read_int(source)
        stop = read_int(source)
        return range(start, stop, read_int(source))


class SlicePlan(Plan):
    """`slice` of anything."""

    __slots__ = ()
    cls = slice
    tags = frozenset({SLICE})

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not slice:
            raise self.misfit(value)
        out.append(SLICE)
        for part in (value.start, value.stop, value.step):
            out.dynamic.write(part, out)

    def read(self, source: Source) -> Any:
        if source.peek() != SLICE:
            return self.read_kin(source)
        source.pos += 1
        start = source.dynamic.read(source)
        stop = source.dynamic.read(source)
        return slice(start, stop, source.dynamic.read(source))
