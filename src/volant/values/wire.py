"""Bytes of format version 1: the tags, and what writes and reads them.

Every value is one tag byte followed by its body. A byte of 0x80 and above is a tag and a body
at once: an `int` between 0 and 127. Sizes and counts are unsigned LEB128. Bodies are
self-delimiting, numbers are big-endian. The tags are frozen: a new kind of value gets a new
tag, an old tag never gets a new meaning.

``STRUCT`` and ``ENUM`` carry no class: they can only be read under the annotation that names
it. Everything else describes itself.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from reprlib import Repr
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from volant.model.payloads import Blob
from volant.ports.blobs import Blobs

if TYPE_CHECKING:
    from volant.values.plans import SelfDescribing

FORMAT_VERSION: Final = 1
MAX_DEPTH: Final = 1000
"""Containers inside containers; Python's own recursion limit usually comes first."""

NONE: Final = 0x00
FALSE: Final = 0x01
TRUE: Final = 0x02
INT: Final = 0x03
FLOAT: Final = 0x04
COMPLEX: Final = 0x05
STR: Final = 0x06
BYTES: Final = 0x07
BYTEARRAY: Final = 0x08
ELLIPSIS: Final = 0x09
LIST: Final = 0x10
TUPLE: Final = 0x11
DICT: Final = 0x12
SET: Final = 0x13
FROZENSET: Final = 0x14
DEQUE: Final = 0x15
ORDERED_DICT: Final = 0x16
DEFAULT_DICT: Final = 0x17
COUNTER: Final = 0x18
RANGE: Final = 0x19
SLICE: Final = 0x1A
DECIMAL: Final = 0x20
FRACTION: Final = 0x21
UUID: Final = 0x22
PATH: Final = 0x23
DATE: Final = 0x24
TIME: Final = 0x25
DATETIME: Final = 0x26
TIMEDELTA: Final = 0x27
TIMEZONE: Final = 0x28
ZONEINFO: Final = 0x29
STRUCT: Final = 0x30
NAMED_STRUCT: Final = 0x31
ENUM: Final = 0x32
NAMED_ENUM: Final = 0x33
MEMBER: Final = 0x34
ABSENT: Final = 0x35
CLASS: Final = 0x40
FUNCTION: Final = 0x41
REGISTERED: Final = 0x42
PICKLE: Final = 0x43
NUMPY_SCALAR: Final = 0x44
ARRAY: Final = 0x45
COMPOSED: Final = 0x46
SHOWN: Final = 0x47
HASHED: Final = 0x48
STORED: Final = 0x49
SMALL_INT: Final = 0x80

TAG_NAMES: Final = {
    NONE: "None",
    FALSE: "bool",
    TRUE: "bool",
    INT: "int",
    FLOAT: "float",
    COMPLEX: "complex",
    STR: "str",
    BYTES: "bytes",
    BYTEARRAY: "bytearray",
    ELLIPSIS: "...",
    LIST: "list",
    TUPLE: "tuple",
    DICT: "dict",
    SET: "set",
    FROZENSET: "frozenset",
    DEQUE: "deque",
    ORDERED_DICT: "OrderedDict",
    DEFAULT_DICT: "defaultdict",
    COUNTER: "Counter",
    RANGE: "range",
    SLICE: "slice",
    DECIMAL: "Decimal",
    FRACTION: "Fraction",
    UUID: "UUID",
    PATH: "path",
    DATE: "date",
    TIME: "time",
    DATETIME: "datetime",
    TIMEDELTA: "timedelta",
    TIMEZONE: "timezone",
    ZONEINFO: "ZoneInfo",
    STRUCT: "an instance of the annotated class",
    NAMED_STRUCT: "an instance of a named class",
    ENUM: "a member of the annotated enum",
    NAMED_ENUM: "a member of a named enum",
    MEMBER: "a member of a union",
    ABSENT: "an attribute without a value",
    CLASS: "a class",
    FUNCTION: "a function",
    REGISTERED: "a value of a registered type",
    PICKLE: "a pickle",
    NUMPY_SCALAR: "a numpy scalar",
    ARRAY: "a numpy array",
    COMPOSED: "a value of another library",
    SHOWN: "a value with a preview",
    HASHED: "a hash instead of a value",
    STORED: "a file, a directory or a frame",
}


class_of: Final = cast("Callable[[Any], type[Any]]", type)
"""`type` of one argument, for type checkers: asking for a value's class says nothing about its static type."""


class Fault(Exception):
    """Something is wrong with a part of a value; the path to it grows on the way up."""

    remedy: "Callable[[], str | None] | None" = None
    """What would help, where a plan can tell; asked when the error is told, and not for members of a union."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.steps: list[str] = []
        self.parameter: str | None = None

    def via(self, step: str) -> None:
        """Note the step that leads from the enclosing value to the faulty one."""
        self.steps.append(step)

    @property
    def path(self) -> str:
        return "".join(reversed(self.steps))


class Misfit(Fault):
    """A value is not of the annotated type."""


class Unencodable(Fault):
    """A value that nothing can turn into bytes."""


class Misread(Fault):
    """Bytes that are not what the annotation says."""

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        super().__init__(text)
        if hint is not None:
            self.remedy = lambda: hint


class Located(Fault):
    """Not an error: the part that was searched for (see `Sink.probe`)."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A blob that the bytes of a value refer to."""

    blob: Blob
    chunks: Sequence[memoryview] | None = field(default=None, compare=False, repr=False)
    """What is in it, for whoever stores it; None where it is in the store."""


