"""The plan of numpy arrays: their dtype, their shape, and their bytes as they lie in memory.

numpy is never imported here before there is an array.

An array comes back with the same dtype (byte order, fields and units included), shape and values, in memory of its
own; C or Fortran order is kept, any other layout becomes C order. Bytes that belong to no field are written as zeros,
so that equal arrays have equal bytes. Elements of an object array are values like any other.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any, Final

from volant.values.contents import read_content, write_content
from volant.values.dtypes import Undescribed, describe_dtype, is_packed, numpy_for, read_dtype
from volant.values.pickles import write_pickle
from volant.values.plans import Plan
from volant.values.wire import ARRAY, Fault, Misfit, Misread, Sink, Source, class_of, read_size, write_size

_FORTRAN: Final = 1
TEXT_ITEMS: Final = 2
"""Flag of an array of objects that are all text."""
_MOST_DIMENSIONS: Final = 64


class ArrayPlan(Plan):
    """`numpy.ndarray`, of any dtype or of one that the annotation names."""

    __slots__ = ("cls", "kind")
    tags = frozenset({ARRAY})

    def __init__(self, label: str, cls: type[Any], kind: type[Any] | None = None) -> None:
        super().__init__(label)
        self.cls = cls
        self.kind = kind

    def write(self, value: Any, out: Sink) -> None:
        if isinstance(value, self.cls) and self.kind is not None and not issubclass(value.dtype.type, self.kind):
            raise Misfit(f"found an array of {value.dtype}, wanted {self.label}")
        if class_of(value) is not self.cls:
            self.write_kin(value, out)
            return
        try:
            description = describe_dtype(value.dtype)
        except Undescribed:
            write_pickle(value, out)
            return
        _write_array(value, description, out)

    def read(self, source: Source) -> Any:
        if source.peek() != ARRAY:
            return self.read_kin(source)
        array = read_array(source)
        if self.kind is not None and not issubclass(array.dtype.type, self.kind):
            raise Misread(f"found an array of {array.dtype}, wanted {self.label}")
        return array


class Stack:
    """Arrays of one dtype and one dimension of one length; it is written as the array that stacking them would make."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self.arrays = arrays


class StackPlan(Plan):
    """A `Stack`; what comes back is an array of two dimensions."""

    __slots__ = ()
    tags = frozenset({ARRAY})

    def write(self, value: Any, out: Sink) -> None:
        arrays = value.arrays
        dtype = arrays[0].dtype
        description = describe_dtype(dtype)
        mark = out.mark()
        out.append(ARRAY)
        out.dynamic.write(description, out)
        out.append(0)
        write_size(2, out)
        write_size(len(arrays), out)
        write_size(len(arrays[0]), out)
        write_content([chunk for array in arrays for chunk in _raw_chunks(array)], out)
        out.opaque = mark.opaque + len(out) - mark.size

    def read(self, source: Source) -> Any:
        return read_array(source)


