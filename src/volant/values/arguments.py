"""Arguments of functions that are no tasks: recorded for people and for their digest; nothing is called with them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from volant.model.errors import ValueCodecError
from volant.values.codec import PLANNER, Encoded, read_payload, write_payload
from volant.values.wire import STRUCT, Misread, OpenBlobs, Sink, Source, read_size, read_text, text_bytes, write_size


def encode_arguments(arguments: Mapping[str, object], *, where: str) -> Encoded:
    """The bytes of arguments by name, each as what it is.

    One that cannot be encoded (a connection, a lock) is recorded by the name of its type; then there is no digest.
    """
    try:
        return write_payload(partial(_write, arguments), where=where)
    except ValueCodecError:
        recorded = {name: _or_its_type(value, where=where) for name, value in arguments.items()}
        return msgspec.structs.replace(write_payload(partial(_write, recorded), where=where), digest=None)


def decode_arguments(data: bytes, *, where: str, blobs: OpenBlobs | None = None) -> dict[str, Any]:
    """The arguments by name; for those who look at them.

    Raises:
        ValueCodecError: the bytes are no arguments.
    """
    found: dict[str, Any] = read_payload(_read, data, where=where, blobs=blobs)
    return found


def _read(source: Source) -> dict[str, Any]:
    if source.peek() != STRUCT:
        raise Misread("found a single value, wanted arguments")
    source.pos += 1
    return {read_text(source): PLANNER.dynamic.read(source) for _ in range(read_size(source))}


def _or_its_type(value: object, *, where: str) -> object:
    try:
        write_payload(partial(_write, {"value": value}), where=where)
    except ValueCodecError:
        return f"<{type(value).__module__}.{type(value).__qualname__}>"
    return value


def _write(arguments: Mapping[str, object], out: Sink) -> None:
    out.append(STRUCT)
    write_size(len(arguments), out)
    for name, value in arguments.items():
        out += text_bytes(name)
        PLANNER.dynamic.write(value, out)
