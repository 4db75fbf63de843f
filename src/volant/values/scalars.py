"""The plans of Python's built-in scalars."""

from struct import Struct
from types import EllipsisType, NoneType
from typing import Any, Final

from volant.values.plans import Plan
from volant.values.wire import (
    BYTEARRAY,
    BYTES,
    COMPLEX,
    ELLIPSIS,
    FALSE,
    FLOAT,
    INT,
    NONE,
    SMALL_INT,
    STR,
    TRUE,
    Misfit,
    Misread,
    Sink,
    Source,
    class_of,
    found,
    read_size,
    read_text,
    write_size,
)

_DOUBLE: Final = Struct(">d")
_PAIR: Final = Struct(">dd")
_INT_HEADS: Final = tuple(bytes((INT, n)) for n in range(128))
_STR_HEADS: Final = tuple(bytes((STR, n)) for n in range(128))


def write_int(value: int, out: bytearray) -> None:
    """Write an int with its tag: two's complement, big-endian, `bit_length() // 8 + 1` bytes."""
    if 0 <= value < 128:
        out.append(SMALL_INT | value)
        return
    size = value.bit_length() // 8 + 1
    if size < 128:
        out += _INT_HEADS[size]
    else:
        out.append(INT)
        write_size(size, out)
    out += value.to_bytes(size, "big", signed=True)


def read_int(source: Source) -> int:
    """Read an int with its tag."""
    pos = source.pos
    tag = source.data[pos]
    source.pos = pos + 1
    if tag & SMALL_INT:
        return tag & 127
    if tag != INT:
        raise Misread(f"found tag {tag:#04x}, wanted an int")
    return int.from_bytes(source.take(read_size(source)), "big", signed=True)


class NonePlan(Plan):
    """`None`."""

    __slots__ = ()
    cls = NoneType
    tags = frozenset({NONE})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if value is not None:
            raise self.misfit(value)
        out.append(NONE)

    def read(self, source: Source) -> Any:
        if source.peek() != NONE:
            return self.read_kin(source)
        source.pos += 1
        return None


class BoolPlan(Plan):
    """`bool`."""

    __slots__ = ()
    cls = bool
    tags = frozenset({FALSE, TRUE})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if value is True:
            out.append(TRUE)
        elif value is False:
            out.append(FALSE)
        else:
            raise self.misfit(value)

    def read(self, source: Source) -> Any:
        tag = source.peek()
        if tag not in (FALSE, TRUE):
            return self.read_kin(source)
        source.pos += 1
        return tag == TRUE


class IntPlan(Plan):
    """`int` of any size; a `bool` is none."""

    __slots__ = ()
    cls = int
    tags = frozenset({INT})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not int:
            self.write_kin(value, out)
        elif 0 <= value < 128:
            out.append(SMALL_INT | value)
        else:
            write_int(value, out)

    def read(self, source: Source) -> Any:
        pos = source.pos
        tag = source.data[pos]
        if tag & SMALL_INT:
            source.pos = pos + 1
            return tag & 127
        if tag != INT:
            return self.read_kin(source)
        size = source.data[pos + 1]
        start = pos + 2
        if size > 127 or start + size > source.end:
            return read_int(source)
        source.pos = start + size
        return int.from_bytes(source.data[start : start + size], "big", signed=True)


class FloatPlan(Plan):
    """`float`, bit for bit; an `int` is accepted and becomes one."""

    __slots__ = ()
    cls = float
    tags = frozenset({FLOAT})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not float:
            if class_of(value) is not int or out.exact:
                self.write_kin(value, out)
                return
            value = _as_float(value)
        out.append(FLOAT)
        out += _DOUBLE.pack(value)

    def read(self, source: Source) -> Any:
        pos = source.pos
        if source.data[pos] != FLOAT:
            return self.read_kin(source)
        if pos + 9 > source.end:
            raise Misread("the bytes end early")
        source.pos = pos + 9
        return _DOUBLE.unpack_from(source.data, pos + 1)[0]

    def takes(self, cls: type[Any]) -> bool:
        return cls is int or issubclass(cls, float)


class ComplexPlan(Plan):
    """`complex`, bit for bit; an `int` or a `float` is accepted and becomes one."""

    __slots__ = ()
    cls = complex
    tags = frozenset({COMPLEX})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not complex:
            if class_of(value) not in (int, float) or out.exact:
                self.write_kin(value, out)
                return
            value = complex(_as_float(value))
        out.append(COMPLEX)
        out += _PAIR.pack(value.real, value.imag)

    def read(self, source: Source) -> Any:
        if source.peek() != COMPLEX:
            return self.read_kin(source)
        source.pos += 1
        return complex(*_PAIR.unpack(source.take(16)))

    def takes(self, cls: type[Any]) -> bool:
        return cls in (int, float) or issubclass(cls, complex)


class StrPlan(Plan):
    """`str`, lone surrogates included."""

    __slots__ = ()
    cls = str
    tags = frozenset({STR})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not str:
            self.write_kin(value, out)
            return
        data = value.encode("utf-8", "surrogatepass")
        size = len(data)
        if size < 128:
            out += _STR_HEADS[size]
        else:
            out.append(STR)
            write_size(size, out)
        out += data

    def read(self, source: Source) -> Any:
        pos = source.pos
        data = source.data
        if data[pos] != STR:
            return self.read_kin(source)
        size = data[pos + 1]
        start = pos + 2
        if size < 128 and start + size <= source.end:
            source.pos = start + size
            return data[start : start + size].decode("utf-8", "surrogatepass")
        source.pos = pos + 1
        return read_text(source)


class BytesPlan(Plan):
    """`bytes`; not counted as travelling by value."""

    __slots__ = ()
    cls = bytes
    tags = frozenset({BYTES})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not bytes:
            self.write_kin(value, out)
            return
        _write_block(BYTES, value, out)

    def read(self, source: Source) -> Any:
        if source.peek() != BYTES:
            return self.read_kin(source)
        source.pos += 1
        return source.take(read_size(source))


class BytearrayPlan(Plan):
    """`bytearray`; not counted as travelling by value."""

    __slots__ = ()
    cls = bytearray
    tags = frozenset({BYTEARRAY})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if class_of(value) is not bytearray:
            self.write_kin(value, out)
            return
        _write_block(BYTEARRAY, value, out)

    def read(self, source: Source) -> Any:
        if source.peek() != BYTEARRAY:
            return self.read_kin(source)
        source.pos += 1
        return bytearray(source.take(read_size(source)))


class EllipsisPlan(Plan):
    """`...`."""

    __slots__ = ()
    cls = EllipsisType
    tags = frozenset({ELLIPSIS})
    total = True

    def write(self, value: Any, out: Sink) -> None:
        if value is not ...:
            raise self.misfit(value)
        out.append(ELLIPSIS)

    def read(self, source: Source) -> Any:
        if source.peek() != ELLIPSIS:
            return self.read_kin(source)
        source.pos += 1
        return ...


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise Misfit(f"found {found(value)}, wanted a float, which cannot hold it") from None


def _write_block(tag: int, data: bytes | bytearray, out: Sink) -> None:
    out.append(tag)
    write_size(len(data), out)
    out += data
    out.opaque += len(data)