def array_class(cls: type[Any]) -> bool:
    """Whether *cls* is numpy's array type itself."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and cls is getattr(numpy, "ndarray", None)


def wanted_kind(arguments: tuple[Any, ...]) -> type[Any] | None:
    """Of `ndarray[shape, dtype[kind]]`, the kind of scalar."""
    if len(arguments) != 2:
        return None
    inner: tuple[Any, ...] = getattr(arguments[1], "__args__", ())
    return inner[0] if inner and isinstance(inner[0], type) else None


def read_array(source: Source) -> Any:
    """Read an array with its tag."""
    source.pos += 1
    numpy = numpy_for("a numpy array")
    dtype = read_dtype(source.dynamic.read(source), numpy)
    flags = source.take(1)[0]
    rank = read_size(source)
    if rank > _MOST_DIMENSIONS:
        raise Misread(f"found an array of {rank} dimensions")
    shape = tuple(read_size(source) for _ in range(rank))
    order = "F" if flags & _FORTRAN else "C"
    if flags & TEXT_ITEMS:
        return _filled(numpy, _read_texts(source), shape, dtype, order)
    if dtype.char in "OT":
        count = math.prod(shape)
        if count > source.end - source.pos:
            raise Misread(f"found an array of {count} objects with {source.end - source.pos} bytes left")
        return _filled(numpy, [source.dynamic.read(source) for _ in range(count)], shape, dtype, order)
    if dtype.hasobject:
        array = numpy.zeros(shape, dtype, order)
        for name in dtype.names:
            array[name] = read_array(source)
        return array
    content = read_content(source)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise Misread(f"found {len(content)} bytes for an array of {dtype} of shape {shape}")
    if not content:
        return numpy.zeros(shape, dtype, order)
    return numpy.ndarray(shape, dtype, content, 0, None, order)


def _write_array(array: Any, description: Any, out: Sink) -> None:
    mark = out.mark()
    dtype = array.dtype
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    items: list[Any] | None = array.ravel("F" if is_fortran else "C").tolist() if dtype.char in "OT" else None
    is_text = bool(items) and all(class_of(item) is str for item in items or ())
    out.append(ARRAY)
    out.dynamic.write(description, out)
    out.append(_FORTRAN * is_fortran | TEXT_ITEMS * is_text)
    write_size(array.ndim, out)
    for length in array.shape:
        write_size(length, out)
    if is_text:
        _write_texts(items or [], out)
    elif items is not None:
        _write_items(items, array, out)
    elif dtype.hasobject:
        for name in dtype.names:
            field = array[name]
            try:
                _write_array(field, describe_dtype(field.dtype), out)
            except Fault as fault:
                fault.via(f"[{name!r}]")
                raise
    else:
        write_content(_raw_chunks(array.T if is_fortran else array), out)
    out.opaque = mark.opaque + len(out) - mark.size


def _write_items(items: list[Any], array: Any, out: Sink) -> None:
    index = 0
    out.depth += 1
    try:
        for item in items:
            if item is array:
                raise RecursionError
            out.dynamic.write(item, out)
            index += 1
    except Fault as fault:
        fault.via(f"[{index}]" if array.ndim == 1 else f".flat[{index}]")
        raise
    out.depth -= 1


def _raw_chunks(array: Any) -> list[memoryview]:
    """The bytes of an array in C order, without a copy where it lies so."""
    if not array.nbytes:
        return []
    numpy = sys.modules["numpy"]
    plain = numpy.ascontiguousarray(array).reshape(-1)
    if plain.dtype.names is not None and not is_packed(plain.dtype):
        clean = numpy.zeros(plain.shape, plain.dtype)
        _copy_fields(clean, plain)
        plain = clean
    return [memoryview(plain.view("u1"))]


def _copy_fields(target: Any, source: Any) -> None:
    for name in source.dtype.names:
        if source.dtype[name].names is not None:
            _copy_fields(target[name], source[name])
        else:
            target[name] = source[name]


def _write_texts(texts: list[str], out: Sink) -> None:
    """Strings as the bytes of all, and the number of bytes of each."""
    numpy = sys.modules["numpy"]
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = numpy.fromiter(map(len, encoded), "<i8", len(encoded))
    write_content([memoryview(lengths.view("u1"))], out)
    write_content([memoryview(b"".join(encoded))], out)


def _read_texts(source: Source) -> list[str]:
    numpy = sys.modules["numpy"]
    lengths: list[int] = numpy.frombuffer(read_content(source), "<i8").tolist()
    content = bytes(read_content(source))
    texts: list[str] = []
    at = 0
    for length in lengths:
        texts.append(content[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    if at != len(content) or any(length < 0 for length in lengths):
        raise Misread(f"found {len(content)} bytes of text, wanted {at}")
    return texts


def _filled(numpy: Any, items: Sequence[Any], shape: tuple[int, ...], dtype: Any, order: str) -> Any:
    """An array of objects; items that are sequences stay items."""
    if len(items) != math.prod(shape):
        raise Misread(f"found {len(items)} items for an array of shape {shape}")
    flat = numpy.empty(len(items), dtype)
    for index, item in enumerate(items):
        flat[index] = item
    return flat.reshape(shape, order=order)
