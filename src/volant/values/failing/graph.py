"""An exception and all others that it leads to, as bytes: members of groups, causes, contexts, values of attributes.

It is a graph: an exception may be reached in several ways, or lead back to itself. So all are numbered, and rebuilt in
two steps, first empty instances, then what they hold and how they are linked.
"""

import msgspec

from volant.values.failing.details import Details
from volant.values.failing.frames import Frame

VERSION = 1


class Node(msgspec.Struct, kw_only=True, array_like=True, omit_defaults=True):
    """One exception. A number that leads nowhere is -1."""

    name: str
    """Its type's name."""
    text: str
    """Its message, for when its type cannot be had."""
    notes: list[str] = []
    """Its notes, for the same case."""
    cls: int = -1
    """Which of the pickled classes is its class."""
    state: bytes = b""
    """What it holds, pickled (`volant.values.failing.parts.Parts`)."""
    reduced: bytes = b""
    """What its own `__reduce_ex__` says of how to rebuild it, pickled; empty when it says nothing of its own."""
    label: bytes = b""
    """The message of a group."""
    members: list[int] = []
    """The members of a group."""
    frames: list[int] = []
    """Its traceback, outermost frame first."""
    cause: int = -1
    context: int = -1
    suppress_context: bool = False
    extend: bool = False
    """Whether the caller gets it as a `TaskError` too."""
    told: Details | None = None
    """What was known of it, when it had come from another process already; without message and traceback."""
    retryable: bool = True


class Graph(msgspec.Struct, kw_only=True, array_like=True):
    """Exceptions; the first one is what was raised."""

    version: int = VERSION
    nodes: list[Node]
    classes: list[bytes]
    frames: list[Frame]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Graph)


def to_bytes(graph: Graph) -> bytes:
    """The graph as bytes."""
    return _encoder.encode(graph)


def from_bytes(data: bytes) -> Graph:
    """The graph of some bytes.

    Raises:
        msgspec.DecodeError: they are no graph.
        ValueError: they are one of a version that is not known here.
    """
    graph = _decoder.decode(data)
    if graph.version != VERSION:
        raise ValueError(f"an encoded exception has version {graph.version}, expected {VERSION}")
    return graph
