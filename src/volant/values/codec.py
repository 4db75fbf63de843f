"""Python values to canonical bytes and back: the one codec of everything that is hashed, sent or stored.

Laws, for one annotation:

- *Exact*: `decode(encode(value))` has the value and the type of what went in, except that an
  `int` given for a `float` arrives as a `float`.
- *Injective*: two values that differ in value or in type never share bytes.
- *Canonical*: equal bytes in every process, on every supported Python, under every hash seed.
  Where that cannot be promised, because a part is a pickle, there is no digest.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from volant.kit.digests import blake2b
from volant.model.errors import ArgumentError, BlobError, ValueCodecError
from volant.values.cycles import find_cycle
from volant.values.planning import Planner
from volant.values.plans import Plan
from volant.values.registry import Registration, Registry, check_registration
from volant.values.wire import (
    FORMAT_VERSION,
    Fault,
    Located,
    Misfit,
    Misread,
    OpenBlobs,
    Part,
    Sink,
    Source,
    Unencodable,
)

__all__ = ["FORMAT_VERSION", "Encoded", "decode", "encode", "register"]

T = TypeVar("T")

REGISTRY: Final = Registry()
PLANNER: Final = Planner(REGISTRY)

_NAMED_PICKLES: Final = 8
"""Pickled parts whose paths are looked up."""


class Encoded(msgspec.Struct, frozen=True, kw_only=True):
    """A value as bytes. Large arrays, frames and files are *parts*: blobs that the bytes refer to by digest."""

    data: bytes
    digest: str | None
    """Hex BLAKE2b-256 of the bytes, or of the hashes of parts whose types have one; None without a stable hash."""
    inline_bytes: int
    """Bytes that travel by value: `bytes`, `bytearray` and pickles are not counted."""
    pickled: tuple[str, ...] = ()
    """Paths of parts that are pickled as a last resort, one for each type of part."""
    parts: tuple[Part, ...] = ()
    """What has to be in the blob store for the bytes to be readable; each blob once."""


def encode(value: object, annotation: object, *, where: str = "value") -> Encoded:
    """The canonical bytes of *value* under *annotation*.

    Raises:
        ArgumentError: the value is not of the annotated type. *where* and the path inside the value name it.
        ValueCodecError: the value cannot be encoded at all: it contains itself, is nested too
            deeply, or holds something that cannot be pickled.
    """
    return encode_plan(PLANNER.plan(annotation), value, where=where)


def decode(data: bytes, annotation: object, *, where: str = "value", blobs: OpenBlobs | None = None) -> Any:
    """The value that `encode` was given.

    Raises:
        ValueCodecError: the bytes are damaged, of another version, or not of the annotated type.
        BlobError: a part cannot be read from the store that *blobs* gives.
    """
    return decode_plan(PLANNER.plan(annotation), data, where=where, blobs=blobs)


def register(
    cls: type[T],
    *,
    encode: Callable[[T], bytes],
    decode: Callable[[bytes], T],
    digestable: bool = True,
    name: str | None = None,
    inline: bool = True,
    subclasses: bool = False,
    hashed: Callable[[T], bytes] | None = None,
    preview: Callable[[T], str] | None = None,
) -> None:
    """Let *encode* and *decode* make the bytes of instances of *cls*.

    Args:
        cls: instances of exactly this class are meant, unless *subclasses*.
        encode: returns canonical bytes: equal ones for equal values, in every process.
        decode: returns the value of such bytes.
        digestable: whether *encode* keeps that promise.
        name: what the bytes call the type; by default `module:qualname`, which is also where a
            process that does not know the type yet looks for it.
        inline: whether the bytes count as travelling by value.
        subclasses: *decode* restores the class of a subclass's instance, too.
        hashed: what equal values share and others do not, where that is not what *encode* returns.
        preview: a line about a value for people, kept beside its bytes.
    """
    check_registration(cls, encode, decode)
    REGISTRY.add(
        Registration(
            cls=cls,
            name=name or f"{cls.__module__}:{cls.__qualname__}",
            encode=encode,
            decode=decode,
            digestable=digestable,
            inline=inline,
            subclasses=subclasses,
            hashed=hashed,
            preview=preview,
        )
    )
    PLANNER.forget()


def pickle_warning(path: str) -> str:
    """What is said once of a part that is pickled."""
    return f"{path}: its type has no encoding of its own, so it is pickled; equal values are not recognised"


def encode_plan(plan: Plan, value: object, *, where: str, name: str = "") -> Encoded:
    """As `encode`, for a plan that is known. *name* is what a path starts with."""
    return write_payload(partial(_write_value, plan, value, name or "value"), where=where, name=name)


def write_payload(write: Callable[[Sink], None], *, where: str, name: str = "") -> Encoded:
    """Seal what *write* writes."""
    out = Sink(PLANNER.dynamic)
    out.append(FORMAT_VERSION)
    try:
        write(out)
        digest = _digest(write, out) if out.digestable else None
    except Misfit as fault:
        raise ArgumentError(f"{place(where, name, fault)}: {fault.text}", hint=_hint(fault)) from fault.__cause__
    except Fault as fault:
        raise ValueCodecError(f"{place(where, name, fault)}: {fault.text}", hint=_hint(fault)) from fault.__cause__
    data = bytes(out)
    return Encoded(
        data=data,
        digest=digest,
        inline_bytes=len(data) - out.opaque,
        pickled=_pickled_paths(write, out.pickles, where=where, name=name) if out.pickles else (),
        parts=tuple({part.blob.digest: part for part in out.parts}.values()) if out.parts else (),
    )


def _digest(write: Callable[[Sink], None], out: Sink) -> str:
    if not out.rehash:
        return blake2b(out, digest_size=32).hexdigest()
    hashed = Sink(PLANNER.dynamic, hashing=True)
    hashed.append(FORMAT_VERSION)
    write(hashed)
    return blake2b(hashed, digest_size=32).hexdigest()


def decode_plan(plan: Plan, data: bytes, *, where: str, name: str = "", blobs: OpenBlobs | None = None) -> Any:
    """As `decode`, for a plan that is known."""
    return read_payload(plan.read, data, where=where, name=name, blobs=blobs)


def read_payload(
    read: Callable[[Source], Any], data: bytes, *, where: str, name: str = "", blobs: OpenBlobs | None = None
) -> Any:
    """Check the version, let *read* read, and see that nothing is left over."""
    source = Source(data, PLANNER.dynamic, blobs)
    if not data or data[0] != FORMAT_VERSION:
        found = f"format version {data[0]}" if data else "no bytes"
        raise ValueCodecError(f"{where}: found {found}, wanted format version {FORMAT_VERSION}")
    source.pos = 1
    try:
        value = read(source)
        if source.pos != source.end:
            raise Misread(f"found {source.end - source.pos} bytes after the end of the value")
    except Fault as fault:
        raise ValueCodecError(f"{place(where, name, fault)}: {fault.text}", hint=_hint(fault)) from fault.__cause__
    except IndexError:
        raise ValueCodecError(f"{where}: the bytes end early, or are damaged") from None
    except RecursionError:
        raise ValueCodecError(f"{where}: nested too deeply to be read") from None
    except BlobError:
        raise
    except Exception as error:
        raise ValueCodecError(f"{where}: the bytes are damaged: {type(error).__name__}: {error}") from error
    return value


def too_deep(value: object, name: str) -> Unencodable:
    """Why encoding a value went deeper than can be."""
    cycle = find_cycle(value)
    if cycle is None:
        text = "found a value that is nested too deeply, wanted fewer levels than Python's recursion limit allows"
    else:
        text = f"found a value that contains itself, at {name}{cycle}"
    fault = Unencodable(text)
    fault.remedy = lambda: "pass it flat: name or number its parts, and refer to them so"
    return fault


def _hint(fault: Fault) -> str | None:
    return fault.remedy() if fault.remedy is not None else None


def place(where: str, name: str, fault: Fault) -> str:
    """Where a fault is: the thing, then the path inside it."""
    path = fault.path
    if fault.parameter is not None:
        name = fault.parameter
        where = f"{where}, parameter {name!r}"
    if not path:
        return where
    return f"{where}, at {name}{path}" if name else f"{where}{path}"


def _pickled_paths(write: Callable[[Sink], None], kinds: list[type], *, where: str, name: str) -> tuple[str, ...]:
    """The path to the first pickled part of each type, by writing again up to there."""
    firsts = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    paths: list[str] = []
    for index in firsts[:_NAMED_PICKLES]:
        try:
            write(Sink(PLANNER.dynamic, probe=index))
        except Located as found:
            paths.append(place(where, name, found))
    return tuple(paths)


def _write_value(plan: Plan, value: object, name: str, out: Sink) -> None:
    try:
        plan.write(value, out)
    except RecursionError:
        raise too_deep(value, name) from None