class Mark(NamedTuple):
    """A place in a `Sink` to roll back to."""

    size: int
    depth: int
    opaque: int
    pickles: int
    digestable: bool
    parts: int


class Sink(bytearray):
    """The bytes of one value while they are written, with what is said about them.

    Attributes:
        dynamic: the plan for values that describe themselves.
        depth: containers around the value now written.
        exact: no conversions (an `int` for a `float`); set while a union looks for its member.
        opaque: bytes that do not travel by value.
        pickles: the class of each pickled part, in the order of writing.
        digestable: whether equal bytes can be relied on for equal values.
        parts: the blobs that the bytes refer to, in the order of writing.
        hashing: whether the bytes are for hashing only: what has a hash of its own writes that instead of itself.
        rehash: whether something did not, so that the bytes are not what is hashed.
        probe: index of the pickled part whose path is wanted, or -1.
    """

    __slots__ = (
        "depth",
        "digestable",
        "dynamic",
        "exact",
        "hashing",
        "opaque",
        "parts",
        "pickles",
        "probe",
        "rehash",
    )

    def __init__(self, dynamic: "SelfDescribing", *, probe: int = -1, hashing: bool = False) -> None:
        super().__init__()
        self.hashing = hashing
        self.rehash = False
        self.dynamic = dynamic
        self.depth = 0
        self.exact = False
        self.opaque = 0
        self.parts: list[Part] = []
        self.pickles: list[type] = []
        self.digestable = True
        self.probe = probe

    def mark(self) -> Mark:
        return Mark(len(self), self.depth, self.opaque, len(self.pickles), self.digestable, len(self.parts))

    def rollback(self, mark: Mark) -> None:
        """Forget all that was written since *mark*."""
        del self[mark.size :]
        del self.pickles[mark.pickles :]
        del self.parts[mark.parts :]
        self.depth = mark.depth
        self.opaque = mark.opaque
        self.digestable = mark.digestable


OpenBlobs = Callable[[], Blobs]
"""Gives the store of a value's parts; called when there is one to read."""


class Source:
    """Bytes being read. `pos` is the next byte, `end` one past the last, `blobs` opens the store of their parts."""

    __slots__ = ("blobs", "data", "dynamic", "end", "pos")

    def __init__(self, data: bytes, dynamic: "SelfDescribing", blobs: "OpenBlobs | None" = None) -> None:
        self.blobs = blobs
        self.data = data
        self.pos = 0
        self.end = len(data)
        self.dynamic = dynamic

    def take(self, count: int) -> bytes:
        """The next *count* bytes."""
        pos = self.pos
        end = pos + count
        if end > self.end:
            raise Misread(f"{end - self.end} bytes are missing at the end")
        self.pos = end
        return self.data[pos:end]

    def peek(self) -> int:
        """The tag of the next value; small ints count as `INT`."""
        pos = self.pos
        if pos >= self.end:
            raise Misread("the bytes end early")
        tag = self.data[pos]
        return INT if tag & SMALL_INT else tag


_SIZES: Final = tuple(bytes((n,)) for n in range(128))


def write_size(size: int, out: bytearray) -> None:
    """Write an unsigned LEB128 number."""
    if size < 128:
        out.append(size)
        return
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    out.append(size)


def read_size(source: Source) -> int:
    """Read an unsigned LEB128 number in its shortest form."""
    data = source.data
    pos = source.pos
    byte = data[pos]
    if byte < 128:
        source.pos = pos + 1
        return byte
    size = byte & 127
    shift = 7
    while byte & 128:
        pos += 1
        byte = data[pos]
        size |= (byte & 127) << shift
        shift += 7
        if shift > 70:
            raise Misread("a size of more than 64 bits")
    if byte == 0:
        raise Misread("a size that is not in its shortest form")
    source.pos = pos + 1
    return size


def sized(size: int) -> bytes:
    """The bytes `write_size` writes."""
    if size < 128:
        return _SIZES[size]
    out = bytearray()
    write_size(size, out)
    return bytes(out)


def write_text(text: str, out: bytearray) -> None:
    """Write a string without a tag."""
    data = text.encode("utf-8", "surrogatepass")
    write_size(len(data), out)
    out += data


def text_bytes(text: str) -> bytes:
    """The bytes `write_text` writes."""
    out = bytearray()
    write_text(text, out)
    return bytes(out)


def read_text(source: Source) -> str:
    """Read a string without a tag."""
    return source.take(read_size(source)).decode("utf-8", "surrogatepass")


_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F.]+")
_SHORT: Final = Repr()
_SHORT.maxlevel = 3
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdeque = 4
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def found(value: Any) -> str:
    """How an error shows a value: its type and a short repr."""
    if value is None:
        return "None"
    cls = class_of(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"{name} {' '.join(_ADDRESS.sub('', _SHORT.repr(value)).split())}"
